"""Check ``schema``: the artefact satisfies its JSON Schemas and agrees with the event logs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
from jsonschema import Draft202012Validator
from referencing import Registry

from pytest_eng5.checks.agreement import check_agreement
from pytest_eng5.checks.drafting import finding
from pytest_eng5.checks.wording import brief
from pytest_eng5.contracts import json_pointer
from pytest_eng5.evidence import (
    ArtefactDocument,
    Finding,
    RunEvidence,
    artefact_1_0_json_schema,
    artefact_json_schema,
    read_document,
)

__all__ = ["check_schema"]

_ROWS = "llm_comparisons"
Problem = tuple[str, str]
"""JSON pointer and what is wrong there."""


def check_schema(evidence: RunEvidence) -> list[Finding]:
    """All findings about the artefact; its content is looked at only if its shape is right."""
    artefact = evidence.document
    try:
        return [_unreadable(evidence)] if artefact is None else _check(evidence, artefact)
    except ValueError:  # among the comparisons, which are read when they are looked at
        return [_unreadable(evidence)]


def validator(schema: Any) -> Draft202012Validator:
    """What tells where a document breaks a schema, formats included; nothing is fetched for it."""
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker, registry=Registry())


def breaches(document: Any, against: Draft202012Validator) -> Iterator[Problem]:
    """Where a document breaks a schema: JSON pointer, and what is wrong there."""
    for error in against.iter_errors(document):
        yield json_pointer(tuple(error.absolute_path)), brief(error.message)


def _unreadable(evidence: RunEvidence) -> Finding:
    path = evidence.folder.artefact(evidence.plan.mode)
    state = "is not JSON" if path.exists() else "is absent"
    hint = "the event logs do not depend on it: run again, or judge the run from its logs"
    return finding("SCHEMA-ARTEFACT", f"{path.name} {state}", hint=hint, evidence=path.name)


def _check(evidence: RunEvidence, artefact: ArtefactDocument) -> list[Finding]:
    problems = list(check_shape(artefact))
    broken = {problem.field for problem in problems}
    older = [found for found in check_legacy(evidence, artefact) if found.field not in broken]
    return [*(problems or check_agreement(evidence, artefact)), *older]


def check_shape(artefact: ArtefactDocument) -> Iterator[Finding]:
    """SCHEMA-ARTEFACT: the artefact satisfies the schema of its version, formats included."""
    hint = (
        "the writer and schemas/assessment_run.schema.json are of different versions, or the file was edited"
    )
    for pointer, problem in _problems("1.1", artefact):
        text = f"the artefact breaks its schema at {pointer or 'its root'}: {problem}"
        yield finding("SCHEMA-ARTEFACT", text, hint=hint, field=pointer, evidence=artefact.path.name)


def check_legacy(evidence: RunEvidence, artefact: ArtefactDocument) -> Iterator[Finding]:
    """SCHEMA-1.0: the artefact of an assignment satisfies the previous runner's schema too (contract 10.7).

    Other artefacts cannot: schema 1.0 knows only assignments, and no mode anchor-align-test.
    """
    if evidence.assignment is None:
        return
    hint = "tools that read artefacts of schema 1.0 will refuse this one; events and metrics are not affected"
    for pointer, problem in _problems("1.0", artefact):
        text = f"the artefact breaks schema 1.0 at {pointer or 'its root'}: {problem}"
        yield finding("SCHEMA-1.0", text, hint=hint, field=pointer, evidence=artefact.path.name)


@cache
def _schema(version: str) -> dict[str, Any]:
    return artefact_1_0_json_schema() if version == "1.0" else artefact_json_schema()


@cache
def _quick(version: str, part: str | None = None) -> jsonschema_rs.Draft202012Validator:
    """Whether a document, or one part of it, satisfies a schema: no more, but a hundred times faster."""
    whole = _schema(version)
    schema = whole if part is None else {"$defs": whole.get("$defs", {}), **whole["properties"][part]}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=True)


def _problems(version: str, artefact: ArtefactDocument) -> Iterator[Problem]:
    """Everything in which an artefact breaks a schema."""
    rows = _quick(version, _ROWS)
    if _quick(version).is_valid(artefact.rest) and all(rows.is_valid(part) for _, part in artefact.rows()):
        return
    yield from breaches(read_document(artefact.path), validator(_schema(version)))
