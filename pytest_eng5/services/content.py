"""Client of the content service (contract section 4)."""

from __future__ import annotations

import re

import httpx

from pytest_eng5.services.errors import ServiceError
from pytest_eng5.services.http import send

__all__ = ["ContentClient"]

_STORAGE_ID = re.compile(r"[0-9a-f]{32}")
_SERVICE, _OPTION = "the content service", "--eng5-content-url"


class ContentClient:
    """Stores texts and reads them back.

    Args:
        client: The HTTP client; its connection limit bounds concurrency.
        url: Address including the path, such as ``http://localhost:8001/v1/content``.
    """

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url.rstrip("/")

    async def store(self, text: str) -> str:
        """Store a text as UTF-8; returns its storage id, 32 hexadecimal digits.

        Raises:
            ServiceError: The service does not answer, refuses the text, or answers something else than an id.
        """
        headers = {"Content-Type": "application/octet-stream"}
        response = await send(
            self._client,
            "POST",
            self._url,
            service=_SERVICE,
            option=_OPTION,
            content=text.encode(),
            headers=headers,
        )
        if response.status_code != 201:
            raise self._unexpected(response, "201")
        try:
            storage_id = str(response.json()["storage_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._unexpected(response, "a storage_id") from error
        if not _STORAGE_ID.fullmatch(storage_id):
            raise self._unexpected(response, "a storage_id of 32 hexadecimal digits")
        return storage_id

    async def fetch(self, storage_id: str) -> bytes | None:
        """The stored bytes, or ``None`` if there is nothing under that id.

        Raises:
            ServiceError: The service does not answer or fails.
        """
        url = f"{self._url}/{storage_id}"
        response = await send(self._client, "GET", url, service=_SERVICE, option=_OPTION)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._unexpected(response, "200")
        return response.content

    def _unexpected(self, response: httpx.Response, wanted: str) -> ServiceError:
        return ServiceError(
            f"{_SERVICE} answered {response.status_code} instead of {wanted}: {response.text[:200]}",
            where=str(response.request.url),
            fix=f"check that {_OPTION} is the address of a content service, path included",
        )
