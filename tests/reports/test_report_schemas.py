"""A recorded run and the files derived from it satisfy the schemas in ``schemas/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_eng5.reports import finalise_run, write_summary

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


def check(name: str, document: Any) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_bytes())
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.fixture
def root(record: Any, judged: Any, tmp_path: Path) -> Path:
    run = record(rubric="be fair").complete(upsets=((3, 0),))
    run.callback(0, 1, None)
    run.failed()
    finalise_run(run.root, run.end())
    write_summary(tmp_path / "summary.json", "s", [judged(run)])
    folder: Path = run.root
    return folder


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("plan.json", "plan"),
        ("findings.json", "findings"),
        ("manifest.json", "manifest"),
        ("assessment_run.anchor-align-test.json", "assessment_run"),
        ("../../../summary.json", "summary"),
        ("requests/els_cj_assessment_request.json", "events/els.cj_assessment.requested"),
    ],
)
def test_a_file_satisfies_its_schema(root: Path, file: str, name: str) -> None:
    check(name, json.loads((root / file).read_bytes()))


@pytest.mark.parametrize(
    ("stream", "event"),
    [
        ("comparisons", "llm_provider.comparison_result"),
        ("assessment_results", "assessment.result.published"),
        ("completions", "cj_assessment.completed"),
        ("failures", "cj_assessment.failed"),
    ],
)
def test_every_captured_event_satisfies_its_schema(root: Path, stream: str, event: str) -> None:
    lines = (root / "events" / f"{stream}.jsonl").read_text().splitlines()
    assert lines
    for line in lines:
        check(f"events/{event}", json.loads(json.loads(line)["value"]))


def test_the_schema_in_the_run_folder_is_the_one_in_git(root: Path) -> None:
    own = (root / "schemas" / "assessment_run.schema.json").read_bytes()
    assert own == (SCHEMAS / "assessment_run.schema.json").read_bytes()
