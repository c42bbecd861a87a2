"""What a run tells its log while it is performed, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_eng5.capture import RunChannel
from pytest_eng5.evidence import EndReason, RunEnding, RunPlan
from pytest_eng5.runner.logs import run_log
from pytest_eng5.runner.settings import RunnerPaths, RunnerSettings, RunSpec
from pytest_eng5.telemetry import RunLog, current_log

__all__ = ["begin_log", "tell_ending", "tell_not_performed", "tell_uploaded"]

_ENDINGS: dict[str, tuple[str, str]] = {
    "completed": ("collector_completed", "info"),
    "pipeline_failed": ("pipeline_failed", "error"),
    "idle_deadline": ("collector_timeout", "error"),
    "total_deadline": ("collector_timeout", "error"),
    "budget": ("run_budget_exceeded", "error"),
    "interrupted": ("run_interrupted", "warning"),
    "input_error": ("runner_failed", "error"),
    "refused": ("runner_failed", "error"),
    "not_published": ("runner_publish_skipped", "info"),
    "not_awaited": ("runner_completion_not_awaited", "info"),
}
_MODE_ENDS = {"anchor-align-test": "anchor_align_test_complete"}


def begin_log(settings: RunnerSettings, paths: RunnerPaths, plan: RunPlan) -> RunLog:
    """Begin the log of a run that has a task of its own, where it is current from now on."""
    return run_log(settings, paths, plan).make_current()


def tell_uploaded(storage: Mapping[str, str], prompt_id: str | None) -> None:
    """All texts are stored: those of essays, and the student prompt if it goes along."""
    log = current_log()
    log.info("essays_uploaded", essays=len(storage))
    if prompt_id is not None:
        log.info("prompt_uploaded", storage_id=prompt_id)


def tell_ending(log: RunLog, ending: RunEnding, channel: RunChannel | None, cost_usd: float) -> None:
    """Why a run ended and what was in by then; the evidence is judged afterwards.

    Args:
        log: Of the run.
        ending: How it ended.
        channel: Where its events arrived; ``None`` if it did not come so far.
        cost_usd: As reported.
    """
    log.tell_counts()
    seen: dict[str, Any] = {"published": ending.published, "cost_usd": cost_usd}
    if channel is not None:
        account = channel.account
        seen |= {
            "comparisons": account.comparisons,
            "expected": account.expected,
            "failed": account.failed,
            "rejected": account.rejected,
            "missing": account.missing(),
        }
    event, level = _ENDINGS.get(ending.reason.value) or _fault(ending, channel)
    getattr(log, level)(event, detail=ending.detail, timeout_seconds=ending.timeout_seconds, **seen)
    if channel is not None:
        log.info("collector_stopped")
    mode_end = _MODE_ENDS.get(log.fields["mode"], "runner_execution_complete")
    seconds = round((ending.ended_at - ending.started_at).total_seconds(), 3)
    log.info(mode_end, reason=ending.reason.value, seconds=seconds, **seen)


def _fault(ending: RunEnding, channel: RunChannel | None) -> tuple[str, str]:
    """The event of a fault of the infrastructure: where did the run stand?"""
    if ending.published:
        return "collector_error", "error"
    return ("runner_failed" if channel is None else "runner_publish_failed"), "error"


def tell_not_performed(spec: RunSpec, ending: RunEnding, session: Path) -> None:
    """Why a run was not performed, if it was not: it has no folder then, and so no log of its own."""
    if ending.reason is not EndReason.COMPLETED and not spec.paths(session).run.log.exists():
        mode, detail = spec.variant.mode, ending.detail
        current_log().error("run_not_performed", run=spec.key, mode=mode, detail=detail)
