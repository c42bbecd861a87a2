"""The token for the CJ service's admin API (contract section 5.1).

A token is given in ``HULEEDU_SERVICE_ACCOUNT_TOKEN`` or ``HULEEDU_ADMIN_TOKEN``, in this order; without
one, and outside production, one is made with ``JWT_SECRET_KEY``. Tokens live in memory only and never
appear in a representation, an error or a log.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import httpx
import jwt
from pydantic import SecretStr

from pytest_eng5.contracts import utc_now
from pytest_eng5.services.errors import (
    MintingRefused,
    NoToken,
    TokenError,
    TokenExpired,
    TokenNotYetValid,
    TokenUnreadable,
)
from pytest_eng5.telemetry import SECRETS, current_log

__all__ = [
    "AdminAuth",
    "AdminToken",
    "TokenDescription",
    "TokenSource",
    "admin_token",
    "describe",
    "in_production",
]

AUDIENCE = "huleedu-platform"
ISSUER = "huleedu-identity-service"
MINTED_SUBJECT = "cj-admin-dev-cli"
MINTED_LIFETIME = timedelta(hours=1)
NO_ADMIN_ROLE = "its roles do not contain admin"

_PRODUCTION = frozenset({"PRODUCTION", "STAGING", "PROD"})
_HMAC = frozenset({"HS256", "HS384", "HS512"})
# A made token is replaced this long before its end, so that it does not expire on the way.
_MARGIN = timedelta(minutes=1)
_WAYS = (
    "give a token in HULEEDU_SERVICE_ACCOUNT_TOKEN or HULEEDU_ADMIN_TOKEN, or outside production the"
    " service's own JWT_SECRET_KEY"
)


class TokenSource(StrEnum):
    """The environment variable that a token comes from, or is made with."""

    SERVICE_ACCOUNT = "HULEEDU_SERVICE_ACCOUNT_TOKEN"
    ADMIN = "HULEEDU_ADMIN_TOKEN"
    MINTED = "JWT_SECRET_KEY"


@dataclass(frozen=True, slots=True)
class TokenDescription:
    """What may be told about a token; its signature has not been verified, only the service can do that.

    Attributes:
        source: Where it comes from.
        subject: Its claim ``sub``.
        roles: Its claim ``roles``; the admin API wants ``admin`` among them.
        issued_at: Its claim ``iat``.
        not_before: Its claim ``nbf``.
        expires_at: Its claim ``exp``.
        problems: Why the service will refuse it, as far as can be seen from outside.
    """

    source: TokenSource
    subject: str | None
    roles: tuple[str, ...]
    issued_at: datetime | None
    not_before: datetime | None
    expires_at: datetime | None
    problems: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        """Whether the token claims the role that the admin API wants."""
        return "admin" in self.roles


@dataclass(frozen=True, slots=True)
class AdminToken:
    """A token and what may be told about it."""

    secret: SecretStr = field(repr=False)
    description: TokenDescription


class AdminAuth(httpx.Auth):
    """Puts a valid token on each request; a made token is made again before it expires.

    Args:
        environ: Environment variables, those of the process by default; only read.
        now: The clock.
    """

    def __init__(
        self, environ: Mapping[str, str] | None = None, *, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._now = now
        self._minted: AdminToken | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def token(self) -> AdminToken:
        """The token to use now.

        Raises:
            TokenError: There is none, or its time is over or has not come.
        """
        if self._minted is not None:
            expires = self._minted.description.expires_at
            if expires is not None and self._now() + _MARGIN < expires:
                return self._minted
        token = admin_token(self._environ, now=self._now)
        self._minted = token if token.description.source is TokenSource.MINTED else None
        return token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header; called by httpx."""
        request.headers["Authorization"] = f"Bearer {self.token().secret.get_secret_value()}"
        yield request


def in_production(environ: Mapping[str, str]) -> bool:
    """Whether ``ENVIRONMENT`` or ``HULEEDU_ENVIRONMENT`` says production, staging or prod, in any case."""
    return _production_variable(environ) is not None


def _production_variable(environ: Mapping[str, str]) -> str | None:
    names = ("ENVIRONMENT", "HULEEDU_ENVIRONMENT")
    return next((name for name in names if environ.get(name, "").strip().upper() in _PRODUCTION), None)


def admin_token(
    environ: Mapping[str, str] | None = None, *, now: Callable[[], datetime] = utc_now
) -> AdminToken:
    """The token by the priority of contract 5.1; an unusable one is an error, not a reason to take the next.

    Raises:
        TokenError: No token and no key, a token that is none, expired or not yet valid; or in production no
            given token.
    """
    variables = os.environ if environ is None else environ
    for source in (TokenSource.SERVICE_ACCOUNT, TokenSource.ADMIN):
        given = variables.get(source, "").strip()
        if given:
            return _checked(given, source, now())
    return _minted(variables, now())


def _checked(given: str, source: TokenSource, now: datetime) -> AdminToken:
    description = describe(given, source, now=now)
    expires, begins = description.expires_at, _begins(description)
    if expires is not None and expires <= now:
        raise TokenExpired(
            f"the token has expired at {_shown(expires)}, it is {_shown(now)}",
            where=source,
            fix="get a new token and set the variable anew, or unset it to use another source",
        )
    if begins is not None and begins > now:
        raise TokenNotYetValid(
            f"the token is not valid before {_shown(begins)}, it is {_shown(now)}",
            where=source,
            fix="wait, get a token that is valid now, or set this machine's clock",
        )
    SECRETS.add(given)
    return AdminToken(SecretStr(given), description)


def _begins(description: TokenDescription) -> datetime | None:
    """The first moment of validity: the service also refuses a token that was issued in its future."""
    dates = (description.not_before, description.issued_at)
    return max((date for date in dates if date is not None), default=None)


def _minted(environ: Mapping[str, str], now: datetime) -> AdminToken:
    variable = _production_variable(environ)
    if variable is not None:
        raise MintingRefused(
            f"{variable} says this is a production environment ({environ[variable].strip()}):"
            " no token is made with JWT_SECRET_KEY here",
            where=variable,
            fix="give a token in HULEEDU_SERVICE_ACCOUNT_TOKEN or HULEEDU_ADMIN_TOKEN",
        )
    key = environ.get(TokenSource.MINTED, "")
    if not key.strip():
        raise NoToken("there is no token for the admin API", where="environment variables", fix=_WAYS)
    algorithm = environ.get("JWT_ALGORITHM", "").strip() or "HS256"
    if algorithm not in _HMAC:
        raise NoToken(
            f"no token can be made: JWT_ALGORITHM is {algorithm}, and only the HMAC algorithms sign with"
            " JWT_SECRET_KEY",
            where="JWT_ALGORITHM",
            fix="give a token in HULEEDU_SERVICE_ACCOUNT_TOKEN or HULEEDU_ADMIN_TOKEN",
        )
    token = _signed(_minted_claims(now), key, algorithm)
    SECRETS.add(token, key)
    current_log().info("using_development_jwt_generation", subject=MINTED_SUBJECT)
    return AdminToken(SecretStr(token), describe(token, TokenSource.MINTED, now=now))


def _minted_claims(now: datetime) -> dict[str, Any]:
    return {
        "sub": MINTED_SUBJECT,
        "iat": int(now.timestamp()),
        "exp": int((now + MINTED_LIFETIME).timestamp()),
        "iss": ISSUER,
        "aud": AUDIENCE,
        "roles": ["admin"],
        "org_id": None,
    }


def _signed(claims: dict[str, Any], key: str, algorithm: str) -> str:
    try:
        with warnings.catch_warnings():
            # The key is the service's: that it is short is nothing its caller can put right.
            warnings.simplefilter("ignore")
            return jwt.encode(claims, key, algorithm=algorithm)
    except (jwt.PyJWTError, UnicodeError):
        raise TokenError(
            "no token can be made: the key is no secret for an HMAC algorithm",
            where=TokenSource.MINTED,
            fix="set JWT_SECRET_KEY to the secret that the service uses",
        ) from None


def describe(token: str, source: TokenSource, *, now: datetime) -> TokenDescription:
    """What a token says about itself, read without verifying its signature.

    Raises:
        TokenUnreadable: It is no JSON Web Token.
    """
    claims = _claims(token, source)
    roles = claims.get("roles")
    return TokenDescription(
        source=source,
        subject=claims["sub"] if isinstance(claims.get("sub"), str) else None,
        roles=tuple(role for role in roles if isinstance(role, str)) if isinstance(roles, list) else (),
        issued_at=_time(claims.get("iat")),
        not_before=_time(claims.get("nbf")),
        expires_at=_time(claims.get("exp")),
        problems=tuple(_problems(claims, now)),
    )


def _claims(token: str, source: TokenSource) -> dict[str, Any]:
    try:
        if not token.isascii() or any(char.isspace() for char in token):
            raise ValueError("characters that no token has")
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError, OverflowError):
        raise TokenUnreadable(
            "this is no JSON Web Token: three parts separated by dots, the middle one with claims",
            where=source,
            fix="set the variable to the token alone, without 'Bearer', quotation marks or line breaks",
        ) from None
    return claims


def _problems(claims: dict[str, Any], now: datetime) -> Generator[str, None, None]:
    expires, begins, issued = (_time(claims.get(name)) for name in ("exp", "nbf", "iat"))
    audience, issuer, roles = claims.get("aud"), claims.get("iss"), claims.get("roles")
    if expires is None:
        yield "it has no expiry (exp)"
    elif expires <= now:
        yield f"it has expired at {_shown(expires)}"
    if begins is not None and begins > now:
        yield f"it is not valid before {_shown(begins)}"
    if issued is not None and issued > now:
        yield f"it was issued in the future ({_shown(issued)})"
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        yield f"its audience (aud) is not {AUDIENCE}"
    if issuer != ISSUER:
        yield f"its issuer (iss) is not {ISSUER}"
    if not isinstance(roles, list) or "admin" not in roles:
        yield NO_ADMIN_ROLE


def _time(claim: Any) -> datetime | None:
    """A claim's date in seconds since 1970, or ``None``; far dates are as good as the last one there is."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        return datetime.fromtimestamp(claim, UTC)
    except (ValueError, OverflowError, OSError):
        if claim != claim:
            return None
        edge = datetime.max if claim > 0 else datetime.min
        return edge.replace(tzinfo=UTC)


def _shown(date: datetime) -> str:
    return date.astimezone(UTC).isoformat(timespec="seconds") if date.year < 9999 else "the end of time"
