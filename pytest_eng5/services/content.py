"""Client of the content service (contract section 4)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import defaultdict
from collections.abc import Sequence

import httpx

from pytest_eng5.services.cache import STORAGE_ID, UploadCache
from pytest_eng5.services.errors import Refused, ServiceError, UnexpectedAnswer
from pytest_eng5.services.http import Retry, send, shown_url
from pytest_eng5.services.wording import answer_text, json_body

__all__ = ["CONCURRENT_UPLOADS", "ContentClient"]

CONCURRENT_UPLOADS = 10
_SERVICE = "the content service"
_log = logging.getLogger(__name__)


class ContentClient:
    """Stores texts and reads them back.

    Args:
        client: The HTTP client, with its timeouts.
        url: Address including the path, such as ``http://localhost:8001/v1/content``.
        concurrency: Most texts under way at a time.
        retry: How often a 5xx, a timeout or a lost connection is tried again; an upload that is done twice
            leaves a copy that nobody uses, and does no other harm.
        cache: Remembers uploads; what it remembers is fetched and compared before it is used.
        force_reupload: Upload everything, and remember the new ids.
        option: Where the address is configured, for messages.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        url: str,
        *,
        concurrency: int = CONCURRENT_UPLOADS,
        retry: Retry | None = None,
        cache: UploadCache | None = None,
        force_reupload: bool = False,
        option: str = "--eng5-content-url",
    ) -> None:
        self._client = client
        self._url = url.rstrip("/")
        self._free = asyncio.Semaphore(concurrency)
        self._retry = retry or Retry()
        self._cache = cache
        self._force = force_reupload
        self._option = option
        self._one_at_a_time: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def store(self, text: str) -> str:
        """Store a text as UTF-8; returns its storage id, 32 hexadecimal digits.

        Raises:
            ServiceError: The service does not answer, refuses the text, or answers something else than an id.
        """
        try:
            return await self._stored(text)
        finally:
            await self._save()

    async def store_all(self, texts: Sequence[str]) -> list[str]:
        """Store many texts side by side; returns their storage ids in the same order.

        The first failure ends the rest; what went up until then is in the cache.

        Raises:
            ServiceError: As :meth:`store`.
        """
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._stored(text)) for text in texts]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await self._save()
        return [task.result() for task in tasks]

    async def fetch(self, storage_id: str) -> bytes | None:
        """The stored bytes, or ``None`` if there is nothing under that id.

        Raises:
            ServiceError: The service does not answer or fails.
        """
        response = await self._send("GET", f"{self._url}/{storage_id}")
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._unexpected(response, "200")
        return response.content

    async def _stored(self, text: str) -> str:
        content = _encoded(text)
        async with self._free:
            if self._cache is None:
                return await self._upload(content)
            digest = hashlib.sha256(content).hexdigest()
            # Equal texts at once: the second finds what the first has put.
            async with self._one_at_a_time[digest]:
                return await self._remembered(self._cache, digest) or await self._remember(
                    self._cache, digest, content
                )

    async def _remembered(self, cache: UploadCache, digest: str) -> str | None:
        """A remembered id whose bytes are still there and still the same."""
        storage_id = None if self._force else cache.get(digest)
        if storage_id is None:
            return None
        found = await self.fetch(storage_id)
        if found is not None and hashlib.sha256(found).hexdigest() == digest:
            return storage_id
        why = "is gone" if found is None else "holds other bytes"
        _log.warning("cached content %s %s, uploading it again", storage_id, why, extra={"sha256": digest})
        return None

    async def _remember(self, cache: UploadCache, digest: str, content: bytes) -> str:
        storage_id = await self._upload(content)
        cache.put(digest, storage_id)
        return storage_id

    async def _save(self) -> None:
        if self._cache is not None:
            await asyncio.to_thread(self._cache.save)

    async def _upload(self, content: bytes) -> str:
        headers = {"Content-Type": "application/octet-stream"}
        response = await self._send("POST", self._url, content=content, headers=headers)
        if response.status_code != 201:
            raise self._unexpected(response, "201")
        try:
            storage_id = str(json_body(response)["storage_id"])
        except (ValueError, KeyError, TypeError):
            raise self._unexpected(response, "a storage_id") from None
        if not STORAGE_ID.fullmatch(storage_id):
            raise self._unexpected(response, "a storage_id of 32 hexadecimal digits")
        return storage_id

    async def _send(self, method: str, url: str, **options: object) -> httpx.Response:
        return await send(
            self._client, method, url, service=_SERVICE, option=self._option, retry=self._retry, **options
        )

    def _unexpected(self, response: httpx.Response, wanted: str) -> ServiceError:
        return UnexpectedAnswer(
            f"{_SERVICE} answered {response.status_code} instead of {wanted}: {answer_text(response)}",
            where=shown_url(str(response.request.url)),
            fix=f"check that {self._option} is the address of a content service, path included",
        )


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Refused(
            f"the text cannot be stored as UTF-8: half a surrogate pair at character {error.start + 1}",
            where="a text to upload",
            fix="extract or save the text anew, as UTF-8",
        ) from None
