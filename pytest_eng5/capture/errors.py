"""Errors of publishing and capturing."""

from __future__ import annotations

from pytest_eng5.errors import InfrastructureError

__all__ = ["CaptureError", "PublishError"]


class CaptureError(InfrastructureError):
    """Events cannot be captured any more."""


class PublishError(InfrastructureError):
    """A request could not be published; nothing was started by it."""
