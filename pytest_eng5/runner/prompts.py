"""Keeping the rendered prompts of a run, so that their hashes can be derived again (contract 3.2).

Only a pipeline that stores its prompts names them (``request_metadata.prompt_storage_id``, design section
12). What cannot be had is left out: no run fails for want of a prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import httpx
import orjson

from pytest_eng5.evidence import EvidenceError, RunFolder, Stream, read_stream, write_prompts
from pytest_eng5.services import ContentClient, Retry, ServiceError
from pytest_eng5.telemetry import current_log

__all__ = ["MOST_BYTES", "MOST_PROMPTS", "keep_prompts"]

MOST_PROMPTS = 1_000
"""Prompts of a run that are kept, those of its first callbacks."""

MOST_BYTES = 50_000_000
"""Bytes of prompts that are kept."""

_AT_ONCE = 10
_SECONDS = 30.0


async def keep_prompts(http: httpx.AsyncClient, content_url: str, folder: RunFolder) -> None:
    """Fetch the prompts that a run's callbacks name, side by side, and write them into its folder."""
    wanted = await asyncio.to_thread(_named, folder)
    if not wanted:
        return
    found: dict[str, bytes] = {}
    content = ContentClient(http, content_url, retry=Retry(attempts=1))
    try:
        async with asyncio.timeout(_SECONDS):
            await _fetch(content, wanted[:MOST_PROMPTS], found)
    except (TimeoutError, ServiceError) as error:
        _tell(f"{len(found)} of {len(wanted)} were fetched: {error or 'no answer in time'}")
    texts = list(_texts((storage, found[storage]) for storage in wanted if storage in found))
    if texts:
        await asyncio.to_thread(write_prompts, folder.prompts, texts)


def _named(folder: RunFolder) -> Sequence[str]:
    """Storage ids of the prompts of a run, each once, in the order of capture."""
    ids: dict[str, None] = {}
    try:
        for record, _, _ in read_stream(folder, Stream.COMPARISONS, killed=True):
            metadata = orjson.loads(record.value or b"")["data"].get("request_metadata") or {}
            storage = metadata.get("prompt_storage_id")
            if isinstance(storage, str) and storage.isalnum():
                ids.setdefault(storage)
    except (EvidenceError, ValueError, KeyError, TypeError, AttributeError) as error:
        _tell(str(error))
    return list(ids)


async def _fetch(content: ContentClient, wanted: Iterable[str], found: dict[str, bytes]) -> None:
    free = asyncio.Semaphore(_AT_ONCE)

    async def fetch(storage: str) -> None:
        async with free:
            if sum(map(len, found.values())) < MOST_BYTES:
                prompt = await content.fetch(storage)
                if prompt is not None:
                    found[storage] = prompt

    await asyncio.gather(*map(fetch, wanted))


def _texts(prompts: Iterable[tuple[str, bytes]]) -> Iterable[tuple[str, str]]:
    """Prompts as texts; bytes that are no UTF-8 cannot have been a prompt."""
    for storage, prompt in prompts:
        try:
            yield storage, prompt.decode()
        except UnicodeDecodeError:
            _tell(f"prompt {storage} is no UTF-8")


def _tell(problem: str) -> None:
    current_log().warning("prompts_not_kept", problem=problem)
