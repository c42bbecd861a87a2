"""Faults on the real broker in one session: one of each action in each message type, and what is shipped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
UNFIRED = """
scenario: unfired
inputs: essays4
judge: {provider: mock}
variants:
  - id: never
    faults:
      - {action: drop, topic: comparison_result, nth: 7}
      - {action: remove, topic: result, field: /data/no_such_field}
    expect: {findings: []}
"""


@dataclass
class Session:
    """What a session left behind."""

    code: int
    output: str
    folder: Path
    cases: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def session(lab: Any, matrix: Any, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Representative cases, the shipped fault scenarios and a fault that never fires, side by side."""
    root = tmp_path_factory.mktemp("faults")
    lab.write_scenario(root, matrix.representative(lab.load_cases()))
    shutil.copytree(ROOT / "scenarios", root / "scenarios")
    (root / "unfired.eng5.yaml").write_text(UNFIRED)
    (root / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--color=no",
        "-p",
        "no:xdist",
        "--eng5-concurrency",
        "12",
    ]
    command += ["--junitxml", "junit.xml", "faults.eng5.yaml", "unfired.eng5.yaml", "scenarios/faults"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=300)
    found = {}
    for case in ET.parse(root / "junit.xml").iter("testcase"):
        bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        name = f"{str(case.get('classname')).rsplit('.', 1)[-1]}::{case.get('name')}"
        found[name] = ("passed", "") if bad is None else (bad.tag, f"{bad.get('message')}\n{bad.text}")
    return Session(done.returncode, done.stdout + done.stderr, (root / ".eng5" / "latest").resolve(), found)


def test_exactly_the_right_codes_appear_on_kafka(session: Session, matrix: Any, shown: Any) -> None:
    assert matrix.outcome_of(session.folder / "faults" / shown.id / "run-1").problem(shown) is None
    assert session.cases[f"{shown.id}::expect"] == ("passed", "")


def test_everything_but_the_fault_that_never_fires_passes(session: Session) -> None:
    assert session.code == 1, session.output[-3000:]
    assert {name for name, (outcome, _) in session.cases.items() if outcome != "passed"} == {
        "never::run",
        "never::expect",
    }


def test_the_shipped_fault_scenarios_were_among_them(session: Session) -> None:
    for variant in (
        "redelivery",
        "contradiction",
        "no_prompt_hash",
        "wrong_score",
        "completed_twice",
        "silence",
    ):
        assert session.cases[f"{variant}::expect"] == ("passed", "")


@pytest.mark.parametrize("item", ["run", "expect"])
def test_a_fault_that_never_fires_is_no_green_test(session: Session, item: str) -> None:
    _, text = session.cases[f"never::{item}"]
    assert (
        "FAIL faults: run-1: fault 1 never fired: drop of comparison_result, nth 7 (unfired.eng5.yaml:8); "
        "6 events of its topic came by" in text
    )
    assert (
        "fault 2 never fired: remove of result, field /data/no_such_field (unfired.eng5.yaml:9); 1 event"
        in text
    )
    assert "fix: correct the fault's topic, selector or field" in text


def test_the_counts_are_part_of_the_evidence(session: Session) -> None:
    run = session.folder / "lost_and_repeated" / "redelivery" / "run-1"
    told = json.loads((run / "faults.json").read_text())
    assert told["schema_version"] == "1.0.0"
    assert [(fault["seen"], fault["fired"]) for fault in told["faults"]] == [(12, 3), (1, 1)]
    assert told["faults"][0]["where"] == "lost_and_repeated.eng5.yaml:19"
    listed = {entry["path"] for entry in json.loads((run / "manifest.json").read_text())["files"]}
    assert "faults.json" in listed
