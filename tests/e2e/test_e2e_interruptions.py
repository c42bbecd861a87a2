"""Whatever is killed: a quick end with the right kind, evidence on disk, nothing left running."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytestmark = pytest.mark.slow

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
SLOW_JUDGE = "{provider: mock, model: simulated-judge, mock: {discrimination: 12, seed: 7, latency_ms: 3000}}"


@pytest.fixture
def live(tree: Any) -> Any:
    """A session whose judge is slow, in the middle of its run."""
    tree.scenario("slow", judge=SLOW_JUDGE)
    session = tree.start("-p", "no:randomly", "--junitxml", "junit.xml")
    session.captured("slow", "only")
    return session


def callbacks(run: Path) -> list[dict[str, Any]]:
    """Captured callbacks; every line must be whole."""
    text = (run / "events" / "comparisons.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(json.loads(line)["value"])["data"] for line in text.splitlines()]


def assert_complete(run: Path, reason: str) -> None:
    """The run folder is finished: artefact by its schema, partial data told, every file in the manifest."""
    document = json.loads((run / "assessment_run.anchor-align-test.json").read_text())
    schema = json.loads((SCHEMAS / "assessment_run.schema.json").read_text())
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(document)) == []
    assert document["validation"]["runner_status"]["ending"]["reason"] == reason
    assert 0 < len(document["llm_comparisons"]) == len(callbacks(run)) < 6
    findings = json.loads((run / "findings.json").read_text())["findings"]
    assert "PARTIAL-DATA" in {finding["code"] for finding in findings}
    manifest = json.loads((run / "manifest.json").read_text())
    listed = {entry["path"]: entry["sha256"] for entry in manifest["files"]}
    assert listed == {
        path.relative_to(run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }


def test_pipeline_killed(live: Any) -> None:
    run = live.captured("slow", "only")
    live.tree.find("pytest_eng5.pipeline").kill()
    killed = time.monotonic()
    session = live.finish(90)
    assert time.monotonic() - killed < 60
    assert session.code == 1
    outcome, text = session.cases()["only::run"]
    assert outcome == "error"
    assert "pipeline ended" in text
    assert "pipeline.log" in text
    assert "last lines" in text
    assert str(run / "log.jsonl") in session.output
    assert {value for key, value in session.outcomes().items() if key != "only::run"} == {"skipped"}
    assert_complete(run, "infrastructure")
    live.tree.assert_nothing_left()


@pytest.mark.thorough
def test_broker_killed(live: Any) -> None:
    run = live.captured("slow", "only")
    live.tree.find("kafka.Kafka").kill()
    killed = time.monotonic()
    session = live.finish(90)
    assert time.monotonic() - killed < 60
    assert session.code == 1
    outcome, text = session.cases()["only::run"]
    assert outcome == "error"
    assert "Kafka" in text or "broker" in text
    assert_complete(run, "infrastructure")
    live.tree.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_pytest_killed(live: Any, number: signal.Signals) -> None:
    run = live.captured("slow", "only")
    live.process.send_signal(number)
    session = live.finish(90)
    assert session.code != 0
    live.tree.assert_nothing_left_running()
    assert 0 < len(callbacks(run)) < 6
    logged = [json.loads(line)["event"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert "runner_request_published" in logged
    assert (run / "plan.json").exists()
    assert (run / "requests" / "els_cj_assessment_request.json").exists()


def test_interrupted(live: Any) -> None:
    run = live.captured("slow", "only")
    live.process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    session = live.finish(90)
    assert time.monotonic() - asked < 60
    assert session.code == 2
    assert "KeyboardInterrupt" in session.output
    assert "Traceback" not in session.output
    assert "eng5 alignment" in session.output
    assert_complete(run, "interrupted")
    summary = json.loads((session.folder / "summary.json").read_text())
    assert summary["scenarios"][0]["variants"][0]["verdict"] == "ERROR"
    live.tree.assert_nothing_left()


@pytest.mark.thorough
def test_interrupted_twice(live: Any) -> None:
    run = live.captured("slow", "only")
    live.process.send_signal(signal.SIGINT)
    time.sleep(0.15)
    live.process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    session = live.finish(90)
    assert time.monotonic() - asked < 60
    assert session.code != 0
    assert_complete(run, "interrupted")
    live.tree.assert_nothing_left_running()


@pytest.mark.thorough
def test_interrupted_under_xdist(tree: Any) -> None:
    tree.scenario("slow", judge=SLOW_JUDGE)
    live = tree.start("-n", "2", "--junitxml", "junit.xml")
    run = live.captured("slow", "only")
    os.killpg(live.process.pid, signal.SIGINT)  # workers get it too
    session = live.finish(90)
    assert session.code == 2
    assert "eng5 alignment" in session.output
    assert_complete(run, "interrupted")
    tree.assert_nothing_left_running()


@pytest.mark.thorough
def test_worker_killed_under_xdist(tree: Any) -> None:
    tree.scenario("slow", judge=SLOW_JUDGE)
    live = tree.start("-n", "1", "--junitxml", "junit.xml", "--max-worker-restart", "1")
    live.captured("slow", "only")
    (worker,) = [
        process
        for process in live.tree.processes()
        if process.ppid() == live.process.pid and _is_worker(process)
    ]
    worker.kill()
    session = live.finish(40)
    assert session.code == 1
    requests = list(session.folder.glob("slow/only/run-*/requests/*.json"))
    assert len(requests) == 1
    tree.assert_nothing_left_running()


def _is_worker(process: Any) -> bool:
    return "exec(eval" in " ".join(process.cmdline())
