"""Keeps the exact prompts that went to the judge, so that their hashes can be derived again."""

from __future__ import annotations

from typing import Protocol

import httpx

from pytest_eng5.pipeline.attempts import with_attempts
from pytest_eng5.pipeline.content.store import ContentStore, Stored
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["HttpArchive", "PromptArchive", "StoreArchive"]

_CONTENT_TYPE = "text/plain; charset=utf-8"
_ATTEMPTS = 3
_TIMEOUT = httpx.Timeout(10.0, pool=None)
_log = service_logger("llm_provider_service")


class PromptArchive(Protocol):
    """Keeps prompts where the content service finds them."""

    async def keep(self, prompt: str) -> str | None:
        """Storage id of the prompt's UTF-8 bytes; ``None`` when it could not be kept."""
        ...


class StoreArchive:
    """Shares the store of a content service in the same process.

    A second HTTP request for every comparison would cost as much as the comparison.

    Args:
        store: The content service's store.
    """

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    async def keep(self, prompt: str) -> str | None:
        """Keep a prompt."""
        return await self._store.put(Stored(prompt.encode(), _CONTENT_TYPE))


class HttpArchive:
    """Sends prompts to a content service that runs elsewhere.

    Args:
        http: Client.
        url: URL of the collection, ``.../v1/content``.
    """

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def keep(self, prompt: str) -> str | None:
        """Keep a prompt; a content service that fails costs the storage id and a warning, not the answer."""
        headers = {"content-type": _CONTENT_TYPE}
        try:
            answer = await with_attempts(
                lambda: self._http.post(
                    self._url, content=prompt.encode(), headers=headers, timeout=_TIMEOUT
                ),
                _ATTEMPTS,
                "CONTENT_SERVICE_ERROR",
            )
            return str(answer.json()["storage_id"])
        except (ServiceError, ValueError, KeyError, TypeError) as error:
            _log.warning("prompt not kept", where=self._url, problem=f"{type(error).__name__}: {error}")
            return None
