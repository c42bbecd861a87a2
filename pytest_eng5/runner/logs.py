"""Beginning the log of a run: what the run is, and every secret that could come near it."""

from __future__ import annotations

import os
from typing import Any

from pytest_eng5.evidence import InventorySnapshot, RunPlan
from pytest_eng5.runner.settings import RunnerPaths, RunnerSettings
from pytest_eng5.telemetry import SECRETS, RunLog

__all__ = ["run_log", "tell_plan"]


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
