"""From the selected items to the runs they need, and the end of the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_eng5.collection.access import runtime_of
from pytest_eng5.collection.comparing import CompareItem
from pytest_eng5.collection.items import ScenarioItem
from pytest_eng5.collection.stash import IDENTITY, RECORDER, SCENARIOS
from pytest_eng5.errors import Eng5Error, UsageError

if TYPE_CHECKING:
    from pytest_eng5.collection.session_report import SessionReport

__all__ = ["declare_runs", "finish_session", "refuse", "refuse_unmatched"]


def refuse_unmatched(session: pytest.Session) -> None:
    """Refuse overrides for a variant that none of the collected files has.

    One that only some of the files have is theirs. Where a file could not be collected nothing is known
    about its variants, and pytest reports that file.

    Raises:
        UsageError: Such an override; names the variants that there are.
    """
    scenarios = session.config.stash.get(SCENARIOS, {}).values()
    if not scenarios or session.testsfailed:
        return
    unmatched = set.intersection(*(set(scenario.unmatched_overrides) for scenario in scenarios))
    for text in (text for scenario in scenarios for text in scenario.overrides if text in unmatched):
        ids = dict.fromkeys(variant.id for scenario in scenarios for variant in scenario.variants)
        raise UsageError(
            "no collected scenario file has this variant",
            where=f"--eng5-set {text}",
            fix=f"use one of {', '.join(ids)}",
        )


def refuse(session: pytest.Session, error: Eng5Error) -> None:
    """End a session after its collection.

    In a worker it is reported as an error of collection: xdist takes an exception there for a crash.

    Raises:
        UsageError: Always, except in a worker.
    """
    if session.config.stash[IDENTITY].is_controller:
        raise pytest.UsageError(str(error)) from None
    session.items.clear()
    report = pytest.CollectReport("eng5", "failed", str(error), [])
    session.ihook.pytest_collectreport(report=report)


def declare_runs(session: pytest.Session) -> None:
    """Declare the runs of all selected scenario items; nothing is started.

    Raises:
        UsageError: Two files share a scenario name and a variant id.
    """
    wanted = [item.runs for item in session.items if isinstance(item, ScenarioItem)]
    for item in session.items:
        if isinstance(item, CompareItem):
            wanted += item.runs
    if wanted:
        runtime_of(session.config).want(wanted)


def finish_session(config: pytest.Config) -> SessionReport | None:
    """Report the session and end what it started; for the controller, when all workers have ended."""
    if not _did_anything(config):
        config.stash[IDENTITY].forget()
        return None
    from pytest_eng5.collection.session_report import report_session

    runtime = runtime_of(config)
    try:
        return report_session(runtime, config.stash[RECORDER])
    finally:
        runtime.shut_down()


def _did_anything(config: pytest.Config) -> bool:
    return config.stash[IDENTITY].shared.is_dir()
