"""Errors of preparing and performing runs."""

from __future__ import annotations

from pytest_eng5.errors import InfrastructureError, UsageError
from pytest_eng5.scenario import ScenarioError

__all__ = ["InputError", "LiveRunRefused", "PipelineDied", "RunnerError", "TextError"]


class RunnerError(InfrastructureError):
    """A run could not be performed."""


class PipelineDied(RunnerError):
    """The reference pipeline did not come up, or ended while it was needed."""


class LiveRunRefused(RunnerError):
    """The run could cost money and nobody allowed that."""


class InputError(ScenarioError):
    """Inputs of the run are missing, empty, ambiguous or unreadable; holds every problem that was found."""


class TextError(UsageError):
    """A document has no text that can be used; the message is the end of a sentence about the file."""
