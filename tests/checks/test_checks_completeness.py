"""Counts that add up, and an early stop told apart from lost callbacks."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import choix
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.checks import ledger, run_checks
from pytest_eng5.checks.stability import last_change, stopped_stable
from pytest_eng5.evidence import Finding

FIXTURES = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def completeness(run: Any) -> tuple[Finding, ...]:
    return run_checks(run.load(), ["completeness"])


def long_run(make_run: Callable[..., Any], make: Any, n: int, rounds: int, planned: int) -> Any:
    """Many round-robins in waves; of every four meetings of a pair the better essay wins three."""
    run = make_run(n)
    waves = [(m.metadata["essay_a_id"], m.metadata["essay_b_id"]) for m in run.comparisons]
    place = {make.essay_id(k): k for k in range(n)}
    run.comparisons = [
        make.callback(
            k, place[a], place[b], "Essay A" if (place[a] < place[b]) == (turn % 4 != 3) else "Essay B"
        )
        for turn in range(rounds)
        for k, (a, b) in enumerate(waves, start=turn * len(waves))
    ]
    run.plan["planned_comparisons"] = planned
    end = run.comparisons[-1].second + 1
    run.completions, run.assessment_results = [make.completion(n, end)], [make.rich_result(n, end)]
    return run


@pytest.mark.parametrize("n", [4, 5, 6])
def test_a_stable_early_stop_is_an_info(make_run: Callable[..., Any], make: Any, n: int) -> None:
    run = long_run(make_run, make, n, rounds=80, planned=2000)
    findings = run_checks(run.load())
    assert make.codes(findings, None) == ["COUNT-MISSING"]
    assert findings[0].severity == "info"
    assert findings[0].message.startswith(
        f"stopped early, stable: {len(run.comparisons)} of 2000 comparisons"
    )


@pytest.mark.parametrize("n", [4, 5, 6])
def test_a_lost_callback_is_no_early_stop(make_run: Callable[..., Any], make: Any, n: int) -> None:
    run = long_run(make_run, make, n, rounds=80, planned=2000)
    run.comparisons.pop(17)
    findings = completeness(run)
    assert make.codes(findings) == ["COUNT-MISSING"]


def test_an_early_stop_needs_stable_scores(make_run: Callable[..., Any], make: Any) -> None:
    """Four waves of six essays: whole, 12 comparisons, but every wave still moves the scores."""
    run = make_run(6, waves=4)
    findings = completeness(run)
    assert make.codes(findings) == ["COUNT-MISSING"]
    assert "3 of 15 planned comparisons did not come back" in findings[0].message
    assert len(findings[0].essay_ids) == 6


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run, make: run.completions.clear(),
        lambda run, make: run.completions[0].data.update(status="failed_critically"),
        lambda run, make: [make.fail(message) for message in run.comparisons[::4]],
    ],
    ids=["not completed", "completed as failure", "a quarter failed"],
)
def test_an_early_stop_needs_success(
    make_run: Callable[..., Any], make: Any, spoil: Callable[[Any, Any], object]
) -> None:
    run = long_run(make_run, make, 4, rounds=80, planned=2000)
    spoil(run, make)
    evidence = run.load()
    assert stopped_stable(evidence, evidence.distinct_comparisons) is None
    assert "COUNT-MISSING" in make.codes(run_checks(evidence, ["completeness"]))


def test_eleven_comparisons_are_too_few_to_stop(make_run: Callable[..., Any], make: Any) -> None:
    run = long_run(make_run, make, 2, rounds=11, planned=2000)
    assert "COUNT-MISSING" in make.codes(completeness(run))


@FIXTURES
@given(seed=st.integers(0, 10**6), n=st.integers(3, 7))
def test_the_last_change_is_that_of_the_pipelines_own_estimator(
    make_run: Callable[..., Any], make: Any, seed: int, n: int
) -> None:
    """Oracle: choix, as the production service scores, before and after the last floor(n/2) comparisons."""
    chance = random.Random(seed)
    run = make_run(n)
    for message in run.comparisons:
        message.data["winner"] = chance.choice(["Essay A", "Essay B"])
    games = []
    place = {make.essay_id(k): k for k in range(n)}
    for message in run.comparisons:
        a, b = place[message.metadata["essay_a_id"]], place[message.metadata["essay_b_id"]]
        games.append((a, b) if message.data["winner"] == "Essay A" else (b, a))
    chance.shuffle(run.comparisons)
    evidence = run.load()

    def scores(data: list[tuple[int, int]]) -> Any:
        theta = choix.ilsr_pairwise(n, data, alpha=0.01, max_iter=10_000)
        return theta - theta.mean()

    expected = np.abs(scores(games) - scores(games[: len(games) - n // 2])).max()
    assert last_change(evidence, evidence.comparisons, n // 2) == pytest.approx(expected, abs=1e-6)


@FIXTURES
@given(
    n=st.integers(2, 6),
    planned=st.integers(1, 20),
    failed=st.integers(0, 15),
    lost=st.integers(0, 15),
    unreadable=st.integers(0, 4),
    again=st.integers(0, 4),
)
def test_the_ledger_adds_up(
    make_run: Callable[..., Any],
    make: Any,
    n: int,
    planned: int,
    failed: int,
    lost: int,
    unreadable: int,
    again: int,
) -> None:
    run = make_run(n)
    run.plan["planned_comparisons"] = planned
    run.comparisons = run.comparisons[lost:]
    for message in run.comparisons[:failed]:
        make.fail(message)
    run.comparisons += [message.again() for message in run.comparisons[:again]]
    for _ in range(min(unreadable, len(run.comparisons))):
        run.reject(run.comparisons[0], "comparisons", "undecodable", b"\xff")
    counts = ledger(run.load())
    assert counts.planned + counts.unexpected == (
        counts.succeeded + counts.failed + counts.unreadable + counts.missing
    )
    assert counts.callbacks == len({m.data["request_id"] for m in run.comparisons})
    assert counts.missing == 0 or counts.unexpected == 0
    assert min(vars_of(counts)) >= 0


def vars_of(counts: Any) -> list[int]:
    return [getattr(counts, name) for name in counts.__slots__]


def test_the_ledger_reads_well(run: Any, make: Any) -> None:
    make.fail(run.comparisons[0])
    run.comparisons.pop()
    assert str(ledger(run.load())) == "15 planned: 13 succeeded, 1 failed, 1 missing"


def test_a_damaged_redelivery_does_not_hide_a_lost_callback(run: Any, make: Any) -> None:
    """The request id that can still be read says that this callback is known."""
    copy = run.comparisons[3].again()
    run.comparisons.append(copy)
    data = '{{"data": {{"request_id": "{}"}}}}'.format(copy.data["request_id"])
    run.reject(copy, "comparisons", "schema", data.encode())
    run.comparisons.pop(7)
    assert make.codes(completeness(run)) == ["COUNT-MISSING"]


def test_lost_comparisons_name_the_essays(run: Any, make: Any) -> None:
    lost = run.comparisons.pop(7)
    (found,) = completeness(run)
    assert set(found.essay_ids) == {lost.metadata["essay_a_id"], lost.metadata["essay_b_id"]}
    assert "(4 of 5)" in found.message
    assert "1 of 15 planned comparisons did not come back" in found.message


@pytest.mark.parametrize(("failures", "severity"), [(1, "info"), (3, "info"), (4, "error"), (15, "error")])
def test_the_success_rate_fails_below_four_fifths(run: Any, make: Any, failures: int, severity: str) -> None:
    for message in run.comparisons[:failures]:
        make.fail(message)
    found = [f for f in completeness(run) if f.code == "SUCCESS-RATE"]
    assert [f.severity for f in found] == [severity]
    assert f"{15 - failures} of 15 comparisons succeeded" in found[0].message
    assert f"EXTERNAL_SERVICE_ERROR {failures}" in found[0].message


def test_a_failed_batch_owes_nothing_more(run: Any, make: Any) -> None:
    """A refused request: no callbacks, no completion, no result, one finding with the reason."""
    for kind in ("comparisons", "completions", "assessment_results"):
        run.messages(kind).clear()
    reason = {"error_code": "RESOURCE_NOT_FOUND", "error_message": "no such assignment"}
    run.failures.append(make.failed_event(reason, 1.0, job="INITIALIZATION_FAILED"))
    run.failures.append(run.failures[0].again(second=1.5))
    run.ending.update(reason="pipeline_failed", detail="the batch failed")
    findings = run_checks(run.load())
    assert make.codes(findings) == ["PIPELINE-FAILED"]
    (found,) = [f for f in findings if f.severity == "error"]
    assert "RESOURCE_NOT_FOUND: no such assignment" in found.message
    assert "15 planned: 15 missing" in found.message


def test_a_run_that_never_ended_is_partial(run: Any, make: Any) -> None:
    run.ending = None
    findings = completeness(run)
    assert make.codes(findings) == ["PARTIAL-DATA"]
    assert "did not record how it ended" in findings[0].message


def test_a_deadline_is_quoted(run: Any) -> None:
    run.ending.update(reason="total_deadline", detail="300 s are over, 1 callback missing")
    (found,) = completeness(run)
    assert "total_deadline" in found.message
    assert "300 s are over, 1 callback missing" in found.message


def test_an_essay_never_compared(make_run: Callable[..., Any], make: Any) -> None:
    run = make_run(6)
    silent = make.essay_id(5)
    run.comparisons = [m for m in run.comparisons if silent not in m.metadata.values()]
    run.plan["planned_comparisons"] = len(run.comparisons)
    (found,) = completeness(run)
    assert (found.code, found.essay_ids) == ("ESSAY-MISSING", (silent,))


def test_a_plan_too_small_for_all_essays_is_no_fault_of_the_pipeline(
    make_run: Callable[..., Any],
) -> None:
    run = make_run(6)
    run.comparisons, run.plan["planned_comparisons"] = run.comparisons[:2], 2
    assert completeness(run) == ()


@pytest.mark.parametrize("summary", [{}, {"failed_essay_ids": None}, {"failed_essay_ids": [None, 3, {}]}])
def test_an_odd_summary_does_no_harm(run: Any, summary: dict[str, Any]) -> None:
    run.completions[0].data["processing_summary"] = summary
    assert completeness(run) == ()


def test_nothing_at_all_came_back(run: Any, make: Any) -> None:
    for kind in ("comparisons", "completions", "assessment_results"):
        run.messages(kind).clear()
    run.ending.update(reason="idle_deadline", detail="nothing came back for 30 s")
    codes = make.codes(run_checks(run.load()))
    assert codes == ["COMPLETION-MISSING", "COUNT-MISSING", "PARTIAL-DATA", "RESULT-MISSING"]


def test_callbacks_lost_as_many_as_a_wave_has(make_run: Callable[..., Any], make: Any) -> None:
    """Two, both of one essay: the number of callbacks still fits whole waves, that of the essays does not."""
    run = long_run(make_run, make, 4, rounds=80, planned=2000)
    mine = [m for m in run.comparisons if make.essay_id(0) in m.metadata.values()]
    for message in mine[10:12]:
        run.comparisons.remove(message)
    assert make.codes(completeness(run)) == ["COUNT-MISSING"]


@pytest.mark.parametrize(("rounds", "legal"), [(11, False), (12, True)])
def test_twelve_comparisons_are_enough(
    make_run: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch, rounds: int, legal: bool
) -> None:
    """With scores that count as stable however much they move."""
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", 100.0)
    evidence = long_run(make_run, make, 2, rounds=rounds, planned=2000).load()
    assert (stopped_stable(evidence, evidence.distinct_comparisons) is not None) == legal


def test_an_essay_twice_in_the_result(run: Any) -> None:
    rows = run.assessment_results[0].data["essay_results"]
    rows.append(dict(rows[2]))
    (found,) = completeness(run)
    assert "essay 'anchor-2' is 2 times in the rich result" in found.message


@pytest.mark.parametrize(("failed", "legal"), [(16, True), (17, False)])
def test_four_fifths_of_the_comparisons_are_enough_to_stop(
    make_run: Callable[..., Any], make: Any, monkeypatch: pytest.MonkeyPatch, failed: int, legal: bool
) -> None:
    monkeypatch.setattr("pytest_eng5.checks.stability.STABLE_CHANGE", 100.0)
    run = long_run(make_run, make, 2, rounds=80, planned=2000)
    for message in run.comparisons[:failed]:
        make.fail(message)
    evidence = run.load()
    assert (stopped_stable(evidence, evidence.distinct_comparisons) is not None) == legal


def test_a_long_reason_is_quoted_up_to_400_characters(run: Any) -> None:
    run.ending.update(reason="total_deadline", detail="x" * 400)
    assert completeness(run)[0].message.endswith(" " + "x" * 400)
    run.ending.update(detail="x" * 401)
    assert completeness(run)[0].message.endswith(" " + "x" * 398 + "..")
