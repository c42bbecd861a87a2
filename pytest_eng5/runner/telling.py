"""What a run tells its log: what it is, what was planned, how it ended."""

from __future__ import annotations

import os
from typing import Any

from pytest_eng5.capture import RunChannel
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import InventorySnapshot, RunEnding, RunPlan
from pytest_eng5.runner.settings import RunnerPaths, RunnerSettings, RunSpec
from pytest_eng5.telemetry import SECRETS, RunLog, current_log

__all__ = ["run_log", "tell_ending", "tell_not_performed", "tell_plan"]

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


def run_log(settings: RunnerSettings, paths: RunnerPaths, plan: RunPlan | None = None) -> RunLog:
    """Begin the log of a run and tell what the run is; every secret that could come near it is known first.

    Args:
        settings: Of the run.
        paths: Where it writes.
        plan: Its plan, which names batch and correlation; a run of mode ``plan`` has none.
    """
    _learn_secrets(settings)
    spec, variant = settings.spec, settings.spec.variant
    fields: dict[str, Any] = {
        "scenario": variant.scenario,
        "variant": spec.folder or variant.id,
        "repeat": spec.repeat,
        "mode": variant.mode,
    }
    if plan is not None:
        fields |= {"batch_uuid": plan.batch_uuid, "correlation_id": plan.correlation_id}
    log = RunLog(paths.run.log, **fields)
    log.info("runner_invocation", **_facts(settings, plan))
    if variant.comparisons_max is not None:
        log.info("runner_max_comparisons_requested", max_comparisons=variant.comparisons_max)
    return log


def _learn_secrets(settings: RunnerSettings) -> None:
    environment = settings.environment
    SECRETS.learn_environment(os.environ)
    SECRETS.learn(environment.client_arguments)
    urls = {"content": environment.content_url, "cj": environment.cj_url, "llm": environment.llm_url}
    SECRETS.learn({name: url for name, url in urls.items() if url})


def _facts(settings: RunnerSettings, plan: RunPlan | None) -> dict[str, Any]:
    environment, judge = settings.environment, settings.spec.variant.judge
    facts: dict[str, Any] = {
        "provider": judge.provider,
        "model": judge.model,
        "budget_usd": settings.budget_usd,
        "session_budget_usd": settings.session_budget_usd,
    }
    if plan is None or settings.spec.offline:
        return facts
    return facts | {
        "runner_version": plan.runner_version,
        "git_sha": plan.git_sha,
        "essays": len(plan.essays),
        "planned_comparisons": plan.planned_comparisons,
        "idle_seconds": plan.idle_seconds,
        "total_seconds": plan.total_seconds,
        "bootstrap_servers": environment.client_arguments.get("bootstrap_servers"),
        "topic_prefix": environment.topic_prefix,
        "content_url": environment.content_url,
        "reference_pipeline": environment.reference_pipeline,
        "live": environment.live,
    }


def tell_plan(log: RunLog, snapshot: InventorySnapshot) -> None:
    """What mode ``plan`` found."""
    obstacles = snapshot.obstacles
    log.info(
        "runner_plan_inventory",
        anchors=len(snapshot.of_role("anchor")),
        students=len(snapshot.of_role("student")),
        files=len(snapshot.files),
        problems=len(snapshot.problems),
        notices=len(snapshot.notices),
        planned_mode=snapshot.planned_mode,
    )
    log.info("runner_request_skipped")
    first = [remark.message for remark in obstacles[:5]]
    log.info(
        "runner_validation_state", valid=snapshot.valid, errors=len(obstacles), warnings=0, obstacles=first
    )
    log.info("run_summary", reason="completed", published=False, errors=len(obstacles))


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


def tell_not_performed(spec: RunSpec, problem: Eng5Error | str) -> None:
    """Why a run that has no folder, and so no log, was not performed."""
    current_log().error("run_not_performed", run=spec.key, mode=spec.variant.mode, detail=str(problem))
