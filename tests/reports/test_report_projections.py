"""Runs of an assignment on disk: anchors under the ids of the batch, grades with what is behind them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_eng5.contracts import GRADE_SCALES
from pytest_eng5.evidence import (
    AssignedAnchor,
    AssignmentContext,
    EvidenceError,
    RunFolder,
    SourceText,
    anchors_on_the_wire,
    artefact_1_0_json_schema,
    artefact_json_schema,
    load_evidence,
    read_assignment,
    write_assignment,
)
from pytest_eng5.pipeline.cj.calibration import GradedAnchor, calibrate
from pytest_eng5.pipeline.cj.projection import project
from pytest_eng5.pipeline.cj.standard_errors import standard_errors
from pytest_eng5.reports import build_artefact, finalise_run, grade_lines

LEGACY, NATIONAL = "eng5_np_legacy_9_step", "eng5_np_national_9_step"
GRADES = {LEGACY: ("A", "B", "C+", "D+", "E-", "F+"), NATIONAL: ("9", "8", "6", "4", "2", "1")}
TEXT = SourceText(source_path="prompt.md", checksum="0" * 64, content="Describe the sea.")


def context_of(anchors: Any, scale: str) -> AssignmentContext:
    return AssignmentContext(
        assignment_id="3f0b6c52-9d1e-4c7a-8a55-2e6f1d9b7c04",
        course_id="8c4e2a10-5b7d-4f3e-9c61-0d2a7e5f4b19",
        grade_scale=scale,
        context_origin="research_experiment",
        read_at=datetime(2026, 3, 1, tzinfo=UTC),
        instructions=TEXT,
        student_prompt=TEXT,
        student_prompt_storage_id="f" * 32,
        anchors=tuple(
            AssignedAnchor(
                registration_id=str(number),
                anchor_id=anchor.local_id,
                grade=GRADES[scale][number - 1],
                grade_scale=scale,
                text_storage_id=f"{number:032x}",
                checksum=anchor.checksum,
                file_name=anchor.file_name,
                source_path=anchor.source_path,
            )
            for number, anchor in enumerate(anchors, start=1)
        ),
    )


Bind = Callable[..., Path]
Metadata = Callable[[list[str]], Any]


@pytest.fixture
def bound(record: Any) -> Bind:
    """The folder of a run of an assignment, with the ids that a CJ service would have given its anchors."""

    def make(
        scale: str = LEGACY,
        *,
        failures: int = 0,
        metadata: Metadata | None = None,
        **more: Any,
    ) -> Path:
        facts = {"assignment_id": "3f0b6c52-9d1e-4c7a-8a55-2e6f1d9b7c04", "grade_scale": scale}
        facts["course_id"] = "8c4e2a10-5b7d-4f3e-9c61-0d2a7e5f4b19"
        run = record(GRADES[LEGACY], students=3, mode="execute", variant=f"v-{scale}", **facts, **more)
        for _ in range(failures):
            run.callback(0, 1, None)
        run.complete(discrimination=1.0)
        run.close()
        root, plan = Path(run.root), run.plan
        anchors = [essay for essay in plan.essays if essay.is_anchor]
        write_assignment(RunFolder(root).assignment, context_of(anchors, scale))
        self_made = {a.essay_id: f"ANCHOR_{n}_{n:08x}" for n, a in enumerate(anchors, start=1)}
        plain = {e.essay_id: e.essay_id.replace("::", "_") for e in plan.essays if not e.is_anchor}
        for path in (*root.rglob("*.jsonl"), RunFolder(root).plan, RunFolder(root).request):
            text = path.read_text()
            for old, new in (self_made | plain).items():
                text = text.replace(old, new)
            path.write_text(text)
        document = json.loads(RunFolder(root).plan.read_text())
        document["essays"] = [essay for essay in document["essays"] if not essay["is_anchor"]]
        RunFolder(root).plan.write_text(json.dumps(document))
        log = root / "events" / "assessment_results.jsonl"
        line = json.loads(log.read_text())
        value = json.loads(line["value"])
        for row in value["data"]["essay_results"]:
            digits = scale == NATIONAL or row["essay_id"].startswith("ANCHOR_")
            row["letter_grade"] = "U" if digits else "C+"
        value["data"]["assessment_metadata"] |= metadata(list(plain.values())) if metadata else {}
        log.write_text(json.dumps(line | {"value": json.dumps(value)}) + "\n")
        return root

    return make


def ended(run: Any, root: Path) -> dict[str, Any]:
    finalise_run(root, run)
    return dict(json.loads(RunFolder(root).artefact("execute").read_bytes()))


@pytest.fixture
def ending(record: Any) -> Any:
    return record(variant="ending").end()


def test_anchors_are_known_under_the_ids_of_the_batch(bound: Bind) -> None:
    evidence = load_evidence(bound())
    assert [essay.is_anchor for essay in evidence.plan.essays] == [False] * 3 + [True] * 6
    assert [essay.essay_id for essay in evidence.plan.essays[3:5]] == [
        "ANCHOR_1_00000001",
        "ANCHOR_2_00000002",
    ]
    assert [essay.grade for essay in evidence.plan.essays[3:]] == list(GRADES[LEGACY])
    assert len(evidence.succeeded) == 9 * 8 // 2


def test_an_anchor_that_never_appeared_goes_by_what_is_known_of_its_id(bound: Bind) -> None:
    assignment = load_evidence(bound()).assignment
    assert assignment is not None
    seen = ["ANCHOR_2_aaaaaaaa", "ANCHOR_2_bbbbbbbb", "ANCHOR_1_xyz", "student_1", "ANCHOR_99_00000000"]
    ids = [essay.essay_id for essay in anchors_on_the_wire(assignment, seen)]
    assert ids == ["ANCHOR_1", "ANCHOR_2_aaaaaaaa", "ANCHOR_3", "ANCHOR_4", "ANCHOR_5", "ANCHOR_6"]


def test_a_damaged_assignment_is_told(bound: Bind) -> None:
    root = bound()
    RunFolder(root).assignment.write_text("{")
    with pytest.raises(EvidenceError, match="the recorded assignment is damaged"):
        load_evidence(root)
    RunFolder(root).assignment.unlink()
    assert read_assignment(RunFolder(root).assignment) is None


def test_the_artefact_is_of_both_versions_even_with_failed_comparisons(bound: Bind, ending: Any) -> None:
    document = ended(ending, bound(failures=2))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for schema in (artefact_1_0_json_schema(), artefact_json_schema()):
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(document)
    assert (len(document["llm_comparisons"]), len(document["incomplete_comparisons"])) == (36, 2)
    assert {row["status"] for row in document["incomplete_comparisons"]} == {"failed"}
    assert [row["sequence"] for row in document["incomplete_comparisons"]] == [1, 2]
    assert document["inputs"]["instructions"]["content"] == TEXT.content
    assert document["metadata"]["git_sha_of"] == "settings"
    assert document["costs"]["total_usd"] == pytest.approx(0.038)


def test_a_commit_goes_before_the_settings(bound: Bind, ending: Any) -> None:
    metadata = ended(ending, bound(git_sha="abcdef1"))["metadata"]
    assert (metadata["git_sha"], metadata["git_sha_of"]) == ("abcdef1", "commit")


def test_probabilities_are_those_of_the_service_s_own_algorithm(bound: Bind) -> None:
    """Worked out by the reference pipeline's code, which shares nothing with the harness's."""
    evidence = load_evidence(bound())
    rows = {row.essay_id: row for row in evidence.results[0].result.essay_results}
    essays = evidence.plan.essays
    theta = [rows[essay.essay_id].bt_score for essay in essays]
    place = {essay.essay_id: index for index, essay in enumerate(essays)}
    pairs = [
        (place[event.comparison.winner_id or ""], place[event.comparison.loser_id or ""])
        for event in evidence.succeeded
    ]
    errors = standard_errors(theta, pairs, len(essays) - 1)
    anchors = [GradedAnchor(e.essay_id, e.grade, theta[place[e.essay_id]]) for e in essays if e.is_anchor]
    calibration = calibrate(GRADE_SCALES[LEGACY], anchors)
    assert calibration is not None
    found = {row.essay_id: row for row in build_artefact(evidence, _done()).grade_projections}
    assert len(found) == 3
    for essay in essays[:3]:
        index = place[essay.essay_id]
        expected = project(calibration, theta[index], float(errors[index])).probabilities
        shown = {grade: share for grade, share in expected.items() if share > 0}
        assert found[essay.essay_id].probabilities == pytest.approx(shown, abs=1e-6)
        assert found[essay.essay_id].probabilities_source == "derived"
        assert sum(found[essay.essay_id].probabilities.values()) == pytest.approx(1)


def _done() -> Any:
    from pytest_eng5.evidence import EndReason, RunEnding

    now = datetime(2026, 3, 1, tzinfo=UTC)
    return RunEnding(reason=EndReason.COMPLETED, detail="", started_at=now, ended_at=now)


def test_national_digits_come_from_the_summary(bound: Bind, ending: Any) -> None:
    def metadata(students: list[str]) -> Any:
        shares = {student: {"7": 0.75, "6": 0.25} for student in students[:2]}
        summary = {
            "primary_grades": dict(zip(students, ("7", "5", "3"), strict=True)),
            "grade_probabilities": shares | {students[2]: {"3": 1.5}},  # which are none
        }
        return {"grade_projection_summary": summary}

    document = ended(ending, bound(NATIONAL, metadata=metadata))
    assert sorted(row["grade"] for row in document["grade_projections"]) == ["5", "7"]
    for row in document["grade_projections"]:
        assert row["probabilities"] == {"7": 0.75, "6": 0.25}
        assert (row["probabilities_source"], row["grade_scale"]) == ("published", NATIONAL)


@pytest.mark.parametrize("summary", [None, 3, {"primary_grades": [1]}, {"grade_probabilities": {"x": "y"}}])
def test_what_is_no_summary_is_none(bound: Bind, ending: Any, summary: Any) -> None:
    document = ended(ending, bound(metadata=lambda _: {"grade_projection_summary": summary}))
    assert [row["grade"] for row in document["grade_projections"]] == ["C+"] * 3


def test_grades_in_words(bound: Bind, ending: Any, tmp_path: Path) -> None:
    root = bound()
    ended(ending, root)
    first, *students = grade_lines(root)
    assert first == "graded 3 of 3 students: 3 C+"
    assert [line.split(":")[0].strip() for line in students] == [f"pupil_0{n}.txt" for n in (1, 2, 3)]
    assert "C+ (HIGH), theta " in students[0]
    assert list(grade_lines(root, every=False)) == [first]
    assert list(grade_lines(tmp_path)) == []


@pytest.mark.parametrize("reason", ["refused", "input_error"])
def test_a_refusal_is_told_once_and_ends_with_two(record: Any, checks: Any, reason: str) -> None:
    from pytest_eng5.evidence import EndReason
    from pytest_eng5.gates import METRICS
    from pytest_eng5.reports import evaluate_variant, exit_status, session_text

    assert "kendall_tau" in METRICS
    run = record(students=2, mode="execute", variant=reason)
    finalise_run(run.root, run.end(EndReason(reason), "the assignment is unknown"))
    threshold = type("T", (), {"metric": "kendall_tau", "min": 0.9, "max": None})()
    outcome = evaluate_variant(run.root.parent, (threshold,), repeats=1)
    assert outcome.verdict.value == "ERROR"
    assert outcome.reasons == (f"run-1 ended with {reason}: the assignment is unknown",)
    assert exit_status([outcome]) == 2
    assert "graded" not in "\n".join(session_text(run.root.parents[2], [outcome]))


def test_one_fault_of_the_infrastructure_decides_the_exit_status(record: Any, checks: Any) -> None:
    from pytest_eng5.evidence import EndReason
    from pytest_eng5.reports import evaluate_variant, exit_status

    outcomes = []
    for reason in (EndReason.REFUSED, EndReason.INFRASTRUCTURE, EndReason.NOT_AWAITED):
        run = record(students=2, mode="execute", variant=reason.value)
        finalise_run(run.root, run.end(reason, "it ended"))
        outcomes.append(evaluate_variant(run.root.parent, (), repeats=1))
    assert [exit_status([outcome]) for outcome in outcomes] == [2, 4, 0]
    assert (exit_status(outcomes), exit_status(outcomes[::2])) == (4, 2)
    assert [outcome.verdict.value for outcome in outcomes] == ["ERROR", "ERROR", "DONE"]
