"""Runs that reach neither broker nor service, performed at once where they are asked for."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_eng5.contracts import utc_now
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import EndReason, RunEnding
from pytest_eng5.runner.errors import RunnerError, reason_of
from pytest_eng5.runner.handlers import HANDLER_MAP
from pytest_eng5.runner.inventory import read_inputs
from pytest_eng5.runner.settings import OFFLINE, RunnerSettings, RunSpec

if TYPE_CHECKING:
    from pytest_eng5.runner.resources import Finalise

__all__ = ["perform_offline"]


def perform_offline(spec: RunSpec, session: Path, finalise: Finalise) -> RunEnding:
    """Perform one run of a mode that reaches nothing; never raises for what happens to the run.

    Args:
        spec: What to run.
        session: The session folder.
        finalise: Completes a run folder.
    """
    assert spec.offline, spec.variant.mode
    started = utc_now()
    try:
        inventory = read_inputs(spec.variant.mode, spec.variant.inputs_dir)
        settings = RunnerSettings(spec, OFFLINE, finalise, budget_usd=spec.variant.budget_usd)
        HANDLER_MAP[spec.variant.mode]().execute(settings, inventory, spec.paths(session))
    except Eng5Error as error:
        return _ended(reason_of(error), str(error), started)
    except Exception as error:
        unexpected = RunnerError(f"unexpected {type(error).__name__}: {error}")
        return _ended(EndReason.INFRASTRUCTURE, str(unexpected), started)
    return _ended(EndReason.COMPLETED, f"{spec.variant.mode}: nothing was uploaded or published", started)


def _ended(reason: EndReason, detail: str, started_at: datetime) -> RunEnding:
    return RunEnding(reason=reason, detail=detail, started_at=started_at, ended_at=utc_now(), published=False)
