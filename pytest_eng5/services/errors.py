"""Errors of the services' HTTP interfaces."""

from __future__ import annotations

from pytest_eng5.errors import InfrastructureError

__all__ = ["ServiceError"]


class ServiceError(InfrastructureError):
    """A service did not do what was asked; says which address, what it answered, and what to try."""
