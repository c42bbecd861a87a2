"""Plan, request, and what the simulated judge is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.contracts import (
    GRADE_SCALES,
    ELS_CJAssessmentRequestV1,
    ProcessingEvent,
    decode_event,
    text_sha256,
)
from pytest_eng5.evidence import RunPlan
from pytest_eng5.runner import (
    Inventory,
    RunnerSettings,
    RunSpec,
    compose_plan,
    compose_request,
    qualities,
    read_inventory,
    simulation,
)
from pytest_eng5.scenario import Variant

MakeVariant = Callable[..., Variant]
MakeSettings = Callable[..., RunnerSettings]


@pytest.fixture
def composed(make_variant: MakeVariant, settings_of: MakeSettings) -> Callable[..., Any]:
    """Settings, inventory, plan and the request as it stands on the wire, for a variant's keys."""

    def compose(prompt_id: str | None = "f" * 32, **keys: Any) -> tuple[RunnerSettings, RunPlan, Any]:
        changes = keys.pop("settings", {})
        variant = make_variant(**keys)
        settings, inventory = settings_of(variant, **changes), read_inventory(variant.inputs_dir)
        plan = compose_plan(settings, inventory)
        storage = {essay.essay_id: f"{number:032x}" for number, essay in enumerate(plan.essays)}
        wire = compose_request(plan, settings, storage, prompt_id).to_wire()
        return settings, plan, json.loads(wire)

    return compose


def test_the_request_has_the_contract_s_shape(composed: Callable[..., Any]) -> None:
    """Key for key the example of contract 2.2."""
    _, plan, request = composed(
        judge={"model": "m", "temperature": 0.0, "reasoning_effort": "low", "output_verbosity": "low"}
    )
    assert set(request) == {
        "event_id",
        "event_type",
        "event_timestamp",
        "source_service",
        "schema_version",
        "correlation_id",
        "data_schema_uri",
        "data",
        "metadata",
    }
    data = request["data"]
    batch = plan.batch_uuid
    assert data["event_name"] == "els.cj_assessment.requested"
    assert (data["entity_id"], data["entity_type"], data["parent_id"]) == (batch, "batch", None)
    assert UUID(batch).version == 4
    system = data["system_metadata"]
    assert (system["entity_id"], system["entity_type"]) == (batch, "batch")
    assert (system["processing_stage"], system["event"]) == ("pending", "els.cj_assessment.requested")
    assert system["error_info"] == {}
    assert [essay["text_storage_id"] for essay in data["essays_for_cj"]] == [f"{n:032x}" for n in range(4)]
    assert all(
        set(essay) == {"essay_id", "text_storage_id", "spellcheck_metrics"} for essay in data["essays_for_cj"]
    )
    assert (data["language"], data["course_code"]) == ("en", "ENG5")
    reference = {"storage_id": "f" * 32, "path": "prompt.md"}
    assert data["student_prompt_ref"] == {"references": {"student_prompt_text": reference}}
    assert data["llm_config_overrides"] == {
        "provider_override": "mock",
        "model_override": "m",
        "temperature_override": 0.0,
        "max_tokens_override": None,
        "reasoning_effort": "low",
        "output_verbosity": "low",
        "system_prompt_override": "You compare two essays.",
        "judge_rubric_override": "Weigh language control first.",
    }
    assert (data["assignment_id"], data["user_id"], data["org_id"]) == (None, "pytest-eng5", None)
    assert request["event_type"] == "huleedu.els.cj_assessment.requested.v1"
    assert request["correlation_id"] == plan.correlation_id
    assert request["metadata"] == {
        "runner_mode": "anchor-align-test",
        "batch_label": "small.only.1",
        "max_comparisons": 6,
    }


def test_the_request_validates_as_what_it_is(composed: Callable[..., Any]) -> None:
    _, plan, request = composed()
    event = decode_event(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, json.dumps(request))
    assert isinstance(event.data, ELS_CJAssessmentRequestV1)
    assert [essay.essay_id for essay in event.data.essays_for_cj] == [e.essay_id for e in plan.essays]


@pytest.mark.parametrize(("setting", "sent"), [(0.0, 0.0), (0, 0.0), (0.3, 0.3), (None, None)])
def test_temperature_zero_is_a_value(composed: Callable[..., Any], setting: Any, sent: Any) -> None:
    judge = {"model": "m"} | ({} if setting is None else {"temperature": setting})
    _, plan, request = composed(judge=judge)
    assert request["data"]["llm_config_overrides"]["temperature_override"] == sent
    assert plan.temperature == sent


@pytest.mark.parametrize(
    ("essays", "maximum", "planned"), [(4, None, 6), (6, None, 15), (4, 5, 5), (2, None, 1)]
)
def test_the_number_of_comparisons_is_in_the_metadata(
    composed: Callable[..., Any], essays: int, maximum: int | None, planned: int
) -> None:
    keys = {} if maximum is None else {"comparisons": {"max": maximum}}
    _, plan, request = composed(essays=essays, **keys)
    assert request["metadata"]["max_comparisons"] == planned == plan.planned_comparisons


def test_without_a_student_prompt_there_is_no_reference(composed: Callable[..., Any]) -> None:
    _, plan, request = composed(prompt_id=None, prompt=False)
    assert request["data"]["student_prompt_ref"] is None
    assert plan.prompt_reference is None


def test_an_assignment_brings_its_own_prompt(composed: Callable[..., Any]) -> None:
    assignment = "0b7e6f0c-6e2b-4f4e-9d2f-111111111111"
    _, _, request = composed(settings={"assignment_id": assignment})
    assert request["data"]["assignment_id"] == assignment
    assert request["data"]["student_prompt_ref"] is None


def test_nothing_on_the_wire_tells_a_grade_or_a_name(composed: Callable[..., Any]) -> None:
    _, plan, request = composed(essays=6)
    request["data"]["llm_config_overrides"] = None
    text = json.dumps(request).lower()
    assert "anna" not in text
    assert "svensson" not in text
    for essay in plan.essays:
        assert re.fullmatch(r"student::[0-9a-f]{27}", essay.essay_id)
        assert len(essay.essay_id) <= 36


def test_ids_are_new_at_every_run(make_variant: MakeVariant, settings_of: MakeSettings) -> None:
    """Essay ids are a global primary key of the service (contract 13, P5)."""
    variant = make_variant(essays=6)
    settings, inventory = settings_of(variant), read_inventory(variant.inputs_dir)
    plans = [compose_plan(settings, inventory) for _ in range(50)]
    ids = [essay.essay_id for plan in plans for essay in plan.essays]
    assert len(set(ids)) == 300
    assert len({plan.batch_uuid for plan in plans} | {plan.correlation_id for plan in plans}) == 100


def test_the_plan_leads_from_the_wire_back_to_the_essays(composed: Callable[..., Any]) -> None:
    settings, plan, _ = composed(essays=6)
    root = settings.spec.variant.inputs_dir
    assert [essay.local_id for essay in plan.essays] == [f"anna-svensson-{n}" for n in range(6)]
    assert [essay.grade for essay in plan.essays] == ["A", "B", "C+", "D+", "E+", "F+"]
    for essay in plan.essays:
        assert essay.checksum == text_sha256((root / essay.source_path).read_text(encoding="utf-8"))
    assert plan.system_prompt is not None
    assert plan.system_prompt.checksum == text_sha256("You compare two essays.")
    assert plan.resolved_scenario["scenario"] == "small"


def test_the_simulated_judge_gets_grades_as_quality(composed: Callable[..., Any]) -> None:
    mock = {"discrimination": 2.5, "position_bias": 0.3, "failure_rate": 0.1, "latency_ms": 5, "seed": 11}
    settings, plan, _ = composed(essays=6, judge={"provider": "mock", "model": "m", "mock": mock})
    told = simulation(plan, settings.spec.variant)
    assert {key: told[key] for key in mock} == mock
    assert set(told["qualities"]) == set(told["labels"]) == {essay.essay_id for essay in plan.essays}
    values = [told["qualities"][essay.essay_id] for essay in plan.essays]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 6
    assert list(told["labels"].values()) == [essay.local_id for essay in plan.essays]


def test_repeats_are_independent_draws(make_variant: MakeVariant, settings_of: MakeSettings) -> None:
    variant = make_variant(repeats=3)
    seeds = set()
    for repeat in (1, 2, 3):
        settings = settings_of(variant)
        settings.spec = RunSpec(variant, repeat)
        plan = compose_plan(settings, read_inventory(variant.inputs_dir))
        seeds.add(simulation(plan, variant)["seed"])
    assert len(seeds) == 3


@given(st.sampled_from(list(GRADE_SCALES.values())), st.data())
def test_better_grades_have_higher_quality(scale: Any, data: st.DataObject) -> None:
    """Grade scales list their grades from the lowest to the highest (contract 8.2)."""
    grades = data.draw(st.lists(st.sampled_from(scale.grades), min_size=1, max_size=12))
    found = qualities({str(index): grade for index, grade in enumerate(grades)})
    order = sorted(range(len(grades)), key=lambda index: found[str(index)])
    ranks = [scale.grades.index(grades[index]) for index in order]
    assert ranks == sorted(ranks)
    assert all((found["0"] == found[str(i)]) == (grades[0] == grade) for i, grade in enumerate(grades))


def test_an_inventory_without_prompt_has_none(make_variant: MakeVariant) -> None:
    inventory = read_inventory(make_variant(prompt=False).inputs_dir)
    assert isinstance(inventory, Inventory)
    assert inventory.prompt is None
    assert inventory.instructions is not None
    assert inventory.instructions.source_path == "instructions.md"
