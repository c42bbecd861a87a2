"""How a service is: its health route, the time it takes, and how far its clock is from ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from pytest_eng5.contracts import utc_now
from pytest_eng5.services.errors import ServiceError
from pytest_eng5.services.http import Retry, exchange, shown_url
from pytest_eng5.services.wording import answer_text, json_body

__all__ = ["ClockSkew", "ServiceHealth", "check_health", "health_url"]

_PATHS = ("/v1/content", "/admin/v1", "/api/v1")
_DATE_AGE = 2.0


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """How far a service's clock is ahead of ours (negative: behind).

    Attributes:
        seconds: The estimate.
        uncertainty: Half the width of the interval that holds it: the ``Date`` header is cut to whole
            seconds, kept by servers for up to a second, and sent at an unknown moment between question and
            answer.
    """

    seconds: float
    uncertainty: float

    @property
    def certain(self) -> bool:
        """Whether the clocks differ beyond what the measurement cannot tell."""
        return abs(self.seconds) > self.uncertainty


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """The outcome of one question; never an exception, so that one line can be printed for each service.

    Attributes:
        service: Its name.
        url: The address asked.
        healthy: Whether it answered 200.
        detail: What it says about itself, or what is wrong.
        status: HTTP status, ``None`` without an answer.
        seconds: Time of the answer.
        clock: From the ``Date`` header, if there is one.
        error: What went wrong, with its fix.
    """

    service: str
    url: str
    healthy: bool
    detail: str
    status: int | None = None
    seconds: float | None = None
    clock: ClockSkew | None = None
    error: ServiceError | None = None


def health_url(address: str) -> str:
    """The health route of the service at an address; the content service's address has a path of its own."""
    base = address.rstrip("/")
    for path in _PATHS:
        base = base.removesuffix(path)
    return f"{base.rstrip('/')}/healthz"


async def check_health(
    client: httpx.AsyncClient,
    address: str,
    *,
    service: str,
    option: str,
    timeout_seconds: float = 5.0,
    now: Callable[[], datetime] = utc_now,
) -> ServiceHealth:
    """Ask a service for its health, once.

    Args:
        address: Address as it is configured.
        service: Name for messages.
        option: Where the address is configured, for messages.
        timeout_seconds: Seconds after which it counts as not answering.
        now: Our clock.
    """
    url, before, began = health_url(address), now(), time.monotonic()
    try:
        response, _ = await exchange(
            client,
            "GET",
            url,
            service=service,
            option=option,
            retry=Retry(attempts=1, total=timeout_seconds),
        )
    except ServiceError as error:
        return ServiceHealth(service, shown_url(url), False, error.what, error=error)
    seconds = time.monotonic() - began
    healthy = response.status_code == 200
    return ServiceHealth(
        service,
        shown_url(url),
        healthy,
        _detail(response),
        response.status_code,
        seconds,
        clock_skew(response.headers.get("date"), before, seconds),
        None if healthy else _unhealthy(response, service, option),
    )


def clock_skew(header: str | None, asked_at: datetime, seconds: float) -> ClockSkew | None:
    """The skew told by a ``Date`` header, or ``None`` if it cannot be read.

    The service answered between ``asked_at`` and ``asked_at + seconds`` with a time up to two seconds
    old: cut to whole seconds, and made anew once a second.
    """
    try:
        written = parsedate_to_datetime(header or "")
        aware = written if written.tzinfo is not None else written.replace(tzinfo=UTC)
        difference = (aware - asked_at).total_seconds()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return ClockSkew(difference + _DATE_AGE / 2 - seconds / 2, (_DATE_AGE + seconds) / 2)


def _detail(response: httpx.Response) -> str:
    try:
        body = json_body(response)
    except ValueError:
        return answer_text(response)
    if not isinstance(body, dict):
        return answer_text(response)
    words = [body[key] for key in ("status", "message") if isinstance(body.get(key), str)]
    return ": ".join(words) or answer_text(response)


def _unhealthy(response: httpx.Response, service: str, option: str) -> ServiceError:
    return ServiceError(
        f"{service} is not healthy: it answered {response.status_code} ({_detail(response)})",
        where=shown_url(str(response.request.url)),
        fix=f"look at the logs of {service}, or set its address with {option}",
    )
