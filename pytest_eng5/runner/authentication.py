"""``eng5 verify-auth``: whose token the admin API would get, and whether the service accepts it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import httpx

from pytest_eng5.contracts import utc_now
from pytest_eng5.runner.errors import RunnerError
from pytest_eng5.scenario.errors import shown_text
from pytest_eng5.services import AdminAuth, AdminClient, NotAuthenticated, TokenDescription, TokenSource

__all__ = ["distance", "token_lines", "token_name", "verify_auth"]

_OPTION = "--cj-service-url"
_HTTP_SECONDS = 15.0
_SECONDS_PER = (("day", 86_400), ("h", 3_600), ("min", 60))


def verify_auth(cj_url: str | None, report: Callable[[str], None]) -> None:
    """Tell source, owner and time of the token, then ask the service; the token itself is never told.

    Args:
        cj_url: Address of the CJ service; without one only what the token says about itself is told.
        report: Told line by line.

    Raises:
        TokenError: There is no usable token.
        NotAuthenticated: Nobody was asked, but the token cannot be accepted.
        ServiceError: The service does not accept it, or cannot be asked.
        RunnerError: Interrupted.
    """
    auth = AdminAuth()
    description = auth.token().description
    for line in token_lines(description, os.environ, utc_now()):
        report(line)
    if cj_url is None:
        report("service: not asked, since there is no address (--cj-service-url, CJ_SERVICE_URL)")
        if description.problems:
            raise NotAuthenticated(
                f"no service will accept the token: {', '.join(description.problems)}",
                where=description.source.value,
                fix="use a token of the platform's identity service that is valid and has the role admin",
            )
        return
    try:
        asyncio.run(_ask(cj_url, auth))
    except KeyboardInterrupt:
        raise RunnerError("interrupted before the service had answered", fix="ask again") from None
    report("service: accepts the token")


async def _ask(cj_url: str, auth: AdminAuth) -> None:
    async with httpx.AsyncClient(timeout=_HTTP_SECONDS, trust_env=False) as http:
        await AdminClient(http, cj_url, auth, option=_OPTION).check_access()


def token_lines(description: TokenDescription, environ: Mapping[str, str], now: datetime) -> Iterator[str]:
    """What may be told about a token, one line each."""
    yield f"token:   {token_name(description.source)}"
    ignored = [source.value for source in _later(description.source) if environ.get(source, "").strip()]
    if ignored:
        yield f"         goes before {' and '.join(ignored)}, set as well"
    roles = ", ".join(map(shown_text, description.roles)) or "none"
    yield f"subject: {shown_text(description.subject or 'none')}, roles: {roles}"
    if description.issued_at is not None:
        yield f"issued:  {_date(description.issued_at)}"
    if description.expires_at is not None:
        yield f"expires: {_date(description.expires_at)} ({distance(description.expires_at, now)})"
    for problem in description.problems:
        yield f"problem: {problem}"


def token_name(source: TokenSource) -> str:
    """Where a token comes from, in words."""
    return f"made with {source.value}" if source is TokenSource.MINTED else f"given in {source.value}"


def _later(source: TokenSource) -> list[TokenSource]:
    sources = list(TokenSource)
    return sources[sources.index(source) + 1 :]


def _date(date: datetime) -> str:
    return date.astimezone(UTC).isoformat(timespec="seconds") if date.year < 9999 else "never"


def distance(date: datetime, now: datetime) -> str:
    """How far a moment lies ahead, in its largest unit."""
    seconds = (date - now).total_seconds()
    for unit, length in _SECONDS_PER:
        if seconds >= 2 * length:
            return f"in {seconds / length:.0f} {unit}"
    return f"in {seconds:.0f} s" if seconds > 0 else "it is over"
