"""Keeps the exact prompts that went to the judge, so that their hashes can be derived again."""

from __future__ import annotations

import httpx

from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.provider.callbacks import SERVICE

__all__ = ["PromptArchive"]

_log = service_logger(SERVICE)


class PromptArchive:
    """Stores prompts in the content service.

    Args:
        http: Client.
        url: URL of the content service's collection; ``None`` to keep nothing.
    """

    def __init__(self, http: httpx.AsyncClient, url: str | None) -> None:
        self._http = http
        self._url = url

    async def store(self, prompt: str) -> str | None:
        """Storage id of the prompt's UTF-8 bytes; ``None`` when it is not kept.

        A prompt that cannot be kept is no reason to fail a comparison.
        """
        if self._url is None:
            return None
        try:
            response = await self._http.post(
                self._url, content=prompt.encode(), headers={"content-type": "text/plain; charset=utf-8"}
            )
            return str(response.raise_for_status().json()["storage_id"])
        except (httpx.HTTPError, KeyError, ValueError) as error:
            _log.warning("prompt not kept", problem=type(error).__name__)
            return None
