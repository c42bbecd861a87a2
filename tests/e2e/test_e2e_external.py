"""A broker and a pipeline that somebody else runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient

pytestmark = pytest.mark.slow

QUICKLY = 40.0  # with room for a busy machine; the deadlines of a run are longer
CHECKS = ("run", "events", "metadata", "completeness", "schema", "scoring", "costs", "manifest")


@pytest.fixture(scope="module")
def pipeline(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The reference pipeline, started by hand on the real topics."""
    command = [sys.executable, "-m", "pytest_eng5.pipeline", "serve", "--bootstrap-servers", kafka]
    command += ["--log-file", str(tmp_path_factory.mktemp("pipeline") / "log.txt"), "--state", "memory"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    yield dict(json.loads(process.stdout.readline())["ready"])
    assert process.poll() is None
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture(scope="module")
def session(make_tree: Callable[..., Any], kafka: str, pipeline: dict[str, Any]) -> Any:
    """A session on both; its addresses come from the environment, as in a shell set up for a stack."""
    tree = make_tree()
    tree.scenario("outside", essays=6)
    return tree.pytest(
        *("--eng5-broker", "external", "--eng5-pipeline", "external", "--junitxml", "junit.xml"),
        env={
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "CONTENT_SERVICE_URL": pipeline["content_url"],
            "LLM_PROVIDER_SERVICE_URL": pipeline["llm_url"],
        },
    )


def test_a_mock_needs_no_leave_to_spend(session: Any) -> None:
    outcomes = session.outcomes()
    assert {item: outcomes[f"only::{item}"] for item in CHECKS} == dict.fromkeys(CHECKS, "passed")
    assert outcomes["only::kendall_tau"] in ("passed", "failure")
    assert session.findings("outside", "only") == []


def test_nothing_of_theirs_is_started_or_stopped(session: Any, kafka: str, pipeline: dict[str, Any]) -> None:
    assert f"broker external {kafka}, pipeline external" in session.output
    assert not (session.folder / "kafka.log").exists()
    assert not (session.folder / "pipeline.log").exists()
    session.tree.assert_nothing_left()
    assert psutil.Process(pipeline["pid"]).is_running()
    assert AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=60).topics


def test_without_a_word_about_cost_it_is_refused(session: Any, kafka: str, pipeline: dict[str, Any]) -> None:
    again = session.tree.pytest(
        *("--eng5-broker", "external", "--eng5-bootstrap-servers", kafka, "--eng5-pipeline", "external"),
        *("--eng5-content-url", pipeline["content_url"], "--junitxml", "refused.xml"),
    )
    outcome, text = again.cases("refused.xml")["only::run"]
    assert again.code == 1
    assert outcome == "error"
    assert "this run could cost money" in text
    assert "--eng5-live" in text
    assert again.seconds < QUICKLY


def test_with_leave_it_runs(session: Any, kafka: str, pipeline: dict[str, Any]) -> None:
    again = session.tree.pytest(
        *("--eng5-bootstrap-servers", kafka, "--eng5-content-url", pipeline["content_url"], "--eng5-live"),
        *("-k", "run or events", "--junitxml", "live.xml"),
    )
    assert again.code == 0, again.output
    assert "live" in again.output
    assert set(again.outcomes("live.xml").values()) == {"passed"}


@pytest.mark.thorough
def test_services_that_do_not_answer(session: Any, kafka: str, pipeline: dict[str, Any]) -> None:
    nowhere = "http://127.0.0.1:9"
    again = session.tree.pytest(
        *("--eng5-bootstrap-servers", kafka, "--eng5-content-url", f"{nowhere}/v1/content"),
        *("--eng5-llm-url", pipeline["llm_url"], "--junitxml", "dead.xml"),
    )
    outcome, text = again.cases("dead.xml")["only::run"]
    assert outcome == "error"
    assert nowhere in text
    assert "--eng5-content-url" in text
    assert again.seconds < QUICKLY


@pytest.mark.thorough
def test_embedded_pipeline_on_topics_of_its_own(make_tree: Callable[..., Any], kafka: str) -> None:
    tree = make_tree()
    tree.scenario("prefixed")
    prefix = f"e2e-{os.getpid()}."
    session = tree.pytest(
        *("--eng5-bootstrap-servers", kafka, "--eng5-pipeline", "embedded", "--eng5-topic-prefix", prefix),
        *("--eng5-create-topics", "--junitxml", "junit.xml"),
    )
    assert session.code == 0, session.output
    assert set(session.outcomes().values()) == {"passed"}
    line = json.loads((session.run("prefixed", "only") / "events" / "completions.jsonl").read_text())
    assert line["topic"] == f"{prefix}huleedu.cj_assessment.completed.v1"
    tree.assert_nothing_left()
