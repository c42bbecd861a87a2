"""Scenarios of modes plan and dry-run as pytest items: they reach nothing, and are never taken for a pass."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Items = Callable[[Path], dict[str, tuple[str, dict[str, list[str]]]]]

# Ends whatever makes a socket or starts a process; git is not meant, nor what the platform module asks once.
GUARD = """
    import platform
    import sys

    import pytest

    def hook(event, args):
        harmless = event == "subprocess.Popen" and str(args[0]).rsplit("/", 1)[-1] == "git"
        if event.startswith("socket.") or event == "subprocess.Popen":
            if not harmless:
                open("touched.txt", "a").write(f"{event} {args!r}\\n")
                raise RuntimeError(f"{event} in a mode that reaches nothing")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop():
        platform.platform()
        sys.addaudithook(hook)
"""


@pytest.fixture
def quiet(project: Any) -> Any:
    """A project with a scenario of each mode, and students beside the anchors."""
    project.inputs()
    for number in (1, 2, 3):
        project.write(f"inputs/students/pupil_{number}.txt", f"A pupil's essay, number {number}.\n")
    for mode in ("plan", "dry-run"):
        name = mode.replace("-", "_")
        text = f"scenario: {name}\nmode: {mode}\ninputs: inputs\nvariants: [{{id: all}}]\n"
        project.write(f"{name}.eng5.yaml", text)
    return project


@pytest.fixture
def guarded(quiet: Any) -> Any:
    """The same, where a session ends whatever makes a socket or a process; not for this process."""
    quiet.write("conftest.py", GUARD)
    return quiet


def test_items_of_each_mode(quiet: Any) -> None:
    assert quiet.collect() == [
        "dry_run.eng5.yaml::all::run",
        "dry_run.eng5.yaml::all::schema",
        "dry_run.eng5.yaml::all::manifest",
        "plan.eng5.yaml::all::run",
    ]


def test_they_are_the_checks_of_the_mode() -> None:
    from pytest_eng5.checks import checks_for
    from pytest_eng5.collection.items import QUIET_CHECKS
    from pytest_eng5.runner import OFFLINE_MODES

    assert {mode: checks_for(mode) for mode in OFFLINE_MODES} == QUIET_CHECKS


@pytest.mark.parametrize(
    "workers",
    [
        pytest.param((), id="one process"),
        pytest.param(("-n", "2"), id="workers", marks=pytest.mark.thorough),
    ],
)
def test_they_pass_without_a_socket_a_broker_or_a_pipeline(
    quiet: Any, junit_items: Items, workers: tuple[str, ...]
) -> None:
    if not workers:  # which themselves are processes
        quiet.write("conftest.py", GUARD)
    result = quiet.subprocess("-rA", "--junitxml=report.xml", *workers)
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.OK, text
    result.assert_outcomes(passed=4)
    assert not (quiet.root / "touched.txt").exists()
    [session] = quiet.sessions()
    names = {path.relative_to(session).as_posix() for path in session.rglob("*") if path.is_file()}
    assert names == {
        "summary.json",
        "junit/plan.all.xml",
        "junit/dry_run.all.xml",
        "plan/all/run-1/inventory.json",
        *(f"plan/all/run-1/{name}" for name in ("manifest.json", "log.jsonl")),
        *(f"dry_run/all/run-1/{name}" for name in ("plan.json", "findings.json", "manifest.json")),
        "dry_run/all/run-1/log.jsonl",
        "dry_run/all/run-1/assessment_run.dry-run.json",
        "dry_run/all/run-1/schemas/assessment_run.schema.json",
    }
    table = text[text.index("= eng5 =") :].splitlines()
    assert table[1:5] == [
        "dry_run",
        "  all  dry-run of 4 anchors and 3 students, nothing judged  DONE",
        "plan",
        "  all  plan of 4 anchors and 3 students, nothing judged     DONE",
    ]
    assert "tau" not in "\n".join(table)
    assert "n/a" not in "\n".join(table)
    items = junit_items(quiet.root / "report.xml")
    assert {outcome for outcome, _ in items.values()} == {"passed"}
    for name, (_, properties) in items.items():
        assert properties["mode"] == ["dry-run" if len(properties.get("batch_uuid", [])) else "plan"], name
        assert (properties["anchors"], properties["students"]) == (["4"], ["3"])
        assert properties["verdict"] == ["DONE"]
        assert "kendall_tau" not in properties


def test_the_guard_sees_what_it_is_there_for(guarded: Any) -> None:
    guarded.scenario()
    result = guarded.subprocess("small.eng5.yaml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (guarded.root / "touched.txt").read_text()


@pytest.mark.thorough
def test_summary_says_done(quiet: Any) -> None:
    quiet.subprocess()
    [session] = quiet.sessions()
    summary = json.loads((session / "summary.json").read_text())
    found = {v["verdict"] for scenario in summary["scenarios"] for v in scenario["variants"]}
    assert found == {"DONE"}
    suites = ET.parse(session / "junit" / "plan.all.xml").iter("testsuite")
    assert [(suite.get("tests"), suite.get("failures"), suite.get("errors")) for suite in suites] == [
        ("1", "0", "0")
    ]


def test_the_report_of_a_plan_shows_the_inventory(quiet: Any) -> None:
    result = quiet.subprocess("-rA", "plan.eng5.yaml")
    result.stdout.fnmatch_lines(
        [
            "*eng5 plan*",
            "plan of plan / all: can be run",
            "  anchors: 4",
            "    anchor_1 *A *B  sha256 *  anchors/text_1.txt",
            "a run would compare:",
            "  anchor-align-test  4 essays, 6 comparisons: possible",
            "  execute            7 essays, 21 comparisons: possible",
        ]
    )


def test_the_report_of_a_dry_run_says_where_the_stub_is(quiet: Any) -> None:
    text = quiet.subprocess("-rA", "dry_run.eng5.yaml").stdout.str()
    place = re.search(r"^stub of the artefact: (.+)$", text, re.M)
    assert place, text
    assert json.loads(Path(place[1]).read_text())["metadata"]["runner_mode"] == "dry-run"


def test_a_plan_of_unusable_inputs_fails_with_every_problem(quiet: Any) -> None:
    quiet.write("inputs/anchors/stray.txt", "Not in the table.\n")
    quiet.write("inputs/students/blank.txt", " \n")
    result = quiet.subprocess("plan.eng5.yaml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "FAIL run: the inputs cannot be used" in text
    assert "anchors.csv:1:1: the essay 'stray.txt' is not listed, so its grade is unknown" in text
    assert "blank.txt:1:1: the essay 'blank.txt' is empty" in text
    assert "  all  plan of 5 anchors and 3 students, nothing judged  FAIL" in text.splitlines()


def test_a_dry_run_of_too_little_is_refused_when_collected(quiet: Any) -> None:
    for path in (quiet.root / "inputs" / "students").iterdir():
        path.unlink()
    lines = quiet.collection_error("dry_run.eng5.yaml")
    assert lines[0].endswith("dry_run.eng5.yaml:3:9: the inputs folder inputs holds no students' essays")
    assert lines[1] == "  fix: add essays to its folder students/"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "thresholds: {kendall_tau: {min: 0.9}}",
            "5:14: mode {} compares nothing, so the threshold 'kendall_tau' would never be judged",
        ),
        (
            "expect: {findings: [META-MISSING]}",
            "5:1: mode {} publishes nothing, so no findings can be expected",
        ),
        ("repeats: 2", "5:1: mode {} gives the same again, so it cannot be repeated"),
    ],
)
@pytest.mark.parametrize("mode", ["plan", "dry-run"])
def test_what_they_cannot_use_is_refused_where_it_stands(
    quiet: Any, mode: str, key: str, message: str
) -> None:
    path = quiet.root / f"{mode.replace('-', '_')}.eng5.yaml"
    path.write_text(f"{path.read_text()}{key}\n")
    lines = quiet.collection_error(path.name)
    assert lines[0].endswith(f"{path.name}:{message.format(mode)}")


def test_a_broker_that_cannot_start_does_not_touch_them(quiet: Any) -> None:
    quiet.scenario()
    result = quiet.subprocess("--eng5-kafka-home", "nowhere", "-v")
    text = result.stdout.str()
    assert re.search(r"plan\.eng5\.yaml::all::run PASSED", text), text
    assert re.search(r"small\.eng5\.yaml::baseline::run ERROR", text), text


@pytest.mark.thorough
def test_a_python_test_cannot_ask_for_the_evidence_of_a_plan(quiet: Any) -> None:
    quiet.write("test_it.py", "def test_it(eng5_run):\n    eng5_run('plan.eng5.yaml')\n")
    text = quiet.subprocess("test_it.py").stdout.str()
    assert "mode plan leaves no evidence of a run" in text
    quiet.write(
        "test_it.py", "def test_it(eng5_run):\n    assert eng5_run('dry_run.eng5.yaml').verdict == 'DONE'\n"
    )
    quiet.subprocess("test_it.py").assert_outcomes(passed=1)
