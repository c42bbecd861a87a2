"""The generated JSON Schemas: legal, satisfied by the examples, and as strict as the models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from pytest_eng5.contracts import PAYLOADS, event_schemas

DELETE = "<delete>"
EVENT_OF = {
    "request": "els.cj_assessment.requested",
    "comparison_result": "llm_provider.comparison_result",
    "assessment_result": "assessment.result.published",
    "completed": "cj_assessment.completed",
    "failed": "cj_assessment.failed",
}
SCHEMAS = event_schemas()
Changed = Callable[..., dict[str, Any]]
Reasons = Callable[..., list[tuple[str, str]]]


def _errors(example: str, document: Any) -> list[str]:
    validator = Draft202012Validator(SCHEMAS[EVENT_OF[example]], format_checker=FormatChecker())
    return ["".join(f"/{part}" for part in error.absolute_path) for error in validator.iter_errors(document)]


def test_every_event_has_a_schema() -> None:
    assert set(SCHEMAS) == {event.value for event in PAYLOADS}


@pytest.mark.parametrize("event", sorted(SCHEMAS))
def test_a_schema_is_a_legal_schema(event: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[event])
    assert SCHEMAS[event]["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert event in SCHEMAS[event]["title"]
    assert {"event_type", "source_service", "data"} <= set(SCHEMAS[event]["required"])


def test_the_examples_satisfy_their_schema(name: str, changed: Changed) -> None:
    assert _errors(name, changed(name)) == []


def test_an_example_breaks_the_schema_of_another_event(name: str, changed: Changed) -> None:
    other = {"request": "failed"}.get(name, "request")
    assert _errors(other, changed(name))


@pytest.mark.parametrize(
    ("example", "pointer", "value", "where"),
    [
        ("request", "/data/course_code", "ENG8", "/data/course_code"),
        ("request", "/data/language", DELETE, "/data"),
        ("request", "/data/assignment_id", "x" * 101, "/data/assignment_id"),
        ("request", "/data/llm_config_overrides/temperature_override", 3, "/data/llm_config_overrides"),
        ("request", "/data/essays_for_cj/0/text_storage_id", 5, "/data/essays_for_cj/0/text_storage_id"),
        ("comparison_result", "/data/winner", "essay_a", "/data/winner"),
        ("comparison_result", "/data/confidence", 0.5, "/data/confidence"),
        ("comparison_result", "/data/justification", "x" * 501, "/data/justification"),
        ("comparison_result", "/data/provider", "other", "/data/provider"),
        ("comparison_result", "/data/cost_estimate", -1, "/data/cost_estimate"),
        ("comparison_result", "/data/requested_at", "yesterday", "/data/requested_at"),
        ("comparison_result", "/data/correlation_id", "none", "/data/correlation_id"),
        ("comparison_result", "/data/request_id", DELETE, "/data"),
        (
            "assessment_result",
            "/data/essay_results/0/letter_grade",
            "G",
            "/data/essay_results/0/letter_grade",
        ),
        ("assessment_result", "/data/essay_results/0/rank", 0, "/data/essay_results/0/rank"),
        ("completed", "/data/status", "done", "/data/status"),
        ("failed", "/data/system_metadata", DELETE, "/data"),
        ("failed", "/data", DELETE, ""),
    ],
)
def test_a_schema_rejects_what_the_model_rejects(
    example: str, pointer: str, value: Any, where: str, changed: Changed, reasons: Reasons
) -> None:
    found = _errors(example, changed(example, {pointer: value}))
    assert found == [where]
    assert reasons(example, {pointer: value})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    key=st.sampled_from(["confidence", "response_time_ms", "cost_estimate", "justification", "trace_id"]),
    value=st.none() | st.integers(-9, 9) | st.floats(-9, 9) | st.lists(st.none(), max_size=1),
)
def test_schema_and_model_agree_on_plain_fields(
    key: str, value: Any, changed: Changed, reasons: Reasons
) -> None:
    changes = {f"/data/{key}": value}
    found = reasons("comparison_result", changes)
    if [pointer for pointer, _ in found] == ["/data"]:
        return  # a winner without its confidence: a rule between fields, beyond a schema
    assert bool(_errors("comparison_result", changed("comparison_result", changes))) == bool(found)


def test_unknown_fields_are_legal_in_a_schema(name: str, changed: Changed) -> None:
    document = changed(name)
    document["data"]["added_next_year"] = {"any": 1}
    assert _errors(name, {**document, "added": True}) == []


def test_schemas_are_made_afresh() -> None:
    event_schemas()["cj_assessment.failed"].clear()
    assert event_schemas() == SCHEMAS
