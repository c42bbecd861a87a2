"""What the last step of a run tells its log, against what the reports work out on their own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.evidence import EndReason, verify
from pytest_eng5.reports import finalise_run
from pytest_eng5.telemetry import RunLog


def told(run: Any, reason: EndReason = EndReason.COMPLETED) -> dict[str, dict[str, Any]]:
    """Complete a run within its log; its lines by event."""
    path = Path(run.root) / "log.jsonl"
    with RunLog(path, batch_uuid=run.plan.batch_uuid):
        finalise_run(run.root, run.end(reason, "said"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["batch_uuid"] for line in lines} == {run.plan.batch_uuid}
    assert verify(run.root, run.root / "manifest.json") == []
    return {line["event"]: line for line in lines}


def test_figures_are_those_of_the_reports(record: Any, judged: Any) -> None:
    run = record(("A", "B", "C+", "D+", "E+")).complete()
    summary = told(run)["run_summary"]
    outcome = judged(run)
    assert len(outcome.metrics) > 8
    for name, metric in outcome.metrics.items():
        if math.isnan(metric.value):
            assert summary[name] is None
        else:
            assert summary[name] == pytest.approx(metric.value, abs=1e-6)
    assert summary["planned"] == outcome.ledger.planned
    assert summary["succeeded"] == outcome.ledger.succeeded
    assert summary["failed"] == outcome.ledger.failed
    assert summary["cost_usd"] == pytest.approx(outcome.cost_usd)
    assert summary["judges"] == [f"{provider} {model}" for provider, model in outcome.judges]


def test_nothing_is_measured_on_nothing(record: Any) -> None:
    found = told(record())
    summary = found["run_summary"]
    assert (summary["kendall_tau"], summary["succeeded"]) == (None, 0)
    assert "no comparison" in summary["not_measured"]


def test_findings_are_counted_by_code(record: Any, checks: Any) -> None:
    checks.find("META-MISSING")
    checks.find("META-MISSING")
    checks.find("EVENT-LATE", severity="warning")
    state = told(record().complete())["runner_validation_state"]
    assert (state["valid"], state["errors"], state["warnings"]) == (False, 2, 1)
    assert state["codes"] == {"META-MISSING": 2, "EVENT-LATE": 1}


def test_a_deadline_is_marked(record: Any, checks: Any) -> None:
    found = told(record().complete(), EndReason.IDLE_DEADLINE)
    assert found["hydrator_timeout_marked"]["level"] == "warning"
    assert found["run_summary"]["partial"] is True


def test_evidence_that_cannot_be_read_is_told(record: Any, checks: Any) -> None:
    run = record().complete()
    (run.root / "plan.json").write_text("{")
    path = run.root / "log.jsonl"
    with RunLog(path, batch_uuid="b"):
        finalise_run(run.root, run.end())
    events = {json.loads(line)["event"]: json.loads(line) for line in path.read_text().splitlines()}
    assert "plan" in events["validation_load_failed"]["detail"]
    assert events["runner_validation_state"]["valid"] is False
    assert "succeeded" not in events["run_summary"]


def test_a_fault_in_the_figures_is_no_fault_of_the_run(
    record: Any, checks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("pytest_eng5.reports.telling.alignment_metrics", explode)
    found = told(record().complete())
    assert found["run_summary"]["not_measured"] == "planted"
    assert found["runner_validation_state"]["valid"] is True


def test_without_a_log_nothing_is_written(record: Any, checks: Any) -> None:
    run = record().complete()
    finalise_run(run.root, run.end())
    assert not (run.root / "log.jsonl").exists()
