"""Assignment-bound batches over real Kafka: the admin API's records become prompt, anchors and grades."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.pipeline.cj.calibration import GradedAnchor
from pytest_eng5.pipeline.cj.projection import project_students
from pytest_eng5.pipeline.cj.standard_errors import reference_item, standard_errors
from pytest_eng5.pipeline.provider.judge import essay_hash
from pytest_eng5.services import AdminAuth, AdminClient, AnchorRegistrar, AnchorText

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
RESOURCE = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED

SECRET = "a secret of the tests, long enough for HS256"
LEGACY, NATIONAL = "eng5_np_legacy_9_step", "eng5_np_national_9_step"
GRADES = ("F+", "E-", "D+", "C+", "B", "A")
PROMPT, CRITERIA, RUBRIC = (
    "Write about a journey.",
    "Judge how well the writer argues.",
    "Language comes first.",
)


@pytest.fixture(scope="module")
def bound(broker: Any, lab: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A pipeline with a key for its admin API."""
    starter = lab.Starter(tmp_path_factory.mktemp("bound"))
    yield starter(
        broker.connection.bootstrap_servers,
        *("--pair-seed", "5", "--max-comparisons", "500"),
        env={"JWT_SECRET_KEY": SECRET},
    )
    starter.end()


def anchor_text(i: int) -> str:
    return f"Anchor essay number {i}, which goes on for a while. " * 4


class Assignment:
    """An assignment with six anchors, set up through the admin API's client."""

    def __init__(self, client: Any) -> None:
        self.id = str(uuid4())
        url = client.running.ready["cj_url"]
        self.admin = AdminClient(client.http, url, AdminAuth({"JWT_SECRET_KEY": SECRET}))
        self._registrar = AnchorRegistrar(client.http, url, self.admin)

    async def create(self, scale: str = LEGACY, grades: tuple[str, ...] = GRADES, **more: str) -> Assignment:
        await self.admin.upsert_instructions(
            assignment_id=self.id, instructions_text=CRITERIA, grade_scale=scale, **more
        )
        await self.admin.set_student_prompt(self.id, PROMPT)
        await self.admin.set_judge_rubric(self.id, RUBRIC)
        anchors = [AnchorText(f"a{i}", grade, anchor_text(i)) for i, grade in enumerate(grades)]
        report = await self._registrar.register(self.id, anchors)
        assert report.all_confirmed or not anchors
        return self


def plan(lab: Any, assignment: str, students: int = 4, anchors: int = 6, **changes: Any) -> Any:
    """Students among the anchors; the judge knows the anchors by their texts alone."""
    by_text = {essay_hash(anchor_text(i)): 2.0 * i for i in range(anchors)}
    labels = {essay_hash(anchor_text(i)): f"anchor-{i}" for i in range(anchors)}
    n = students + anchors
    simulation = {"text_qualities": by_text, "text_labels": labels, "discrimination": 2.0}
    request = {"assignment_id": assignment, **changes.pop("request", {})}
    return lab.Plan(
        [f"Student essay number {i}." for i in range(students)],
        qualities=[1.0 + 2.5 * i for i in range(students)],
        simulation=simulation,
        metadata={"max_comparisons": n * (n - 1) // 2},
        request=request,
        **changes,
    )


def run(lab: Any, running: Any, *, create: dict[str, Any] | None = None, **changes: Any) -> Any:
    """Set up an assignment, run a batch of it, return what it caused."""

    async def work() -> Any:
        async with lab.client_of(running) as client:
            assignment = await Assignment(client).create(**(create or {}))
            outcome = await client.prepare(plan(lab, assignment.id, **changes))
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            await client.drain()
            outcome.anchors = {str(a.id): a for a in (await assignment.admin.anchors(assignment.id)).anchors}
            return outcome

    return asyncio.run(work())


def registered(outcome: Any, essay_id: str) -> Any:
    """The registered anchor that an id of a batch refers to."""
    return outcome.anchors[essay_id.split("_")[1]]


@pytest.fixture(scope="module")
def ten(bound: Any, lab: Any) -> Any:
    """Four students and six anchors, one round-robin."""
    other = {"references": {"student_prompt_text": {"storage_id": "0" * 32, "path": "prompt.md"}}}
    return run(lab, bound, request={"student_prompt_ref": other})


def test_students_and_anchors_are_compared_with_each_other(ten: Any) -> None:
    pairs = Counter(
        frozenset((r.request_metadata["essay_a_id"], r.request_metadata["essay_b_id"])) for r in ten.callbacks
    )
    ids = {essay.essay_id for essay in ten.one(RICH).essay_results}
    assert pairs == Counter(map(frozenset, itertools.combinations(ids, 2)))
    assert len(ids) == 10
    assert all(result.is_success for result in ten.callbacks)


def test_anchors_get_ids_from_the_service(ten: Any, bound: Any, lab: Any) -> None:
    anchors = [essay for essay in ten.one(RICH).essay_results if essay.is_anchor]
    assert len(anchors) == 6
    assert all(re.fullmatch(r"ANCHOR_\d+_[0-9a-f]{8}", essay.essay_id) for essay in anchors)
    for essay in anchors:
        assert (essay.letter_grade, essay.normalized_score, essay.confidence_score) == ("U", 0, 0)
        assert (essay.confidence_label, essay.display_name) == ("LOW", "ANCHOR GRADE U")


def test_the_judge_reads_what_the_assignment_says(ten: Any, bound: Any) -> None:
    metadata = ten.callbacks[0].request_metadata
    with bound.http() as http:
        prompt = http.get(f"{bound.ready['content_url']}/{metadata['prompt_storage_id']}").text
    context = (
        f"**Student Assignment:**\n{PROMPT}\n\n**Assessment Criteria:**\n{CRITERIA}\n\n"
        f"**Judge Instructions:**\n{RUBRIC}\n\n**Essay A"
    )
    assert prompt.startswith(context)


def test_the_grades_are_those_of_the_scores(ten: Any) -> None:
    rich = ten.one(RICH)
    by_id = {essay.essay_id: essay for essay in rich.essay_results}
    anchors = sorted((i for i in by_id if i.startswith("ANCHOR_")), key=lambda i: int(i.split("_")[1]))
    order = [*ten.ids, *anchors]
    theta = [by_id[i].bt_score for i in order]
    outcomes = [(order.index(r.winner_id), order.index(r.loser_id)) for r in ten.callbacks]
    reference = reference_item(order, [i in anchors for i in order])
    assert order[reference] == anchors[-1]
    errors = standard_errors(theta, outcomes, reference)
    graded = [GradedAnchor(i, registered(ten, i).grade, by_id[i].bt_score) for i in anchors]
    expected = project_students(LEGACY, graded, [(theta[i], errors[i]) for i in range(4)])
    assert len({projection.grade for projection in expected}) > 1
    for essay_id, projection in zip(ten.ids, expected, strict=True):
        essay = by_id[essay_id]
        assert (essay.letter_grade, essay.confidence_label) == (projection.grade, projection.confidence_label)
        assert essay.normalized_score == projection.normalized_score
        assert essay.confidence_score == pytest.approx(projection.confidence_score, abs=1e-6)
        assert not essay.is_anchor
        assert essay.display_name is None


def test_counts_are_those_of_the_students(ten: Any) -> None:
    summary = ten.one(COMPLETED).processing_summary
    assert (summary["total_essays"], summary["successful"], summary["failed"]) == (4, 4, 0)
    assert summary["successful_essay_ids"] == ten.ids
    assert ten.one(RESOURCE).quantity == 6
    metadata = ten.one(RICH).assessment_metadata
    assert set(metadata) == {
        *("anchor_essays_used", "calibration_method", "anchor_grade_distribution", "comparison_count"),
        *("processing_duration_seconds", "llm_temperature", "assignment_id", "course_code"),
    }
    assert (metadata["anchor_essays_used"], metadata["calibration_method"]) == (6, "anchor")
    assert metadata["comparison_count"] == 45
    assert metadata["anchor_grade_distribution"] == dict.fromkeys("ABCDEFU", 0)
    assert ten.one(RICH).assignment_id == metadata["assignment_id"] == ten.plan.request["assignment_id"]


def test_the_judge_recognises_anchors_by_their_text(ten: Any) -> None:
    """The six are so far apart that their order is that of the qualities: a5 best, a0 last."""
    ranked = [essay.essay_id for essay in ten.one(RICH).essay_results if essay.is_anchor]
    assert [registered(ten, i).anchor_label for i in ranked] == [f"a{i}" for i in reversed(range(6))]


@pytest.mark.thorough
def test_another_batch_of_the_assignment_has_other_ids_and_the_same_games(bound: Any, lab: Any) -> None:
    async def work() -> Any:
        async with lab.client_of(bound) as client:
            assignment = await Assignment(client).create()
            outcomes = [await client.prepare(plan(lab, assignment.id, students=2)) for _ in range(2)]
            for outcome in outcomes:
                await client.request(outcome)
            await client.collect(lambda: lab.ended(*outcomes))
            return outcomes

    def name(outcome: Any, essay_id: str) -> str:
        return str(outcome.label(essay_id)) if essay_id in outcome.ids else essay_id.rsplit("_", 1)[0]

    def games(outcome: Any) -> list[tuple[str, str, str]]:
        ids = [
            (r.request_metadata["essay_a_id"], r.request_metadata["essay_b_id"], r.winner)
            for r in outcome.callbacks
        ]
        return sorted((name(outcome, a), name(outcome, b), winner) for a, b, winner in ids)

    outcomes = asyncio.run(work())
    first, second = (
        {essay.essay_id for essay in outcome.one(RICH).essay_results if essay.is_anchor}
        for outcome in outcomes
    )
    assert not first & second
    assert games(outcomes[0]) == games(outcomes[1])
    assert len(games(outcomes[0])) == 28


def failure(outcome: Any) -> dict[str, Any]:
    failed = outcome.one(FAILED)
    assert not outcome.of(COMPLETED)
    assert not outcome.of(RICH)
    assert failed.cj_assessment_job_id == "INITIALIZATION_FAILED"
    info: dict[str, Any] = failed.system_metadata.error_info
    return info


def test_an_unknown_assignment_fails(bound: Any, lab: Any, run_batches: Any) -> None:
    unknown = str(uuid4())
    (outcome,) = run_batches(bound, plan(lab, unknown))
    info = failure(outcome)
    assert info["error_code"] == "INITIALIZATION_FAILED"
    assert unknown in info["error_message"]
    assert not outcome.callbacks


def test_the_rubric_of_a_national_test_is_fixed(bound: Any, lab: Any) -> None:
    national = {"context_origin": "canonical_national"}
    rubric = {"judge_rubric_override": "My own rubric."}
    info = failure(run(lab, bound, create=national, overrides=rubric))
    assert info["error_code"] == "VALIDATION_ERROR"
    assert "canonical_national" in info["error_message"]
    assert run(lab, bound, create=national, students=2).one(COMPLETED)


def test_a_rubric_of_the_request_replaces_that_of_the_assignment(bound: Any, lab: Any) -> None:
    outcome = run(lab, bound, students=2, overrides={"judge_rubric_override": "My own rubric."})
    with bound.http() as http:
        stored = outcome.callbacks[0].request_metadata["prompt_storage_id"]
        prompt = http.get(f"{bound.ready['content_url']}/{stored}").text
    assert "My own rubric." in prompt
    assert RUBRIC not in prompt
    assert CRITERIA in prompt


def test_one_student_is_not_compared(bound: Any, lab: Any) -> None:
    outcome = run(lab, bound, students=1)
    assert not outcome.callbacks
    assert outcome.one(COMPLETED).processing_summary["single_essay_batch"]
    (essay,) = outcome.one(RICH).essay_results
    assert (essay.essay_id, essay.bt_score, essay.letter_grade) == (outcome.ids[0], 0.0, "U")


@pytest.mark.parametrize("grades", [(), ("B",), ("B", "B")])
def test_without_two_grades_nobody_is_graded(grades: tuple[str, ...], bound: Any, lab: Any) -> None:
    outcome = run(lab, bound, create={"grades": grades}, students=3, anchors=len(grades))
    rich = outcome.one(RICH)
    assert len(rich.essay_results) == 3 + len(grades)
    assert {essay.letter_grade for essay in rich.essay_results} == {"U"}


def test_national_digits_are_told_in_the_metadata(bound: Any, lab: Any) -> None:
    outcome = run(lab, bound, create={"scale": NATIONAL, "grades": ("1", "2", "4", "6", "8", "9")})
    rich = outcome.one(RICH)
    assert {essay.letter_grade for essay in rich.essay_results} == {"U"}
    summary = rich.assessment_metadata["grade_projection_summary"]
    assert set(summary["primary_grades"]) == set(outcome.ids)
    assert set(summary["primary_grades"].values()) <= set("0123456789")
    by_id = {essay.essay_id: essay for essay in rich.essay_results}
    for essay_id in outcome.ids:
        assert summary["confidence_scores"][essay_id] == by_id[essay_id].confidence_score > 0
        assert sum(summary["grade_probabilities"][essay_id].values()) == pytest.approx(1)
        assert summary["bt_stats"][essay_id]["bt_mean"] == by_id[essay_id].bt_score
    info = summary["calibration_info"]
    assert (info["grade_scale"], info["anchor_count"]) == (NATIONAL, 6)
    assert sorted(info["anchor_grades"]) == ["1", "2", "4", "6", "8", "9"]
    assert info["grade_boundaries"]["9"][1] == 1e10
    assert info["grade_boundaries"]["1"][0] == -1e10
    assert [info["bt_se_summary"][group]["item_count"] for group in ("all", "anchors", "students")] == [
        10,
        6,
        4,
    ]


def test_admin_routes_are_closed_without_a_key(pipeline: Any) -> None:
    with pipeline.http() as http:
        answer = http.get(f"{pipeline.ready['cj_url']}/admin/v1/assessment-instructions")
    assert answer.status_code == 401
