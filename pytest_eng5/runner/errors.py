"""Errors of preparing and performing runs."""

from __future__ import annotations

from pytest_eng5.errors import Eng5Error, InfrastructureError, UsageError
from pytest_eng5.evidence import EndReason
from pytest_eng5.scenario import ScenarioError

__all__ = [
    "AssignmentRefused",
    "InputError",
    "LiveRunRefused",
    "PipelineDied",
    "RunnerError",
    "TextError",
    "reason_of",
]


class RunnerError(InfrastructureError):
    """A run could not be performed."""


class PipelineDied(RunnerError):
    """The reference pipeline did not come up, or ended while it was needed."""


class LiveRunRefused(RunnerError):
    """The run could cost money and nobody allowed that."""


class AssignmentRefused(UsageError):
    """The assignment is not what the run needs; nothing was published."""


class InputError(ScenarioError):
    """Inputs of the run are missing, empty, ambiguous or unreadable; holds every problem that was found."""


class TextError(UsageError):
    """A document has no text that can be used; the message is the end of a sentence about the file."""


def reason_of(error: Eng5Error) -> EndReason:
    """How a run ended that an error ended: by its files, by what was asked for, or by the infrastructure."""
    if isinstance(error, ScenarioError):
        return EndReason.INPUT_ERROR
    if error.exit_code == UsageError.exit_code:
        return EndReason.REFUSED
    return EndReason.INFRASTRUCTURE
