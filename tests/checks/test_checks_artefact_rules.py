"""What an artefact must say: each statement altered alone; damaged documents, and those of schema 1.0."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from recorded_messages import essay_id
from referencing.exceptions import Unresolvable

from pytest_eng5.checks.agreement import check_agreement
from pytest_eng5.checks.schema import breaches, check_legacy, check_schema, check_shape, validator
from pytest_eng5.evidence import ArtefactDocument, AssignmentContext, json_bytes, load_evidence, open_document
from pytest_eng5.evidence import document as parts

Change = Callable[[dict[str, Any]], object]
Told = list[tuple[str, str | None, str | None]]
HINT = "the artefact is derived, the event logs are the evidence: write the artefact again from the logs"
OTHER = "11111111-2222-4333-8444-555555555555"


def written(run: Any) -> dict[str, Any]:
    """The artefact of a run as it was written."""
    run.write()
    document: dict[str, Any] = json.loads(run.artefact.read_bytes())
    return document


def artefact_of(path: Path, document: Any) -> ArtefactDocument:
    path.write_text(json.dumps(document))
    found = open_document(path)
    assert found is not None
    return found


def agreement(run: Any, document: dict[str, Any]) -> Told:
    """In what an artefact disagrees with the run, with field and request of each."""
    artefact = artefact_of(run.artefact, document)
    found = list(check_agreement(run.held(), artefact))
    assert {(f.code, f.hint, f.evidence) for f in found} <= {("SCHEMA-ARTEFACT", HINT, run.artefact.name)}
    start = "the artefact disagrees with the evidence: "
    assert all(f.message.startswith(start) for f in found)
    return [(f.message.removeprefix(start), f.field, f.request_id) for f in found]


def put(*path: Any, value: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


def as_students(document: dict[str, Any]) -> None:
    """The last two essays stand among the students."""
    anchors = document["inputs"]["anchors"]
    document["inputs"]["students"] = [anchors.pop(), anchors.pop()]


def without_anchors(document: dict[str, Any]) -> None:
    document["inputs"]["students"] = document["inputs"].pop("anchors")


def short(index: int) -> str:
    """The id of an essay as sentences have it."""
    return f"{essay_id(index).removeprefix('student::')[:8]}.."


OBSERVED = ("validation", "runner_status", "observed_events", "llm_comparisons")
ALTERED: dict[str, tuple[Change, Told]] = {
    "nothing": (lambda d: None, []),
    "students": (as_students, []),
    "only students": (without_anchors, []),
    "no summary": (lambda d: d.pop("bt_summary"), []),
    "batch": (
        put("metadata", "batch_uuid", value=OTHER),
        [
            (
                f"batch_uuid is '{OTHER}', planned was 'b3a1f7de-0c54-4d0a-8a0f-6a1f0f7d2c10'",
                "/metadata/batch_uuid",
                None,
            )
        ],
    ),
    "plan": (
        put("metadata", "planned_comparisons", value=3),
        [("planned_comparisons is 3, planned was 15", "/metadata/planned_comparisons", None)],
    ),
    "mode": (
        put("metadata", "runner_mode", value="execute"),
        [("runner_mode is 'execute', planned was 'anchor-align-test'", "/metadata/runner_mode", None)],
    ),
    "inputs": (
        lambda d: d["inputs"]["anchors"][5].update(essay_id="0123456789"),
        [(f"its inputs and the plan differ in 01234567.., {short(5)}", "/inputs", None)],
    ),
    "observed": (
        put(*OBSERVED, value=16),
        [("16 comparisons observed, 15 are in the logs", "/" + "/".join(OBSERVED), None)],
    ),
    "too few": (
        put("bt_summary", 2, "comparison_count", value=4),
        [(f"4 comparisons of essay {short(2)}, the logs hold 5", "/bt_summary/2/comparison_count", None)],
    ),
    "too many": (
        put("bt_summary", 2, "comparison_count", value=6),
        [(f"6 comparisons of essay {short(2)}, the logs hold 5", "/bt_summary/2/comparison_count", None)],
    ),
    "no list": (put("bt_summary", value=[]), []),
}


@pytest.mark.parametrize(("change", "expected"), ALTERED.values(), ids=ALTERED)
def test_what_an_artefact_may_not_say(run: Any, change: Change, expected: Told) -> None:
    document = written(run)
    change(document)
    assert agreement(run, document) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "failed"),
        ("essay_a_id", "x"),
        ("essay_b_id", None),
        ("winner_id", "x"),
        ("loser_id", None),
        ("provider", "x"),
        ("model", "x"),
    ],
)
@pytest.mark.parametrize("list_name", ["llm_comparisons", "incomplete_comparisons"])
def test_a_comparison_with_another_value(run: Any, key: str, value: Any, list_name: str) -> None:
    """In either list, at its place."""
    document = written(run)
    row = document["llm_comparisons"][7]
    row[key] = value
    place = 7
    if list_name == "incomplete_comparisons":
        document[list_name] = [document["llm_comparisons"].pop(6), document["llm_comparisons"].pop(6)]
        place = 1
    request = run.comparisons[7].data["request_id"]
    text = f"request {request[:8]}.. has another {key}"
    assert agreement(run, document) == [(text, f"/{list_name}/{place}/{key}", request)]


def test_comparisons_that_are_lacking_invented_or_twice(run: Any) -> None:
    document = written(run)
    rows = document["llm_comparisons"]
    lacking = rows.pop(7)["request_id"]
    rows += [rows[3], {**rows[3], "request_id": "invented"}]
    twice = rows[3]["request_id"]
    place = "/llm_comparisons"
    assert agreement(run, document) == [
        (f"request {lacking[:8]}.. is not in it", place, lacking),
        ("request invented was never captured", place, "invented"),
        (f"request {twice[:8]}.. is in it 2 times", place, twice),
    ]


@pytest.mark.parametrize("winner", ["Essay A", "Essay B"])
@pytest.mark.parametrize("lacking", ["essay_a_id", "essay_b_id"])
@pytest.mark.parametrize("key", ["winner_id", "loser_id"])
def test_a_winner_may_be_left_out_where_ids_are_lacking(
    run: Any, winner: str, lacking: str, key: str
) -> None:
    """Of a callback with both ids it may not."""
    message = run.comparisons[7]
    message.data["winner"] = winner
    document = written(run)
    document["llm_comparisons"][7][key] = None
    request = message.data["request_id"]
    text = f"request {request[:8]}.. has another {key}"
    assert agreement(run, document) == [(text, f"/llm_comparisons/7/{key}", request)]
    message.metadata[lacking] = None
    document = written(run)
    document["llm_comparisons"][7][key] = None
    assert agreement(run, document) == []


def test_a_comparison_in_a_later_part_of_the_file_has_its_own_place(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comparisons are read some at a time."""
    document = written(run)
    document["llm_comparisons"][12]["model"] = "x"
    run.artefact.write_bytes(json_bytes(document))
    monkeypatch.setattr(parts, "_BLOCK", 2_000)
    artefact = open_document(run.artefact)
    assert artefact is not None
    assert len(list(artefact.rows())) > 3
    found = check_agreement(run.held(), artefact)
    assert [f.field for f in found] == ["/llm_comparisons/12/model"]


def test_a_comparison_that_is_no_json(run: Any) -> None:
    """The rest of such a file is in order; the comparisons are read when they are asked for."""
    run.write()
    ending = load_evidence(run.root).ending
    text = run.artefact.read_text()
    run.artefact.write_text(text.replace('"sequence": 3,', '"sequence": ?,', 1))
    evidence = load_evidence(run.root, ending)
    assert evidence.document is not None
    (found,) = check_schema(evidence)
    assert found.message == "assessment_run.anchor-align-test.json is not JSON"
    assert found.hint == "the event logs do not depend on it: run again, or judge the run from its logs"
    assert (found.code, found.evidence) == ("SCHEMA-ARTEFACT", "assessment_run.anchor-align-test.json")


def test_nothing_is_fetched_for_a_schema(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.json").write_text('{"type": "string"}')
    with pytest.raises(Unresolvable):
        list(breaches(3, validator({"$ref": (tmp_path / "elsewhere.json").as_uri()})))


def test_the_root_of_a_document_has_a_name(tmp_path: Path) -> None:
    found = list(check_shape(artefact_of(tmp_path / "run.json", [3])))
    assert [(f.message, f.field, f.evidence) for f in found] == [
        ("the artefact breaks its schema at its root: [3] is not of type 'object'", "", "run.json")
    ]
    assert {f.hint for f in found} == {
        "the writer and schemas/assessment_run.schema.json are of different versions, or the file was edited"
    }


@pytest.mark.parametrize(
    ("document", "message", "field"),
    [
        ([3], "its root: [3] is not of type 'object'", ""),
        (
            {"schema_version": "1.1.0"},
            "/schema_version: '1.1.0' does not match '^1\\\\.0\\\\.\\\\d+$'",
            "/schema_version",
        ),
    ],
)
def test_what_is_said_about_schema_1_0_alone(
    run: Any, tmp_path: Path, document: Any, message: str, field: str
) -> None:
    """Only of the artefact of an assignment."""
    artefact = artefact_of(tmp_path / "run.json", document)
    evidence = run.held()
    assert list(check_legacy(evidence, artefact)) == []
    bound = replace(evidence, assignment=AssignmentContext.model_construct())
    found = next(f for f in check_legacy(bound, artefact) if f.field == field)
    assert (found.code, found.message) == ("SCHEMA-1.0", f"the artefact breaks schema 1.0 at {message}")
    assert found.hint == (
        "tools that read artefacts of schema 1.0 will refuse this one; events and metrics are not affected"
    )
    assert found.evidence == "run.json"
