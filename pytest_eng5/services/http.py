"""Requests to a service with retries and errors that name the address."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from pytest_eng5.services.errors import ServiceError

__all__ = ["send"]

_ATTEMPTS = 3
_BACKOFF_SECONDS = 0.2


async def send(
    client: httpx.AsyncClient, method: str, url: str, *, service: str, option: str, **options: Any
) -> httpx.Response:
    """Send a request; connection errors, timeouts and 5xx answers are tried three times with backoff.

    Args:
        service: Name of the service for messages.
        option: Where its address is configured, for messages.
        options: Passed on to httpx.

    Raises:
        ServiceError: No answer, or still a 5xx after the last attempt.
    """
    problem = "no attempt was made"
    for attempt in range(_ATTEMPTS):
        if attempt:
            await asyncio.sleep(_BACKOFF_SECONDS * 2**attempt)
        try:
            response = await client.request(method, url, **options)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"{service} does not answer ({type(error).__name__}: {error})"
        else:
            if response.status_code < 500:
                return response
            problem = f"{service} answered {response.status_code}: {response.text[:200]}"
    raise ServiceError(
        f"{problem}, {_ATTEMPTS} attempts",
        where=url,
        fix=f"check that {service} runs there, or set its address with {option}",
    )
