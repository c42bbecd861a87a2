"""Requests to a service with retries, a bound on the time they take, and errors that name the address."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import httpx

from pytest_eng5.services.errors import (
    ServiceError,
    ServiceFailed,
    ServiceTimeout,
    UnexpectedAnswer,
    Unreachable,
)
from pytest_eng5.services.wording import answer_text
from pytest_eng5.telemetry import current_log

__all__ = ["Answer", "Retry", "exchange", "send", "shown_url"]

_USER_INFO = re.compile(r"^([^/?#]*//)[^/?#]*@")
# The request cannot have reached the service: asking again is safe whatever was asked.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a request is tried, and for how long altogether.

    Attributes:
        attempts: Most attempts, 1 for none but the first.
        first_pause: Seconds before the second attempt; each further pause is twice as long.
        longest_pause: Seconds no pause exceeds.
        total: Seconds for all attempts and pauses together.
        sleep: Waits; tests put their own here.
        jitter: A number in [0, 1): a pause is between half and all of its length, so that clients that failed
            together do not come back together.
    """

    attempts: int = 3
    first_pause: float = 0.3
    longest_pause: float = 10.0
    total: float = 900.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int) -> float:
        """Seconds to wait after the given attempt, the first being 1."""
        # The exponent is bounded because a float overflows at 1024.
        length = min(self.longest_pause, self.first_pause * 2.0 ** min(attempt - 1, 60))
        return length * (0.5 + self.jitter() / 2)


class Answer(NamedTuple):
    """A response and the number of attempts it took."""

    response: httpx.Response
    attempts: int


async def exchange(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    service: str,
    option: str,
    retry: Retry | None = None,
    repeatable: bool = True,
    **options: Any,
) -> Answer:
    """Send a request; the answer may have any status, redirects are not followed.

    Args:
        service: Name of the service for messages.
        option: Where its address is configured, for messages.
        retry: How often and how long; the default is three attempts.
        repeatable: Whether asking twice does no harm. If so, 5xx answers, timeouts and lost connections are
            tried again; if not, only what cannot have reached the service.
        options: Passed on to httpx.

    Raises:
        Unreachable: Nobody there, or the connection was lost.
        ServiceTimeout: No complete answer in time.
        UnexpectedAnswer: An answer that cannot be decoded.
    """
    policy = retry or Retry()
    try:
        async with asyncio.timeout(policy.total):
            return await _attempts(client, method, url, service, option, policy, repeatable, options)
    except TimeoutError:
        raise ServiceTimeout(
            f"{service} does not answer: no complete answer within {policy.total:g} s",
            where=shown_url(url),
            fix=f"look at the service's load and logs, and check its address ({option})",
        ) from None


async def _attempts(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    service: str,
    option: str,
    retry: Retry,
    repeatable: bool,
    options: dict[str, Any],
) -> Answer:
    for attempt in count(1):
        failure = None
        try:
            response = await client.request(method, url, follow_redirects=False, **options)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            failure = _failure(error, url, service, option, attempt)
            final = not _worth_repeating(error, repeatable)
        else:
            final = response.status_code < 500 or not repeatable
        if final or attempt >= retry.attempts:
            break
        why = failure.what if failure is not None else f"status {response.status_code}"
        current_log().counted("service_retried", "warning", service=service, attempt=attempt, why=why)
        await retry.sleep(retry.pause(attempt))
    if failure is not None:
        raise failure
    return Answer(response, attempt)


def _worth_repeating(error: Exception, repeatable: bool) -> bool:
    if isinstance(error, httpx.UnsupportedProtocol) or not isinstance(error, httpx.TransportError):
        return False
    return repeatable or isinstance(error, _NEVER_SENT)


def _failure(error: Exception, url: str, service: str, option: str, attempt: int) -> ServiceError:
    where, text = shown_url(url), f"{type(error).__name__}: {error}".removesuffix(": ")
    tries = f"{attempt} attempts" if attempt > 1 else "1 attempt"
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        fix = f"look at the service's load and logs, and check its address ({option})"
        return ServiceTimeout(f"{service} does not answer ({text}), {tries}", where=where, fix=fix)
    if isinstance(error, httpx.DecodingError):
        fix = f"check that {option} is the address of {service} and what stands between"
        return UnexpectedAnswer(f"{service} answered what cannot be decoded ({text})", where=where, fix=fix)
    fix = f"check that {service} runs there, or set its address with {option}"
    return Unreachable(f"{service} does not answer ({text}), {tries}", where=where, fix=fix)


async def send(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    service: str,
    option: str,
    retry: Retry | None = None,
    **options: Any,
) -> httpx.Response:
    """Send a request that may be repeated; returns an answer below 500.

    Raises:
        ServiceFailed: Still a 5xx after the last attempt.
        ServiceError: As :func:`exchange`.
    """
    response, attempts = await exchange(
        client, method, url, service=service, option=option, retry=retry, **options
    )
    if response.status_code < 500:
        return response
    raise ServiceFailed(
        f"{service} answered {response.status_code}: {answer_text(response)}, {attempts} attempts",
        where=shown_url(url),
        fix=f"look at the logs of {service}, or set its address with {option}",
    )


def shown_url(url: str) -> str:
    """An address without the user name and password that it may contain."""
    return _USER_INFO.sub(r"\1", url)
