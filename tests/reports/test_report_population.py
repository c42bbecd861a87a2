"""From runs to populations and scores, against tables counted by hand and against choix."""

from __future__ import annotations

from collections import Counter
from typing import Any

import choix
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.alignment import AlignmentDataError
from pytest_eng5.contracts import grade_rank
from pytest_eng5.reports import population, score_run


def counted(data: Any) -> Counter[tuple[str, str]]:
    return Counter((data.ids[w], data.ids[loser]) for w, loser in zip(data.winners, data.losers, strict=True))


def test_the_population_is_the_plan_and_what_was_judged(record: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, True, justification="one", confidence=4.5, request="r1")
    run.callback(2, 0, False, justification="two", request="r2")
    data = population(run.load())
    assert data.ids == ("anchor_01", "anchor_02", "anchor_03")
    assert data.grades == ("A", "B", "C")
    assert data.grade_ranks == tuple(grade_rank(grade) for grade in "ABC")
    assert counted(data) == {("anchor_01", "anchor_02"): 1, ("anchor_01", "anchor_03"): 1}
    assert [data.ids[k] for k in data.first] == ["anchor_01", "anchor_03"]
    assert data.request_id == ("r1", "r2")
    assert data.justification == ("one", "two")
    assert list(data.confidence) == [4.5, 3.5]


def test_failures_redeliveries_and_strangers_do_not_count(record: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, True, request="r1")
    run.callback(0, 1, True, request="r1")
    run.callback(0, 1, False, request="r1")
    run.callback(0, 2, None)
    run.callback(0, 2, True, metadata={"essay_b_id": "student::somebody-else"})
    run.callback(0, 2, True, metadata={"essay_b_id": run.ids[0]})
    run.callback(0, 2, True, metadata={"essay_a_id": None})
    assert counted(population(run.load())) == {("anchor_01", "anchor_02"): 1}


def test_students_have_no_part_in_alignment_but_have_scores(record: Any) -> None:
    run = record(("A", "B"), students=2)
    run.judge()
    evidence = run.load()
    data = population(evidence)
    assert data.ids == ("anchor_01", "anchor_02")
    assert data.n_comparisons == 1
    assert [entry.is_anchor for entry in sorted(score_run(evidence), key=lambda e: e.essay_id)].count(
        False
    ) == 2


def test_unknown_grades_stay_unknown(record: Any) -> None:
    assert population(record(("A", None, "Z")).load()).grade_ranks == (0, None, None)


def test_an_empty_run_has_anchors_but_no_comparisons(record: Any) -> None:
    data = population(record(("A", "B")).load())
    assert (data.n_anchors, data.n_comparisons) == (2, 0)


def test_repeats_are_pooled_by_the_users_own_ids(record: Any) -> None:
    first, second = record(("A", "B", "C")), record(("A", "B", "C"), repeat=2)
    assert set(first.ids).isdisjoint(second.ids)
    for run in (first, second):
        run.callback(0, 1, True)
    second.callback(1, 2, False)
    pooled = population([first.load(), second.load()])
    assert pooled.ids == ("anchor_01", "anchor_02", "anchor_03")
    assert counted(pooled) == {("anchor_01", "anchor_02"): 2, ("anchor_03", "anchor_02"): 1}


def test_repeats_that_disagree_about_a_grade_are_refused(record: Any) -> None:
    runs = [record(("A", "B")).load(), record(("A", "C"), repeat=2).load()]
    with pytest.raises(AlignmentDataError, match="'anchor_02' appears twice"):
        population(runs)


def test_an_id_used_twice_in_one_plan_is_refused(record: Any) -> None:
    run = record(("A", "B"))
    twice = run.plan.essays[0].model_copy(update={"essay_id": "student::other"})
    evidence = run.load()
    object.__setattr__(evidence, "plan", run.plan.model_copy(update={"essays": (*run.plan.essays, twice)}))
    with pytest.raises(AlignmentDataError, match="'anchor_01' appears twice"):
        population(evidence)


def oracle(run: Any) -> Any:
    theta = np.asarray(choix.ilsr_pairwise(len(run.ids), run.made, alpha=0.01))
    return dict(zip(run.ids, theta - theta.mean(), strict=True))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(2, 8), seed=st.integers(0, 999), share=st.floats(0.2, 1.0), strength=st.floats(0, 2))
def test_scores_are_those_of_choix(record: Any, n: int, seed: int, share: float, strength: float) -> None:
    run = record(("A", "A", "B", "B", "C+", "C-", "D+", "D-")[:n], variant=f"v{seed}")
    log = run.root / "events" / "comparisons.jsonl"
    log.unlink(missing_ok=True)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    keep = max(1, int(len(pairs) * share))
    run.judge(seed=seed, discrimination=strength, pairs=pairs[:keep])
    expected = oracle(run)
    entries = score_run(run.load())
    for entry in entries:
        assert entry.theta == pytest.approx(expected[entry.essay_id], abs=1e-6)
    games = Counter(essay for pair in run.made for essay in pair)
    assert {run.ids.index(e.essay_id): e.comparison_count for e in entries} == games


def test_scores_are_ranked_and_stand_beside_what_was_reported(record: Any) -> None:
    run = record().complete(upsets=((3, 0),))
    entries = score_run(run.load())
    assert [entry.rank for entry in entries] == list(range(1, 13))
    assert [entry.theta for entry in entries] == sorted((e.theta for e in entries), reverse=True)
    assert sum(entry.theta for entry in entries) == pytest.approx(0, abs=1e-9)
    for entry in entries:
        assert entry.reported_score == pytest.approx(entry.theta, abs=1e-6)
        assert entry.comparison_count == 11
        assert entry.standard_error > 0
    assert entries[0].anchor_grade == "A"
    assert entries[0].grade_projection is None
    assert sorted(e.reported_rank or 0 for e in entries) == list(range(1, 13))


def test_reported_scores_are_not_repaired(record: Any) -> None:
    run = record(("A", "B", "C"))
    run.judge()
    run.result(shift=5.0)
    for entry in score_run(run.load()):
        assert entry.reported_score == pytest.approx(entry.theta + 5.0, abs=1e-6)


def test_the_golden_vector_of_a_transitive_round_robin(record: Any) -> None:
    """Contract 8.1, and run a259881c of 14.3."""
    golden = (5.360, 4.645, 3.846, 2.993, 2.089, 1.125, 0.089, -1.040, -2.292, -3.718, -5.421, -7.678)
    run = record()
    run.judge(discrimination=50)
    assert [entry.theta for entry in score_run(run.load())] == pytest.approx(golden, abs=5e-4)


def test_students_are_scored_and_their_projection_is_kept(record: Any) -> None:
    run = record(("A", "B"), students=1)
    run.judge()
    run.result()
    (student,) = [entry for entry in score_run(run.load()) if not entry.is_anchor]
    assert student.grade_projection == "C"
    assert student.anchor_id is None


def test_essays_without_a_comparison_have_no_score(record: Any) -> None:
    run = record(("A", "B", "C"))
    run.callback(0, 1, True)
    assert {entry.anchor_id for entry in score_run(run.load())} == {"anchor_01", "anchor_02"}


def test_without_comparisons_there_are_no_scores(record: Any) -> None:
    run = record(("A", "B"))
    run.callback(0, 1, None)
    assert score_run(run.load()) == ()
