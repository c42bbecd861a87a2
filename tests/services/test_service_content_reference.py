"""The content client and its cache against the reference pipeline's content service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from pytest_eng5.pipeline.content.app import content_app
from pytest_eng5.pipeline.content.store import MemoryStore
from pytest_eng5.pipeline.http import HttpServer
from pytest_eng5.services import ContentClient, ServiceError, UploadCache, check_health

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def store() -> MemoryStore:
    return MemoryStore()


@pytest_asyncio.fixture
async def url(store: MemoryStore) -> AsyncIterator[str]:
    server = HttpServer(content_app(store), "127.0.0.1", 0)
    await server.start()
    yield f"{server.url}/v1/content"
    await server.stop()


async def test_texts_go_up_once_and_come_back(
    http: httpx.AsyncClient, store: MemoryStore, url: str, tmp_path: Path
) -> None:
    texts = [f"Uppsats {number}: Smörgås ☃\r\n" for number in range(25)]
    first = await ContentClient(http, url, cache=UploadCache(tmp_path / "c.json", url)).store_all(texts)
    assert await store.count() == 25
    later = ContentClient(http, url, cache=UploadCache(tmp_path / "c.json", url))
    assert await later.store_all(texts) == first
    assert await store.count() == 25
    assert [await later.fetch(each) for each in first] == [text.encode() for text in texts]
    assert await later.fetch("f" * 32) is None


async def test_an_empty_text_is_refused(http: httpx.AsyncClient, url: str) -> None:
    with pytest.raises(ServiceError, match=r"400 .*VALIDATION_ERROR: the request body is empty"):
        await ContentClient(http, url).store("")


async def test_its_health(http: httpx.AsyncClient, url: str) -> None:
    health = await check_health(http, url, service="the content service", option="CONTENT_SERVICE_URL")
    assert (health.healthy, health.detail) == (True, "healthy: ok")
