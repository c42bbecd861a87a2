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
from pytest_eng5.runner.composition import compose_plan
from pytest_eng5.runner.execution import perform_run
from pytest_eng5.runner.inventory import Inventory
from pytest_eng5.runner.planning import compose_snapshot
from pytest_eng5.runner.prerequisites import require_essays, require_inputs, service_of
from pytest_eng5.runner.resources import Resources, open_resources
from pytest_eng5.runner.settings import RunnerPaths, RunnerSettings

__all__ = [
    "HANDLER_MAP",
    "AnchorAlignHandler",
    "DryRunHandler",
    "ExecuteHandler",
    "ModeHandlerProtocol",
    "PlanHandler",
]


@runtime_checkable
class ModeHandlerProtocol(Protocol):
    """What a mode does; instantiated without arguments."""

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Perform one run from beginning to end and return the command line's exit code.

        Raises:
            InputError: There are not enough essays for the mode, or another of its inputs is missing.
            AssignmentRefused: A service that the mode asks has no address.
        """
        ...

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """Perform one run inside a campaign; returns its ending and its cost in USD as reported."""
        ...


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
        write_plan(paths.run.plan, compose_plan(settings, inventory))
        ending = _nothing_published(started, "dry run: nothing was uploaded or published")
        settings.finalise(paths.run.root, ending)
        return ending


class _ComparingHandler:
    """What the modes that compare essays have in common: connections, and what must be there before."""

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Perform one run with connections of its own."""
        service = service_of(settings.environment)
        require_inputs(settings.spec.variant, inventory, settings.assignment_id, service)

        async def alone() -> RunEnding:
            opened = open_resources(
                settings.environment,
                paths.session,
                f"pytest-eng5-{paths.session.name}",
                settings.finalise,
                kafka=settings.publish,
            )
            async with opened as resources:
                ending, _ = await self.perform(resources, settings, inventory, paths)
                return ending

        return asyncio.run(alone()).reason.exit_code

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """Perform one run inside a campaign."""
        raise NotImplementedError


class ExecuteHandler(_ComparingHandler):
    """Students' essays compared with each other and with the anchors of their assignment, and graded.

    Without an assignment (GUEST flow) there are no anchors and no grades.
    """

    async def perform(
        self, resources: Resources, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths
    ) -> tuple[RunEnding, float]:
        """Look at the assignment, upload the students' essays, publish, and wait unless told not to."""
        return await perform_run(resources, settings, inventory, paths)


class AnchorAlignHandler(_ComparingHandler):
    """Anchors compared with each other as if they were students, without an assignment (GUEST flow).

    Their expert grades never leave the harness, except to the simulated judge of the reference pipeline.
    """

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
    "execute": ExecuteHandler,
    "anchor-align-test": AnchorAlignHandler,
}
"""The handler of each mode."""
