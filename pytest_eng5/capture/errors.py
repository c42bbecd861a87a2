"""Errors of publishing and capturing."""

from __future__ import annotations

from pytest_eng5.errors import InfrastructureError

__all__ = ["CaptureError", "PublishError"]


class CaptureError(InfrastructureError):
    """Events cannot be captured any more."""


class PublishError(InfrastructureError):
    """A request was not acknowledged.

    Attributes:
        may_have_arrived: Whether the broker may have it all the same; if not, nothing was started.
    """

    may_have_arrived: bool = False
