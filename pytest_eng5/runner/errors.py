"""Errors of preparing and performing runs."""

from __future__ import annotations

from pytest_eng5.errors import InfrastructureError, UsageError

__all__ = ["InputError", "LiveRunRefused", "PipelineDied", "RunnerError"]


class RunnerError(InfrastructureError):
    """A run could not be performed."""


class PipelineDied(RunnerError):
    """The reference pipeline did not come up, or ended while it was needed."""


class LiveRunRefused(RunnerError):
    """The run could cost money and nobody allowed that."""


class InputError(UsageError):
    """An input of the run is missing, empty or unreadable."""
