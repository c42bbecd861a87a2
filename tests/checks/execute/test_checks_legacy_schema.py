"""SCHEMA-1.0: the rules of contract 10.7, each broken alone in a document that satisfies both schemas."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from pytest_eng5.checks import run_checks

HEX = "ab" * 32
COMPARISON = "4a7e5b7c-2c5f-4a53-8f0a-5c9e3b0d1e22"


@pytest.fixture
def document(bound: Any) -> dict[str, Any]:
    """An artefact of an assignment-bound run."""
    student, anchor = bound.students[0], bound.anchors[0]
    text = {"source_path": "x.md", "checksum": HEX, "content": "x"}
    file = {"file_name": "x.txt", "source_path": "x.txt", "checksum": HEX}
    status = {
        "partial_data": False,
        "observed_events": {
            **{"llm_comparisons": 1, "assessment_results": 1, "completions": 1},
            **{"failures": 0, "rejected": 0},
        },
        "ending": bound.run.made_ending().model_dump(mode="json"),
    }
    return {
        "schema_version": "1.0.0",
        "conforms_to": ["1.0.0", "1.1.0"],
        "metadata": {
            **{"scenario": "s", "variant": "v", "repeat": 1, "batch_uuid": bound.run.plan["batch_uuid"]},
            **{"correlation_id": bound.run.plan["correlation_id"], "course_code": "ENG5", "language": "en"},
            **{"provider": "openai", "planned_comparisons": bound.run.plan["planned_comparisons"]},
            **{"assignment_id": bound.run.plan["assignment_id"], "course_id": bound.run.plan["course_id"]},
            **{"grade_scale": bound.scale, "runner_version": "0.1.0", "git_sha": "0123abc"},
            **{"generated_at": "2026-03-01T09:00:00Z", "runner_mode": "execute"},
        },
        "inputs": {
            "instructions": text,
            "prompt_reference": text,
            "anchors": [{"anchor_id": "anchor-0", "essay_id": anchor, "grade": "F+", **file}],
            "students": [{"essay_id": student, **file}],
        },
        "llm_comparisons": [
            {
                **{"sequence": 1, "request_id": "r", "correlation_id": COMPARISON, "status": "succeeded"},
                **{"essay_a_id": student, "essay_b_id": anchor, "winner_id": student, "loser_id": anchor},
                **{"prompt_hash": HEX, "provider": "openai", "model": "gpt-5.1", "tokens_prompt": 1},
                **{"tokens_completion": 1, "cost_usd": 0.0, "position": "t[0]@0"},
                **{"started_at": "2026-03-01T09:00:00Z", "completed_at": "2026-03-01T09:00:00Z"},
            }
        ],
        "bt_summary": [
            {
                **{"essay_id": student, "theta": 0.5, "standard_error": 0.1, "rank": 1},
                **{"comparison_count": 1, "is_anchor": False, "grade_projection": "A"},
            }
        ],
        "grade_projections": [
            {
                **{
                    "essay_id": student,
                    "grade_scale": bound.scale,
                    "grade": "A",
                    "probabilities": {"A": 1.0},
                },
                **{"probabilities_source": "derived", "normalized_score": 1.0},
                **{"confidence_score": 1.0, "confidence_label": "HIGH"},
            }
        ],
        "costs": {
            "total_usd": 0.0,
            "token_counts": [
                {"provider": "p", "model": "m", "prompt_tokens": 1, "completion_tokens": 1, "usd": 0.0}
            ],
        },
        "validation": {
            "artefact_checksum": "",
            "manifest": [{"path": "plan.json", "sha256": HEX, "bytes": 1}],
            "cli_environment": {"python": "3.11", "pdm": "none", "os": "Linux", "docker_compose": "none"},
            "runner_status": status,
        },
    }


def shapes(bound: Any, document: dict[str, Any]) -> list[tuple[str, str | None]]:
    """Findings about the shape of an artefact; what it says is looked at elsewhere."""
    findings = run_checks(bound.write_document(document), ["schema"])
    return [(f.code, f.field) for f in findings if "disagrees" not in f.message]


def test_a_document_that_satisfies_both_has_no_finding(bound: Any, document: dict[str, Any]) -> None:
    assert shapes(bound, document) == []


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Set one field; ``None`` removes it."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
        place: Any = document
        for part in parents:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value

    return change


ONLY_1_0 = [
    ("schema_version", "1.1.0", "/schema_version"),
    ("metadata/assignment_id", "None", "/metadata/assignment_id"),
    ("metadata/assignment_id", None, "/metadata"),
    ("metadata/course_id", None, "/metadata"),
    ("metadata/grade_scale", "swedish_8_anchor", "/metadata/grade_scale"),
    ("metadata/git_sha", None, "/metadata"),
    ("metadata/runner_mode", "anchor-align-test", "/metadata/runner_mode"),
    ("inputs/instructions", None, "/inputs"),
    ("inputs/prompt_reference", None, "/inputs"),
    ("inputs/anchors", [], "/inputs/anchors"),
    ("inputs/students", [], "/inputs/students"),
    ("inputs/anchors/0/grade", None, "/inputs/anchors/0"),
    ("inputs/students/0/essay_id", "student::0A", "/inputs/students/0/essay_id"),
    ("llm_comparisons/0/winner_id", None, "/llm_comparisons/0"),
    ("llm_comparisons/0/loser_id", None, "/llm_comparisons/0"),
    ("llm_comparisons/0/prompt_hash", None, "/llm_comparisons/0"),
    ("bt_summary", None, ""),
    ("validation/cli_environment/pdm", None, "/validation/cli_environment"),
    ("grade_projections/0/probabilities", {"A": 1.5}, "/grade_projections/0/probabilities/A"),
    ("grade_projections/0/primary_anchor_id", 3, "/grade_projections/0/primary_anchor_id"),
    ("bt_summary/0/anchor_grade", 3, "/bt_summary/0/anchor_grade"),
]


@pytest.mark.parametrize(("path", "value", "pointer"), ONLY_1_0, ids=lambda value: str(value)[:40])
def test_a_broken_rule_of_1_0_is_the_only_finding(
    bound: Any, document: dict[str, Any], path: str, value: Any, pointer: str
) -> None:
    put(path, value)(document)
    found = shapes(bound, document)
    assert ("SCHEMA-1.0", pointer) in found or ("SCHEMA-ARTEFACT", pointer) in found
    assert {field for _, field in found} == {pointer}
    if path not in ("bt_summary/0/anchor_grade",):
        assert found == [("SCHEMA-1.0", pointer)]


def test_what_is_said_about_schema_1_0(bound: Any, make: Any, document: dict[str, Any]) -> None:
    put("metadata/git_sha", None)(document)
    findings = run_checks(bound.write_document(document), ["schema"])
    assert make.told([found for found in findings if found.code == "SCHEMA-1.0"]).splitlines() == [
        "SCHEMA-1.0 error of schema: the artefact breaks schema 1.0 at /metadata: "
        "'git_sha' is a required property",
        "  hint: tools that read artefacts of schema 1.0 will refuse this one; "
        "events and metrics are not affected",
        "  field: /metadata",
        "  evidence: assessment_run.execute.json",
    ]


def test_what_breaks_both_is_said_once(bound: Any, document: dict[str, Any]) -> None:
    put("llm_comparisons/0/sequence", 0)(document)
    assert shapes(bound, document) == [("SCHEMA-ARTEFACT", "/llm_comparisons/0/sequence")]


def test_without_an_assignment_1_0_is_not_asked_for(bound: Any, document: dict[str, Any]) -> None:
    broken = copy.deepcopy(document)
    put("metadata/git_sha", None)(broken)
    bound.write_document(broken)
    (bound.run.root / "assignment.json").unlink()
    bound.run.rewrite_manifest()
    from pytest_eng5.evidence import load_evidence

    findings = run_checks(load_evidence(bound.run.root), ["schema"])
    assert "SCHEMA-1.0" not in {finding.code for finding in findings}
