"""One handler per mode, behind one protocol."""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

from pytest_eng5.evidence import EndReason, RunEnding
from pytest_eng5.runner.execution import perform_run
from pytest_eng5.runner.inventory import Inventory
from pytest_eng5.runner.resources import Resources, open_resources
from pytest_eng5.runner.settings import RunnerPaths, RunnerSettings

__all__ = ["HANDLER_MAP", "AnchorAlignHandler", "ModeHandlerProtocol", "exit_code"]


@runtime_checkable
class ModeHandlerProtocol(Protocol):
    """What a mode does; instantiated without arguments."""

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Perform one run from beginning to end and return the command line's exit code."""
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


class AnchorAlignHandler:
    """Anchors compared with each other as if they were students, without an assignment (GUEST flow).

    Their expert grades never leave the harness, except to the simulated judge of the reference pipeline.
    """

    def execute(self, settings: RunnerSettings, inventory: Inventory, paths: RunnerPaths) -> int:
        """Perform one run with connections of its own."""

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


HANDLER_MAP: dict[str, type[ModeHandlerProtocol]] = {"anchor-align-test": AnchorAlignHandler}
"""The handler of each mode."""
