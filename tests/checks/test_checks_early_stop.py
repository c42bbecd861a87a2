"""When a run may stop before all comparisons were made: each condition from both sides, in exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from recorded_messages import essay_id, round_robin, scores

from pytest_eng5.checks.stability import last_change, stopped_stable

Pair = tuple[int, int]


@pytest.fixture
def stopped(make_run: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A run that ended after these comparisons, which the better essay won; no score counts as moved."""
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", 100.0)

    def build(n: int, pairs: Sequence[Pair]) -> Any:
        run = make_run(n)
        run.comparisons = [
            make.callback(k, a, b, "Essay A" if a < b else "Essay B") for k, (a, b) in enumerate(pairs)
        ]
        run.plan["planned_comparisons"] = 1_000
        return run

    return build


def waves(n: int, count: int) -> list[Pair]:
    """The first waves of round-robins over n essays, one after the other."""
    once = list(round_robin(n))
    return [pair for k in range(count) for pair in once[k % len(once)]]


def moved(n: int, games: Sequence[tuple[str, str]], last: int) -> float:
    """By how much the last comparisons moved a score, by the service's own library."""
    essays = tuple(essay_id(k) for k in range(n))
    before, after = (scores(essays, tuple(games[:end])) for end in (len(games) - last, len(games)))
    return max(abs(after[essay] - before[essay]) for essay in essays)


def change(run: Any) -> float | None:
    evidence = run.held()
    return stopped_stable(evidence, evidence.distinct_comparisons)


def games(run: Any) -> list[tuple[str, str]]:
    return [message.game for message in run.comparisons if message.game is not None]


@pytest.mark.parametrize(
    ("n", "count", "wave"), [(6, 4, 3), (8, 4, 4), (5, 7, 2), (5, 11, 2), (3, 12, 1), (2, 12, 1), (4, 9, 2)]
)
def test_the_change_is_that_of_the_last_wave(
    stopped: Callable[..., Any], n: int, count: int, wave: int
) -> None:
    """Whole waves, of more than one round where there are more than pairs."""
    run = stopped(n, waves(n, count))
    assert change(run) == pytest.approx(moved(n, games(run), wave), abs=1e-6)


@pytest.mark.parametrize(("made", "legal"), [(9, False), (12, True)])
def test_at_least_twelve_comparisons(stopped: Callable[..., Any], made: int, legal: bool) -> None:
    assert (change(stopped(6, waves(6, 5)[:made])) is not None) is legal


@pytest.mark.parametrize(("failed", "legal"), [(0, True), (3, True), (4, False), (15, False)])
def test_at_least_four_of_five_succeeded(
    stopped: Callable[..., Any], make: Any, failed: int, legal: bool
) -> None:
    """Of fifteen."""
    run = stopped(6, waves(6, 5))
    for message in run.comparisons[:failed]:
        make.fail(message)
    assert (change(run) is not None) is legal


def test_a_batch_that_failed_did_not_stop_by_itself(stopped: Callable[..., Any], make: Any) -> None:
    run = stopped(6, waves(6, 4))
    run.failures.append(make.failed_event({"reason": "stuck"}, 9.0))
    assert change(run) is None


@pytest.mark.parametrize(
    "status", ["completed_successfully", "completed_with_failures", "failed_critically", None]
)
def test_the_batch_completed_successfully(stopped: Callable[..., Any], status: str | None) -> None:
    run = stopped(6, waves(6, 4))
    if status is None:
        run.completions.clear()
    else:
        run.completions[0].data["status"] = status
    assert (change(run) is not None) is (status == "completed_successfully")


@pytest.mark.parametrize(("allowed", "legal"), [(1.5, True), (1e-7, True), (-1e-5, False)])
def test_no_score_moved_by_more_than_is_stable(
    stopped: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, allowed: float, legal: bool
) -> None:
    """Scores are compared to a millionth."""
    run = stopped(6, waves(6, 4))
    limit = moved(6, games(run), 3) + allowed
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", limit)
    assert (change(run) is not None) is legal


@pytest.mark.parametrize(
    ("n", "lost"),
    [
        (6, [(0, 1), (0, 2), (0, 3)]),
        (6, [(0, 1), (0, 2), (3, 4)]),
        (8, [(0, 1), (0, 2), (3, 4), (5, 6)]),
        (8, [(0, 1), (2, 3), (4, 5), (4, 6)]),
    ],
)
def test_lost_callbacks_are_no_early_stop(stopped: Callable[..., Any], n: int, lost: list[Pair]) -> None:
    """As many as a wave has, so that only the essays' counts, which differ by one or two, tell."""
    run = stopped(n, [pair for pair in waves(n, n - 1) if tuple(sorted(pair)) not in lost])
    assert len(run.comparisons) % (n // 2) == 0
    assert change(run) is None


@pytest.mark.parametrize("essays", [0, 1])
def test_a_plan_without_two_essays_has_no_waves(stopped: Callable[..., Any], essays: int) -> None:
    """Comparisons of essays that are not in it are told elsewhere."""
    run = stopped(6, waves(6, 5))
    run.score()
    del run.plan["essays"][essays:]
    assert change(run) is None


def test_the_order_of_waves_is_that_of_their_ends(stopped: Callable[..., Any], make: Any) -> None:
    """Whatever the order of capture: the comparisons that ended last are the last wave."""
    run = stopped(6, waves(6, 4))
    expected = change(run)
    run.comparisons.reverse()
    assert change(run) == expected
    first = run.comparisons[-1]
    first.data["completed_at"] = make.stamp(50)
    run.comparisons.reverse()
    others = games(run)[1:]
    assert change(run) == pytest.approx(moved(6, [*others, games(run)[0]], 3), abs=1e-6)


@pytest.mark.parametrize("key", ["essay_a_id", "essay_b_id"])
def test_a_callback_that_lacks_an_id_is_no_game(stopped: Callable[..., Any], key: str) -> None:
    run = stopped(6, waves(6, 4))
    run.comparisons[0].metadata[key] = None
    evidence = run.held()
    found = last_change(evidence, evidence.distinct_comparisons, 3)
    assert found == pytest.approx(moved(6, games(run)[1:], 3), abs=1e-6)
