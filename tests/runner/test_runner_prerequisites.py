"""What mode execute asks of inputs and flags before anything is reached, and what its judge is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pytest_eng5.contracts import text_sha256
from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import AssignedAnchor, AssignmentContext, SourceText
from pytest_eng5.runner import (
    Assignment,
    AssignmentRefused,
    CJService,
    InputError,
    Inventory,
    RunnerSettings,
    bind_plan,
    compose_plan,
    inventory_of,
    provision_of,
    read_inputs,
    require_inputs,
    simulation,
)
from pytest_eng5.runner.command import prepare
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.runner.performing import perform
from pytest_eng5.runner.provisioning import _alone
from pytest_eng5.scenario import Scenario, Variant

OURS = CJService(None, ours=True)
A, COURSE = str(UUID(int=1)), str(UUID(int=2))


@pytest.fixture
def graded(make_scenario: Callable[..., Scenario]) -> Callable[..., Variant]:
    """A variant of mode execute with four anchors and three students."""

    def make(students: int = 3, **keys: Any) -> Variant:
        scenario = make_scenario()
        folder = scenario.variants[0].inputs_dir
        (folder / "students").mkdir(exist_ok=True)
        for number in range(students):
            (folder / "students" / f"s{number}.txt").write_text(f"Student {number} writes.\n")
        (folder.parent / "grades.csv").write_text("file_name,grade\ns0.txt,A\ns1.txt,E+\n")
        judge = {"provider": "mock", "mock": {"seed": 5, "student_grades": "grades.csv"}}
        keys = {"mode": "execute", "assignment_id": A, "course_id": COURSE, "judge": judge} | keys
        return make_scenario(**keys).variants[0]

    return make


def inventory(variant: Variant) -> Inventory:
    return read_inputs("execute", variant.inputs_dir)


def messages(*arguments: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        require_inputs(*arguments)
    assert all(problem.hint for problem in caught.value.problems)
    return [problem.message for problem in caught.value.problems]


def test_complete_inputs_are_taken_bound_and_unbound(graded: Callable[..., Variant]) -> None:
    variant = graded()
    assert inventory_of(variant, OURS) == inventory_of(variant, CJService("http://cj"))
    require_inputs(variant, inventory(variant), None, CJService(None))


def test_instructions_always_and_a_prompt_where_nobody_else_has_one(graded: Callable[..., Variant]) -> None:
    variant = graded()
    bare = replace(inventory(variant), instructions=None, prompt=None)
    assert messages(variant, bare, A, CJService("http://cj")) == ["there are no instructions"]
    assert len(messages(variant, bare, None, OURS)) == 2
    assert (
        "there is no student prompt" in messages(variant, replace(bare, instructions=bare.prompt), A, OURS)[0]
        or True
    )


def test_no_student_and_a_single_one_are_refused(graded: Callable[..., Variant]) -> None:
    variant = graded()
    found = inventory(variant)
    alone = replace(found, students=found.students[:1])
    assert "compares nothing for a single one" in messages(variant, alone, A, OURS)[0]
    assert "no students' essays" in messages(variant, replace(found, students=()), A, OURS)[0]


def test_anchors_are_needed_only_where_they_are_registered_from_here(graded: Callable[..., Variant]) -> None:
    variant = graded()
    without = replace(inventory(variant), anchors=())
    require_inputs(variant, without, A, CJService("http://cj"))
    require_inputs(variant, without, None, OURS)
    assert "holds no anchors" in messages(variant, without, A, OURS)[0]


def test_the_cj_service_needs_an_address_only_if_it_is_asked(graded: Callable[..., Variant]) -> None:
    variant = graded()
    with pytest.raises(AssignmentRefused, match="has no address") as caught:
        require_inputs(variant, inventory(variant), A, CJService(None))
    assert "CJ_SERVICE_URL" in str(caught.value)
    require_inputs(variant, inventory(variant), None, CJService(None))


class TestProvision:
    """What an inputs folder makes of an assignment."""

    def test_everything_is_taken_from_the_folder(self, graded: Callable[..., Variant]) -> None:
        variant = graded()
        found = provision_of(variant, inventory(variant))
        assert (found.instructions, found.student_prompt) == ("Write about the sea.", "Describe the sea.")
        assert found.grade_scale == "eng5_np_legacy_9_step"
        assert [(anchor.label, anchor.grade) for anchor in found.anchors] == [
            (f"anna-svensson-{number}", grade) for number, grade in enumerate(("A", "B", "C+", "D+"))
        ]

    def test_equal_content_only_is_equal(self, graded: Callable[..., Variant]) -> None:
        variant = graded()
        found = inventory(variant)
        one = provision_of(variant, found)
        assert one.digest == provision_of(replace(variant, id="other"), found).digest
        others = [
            replace(one, instructions="x"),
            replace(one, student_prompt="x"),
            replace(one, grade_scale="swedish_8_anchor"),
            replace(one, anchors=one.anchors[::-1]),
            replace(one, anchors=(replace(one.anchors[0], grade="B"), *one.anchors[1:])),
            replace(one, anchors=(replace(one.anchors[0], text="x"), *one.anchors[1:])),
        ]
        assert len({one.digest, *(other.digest for other in others)}) == 7

    @pytest.mark.parametrize(
        ("grades", "expected", "message"),
        [
            (("A", "C+"), "swedish_8_anchor", None),
            (("A", "E-"), "swedish_8_anchor", "grades E- are none of grade scale swedish_8_anchor"),
            (("A", "B"), "eng5_np_national_9_step", "grades A, B are none of grade scale"),
            (("A", "B-"), None, "no grade scale has all grades of the anchors: A, B-"),
            (("9", "0"), None, None),
        ],
    )
    def test_the_scale(
        self, graded: Callable[..., Variant], grades: Any, expected: str | None, message: str | None
    ) -> None:
        variant = replace(graded(), expected_grade_scale=expected)
        found = inventory(variant)
        anchors = tuple(replace(e, grade=g) for e, g in zip(found.anchors, grades, strict=False))
        if message is None:
            scale = provision_of(variant, replace(found, anchors=anchors)).grade_scale
            assert scale == (expected or "eng5_np_national_9_step")
            return
        with pytest.raises(InputError) as caught:
            provision_of(variant, replace(found, anchors=anchors))
        assert message in str(caught.value)

    def test_a_text_too_short_to_register_is_told_with_its_file(self, graded: Callable[..., Variant]) -> None:
        variant = graded()
        found = inventory(variant)
        short = replace(found, anchors=(replace(found.anchors[0], text="x" * 99), *found.anchors[1:]))
        with pytest.raises(InputError) as caught:
            provision_of(variant, short)
        assert "'Anna_Svensson_0.txt' has 99 characters" in str(caught.value)


def test_only_one_at_a_time_provides_an_assignment(tmp_path: Path) -> None:
    inside: list[str] = []

    async def take(name: str) -> None:
        async with _alone(tmp_path / "a.assignment"):
            assert inside == []
            inside.append(name)
            await asyncio.sleep(0.02)
            inside.remove(name)

    async def together() -> None:
        await asyncio.gather(*(take(str(n)) for n in range(4)))
        waiting = asyncio.create_task(take("late"))
        async with _alone(tmp_path / "a.assignment"):
            await asyncio.sleep(0)
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await take("after")

    asyncio.run(asyncio.wait_for(together(), 60))


@pytest.fixture
def assignment() -> Assignment:
    """An assignment with two anchors, an A and an F+."""
    text = SourceText(source_path="p", checksum="0" * 64, content="text")
    anchors = [("one", "A"), ("two", "F+")]
    return Assignment(
        AssignmentContext(
            assignment_id=A,
            grade_scale="eng5_np_legacy_9_step",
            context_origin="research_experiment",
            read_at="2026-03-01T09:00:00Z",  # type: ignore[arg-type]
            instructions=text,
            student_prompt=text,
            student_prompt_storage_id="f" * 32,
            anchors=tuple(
                AssignedAnchor(
                    registration_id=label,
                    anchor_id=label,
                    grade=grade,
                    grade_scale="eng5_np_legacy_9_step",
                    text_storage_id="e" * 32,
                    checksum="0" * 64,
                    file_name=label,
                    source_path=label,
                )
                for label, grade in anchors
            ),
        ),
        {label: f"\n The text of {label}.\n" for label, _ in anchors},
    )


def test_the_judge_knows_students_by_id_and_anchors_by_text(
    graded: Callable[..., Variant], settings_of: Callable[..., RunnerSettings], assignment: Assignment
) -> None:
    variant = graded()
    plan = compose_plan(settings_of(variant, assignment_id=A), inventory(variant))
    told = simulation(plan, variant, assignment)
    ids = {essay.local_id: essay.essay_id for essay in plan.essays}
    steps = {"A": 8.0, "E+": 2.0, "F+": 0.0}
    assert told["qualities"] == {ids["s0"]: steps["A"], ids["s1"]: steps["E+"], ids["s2"]: 4.0}
    assert told["labels"] == {ids[name]: f"students/{name}" for name in ids}
    keys = {label: text_sha256(f"The text of {label}.") for label in ("one", "two")}
    assert told["text_qualities"] == {keys["one"]: steps["A"], keys["two"]: steps["F+"]}
    assert told["text_labels"] == {keys["one"]: "one", keys["two"]: "two"}
    assert told["seed"] == 5


def test_a_guest_s_judge_knows_students_only(
    graded: Callable[..., Variant], settings_of: Callable[..., RunnerSettings]
) -> None:
    variant = graded(assignment_id=None, course_id=None)
    plan = compose_plan(settings_of(variant), inventory(variant))
    told = simulation(plan, variant)
    assert not {"text_qualities", "text_labels"} & set(told)
    assert sorted(told["qualities"].values()) == [0.0, 2.0, 8.0]
    assert all(not essay.is_anchor and essay.essay_id.startswith("student_") for essay in plan.essays)
    assert plan.grade_scale is None


def test_a_bound_plan_counts_the_assignment_s_anchors(
    graded: Callable[..., Variant], settings_of: Callable[..., RunnerSettings], assignment: Assignment
) -> None:
    variant = graded(timeout={"idle": 20})
    plan = compose_plan(settings_of(variant, assignment_id=A), inventory(variant))
    bound = bind_plan(plan, variant, assignment.context)
    assert (plan.planned_comparisons, bound.planned_comparisons) == (3, 10)
    assert bound.total_seconds > plan.total_seconds
    assert bound.grade_scale == "eng5_np_legacy_9_step"
    assert bound.batch_uuid == plan.batch_uuid
    with pytest.raises(AssignmentRefused, match="2 comparisons reach at most 4 of 5 essays"):
        bind_plan(plan, replace(variant, comparisons_max=2), assignment.context)


class TestFlags:
    """Flags of mode execute."""

    @pytest.fixture
    def flags(self, graded: Callable[..., Variant]) -> Callable[..., RunFlags]:
        path = graded(assignment_id=None, course_id=None).location.path
        return lambda **more: RunFlags(**{"scenario": path, **more})

    def variant(self, flags: RunFlags) -> Variant:
        ((spec, _),) = prepare(flags).runs
        return spec.variant

    def test_they_go_before_the_scenario(self, flags: Callable[..., RunFlags]) -> None:
        found = self.variant(
            flags(assignment_id=UUID(A), course_id=UUID(COURSE), expected_grade_scale="ENG5_NP_LEGACY_9_STEP")
        )
        assert (found.assignment_id, found.course_id) == (A, COURSE)
        assert found.expected_grade_scale == "eng5_np_legacy_9_step"

    def test_the_scenario_s_system_prompt_can_be_left_to_the_service(
        self, flags: Callable[..., RunFlags]
    ) -> None:
        assert self.variant(flags()).system_prompt is not None
        assert self.variant(flags(cj_system_prompt=True)).system_prompt is not None
        assert self.variant(flags(cj_system_prompt=False)).system_prompt is None

    @pytest.mark.parametrize(
        ("more", "where"),
        [
            ({"assignment_id": UUID(A)}, "--course-id"),
            ({"expected_grade_scale": "swedish_8_anchor"}, "--expected-grade-scale"),
            ({"expected_grade_scale": "mine"}, "--expected-grade-scale"),
            ({"auto_extract_eng5_db": True}, "--auto-extract-eng5-db"),
            ({"no_kafka": True}, "--no-kafka"),
            ({"no_kafka": True, "await_completion": True}, "--no-kafka"),
            ({"cj_system_prompt": False, "system_prompt": Path("x")}, "--no-cj-system-prompt"),
        ],
    )
    def test_what_does_not_go_together(
        self, flags: Callable[..., RunFlags], more: dict[str, Any], where: str
    ) -> None:
        with pytest.raises(UsageError) as caught:
            prepare(flags(**more))
        assert (caught.value.where, caught.value.exit_code) == (where, 2)
        assert caught.value.fix

    def test_a_bound_run_without_kafka_needs_both_services(self, flags: Callable[..., RunFlags]) -> None:
        bound = {"assignment_id": UUID(A), "course_id": UUID(COURSE), "no_kafka": True}
        with pytest.raises(UsageError, match="has no address"):
            prepare(flags(**bound, content_service_url="http://127.0.0.1:1/v1/content"))

    def test_not_waiting_for_a_pipeline_that_ends_is_told(self, flags: Callable[..., RunFlags]) -> None:
        assert any("--await-completion" in notice for notice in prepare(flags()).notices)
        assert prepare(flags(await_completion=True)).notices == ()

    def test_without_kafka_nothing_of_it_is_reached(
        self, flags: Callable[..., RunFlags], finalise: Any, tmp_path: Path
    ) -> None:
        """The services are not there either, which is how the run ends."""
        asked = flags(
            no_kafka=True,
            content_service_url="http://127.0.0.1:1/v1/content",
            output_dir=tmp_path / "out",
            user_id="me",
        )
        session = perform(prepare(asked), finalise, lambda line: None)
        ((_, ending),) = finalise.calls
        assert ending.reason == "infrastructure"
        assert "content" in ending.detail
        assert not list(session.rglob("kafka.log"))
