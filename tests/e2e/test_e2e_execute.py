"""All four modes side by side in one session, and what stops mode execute before anything is started."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = pytest.mark.slow

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
ASSIGNMENT = "assignment_id: 3f0b6c52-9d1e-4c7a-8a55-2e6f1d9b7c04"
COURSE = "course_id: 8c4e2a10-5b7d-4f3e-9c61-0d2a7e5f4b19"
QUIET = ("run", "schema", "manifest")
CHECKS = ("run", "events", "metadata", "completeness", "schema", "scoring", "costs", "manifest")
ANCHORS = {"a": "A", "b": "B", "c": "C+", "d": "D+"}


def inputs(tree: Any, name: str, students: int = 3) -> Path:
    """An inputs folder with everything that any mode needs."""
    folder = Path(tree.root / name)
    for part in ("anchors", "students"):
        (folder / part).mkdir(parents=True)
    for anchor in ANCHORS:
        (folder / "anchors" / f"{anchor}.txt").write_text(f"Anchor {anchor} has much to say. " * 8)
    rows = [f"{anchor},{anchor}.txt,{grade}" for anchor, grade in ANCHORS.items()]
    (folder / "anchors.csv").write_text("\n".join(["anchor_id,file_name,grade", *rows, ""]))
    for number in range(students):
        (folder / "students" / f"pupil_{number}.txt").write_text(f"Pupil {number} writes this.\n")
    (folder / "students.csv").write_text("file_name,grade\npupil_0.txt,A\npupil_1.txt,D+\n")
    (folder / "instructions.md").write_text("Assess the language first.\n")
    (folder / "prompt.md").write_text("Write about the sea.\n")
    return folder


def scenario(
    tree: Any, name: str, mode: str, variants: str = "[{id: only}]", *keys: str, folder: str = "mine"
) -> None:
    mock = f"{{discrimination: 12, seed: 3, student_grades: {folder}/students.csv}}"
    lines = [
        f"scenario: {name}",
        f"mode: {mode}",
        f"inputs: {folder}",
        f"judge: {{provider: mock, model: m, mock: {mock}}}",
        "timeout: {idle: 20, total: 60}",
        *keys,
        f"variants: {variants}",
        "",
    ]
    tree.write(f"{name}.eng5.yaml", "\n".join(lines))


@pytest.fixture(scope="module")
def session(make_tree: Callable[..., Any]) -> Any:
    """Every mode, two workers that share an assignment, and one scenario that cannot be run."""
    tree = make_tree()
    inputs(tree, "mine")
    torn = inputs(tree, "torn") / "students" / "torn.pdf"
    torn.write_bytes(b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog")
    scenario(tree, "planned", "plan")
    scenario(tree, "stub", "dry-run")
    gate = "thresholds: {kendall_tau: {min: 0.5}}"
    scenario(tree, "aligned", "anchor-align-test", "[{id: align}]", gate)
    variants = "[{id: one}, {id: two, repeats: 2}]"
    scenario(tree, "graded", "execute", variants, ASSIGNMENT, COURSE, gate)
    scenario(tree, "guests", "execute", "[{id: guest}]")
    scenario(tree, "broken", "execute", "[{id: torn}]", ASSIGNMENT, COURSE, folder="torn")
    return tree.pytest("-n", "2", "-p", "no:randomly", "--junitxml", "junit.xml")


def test_every_mode_is_green_and_what_cannot_be_read_is_an_error(session: Any) -> None:
    outcomes = session.outcomes()
    judged = {f"{v}::{item}" for v in ("align", "one", "two") for item in (*CHECKS, "kendall_tau")}
    passed = judged | {f"guest::{item}" for item in CHECKS}
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} >= passed, session.output
    assert {name.split("::")[0] for name, outcome in outcomes.items() if outcome != "passed"} == {"torn"}
    assert [name for name, outcome in outcomes.items() if outcome == "error"] == ["torn::run"]
    assert session.code == 1
    session.tree.assert_nothing_left()


def test_an_input_error_is_called_one_and_names_the_file(session: Any) -> None:
    message = session.cases()["torn::run"][1]
    assert "input_error" in message
    assert "torn.pdf" in message
    assert "infrastructure" not in message
    assert not (session.folder / "broken").exists()


def test_artefacts_of_the_modes(session: Any) -> None:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    ours, old = (
        jsonschema.Draft202012Validator(json.loads((SCHEMAS / name).read_text()), format_checker=checker)
        for name in ("assessment_run.schema.json", "assessment_run.1.0.schema.json")
    )
    for run in (session.run("graded", "one"), session.run("graded", "two", 2)):
        document = json.loads((run / "assessment_run.execute.json").read_text())
        ours.validate(document)
        old.validate(document)
    for name, variant, mode in (("stub", "only", "dry-run"), ("aligned", "align", "anchor-align-test")):
        document = json.loads((session.run(name, variant) / f"assessment_run.{mode}.json").read_text())
        ours.validate(document)
    guest = json.loads((session.run("guests", "guest") / "assessment_run.execute.json").read_text())
    ours.validate(guest)
    assert guest["schema_version"] == "1.1.0"


def test_runs_in_two_processes_found_one_assignment(session: Any) -> None:
    runs = [session.run("graded", "one"), session.run("graded", "two"), session.run("graded", "two", 2)]
    found = [json.loads((run / "assignment.json").read_text()) for run in runs]
    stored = [[anchor["text_storage_id"] for anchor in each["anchors"]] for each in found]
    assert stored[0] == stored[1] == stored[2]
    assert [anchor["grade"] for anchor in found[0]["anchors"]] == list(ANCHORS.values())


def test_the_report_tells_the_grades(session: Any) -> None:
    assert "graded 3 of 3 students: " in session.output
    assert "pupil_0.txt: A" in session.output
    assert "graded 0 of 3 students: nobody" in session.output


MISSING = {
    "instructions": ("instructions.md", "there are no instructions"),
    "prompt": ("prompt.md", "there is no student prompt"),
    "anchors": ("anchors.csv", "holds no anchors, so none can be registered"),
}


def test_what_is_missing_is_told_before_anything_is_started(make_tree: Callable[..., Any]) -> None:
    tree = make_tree()
    for name, (missing, _) in MISSING.items():
        folder = inputs(tree, f"without_{name}")
        (folder / missing).unlink()
        if name == "anchors":
            shutil.rmtree(folder / "anchors")
        variants = f"[{{id: {name}}}]"
        scenario(tree, f"no_{name}", "execute", variants, ASSIGNMENT, COURSE, folder=folder.name)
    session = tree.pytest("-p", "no:randomly", "--junitxml", "junit.xml")
    assert session.code == 1
    assert session.output.count("fix: ") >= len(MISSING)
    for name, (_, message) in MISSING.items():
        told = session.cases()[f"{name}::run"][1]
        assert message in told
        assert "input_error" in told
    assert not list(tree.output.rglob("kafka.log")), "the broker was started"


def test_no_students_is_told_when_the_file_is_read(make_tree: Callable[..., Any]) -> None:
    tree = make_tree()
    inputs(tree, "mine", students=0)
    scenario(tree, "graded", "execute", "[{id: only}]", ASSIGNMENT, COURSE)
    session = tree.pytest("-p", "no:randomly")
    assert session.code == 2
    assert "graded.eng5.yaml:3:9: the inputs folder mine holds no students' essays" in session.output
