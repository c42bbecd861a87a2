"""Schema 1.0 of the artefact: that of the previous runner, as others still validate against it.

Contract section 10.7. Further properties are allowed everywhere.
"""

from __future__ import annotations

from typing import Any

__all__ = ["artefact_1_0_json_schema"]

Schema = dict[str, Any]

SCHEMA_1_0_ID = "https://huleedu.dev/schemas/eng5-np/assessment_run.json"

_STRING: Schema = {"type": "string"}
_UUID: Schema = {"type": "string", "format": "uuid"}
_DATE: Schema = {"type": "string", "format": "date-time"}
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_NUMBER: Schema = {"type": "number"}
_NOT_NEGATIVE: Schema = {"type": "number", "minimum": 0}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_POSITIVE: Schema = {"type": "integer", "minimum": 1}


def artefact_1_0_json_schema() -> Schema:
    """JSON Schema (draft 2020-12) of the artefact, version 1.0."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_1_0_ID,
        "title": "ENG5 assessment run, schema 1.0",
        **_object(
            schema_version={"type": "string", "pattern": r"^1\.0\.\d+$"},
            metadata=_metadata(),
            inputs=_object(
                instructions=_source(),
                prompt_reference=_source(),
                anchors=_list(_anchor(), minItems=1),
                students=_list(_student(), minItems=1),
            ),
            llm_comparisons=_list(_comparison()),
            bt_summary=_list(_bt_entry()),
            grade_projections=_list(_projection()),
            costs=_object(total_usd=_NOT_NEGATIVE, token_counts=_list(_token_count())),
            validation=_validation(),
        ),
    }


def _object(optional: Schema | None = None, **required: Schema) -> Schema:
    """An object with properties that must be there, and others that may be."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _list(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def _metadata() -> Schema:
    return _object(
        assignment_id=_UUID,
        course_id=_UUID,
        grade_scale={"enum": ["eng5_np_legacy_9_step", "eng5_np_national_9_step"]},
        runner_version=_STRING,
        git_sha={"type": "string", "pattern": "^[0-9a-f]{7,40}$"},
        generated_at=_DATE,
        runner_mode={"enum": ["plan", "dry-run", "execute"]},
    )


def _source() -> Schema:
    return _object(source_path=_STRING, checksum=_SHA256, content=_STRING)


def _anchor() -> Schema:
    return _object(
        {"notes": _STRING},
        anchor_id=_STRING,
        file_name=_STRING,
        grade=_STRING,
        source_path=_STRING,
        checksum=_SHA256,
    )


def _student() -> Schema:
    return _object(
        {"notes": _STRING},
        essay_id={"type": "string", "pattern": "^[a-z0-9_-]{3,64}$"},
        file_name=_STRING,
        source_path=_STRING,
        checksum=_SHA256,
    )


def _comparison() -> Schema:
    return _object(
        {"status": {"enum": ["submitted", "succeeded", "failed"]}, "failure_reason": _STRING},
        sequence=_POSITIVE,
        correlation_id=_UUID,
        winner_id=_STRING,
        loser_id=_STRING,
        prompt_hash=_SHA256,
        provider=_STRING,
        model=_STRING,
        tokens_prompt=_COUNT,
        tokens_completion=_COUNT,
        cost_usd=_NOT_NEGATIVE,
        started_at=_DATE,
        completed_at=_DATE,
    )


def _bt_entry() -> Schema:
    return _object(
        {"anchor_grade": _STRING, "grade_projection": _STRING},
        essay_id=_STRING,
        theta=_NUMBER,
        standard_error=_NOT_NEGATIVE,
        rank=_POSITIVE,
        comparison_count=_COUNT,
        is_anchor={"type": "boolean"},
    )


def _projection() -> Schema:
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return _object(
        {"primary_anchor_id": _STRING, "anchor_alignment": _STRING},
        essay_id=_STRING,
        grade_scale=_STRING,
        grade=_STRING,
        probabilities={"type": "object", "additionalProperties": share},
    )


def _token_count() -> Schema:
    return _object(
        provider=_STRING, model=_STRING, prompt_tokens=_COUNT, completion_tokens=_COUNT, usd=_NOT_NEGATIVE
    )


def _validation() -> Schema:
    return _object(
        artefact_checksum=_SHA256,
        manifest=_list(_object(path=_STRING, sha256=_SHA256, bytes=_COUNT)),
        cli_environment=_object(python=_STRING, pdm=_STRING, os=_STRING, docker_compose=_STRING),
    )
