"""HTTP clients of the pipeline's services."""

from __future__ import annotations

from pytest_eng5.services.content import ContentClient
from pytest_eng5.services.errors import ServiceError
from pytest_eng5.services.provider import ProviderClient

__all__ = ["ContentClient", "ProviderClient", "ServiceError"]
