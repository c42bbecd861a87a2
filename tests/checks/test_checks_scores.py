"""Scores, centre and ranks of a rich result against an independent fit, with essays that are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from recorded_messages import essay_id, scores

from pytest_eng5.checks.games import games_of, published_rows, rounding_of
from pytest_eng5.checks.scoring import check_scores, check_scoring

SCORES_HINT = (
    "fit the comparisons in events/comparisons.jsonl by contract 8.1: the service left comparisons out, "
    "counted some twice, or scored with another regularisation"
)
CENTRE_HINT = "differences between essays are right, the origin is not: the service centres over all essays"
RANK_HINT = "the service ranks by score, students and anchors together, 1 for the best (contract 8.1)"


def told(run: Any) -> list[tuple[str, str]]:
    return [(f.code, f.message) for f in check_scores(run.held())]


def rows_of(run: Any, result: int = 0) -> list[Any]:
    """The rows of a rich result, scored and ranked as they should be."""
    run.score()
    rows: list[Any] = run.assessment_results[result].data["essay_results"]
    return rows


def publish(run: Any, figures: list[tuple[float, int]]) -> None:
    """Give each essay this score and rank."""
    for row, (score, rank) in zip(run.assessment_results[0].data["essay_results"], figures, strict=True):
        row.update(bt_score=score, rank=rank)


def test_what_is_right_has_no_finding(run: Any) -> None:
    assert told(run) == []


def test_a_wrong_score(run: Any) -> None:
    row = rows_of(run)[2]
    right, row["bt_score"] = row["bt_score"], row["bt_score"] + 0.25
    (found,) = check_scores(run.held())
    score = f"bt_score of essay 'anchor-2' is {right + 0.25:.4f}, its comparisons give {right:.4f}"
    assert (found.code, found.message, found.hint) == ("SCORE-MISMATCH", score, SCORES_HINT)
    assert (found.field, found.essay_ids) == ("/data/essay_results/2/bt_score", (essay_id(2),))


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_wrong_results_the_better_one_is_told(run: Any, order: int) -> None:
    rows_of(run)
    run.assessment_results.append(run.assessment_results[0].again(second=90.0))
    for result, wrong in zip(run.assessment_results[::order], ((0, 3), (4,)), strict=True):
        for place in wrong:
            result.data["essay_results"][place]["bt_score"] += 0.01
    assert [f.field for f in check_scores(run.held())] == ["/data/essay_results/4/bt_score"]


def test_what_follows_from_a_lost_callback_is_an_info(run: Any) -> None:
    rows_of(run)
    run.comparisons.pop(7)
    found = check_scoring(run.held())
    assert {(f.code, f.severity) for f in found} == {("SCORE-MISMATCH", "info")}
    assert found[0].message.startswith("not provable because of COUNT-MISSING: ")


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("off", [1.0, -0.5])
def test_scores_around_another_centre(run: Any, missing: int, off: float) -> None:
    """It is told by how much, even where the result lacks an essay, so that its mean is not 0 anyway."""
    rows = rows_of(run)
    for row in rows:
        row["bt_score"] += off
    del rows[:missing]
    (found,) = check_scores(run.held())
    text = f"scores of {6 - missing} essays are centred on {off:+.4f} instead of 0"
    assert (found.code, found.message, found.hint) == ("SCORE-CENTRE", text, CENTRE_HINT)
    assert found.field == "/data/essay_results"


def silence(run: Any, essay: int) -> None:
    """Let an essay have no comparison."""
    run.comparisons = [message for message in run.comparisons if essay_id(essay) not in message.pair]


def test_an_essay_without_comparison_may_have_no_score(make_run: Callable[..., Any]) -> None:
    run = make_run(4)
    silence(run, 3)
    essays = tuple(essay_id(k) for k in range(3))
    theta = scores(essays, tuple(message.game for message in run.comparisons))
    publish(run, [*((theta[essay], rank) for rank, essay in enumerate(essays, start=1)), (0.0, 999)])
    assert told(run) == []


def test_an_essay_without_comparison_may_be_scored_with_the_others(make_run: Callable[..., Any]) -> None:
    run = make_run(4)
    silence(run, 3)
    assert [row["rank"] for row in rows_of(run)] != [999] * 4
    assert told(run) == []


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ([(0.0, 1), (0.0, 2), (0.0, 3), (0.0, 4)], []),
        ([(1.0, 1), (-1.0, 2), (0.0, 999), (0.0, 999)], []),
        ([(2.0, 1), (0.0, 2), (0.0, 999), (0.0, 999)], []),
        (
            [(2.0, 1), (0.0, 2), (0.0, 3), (0.0, 4)],
            [("SCORE-CENTRE", "scores of 4 essays are centred on +0.5000 instead of 0")],
        ),
        (
            [(-1.0, 1), (1.0, 2), (0.0, 3), (0.0, 4)],
            [
                (
                    "RANK-MISMATCH",
                    "rank of essay 'anchor-0' is 1, before essay 'anchor-1' with rank 2 and a higher score",
                )
            ],
        ),
        ([(0.0, 1), (0.0, 2), (0.0, 3), (0.0, 3)], [("RANK-MISMATCH", "ranks of 4 essays are 1, 2, 3, 3")]),
    ],
)
def test_a_result_of_nothing(
    make_run: Callable[..., Any], figures: list[tuple[float, int]], expected: list[tuple[str, str]]
) -> None:
    """Nothing was compared: scores have mean 0 over all essays, or it is not known over which."""
    run = make_run(4)
    run.comparisons.clear()
    publish(run, figures)
    assert told(run) == expected


@pytest.mark.parametrize("compared", [True, False])
def test_a_result_without_essays(make_run: Callable[..., Any], compared: bool) -> None:
    run = make_run(4)
    if not compared:
        run.comparisons.clear()
    run.assessment_results[0].data["essay_results"] = []
    assert told(run) == []


@pytest.mark.parametrize("place", range(5))
def test_swapped_ranks(run: Any, place: int) -> None:
    rows = rows_of(run)
    rows[place]["rank"], rows[place + 1]["rank"] = rows[place + 1]["rank"], rows[place]["rank"]
    (found,) = check_scores(run.held())
    text = (
        f"rank of essay 'anchor-{place + 1}' is {place + 1}, "
        f"before essay 'anchor-{place}' with rank {place + 2} and a higher score"
    )
    assert (found.code, found.message, found.hint) == ("RANK-MISMATCH", text, RANK_HINT)
    assert found.field == f"/data/essay_results/{place + 1}/rank"


def ranks_told(run: Any) -> list[str | None]:
    return [f.field for f in check_scores(run.held()) if f.code == "RANK-MISMATCH"]


def test_a_wrong_score_and_the_rank_that_follows_from_it_are_one_fault(run: Any) -> None:
    """Ranks follow from the scores that were published, or from those that the comparisons give."""
    rows = rows_of(run)
    rows[3]["bt_score"] = rows[0]["bt_score"] + 1
    assert ranks_told(run) == []
    for row, rank in zip(rows, (2, 3, 4, 1, 5, 6), strict=True):
        row["rank"] = rank
    assert ranks_told(run) == []


@pytest.mark.parametrize(("swapped", "raised"), [(a, b) for a in (0, 2, 4) for b in (0, 2, 4) if a != b])
def test_ranks_are_held_against_the_scores_that_they_fit_better(run: Any, swapped: int, raised: int) -> None:
    """Two essays changed ranks; another wrong score would make it two more if it were believed."""
    rows = rows_of(run)
    rows[swapped]["rank"], rows[swapped + 1]["rank"] = swapped + 2, swapped + 1
    rows[raised + 1]["bt_score"] = rows[raised]["bt_score"] + 0.01
    assert ranks_told(run) == [f"/data/essay_results/{swapped + 1}/rank"]


def test_wins_are_counted_by_pair(run: Any, make: Any) -> None:
    """Against a plain count: errors, pairs without an id, strangers and redeliveries are no games."""
    run.comparisons.append(make.callback(15, 0, 5, "Essay B"))
    run.comparisons.append(run.comparisons[1].again(second=90.0))
    make.fail(run.comparisons[2])
    for place, key, value in ((3, "essay_a_id", None), (4, "essay_b_id", None), (5, "essay_a_id", "nobody")):
        run.comparisons[place].metadata[key] = value
    counted = Counter(
        message.game for place, message in enumerate(run.comparisons[:16]) if place not in (2, 3, 4, 5)
    )
    found = games_of(run.held())
    assert found.essays == tuple(sorted(essay_id(k) for k in range(6)))
    expected = np.array([[counted[won, lost] for lost in found.essays] for won in found.essays])
    np.testing.assert_array_equal(found.wins, expected)


@pytest.mark.parametrize("key", ["essay_a_id", "essay_b_id"])
@pytest.mark.parametrize("winner", ["Essay A", "Essay B"])
def test_a_callback_that_lacks_an_id_is_no_game_of_an_assignment_either(
    run: Any, key: str, winner: str
) -> None:
    """Of an assignment whose anchors were not recorded every anchor's id is of the run."""
    run.plan["assignment_id"] = "3c1c0e2a-7c55-4f0e-9d0e-0b6f0a9b8c7d"
    del run.comparisons[1:]
    run.comparisons[0].data["winner"] = winner
    assert games_of(run.held()).played
    run.comparisons[0].metadata[key] = None
    assert not games_of(run.held()).played


@pytest.mark.parametrize(
    ("rank", "score", "compared", "held"),
    [
        (999, 0.0, False, False),
        (999, 0.0, True, True),
        (999, 0.5, False, True),
        (999, 1.0, False, True),
        (3, 0.0, False, True),
        (3, 0.5, False, True),
    ],
)
def test_rows_without_a_score_are_left_out(
    run: Any, rank: int, score: float, compared: bool, held: bool
) -> None:
    """Contract 2.4: score 0 and rank 999 stand for an essay that was not compared."""
    rows_of(run)[2].update(rank=rank, bt_score=score)
    evidence = run.held()
    found = published_rows(evidence, evidence.results[0], {essay_id(2): 1} if compared else {})
    assert (essay_id(2) in found) is held
    assert {essay: place for essay, (place, _) in found.items()} == {
        essay_id(k): k for k in range(6) if k != 2 or held
    }


def test_rows_of_strangers_and_second_rows_are_left_out(run: Any) -> None:
    rows = rows_of(run)
    rows.append({**rows[0], "essay_id": "student::nobody"})
    rows.append({**rows[0], "bt_score": 7.0})
    evidence = run.held()
    found = published_rows(evidence, evidence.results[0], {})
    assert list(found) == [essay_id(k) for k in range(6)]
    assert found[essay_id(0)][0] == 0


@pytest.mark.parametrize(
    ("values", "half"),
    [
        ([1.0, 2.0], 0.005),
        ([0.25, 1.5], 0.005),
        ([0.125, 1.5], 0.0005),
        ([1.5, 0.1234], 0.00005),
        ([0.12345678], 0.000000005),
        ([0.123456789], 0.0),
        ([0.5, 0.123456789], 0.0),
        ([], 0.005),
    ],
)
def test_half_a_unit_of_the_last_decimal(values: list[float], half: float) -> None:
    assert rounding_of(values) == pytest.approx(half, rel=1e-12, abs=0)


@pytest.mark.parametrize("decimals", [2, 3, 6])
@pytest.mark.parametrize(("units", "right"), [(0.0, True), (3.0, False)])
def test_rounded_scores_may_be_off_by_half_a_unit(run: Any, decimals: int, units: float, right: bool) -> None:
    rows = rows_of(run)
    for row in rows:
        row["bt_score"] = round(row["bt_score"], decimals)
    rows[2]["bt_score"] = round(rows[2]["bt_score"] + units * 10**-decimals, decimals)
    assert (told(run) == []) is right
