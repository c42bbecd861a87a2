"""Check ``schema``: the artefact satisfies its JSON Schema and agrees with the event logs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry

from pytest_eng5.checks.agreement import check_agreement
from pytest_eng5.checks.drafting import finding
from pytest_eng5.checks.manifest import load_document
from pytest_eng5.checks.wording import brief
from pytest_eng5.contracts import json_pointer
from pytest_eng5.evidence import Finding, RunEvidence, artefact_json_schema

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
    return problems or list(check_agreement(evidence, document, path.name))


@cache
def _validator() -> Draft202012Validator:
    return validator(artefact_json_schema())


def validator(schema: Any) -> Draft202012Validator:
    """What tells where a document breaks a schema, formats included; nothing is fetched for it."""
    checker = Draft202012Validator.FORMAT_CHECKER
    return Draft202012Validator(schema, format_checker=checker, registry=Registry())


def breaches(document: Any, against: Draft202012Validator) -> Iterator[tuple[str, str]]:
    """Where a document breaks a schema: JSON pointer, and what is wrong there."""
    for error in against.iter_errors(document):
        yield json_pointer(tuple(error.absolute_path)), brief(error.message)


def check_shape(document: Any, name: str) -> Iterator[Finding]:
    """SCHEMA-ARTEFACT: the artefact satisfies the schema of its version, formats included."""
    hint = (
        "the writer and schemas/assessment_run.schema.json are of different versions, or the file was edited"
    )
    for pointer, wrong in breaches(document, _validator()):
        text = f"the artefact breaks its schema at {pointer or 'its root'}: {wrong}"
        yield finding("SCHEMA-ARTEFACT", text, hint=hint, field=pointer, evidence=name)
