"""On the way to being ready: what a process waits for, for how long, and what it says meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import orjson

from pytest_eng5.pipeline.errors import NotYet, StartupFailed
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["Startup", "check_content_service", "check_provider_service"]

_PAUSE = 0.5
_PROBE_TIMEOUT = 3.0
_NO_CONTENT = "0" * 32
_log = service_logger("pipeline")

T = TypeVar("T")


class Startup:
    """Waits for what a process needs, all together no longer than its patience.

    Args:
        patience: Seconds; 0 tries everything once.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._deadline = time.monotonic() + patience
        self.problem: str | None = "starting"

    async def wait_for(self, what: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it succeeds; the first failure is logged, and success after it.

        Raises:
            NotYet: The last failure, once the patience is over.
            StartupFailed: What waiting will not mend.
        """
        began, waited = time.monotonic(), False
        while True:
            try:
                result = await attempt()
            except NotYet as error:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    raise
                self.problem = f"waiting for {what}: {error.what}"
                if not waited:
                    _log.warning(
                        "waiting", for_=what, where=error.where, problem=error.what, seconds_left=round(left)
                    )
                waited = True
                await asyncio.sleep(min(_PAUSE, left))
            else:
                if waited:
                    _log.info("waited", for_=what, seconds=round(time.monotonic() - began, 1))
                self.problem = "starting"
                return result

    def done(self) -> None:
        """Everything is there."""
        self.problem = None


async def check_content_service(http: httpx.AsyncClient, url: str) -> None:
    """Ask for a content that nobody stored: a content service says so in its own words (contract 4).

    Raises:
        NotYet: Nobody answers there, or only with a 5xx.
        StartupFailed: Something else answers there.
    """
    answer = await _get(http, "content service", f"{url}/{_NO_CONTENT}", url)
    if answer.status_code != 404 or "error" not in _object(answer):
        raise StartupFailed(
            f"what answers there is no content service (status {answer.status_code} for an unknown id)",
            where=url,
            fix="give --content-url (CONTENT_SERVICE_URL) with its path: http://HOST:PORT/v1/content",
        )


async def check_provider_service(http: httpx.AsyncClient, url: str) -> None:
    """Ask how the LLM provider service works (contract 6.2), then whether it can work now.

    Raises:
        NotYet: Nobody answers there, only with a 5xx, or that it is not healthy yet.
        StartupFailed: Something else answers there.
    """
    answer = await _get(http, "LLM provider service", f"{url}/admin/mock-mode", url)
    if answer.status_code != 200 or "use_mock_llm" not in _object(answer):
        raise StartupFailed(
            f"what answers there is no LLM provider service (status {answer.status_code} "
            "for /admin/mock-mode)",
            where=url,
            fix="give --llm-url (LLM_PROVIDER_SERVICE_URL) without a path: http://HOST:PORT",
        )
    await _get(http, "LLM provider service", f"{url}/healthz", url)


async def _get(http: httpx.AsyncClient, service: str, url: str, base: str) -> httpx.Response:
    try:
        answer = await http.get(url, timeout=_PROBE_TIMEOUT)
    except httpx.TransportError as error:
        problem = f"the {service} does not answer ({type(error).__name__})"
    else:
        if answer.status_code < 500:
            return answer
        problem = f"the {service} answers {answer.status_code}"
    raise NotYet(problem, where=base, fix="start it there, or correct the address")


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
