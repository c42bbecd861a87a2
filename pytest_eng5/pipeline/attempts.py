"""HTTP requests to another service, again where that may help."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from pytest_eng5.pipeline.errors import ServiceError

__all__ = ["with_attempts"]

_PAUSES = (1.0, 4.0, 10.0, 30.0)


async def with_attempts(
    call: Callable[[], Awaitable[httpx.Response]], attempts: int, code: str
) -> httpx.Response:
    """Call until the answer is no transient failure; pauses between the attempts.

    Args:
        call: Makes one request.
        attempts: At most so many.
        code: Error code if none succeeds.

    Raises:
        ServiceError: The last attempt got no answer, or 429 or 5xx.
    """
    problem = ""
    for attempt in range(attempts):
        if attempt:
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES)) - 1])
        try:
            response = await call()
        except httpx.TransportError as error:
            problem = type(error).__name__
            continue
        if response.status_code != 429 and response.status_code < 500:
            return response
        problem = f"status {response.status_code}"
    raise ServiceError(code, f"no usable answer in {attempts} attempts ({problem})")
