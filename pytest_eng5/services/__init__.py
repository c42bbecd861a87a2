"""HTTP clients of the pipeline's services."""

from __future__ import annotations

from pytest_eng5.services.admin import AdminClient
from pytest_eng5.services.anchors import (
    AnchorOutcome,
    AnchorRegistrar,
    AnchorReport,
    AnchorStatus,
    AnchorText,
)
from pytest_eng5.services.auth import (
    AdminAuth,
    AdminToken,
    TokenDescription,
    TokenSource,
    admin_token,
    describe,
    in_production,
)
from pytest_eng5.services.cache import UploadCache
from pytest_eng5.services.content import ContentClient
from pytest_eng5.services.errors import (
    AmbiguousFailure,
    MintingRefused,
    NotAuthenticated,
    NotFound,
    NoToken,
    NotPermitted,
    Refused,
    ServiceError,
    ServiceFailed,
    ServiceTimeout,
    TokenError,
    TokenExpired,
    TokenNotYetValid,
    TokenUnreadable,
    UnexpectedAnswer,
    Unreachable,
    WriteDidNotStick,
)
from pytest_eng5.services.faults import FaultClient
from pytest_eng5.services.health import ClockSkew, ServiceHealth, check_health, health_url
from pytest_eng5.services.http import Retry
from pytest_eng5.services.provider import ProviderClient

__all__ = [
    "AdminAuth",
    "AdminClient",
    "AdminToken",
    "AmbiguousFailure",
    "AnchorOutcome",
    "AnchorRegistrar",
    "AnchorReport",
    "AnchorStatus",
    "AnchorText",
    "ClockSkew",
    "ContentClient",
    "FaultClient",
    "MintingRefused",
    "NoToken",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "ProviderClient",
    "Refused",
    "Retry",
    "ServiceError",
    "ServiceFailed",
    "ServiceHealth",
    "ServiceTimeout",
    "TokenDescription",
    "TokenError",
    "TokenExpired",
    "TokenNotYetValid",
    "TokenSource",
    "TokenUnreadable",
    "UnexpectedAnswer",
    "Unreachable",
    "UploadCache",
    "WriteDidNotStick",
    "admin_token",
    "check_health",
    "describe",
    "health_url",
    "in_production",
]
