"""Errors of the services' HTTP interfaces, one class for each thing that a user does something else about.

What only the user can put right (token, rights, ids, texts) ends a command with exit code 2, what the
services have to put right with exit code 4.
"""

from __future__ import annotations

from typing import ClassVar

from pytest_eng5.errors import InfrastructureError, UsageError

__all__ = [
    "AmbiguousFailure",
    "MintingRefused",
    "NoToken",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "Refused",
    "ServiceError",
    "ServiceFailed",
    "ServiceTimeout",
    "TokenError",
    "TokenExpired",
    "TokenNotYetValid",
    "TokenUnreadable",
    "UnexpectedAnswer",
    "Unreachable",
    "WriteDidNotStick",
]


class ServiceError(InfrastructureError):
    """A service did not do what was asked; says which address, what it answered, and what to try."""


class Unreachable(ServiceError):
    """Nobody answers at the address, or it is no address."""


class ServiceTimeout(ServiceError):
    """No complete answer in the time allowed; what was asked for may still have been done."""


class ServiceFailed(ServiceError):
    """The service answered that it failed (5xx)."""


class AmbiguousFailure(ServiceFailed):
    """A 500 that the service also gives for refusals; the message names what it can mean."""


class UnexpectedAnswer(ServiceError):
    """An answer of another form than the service gives: no JSON, a web page, missing fields, a redirect."""


class WriteDidNotStick(ServiceError):
    """The service reported success, but what was written is not there when read back."""


class Refused(ServiceError):
    """The service, or the check before sending, refuses what was sent (400)."""

    exit_code: ClassVar[int] = UsageError.exit_code


class NotAuthenticated(ServiceError):
    """The service does not accept the token, or wants one (401)."""

    exit_code: ClassVar[int] = UsageError.exit_code


class NotPermitted(ServiceError):
    """The token is accepted but lacks the right (403)."""

    exit_code: ClassVar[int] = UsageError.exit_code


class NotFound(ServiceError):
    """What was asked for does not exist (404)."""

    exit_code: ClassVar[int] = UsageError.exit_code


class TokenError(UsageError):
    """There is no usable token for the admin API; no message ever contains one."""


class NoToken(TokenError):
    """No token is given, and there is no key to make one with."""


class MintingRefused(TokenError):
    """A production environment: no token is made there, one has to be given."""


class TokenUnreadable(TokenError):
    """What is given is no JSON Web Token."""


class TokenExpired(TokenError):
    """The given token's time is over."""


class TokenNotYetValid(TokenError):
    """The given token's time has not come."""
