"""One handler per mode, behind one protocol."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Protocol, runtime_checkable

from pytest_eng5.contracts import utc_now
from pytest_eng5.evidence import (
    EndReason,
    RunEnding,
    read_findings,
    write_manifest,
    write_plan,
    write_snapshot,
)
from pytest_eng5.runner.capacity import Capacity, essay_shortages
from pytest_eng5.runner.composition import compose_plan
from pytest_eng5.runner.errors import InputError
from pytest_eng5.runner.execution import perform_run
from pytest_eng5.runner.inventory import Inventory
from pytest_eng5.runner.logs import run_log, tell_plan
from pytest_eng5.runner.planning import compose_snapshot
from pytest_eng5.runner.resources import Resources, open_resources
from pytest_eng5.runner.settings import RunnerPaths, RunnerSettings
from pytest_eng5.scenario import Location, Problem

__all__ = [
    "HANDLER_MAP",
    "AnchorAlignHandler",
    "DryRunHandler",
    "ModeHandlerProtocol",
    "PlanHandler",
    "exit_code",
    "require_essays",
]


@runtime_checkable
class ModeHandlerProtocol(Protocol):
    """What a mode does; instantiated without arguments."""

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Perform one run from beginning to end and return the command line's exit code.

        Raises:
            InputError: There are not enough essays for the mode.
        """
        ...

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """Perform one run inside a campaign; returns its ending and its cost in USD as reported."""
        ...


def exit_code(ending: RunEnding) -> int:
    """The command line's exit code for an ending: 0 completed, 1 failed by the pipeline, 4 infrastructure."""
    if ending.reason is EndReason.COMPLETED:
        return 0
    return 1 if ending.reason is EndReason.PIPELINE_FAILED else 4


def _nothing_published(started_at: datetime, detail: str) -> RunEnding:
    """The ending of a run that touched nothing but its folder."""
    return RunEnding(
        reason=EndReason.COMPLETED,
        detail=detail,
        started_at=started_at,
        ended_at=utc_now(),
        published=False,
    )


class PlanHandler:
    """Inventory and validation snapshot; no network, no Kafka."""

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Write ``inventory.json``; 0 if a run could be started, 1 if not."""
        snapshot = compose_snapshot(settings, inventory)
        write_snapshot(paths.run.inventory, snapshot)
        with run_log(settings, paths) as log:
            tell_plan(log, snapshot)
        write_manifest(paths.run.root, paths.run.manifest)
        return 0 if snapshot.valid else 1

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """The same inside a campaign; whether the plan is valid stands in the snapshot."""
        started = utc_now()
        await asyncio.to_thread(self.execute, settings, inventory, paths)
        return _nothing_published(started, "planned: nothing was uploaded or published"), 0.0


class DryRunHandler:
    """A stub of the artefact, without comparisons, written and checked as that of a run; nothing leaves."""

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Write plan, schema, artefact, findings and manifest; 1 if the artefact breaks its schema."""
        self._write(settings, inventory, paths)
        found = read_findings(paths.run.findings)
        return 1 if any(finding.severity == "error" for finding in found) else 0

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """The same inside a campaign."""
        return await asyncio.to_thread(self._write, settings, inventory, paths), 0.0

    def _write(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> RunEnding:
        started = utc_now()
        require_essays(settings.spec.variant.mode, inventory)
        plan = compose_plan(settings, inventory)
        write_plan(paths.run.plan, plan)
        ending = _nothing_published(started, "dry run: nothing was uploaded or published")
        with run_log(settings, paths, plan) as log:
            log.info("runner_request_skipped")
            settings.finalise(paths.run.root, ending)
        return ending


def require_essays(mode: str, inventory: Inventory) -> None:
    """Refuse inputs that hold too few essays for a mode.

    Raises:
        InputError: One problem per shortage.
    """
    capacity = Capacity(len(inventory.anchors), len(inventory.students))
    shortages = essay_shortages(mode, capacity)
    if shortages:
        place = Location(inventory.root)
        raise InputError(tuple(Problem(place, short.message, short.fix) for short in shortages))


class AnchorAlignHandler:
    """Anchors compared with each other as if they were students, without an assignment (GUEST flow).

    Their expert grades never leave the harness, except to the simulated judge of the reference pipeline.
    """

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Perform one run with connections of its own."""
        require_essays(settings.spec.variant.mode, inventory)

        async def alone() -> RunEnding:
            group_id = f"pytest-eng5-{paths.session.name}"
            async with open_resources(
                settings.environment, paths.session, group_id, settings.finalise
            ) as resources:
                ending, _ = await self.perform(resources, settings, inventory, paths)
                return ending

        return exit_code(asyncio.run(alone()))

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """Compare all anchors; ``assignment_id`` is ``None`` only while the run is performed."""
        assignment_id, settings.assignment_id = settings.assignment_id, None
        try:
            return await perform_run(resources, settings, inventory, paths)
        finally:
            settings.assignment_id = assignment_id


HANDLER_MAP: dict[str, type[ModeHandlerProtocol]] = {
    "plan": PlanHandler,
    "dry-run": DryRunHandler,
    "anchor-align-test": AnchorAlignHandler,
}
"""The handler of each mode."""
