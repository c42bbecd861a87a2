"""The models of the admin API: limits of the service, tolerance for its answers; exit codes of errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pytest_eng5 import services
from pytest_eng5.contracts import GRADE_SCALES
from pytest_eng5.contracts.admin import (
    AnchorRegistered,
    AnchorRegistration,
    AnchorSummary,
    AssessmentInstructions,
    AssessmentInstructionsUpsert,
    StudentPromptUpload,
)
from pytest_eng5.errors import Eng5Error, InfrastructureError

UPSERT = {"assignment_id": "a", "instructions_text": "Judge well.", "grade_scale": "swedish_8_anchor"}
RECORD = {"id": 7, "instructions_text": "t", "grade_scale": "x", "created_at": "2026-11-22T01:28:45"}
ANCHOR = {"assignment_id": "a", "anchor_label": "x", "grade": "A", "essay_text": "e" * 100}


@pytest.mark.parametrize("scale", GRADE_SCALES)
def test_every_registered_scale_is_taken(scale: str) -> None:
    assert AssessmentInstructionsUpsert.model_validate({**UPSERT, "grade_scale": scale}).grade_scale == scale


# Python strips the four separators of old data files too, which Unicode does not count as white space.
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x1c\x1d\x1e\x1f"), max_size=40))
def test_a_text_needs_ten_characters_without_the_space_around(text: str) -> None:
    kept = text.strip()
    if len(kept) >= 10:
        upload = StudentPromptUpload(assignment_id="a", prompt_text=text)
        assert upload.prompt_text == kept
    else:
        with pytest.raises(ValidationError):
            StudentPromptUpload(assignment_id="a", prompt_text=text)


@pytest.mark.parametrize("length", [99, 100])
def test_an_anchor_has_a_hundred_characters(length: int) -> None:
    fields = {**ANCHOR, "essay_text": "e" * length}
    if length == 100:
        assert AnchorRegistration.model_validate(fields)
    else:
        with pytest.raises(ValidationError, match="100 characters"):
            AnchorRegistration.model_validate(fields)


@pytest.mark.parametrize("change", [{"anchor_label": ""}, {"anchor_label": None}, {"grade": ""}])
def test_an_anchor_needs_label_and_grade(change: dict[str, Any]) -> None:
    """The service would take the grade for a missing label, and the next anchor of it would replace this."""
    with pytest.raises(ValidationError):
        AnchorRegistration.model_validate({**ANCHOR, **change})


def test_an_essay_is_not_in_the_representation() -> None:
    assert "eee" not in repr(AnchorRegistration.model_validate(ANCHOR))


@pytest.mark.parametrize("id_", [7, "7", "0f8fad5b-d9cb-469f-a165-70867728950e"])
def test_ids_are_kept_as_they_come(id_: int | str) -> None:
    assert AssessmentInstructions.model_validate({**RECORD, "id": id_}).id == id_
    registered = {"anchor_id": id_, "storage_id": "s", "grade_scale": "x", "status": "registered"}
    assert AnchorRegistered.model_validate(registered).anchor_id == id_


def test_a_scale_or_field_of_a_newer_service_is_read() -> None:
    record = AssessmentInstructions.model_validate({**RECORD, "grade_scale": "new", "more": {"x": 1}})
    assert record.grade_scale == "new"


@pytest.mark.parametrize("count", [-1, None, "two", 1.5])
def test_a_count_of_anchors_is_a_count(count: Any) -> None:
    with pytest.raises(ValidationError):
        AnchorSummary.model_validate({"assignment_id": "a", "grade_scale": "x", "anchor_count": count})


USERS = {"Refused", "NotAuthenticated", "NotPermitted", "NotFound"}
TOKENS = {"TokenError", "NoToken", "MintingRefused", "TokenUnreadable", "TokenExpired", "TokenNotYetValid"}
ERRORS = [
    name
    for name in services.__all__
    if isinstance(value := getattr(services, name), type) and issubclass(value, Eng5Error)
]


@pytest.mark.parametrize("name", ERRORS)
def test_what_the_user_can_put_right_is_a_usage_error(name: str) -> None:
    error = getattr(services, name)
    assert error.exit_code == (2 if name in USERS | TOKENS else 4)
    assert issubclass(error, InfrastructureError) != (name in TOKENS)


def test_all_errors_are_offered() -> None:
    assert {*USERS, *TOKENS, "WriteDidNotStick", "AmbiguousFailure", "Unreachable"} <= set(ERRORS)
    assert len(ERRORS) == 17
