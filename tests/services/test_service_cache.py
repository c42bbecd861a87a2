"""The upload cache: used only when verified, ignored when damaged, whole when many write it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pytest_eng5.services import ContentClient, Refused, Retry, ServiceError, ServiceFailed, UploadCache

URL = "http://localhost:8001/v1/content"
ID = "5e0c1f3a9b7d4c2e8f60a1b2c3d4e5f6"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def document_in(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@dataclass
class Contents:
    """A content service in memory on the scripted server."""

    kept: dict[str, bytes] = field(default_factory=dict)
    failures: int = 0

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        if request.method == "GET":
            found = self.kept.get(request.url.path.rpartition("/")[2])
            return Response(found) if found is not None else Response(status_code=404)
        if self.failures:
            self.failures -= 1
            return Response(status_code=500)
        storage_id = uuid4().hex
        self.kept[storage_id] = body
        return JSONResponse({"storage_id": storage_id}, 201)


@pytest.fixture
def contents(server: Any) -> Contents:
    service = Contents()
    server.will(service.handle)
    return service


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "content_upload_cache.json"


Make = Callable[..., ContentClient]


@pytest.fixture
def client(http: httpx.AsyncClient, server: Any, path: Path, quick: Retry) -> Make:
    """A client of a new session: it knows only what is in the file."""

    def make(**options: Any) -> ContentClient:
        url = f"{server.url}/v1/content"
        cache = options.pop("cache", UploadCache(path, url))
        return ContentClient(http, url, retry=quick, cache=cache, **options)

    return make


def uploads(server: Any) -> int:
    return sum(seen.method == "POST" for seen in server.seen)


@pytest.mark.asyncio
async def test_without_a_path_nothing_is_remembered(server: Any, contents: Contents, client: Make) -> None:
    content = client(cache=None)
    assert await content.store("text") != await content.store("text")
    assert uploads(server) == 2
    assert len(server.seen) == 2, "nothing is fetched either"


@pytest.mark.asyncio
async def test_what_is_there_is_not_uploaded_again(
    server: Any, contents: Contents, client: Make, path: Path
) -> None:
    texts = [f"text {number} ☃" for number in range(12)]
    first = await client().store_all(texts)
    assert await client().store_all(texts) == first
    assert uploads(server) == 12
    assert [contents.kept[each].decode() for each in first] == texts


@pytest.mark.asyncio
async def test_the_file_has_the_shape_of_the_previous_runner(
    server: Any, contents: Contents, client: Make, path: Path
) -> None:
    storage_id = await client().store("text")
    document = document_in(path)
    assert set(document) == {"schema_version", "content_service_url", "updated_at", "entries"}
    assert document["schema_version"] == 1
    assert document["content_service_url"] == f"{server.url}/v1/content"
    assert document["entries"] == {digest("text"): storage_id}


@pytest.mark.asyncio
async def test_an_id_that_is_gone_is_uploaded_again(
    server: Any, contents: Contents, client: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """R30: the service was emptied since; the previous runner would have sent a dead id to the pipeline."""
    first = await client().store("text")
    contents.kept.clear()
    second = await client().store("text")
    assert second != first
    assert contents.kept[second] == b"text"
    assert f"{first} is gone" in caplog.text
    assert await client().store("text") == second, "the new id took the place of the dead one"


@pytest.mark.asyncio
async def test_an_id_that_holds_other_bytes_is_not_used(
    contents: Contents, client: Make, caplog: pytest.LogCaptureFixture
) -> None:
    first = await client().store("text")
    contents.kept[first] = b"somebody else's essay"
    second = await client().store("text")
    assert contents.kept[second] == b"text"
    assert "holds other bytes" in caplog.text


@pytest.mark.asyncio
async def test_a_reupload_can_be_forced_and_is_remembered(
    server: Any, contents: Contents, client: Make
) -> None:
    first = await client().store("text")
    forced = await client(force_reupload=True).store("text")
    assert forced != first
    assert [seen.method for seen in server.seen] == ["POST", "POST"]
    assert await client().store("text") == forced


@pytest.mark.asyncio
async def test_equal_texts_at_once_go_up_once(server: Any, contents: Contents, client: Make) -> None:
    server.delay = 0.02
    ids = await client().store_all(["same"] * 8 + ["other"])
    assert len(set(ids)) == 2
    assert uploads(server) == 2


@pytest.mark.asyncio
async def test_a_service_that_cannot_read_back_is_told(server: Any, contents: Contents, client: Make) -> None:
    await client().store("text")
    server.will(Response(b"away", status_code=503))
    with pytest.raises(ServiceFailed, match="503"):
        await client().store("text")


@pytest.mark.asyncio
async def test_what_went_up_before_a_failure_is_remembered(
    server: Any, contents: Contents, client: Make, path: Path
) -> None:
    contents.failures = 3
    with pytest.raises(ServiceFailed):
        await client(concurrency=1).store_all(["first fails", "second", "third"])
    contents.failures = 0
    await client(concurrency=1).store_all(["second", "third"])
    before = uploads(server)

    async def third_fails(request: Request) -> Response:
        if await request.body() == b"sixth":
            return Response(status_code=400)
        return await contents.handle(request)

    server.will(third_fails)
    with pytest.raises(ServiceError, match="400"):
        await client(concurrency=1).store_all(["fourth", "fifth", "sixth"])
    entries = document_in(path)["entries"]
    assert {digest("fourth"), digest("fifth")} <= set(entries)
    assert uploads(server) == before + 3


@pytest.mark.asyncio
async def test_ten_at_a_time(http: httpx.AsyncClient, server: Any, contents: Contents) -> None:
    server.meet(10)
    server.delay = 0.05
    content = ContentClient(http, f"{server.url}/v1/content")
    ids = await content.store_all([str(number) for number in range(30)])
    assert [contents.kept[each] for each in ids] == [str(number).encode() for number in range(30)]
    assert server.at_once == 10


@pytest.mark.asyncio
async def test_500_twice_and_then_201(server: Any, contents: Contents, client: Make, pauses: Any) -> None:
    contents.failures = 2
    assert contents.kept[await client(cache=None).store("text")] == b"text"
    assert pauses.taken == [0.3, 0.6]


@pytest.mark.asyncio
async def test_nothing_to_store(client: Make, path: Path) -> None:
    assert await client().store_all([]) == []
    assert UploadCache(path, URL).get(digest("")) is None


@pytest.mark.asyncio
async def test_half_a_surrogate_pair_is_refused_with_its_place(server: Any, client: Make) -> None:
    with pytest.raises(Refused, match="character 5"):
        await client().store("text\ud83d")
    assert server.seen == []


DAMAGED = {
    "cache_file_invalid_json": [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 1'],
    "cache_file_invalid_format": [b"[]", b"null", b"5", b'"text"'],
    "cache_file_schema_mismatch": [
        b"{}",
        b'{"schema_version": 2, "entries": {}}',
        b'{"schema_version": true}',
    ],
    "cache_file_missing_entries": [b'{"schema_version": 1}', b'{"schema_version": 1, "entries": []}'],
    "content_service_url_changed": [
        b'{"schema_version": 1, "entries": {}}',
        b'{"schema_version": 1, "entries": {}, "content_service_url": "http://other/v1/content"}',
    ],
}


@pytest.mark.parametrize(("reason", "content"), [(key, each) for key in DAMAGED for each in DAMAGED[key]])
def test_a_damaged_file_is_ignored_with_its_reason_and_replaced(
    tmp_path: Path, reason: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cache.json"
    path.write_bytes(content)
    cache = UploadCache(path, URL)
    assert cache.get(digest("text")) is None
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["reason"]) == (logging.WARNING, reason)
    assert str(path) in record.message
    cache.put(digest("text"), ID)
    cache.save()
    assert UploadCache(path, URL).get(digest("text")) == ID
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("key", "value"), [("short", ID), (digest("x"), "short"), (digest("x"), None), (digest("x"), ID + "\n")]
)
def test_single_entries_that_are_none_do_not_spoil_the_rest(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "cache.json"
    entries = {digest("good"): ID, key: value}
    path.write_text(json.dumps({"schema_version": 1, "content_service_url": URL, "entries": entries}))
    cache = UploadCache(path, URL)
    assert cache.get(digest("good")) == ID
    assert cache.get(key) is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
_DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"schema_version": _JSON, "entries": _JSON, "content_service_url": st.just(URL) | _JSON}
)


@given(st.one_of(st.binary(max_size=50), _DOCUMENTS.map(lambda document: json.dumps(document).encode())))
def test_no_file_is_a_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("cache") / "cache.json"
    path.write_bytes(content)
    assert UploadCache(path, URL).get(digest("text")) is None


def test_a_final_slash_of_the_address_is_the_same_service(tmp_path: Path) -> None:
    cache = UploadCache(tmp_path / "cache.json", URL + "/")
    cache.put(digest("text"), ID)
    cache.save()
    assert UploadCache(tmp_path / "cache.json", URL).get(digest("text")) == ID


def test_a_password_in_the_address_is_not_stored(tmp_path: Path) -> None:
    cache = UploadCache(tmp_path / "cache.json", "http://me:geheim@localhost/v1/content")
    cache.put(digest("text"), ID)
    cache.save()
    assert "geheim" not in (tmp_path / "cache.json").read_text()


def test_writing_leaves_one_file_and_its_lock(tmp_path: Path) -> None:
    cache = UploadCache(tmp_path / "cache.json", URL)
    for number in range(3):
        cache.put(digest(str(number)), ID)
        cache.save()
    assert sorted(each.name for each in tmp_path.iterdir()) == [".cache.json.lock", "cache.json"]


def test_saving_nothing_writes_nothing(tmp_path: Path) -> None:
    cache = UploadCache(tmp_path / "cache.json", URL)
    cache.save()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run never fails for its cache."""
    cache = UploadCache(tmp_path, URL)
    assert cache.get(digest("text")) is None
    cache.put(digest("text"), ID)
    cache.save()
    reasons = [record.__dict__["reason"] for record in caplog.records]
    assert reasons == ["cache_file_not_readable", "cache_file_not_writable"]
    assert cache.get(digest("text")) == ID, "within this process it is still known"


_WRITER = """
import sys
from pathlib import Path
from pytest_eng5.services.cache import UploadCache
path, url, who = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.stdin.read(1)
for number in range(15):
    cache = UploadCache(path, url)
    cache.put(f"{who}{number:063x}", f"{number:032x}")
    cache.save()
"""


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(path), URL, who], stdin=subprocess.PIPE)
        for who in "abc"
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"x")
        writer.stdin.flush()
    read = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            json.loads(path.read_bytes())
            read += 1
        time.sleep(0.002)
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert read, "the file was read while it was written, and was whole each time"
    cache = UploadCache(path, URL)
    assert all(cache.get(f"{who}{number:063x}") == f"{number:032x}" for who in "abc" for number in range(15))


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    cache = UploadCache(path, URL)
    cache.put(digest("text"), ID)
    cache.save()
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom pytest_eng5.services.cache import UploadCache\n"
        "os.fsync = lambda _: os._exit(9)\n"
        "cache = UploadCache(Path(sys.argv[1]), sys.argv[2])\ncache.put('a' * 64, 'b' * 32)\ncache.save()"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path), URL], timeout=60).returncode == 9
    later = UploadCache(path, URL)
    assert later.get(digest("text")) == ID
    later.put(digest("more"), ID)
    later.save()
    assert UploadCache(path, URL).get(digest("more")) == ID


@pytest.mark.asyncio
async def test_a_waiting_writer_does_not_stop_the_loop(contents: Contents, client: Make, path: Path) -> None:
    """Another process holds the lock: everything but this save goes on."""
    import fcntl

    path.parent.mkdir(parents=True)
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    task = asyncio.create_task(client().store("text"))
    done, _ = await asyncio.wait({task}, timeout=0.3)
    assert not done
    os.close(descriptor)
    assert await asyncio.wait_for(task, 60)
