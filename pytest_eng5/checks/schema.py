"""Check ``schema``: the artefact satisfies its JSON Schemas and agrees with the event logs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from pytest_eng5.checks.agreement import check_agreement
from pytest_eng5.checks.drafting import finding
from pytest_eng5.checks.manifest import load_document
from pytest_eng5.checks.wording import brief
from pytest_eng5.contracts import json_pointer
from pytest_eng5.evidence import Finding, RunEvidence, artefact_1_0_json_schema, artefact_json_schema

__all__ = ["check_schema"]


def check_schema(evidence: RunEvidence) -> list[Finding]:
    """All findings about the artefact; its content is looked at only if its shape is right."""
    path = evidence.folder.artefact(evidence.plan.mode)
    document = load_document(path)
    if document is None:
        state = "is not JSON" if path.exists() else "is absent"
        hint = "the event logs do not depend on it: run again, or judge the run from its logs"
        return [finding("SCHEMA-ARTEFACT", f"{path.name} {state}", hint=hint, evidence=path.name)]
    problems = list(check_shape(document, path.name))
    broken = {problem.field for problem in problems}
    older = [found for found in check_legacy(evidence, document, path.name) if found.field not in broken]
    return [*(problems or check_agreement(evidence, document, path.name)), *older]


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(artefact_json_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)


@cache
def _legacy_validator() -> Draft202012Validator:
    schema = artefact_1_0_json_schema()
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def check_shape(document: Any, name: str) -> Iterator[Finding]:
    """SCHEMA-ARTEFACT: the artefact satisfies the schema of its version, formats included."""
    hint = (
        "the writer and schemas/assessment_run.schema.json are of different versions, or the file was edited"
    )
    for pointer, problem in _problems(_validator(), document):
        text = f"the artefact breaks its schema at {pointer or 'its root'}: {problem}"
        yield finding("SCHEMA-ARTEFACT", text, hint=hint, field=pointer, evidence=name)


def check_legacy(evidence: RunEvidence, document: Any, name: str) -> Iterator[Finding]:
    """SCHEMA-1.0: the artefact of an assignment satisfies the previous runner's schema too (contract 10.7).

    Other artefacts cannot: schema 1.0 knows only assignments, and no mode anchor-align-test.
    """
    if evidence.assignment is None:
        return
    hint = "tools that read artefacts of schema 1.0 will refuse this one; events and metrics are not affected"
    for pointer, problem in _problems(_legacy_validator(), document):
        text = f"the artefact breaks schema 1.0 at {pointer or 'its root'}: {problem}"
        yield finding("SCHEMA-1.0", text, hint=hint, field=pointer, evidence=name)


def _problems(validator: Draft202012Validator, document: Any) -> Iterator[tuple[str, str]]:
    """JSON pointer and message of everything in which a document breaks a schema."""
    for error in validator.iter_errors(document):
        yield json_pointer(tuple(error.absolute_path)), brief(error.message)
