"""The content service's client against a real HTTP server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from pytest_eng5.errors import InfrastructureError
from pytest_eng5.services import ContentClient, Retry, ServiceError

pytestmark = pytest.mark.asyncio
AT_ONCE = Retry(first_pause=0)
Make = Callable[..., Response]


def client_of(http: httpx.AsyncClient, server: Any) -> ContentClient:
    return ContentClient(http, f"{server.url}/v1/content", retry=AT_ONCE)


async def test_a_text_is_sent_as_utf8_bytes(http: httpx.AsyncClient, server: Any, stored: Make) -> None:
    server.will(stored())
    storage = await client_of(http, server).store("Smörgås ☃\r\n line")
    assert storage == "5e0c1f3a9b7d4c2e8f60a1b2c3d4e5f6"
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/v1/content")
    assert seen.body == "Smörgås ☃\r\n line".encode()
    assert seen.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("slashes", ["", "/", "//"])
async def test_a_final_slash_of_the_address_does_no_harm(
    http: httpx.AsyncClient, server: Any, stored: Make, slashes: str
) -> None:
    server.will(stored())
    await ContentClient(http, f"{server.url}/v1/content{slashes}").store("text")
    assert server.seen[0].path == "/v1/content"


async def test_two_failures_and_then_success(
    http: httpx.AsyncClient, server: Any, stored: Make, failing: Make
) -> None:
    server.will(failing(), failing(503), stored())
    assert await client_of(http, server).store("text")
    assert [seen.body for seen in server.seen] == [b"text"] * 3


async def test_three_failures_are_told_with_the_answer(
    http: httpx.AsyncClient, server: Any, failing: Make
) -> None:
    server.will(failing(message="disk full"))
    with pytest.raises(ServiceError) as caught:
        await client_of(http, server).store("text")
    error = caught.value
    assert len(server.seen) == 3
    assert error.where == f"{server.url}/v1/content"
    assert "500" in error.what
    assert "disk full" in error.what
    assert "3 attempts" in error.what
    assert "--eng5-content-url" in str(error.fix)
    assert isinstance(error, InfrastructureError)


async def test_a_timeout_is_tried_again(impatient: httpx.AsyncClient, server: Any, stored: Make) -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(1.0)
        return stored()

    server.will(slow, stored())
    assert await client_of(impatient, server).store("text")
    assert len(server.seen) == 2


async def test_endless_silence_ends(impatient: httpx.AsyncClient, server: Any, stored: Make) -> None:
    server.delay = 1.0
    server.will(stored())
    began = time.monotonic()
    with pytest.raises(ServiceError, match="does not answer") as caught:
        await client_of(impatient, server).store("text")
    assert 1.4 < time.monotonic() - began < 30
    assert "Timeout" in caught.value.what


async def test_nobody_at_the_address(http: httpx.AsyncClient) -> None:
    with pytest.raises(ServiceError) as caught:
        await ContentClient(http, "http://127.0.0.1:1/v1/content", retry=AT_ONCE).store("text")
    assert caught.value.where == "http://127.0.0.1:1/v1/content"
    assert "does not answer" in caught.value.what
    assert caught.value.fix


async def test_an_unknown_host(http: httpx.AsyncClient) -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        await ContentClient(http, "http://no-such-host.invalid/v1/content", retry=AT_ONCE).fetch("a" * 32)


@pytest.mark.parametrize(
    "address", ["localhost:8001/v1/content", "", "http://", "htp://x/v1", "http://[::1/v1"]
)
async def test_an_address_that_is_none_is_a_service_error(http: httpx.AsyncClient, address: str) -> None:
    """A typing error in an option must not surface as somebody else's traceback."""
    with pytest.raises(ServiceError) as caught:
        await ContentClient(http, address).store("text")
    assert "--eng5-content-url" in str(caught.value.fix)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 404, 405, 413, 422])
async def test_any_other_status_is_not_a_success(
    http: httpx.AsyncClient, server: Any, stored: Make, status: int
) -> None:
    """200 with a storage id is still not what the contract says."""
    server.will(stored(status=status) if status != 204 else Response(status_code=204))
    with pytest.raises(ServiceError, match=f"answered {status} instead of 201") as caught:
        await client_of(http, server).store("text")
    assert len(server.seen) == 1, "nothing is gained by asking again"
    assert "path included" in str(caught.value.fix)


async def test_a_redirect_is_not_followed(http: httpx.AsyncClient, server: Any) -> None:
    server.will(RedirectResponse("/login", status_code=302))
    with pytest.raises(ServiceError, match="302"):
        await client_of(http, server).store("text")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>welcome</html>", b"[]", b"null", b"5", b"{}", b'{"id": "x"}', b"\xff\xfe"],
)
async def test_a_junk_body_is_an_error_and_shown(http: httpx.AsyncClient, server: Any, body: bytes) -> None:
    server.will(Response(body, status_code=201, media_type="application/json"))
    with pytest.raises(ServiceError, match="instead of a storage_id") as caught:
        await client_of(http, server).store("text")
    assert caught.value.where == f"{server.url}/v1/content"


@pytest.mark.parametrize(
    "wrong", ["", "abc", "G" * 32, "A" * 32, "5e0c" * 9, "../" * 10 + "aa", "a" * 32 + "\n"]
)
async def test_a_storage_id_of_the_wrong_form_is_refused(
    http: httpx.AsyncClient, server: Any, stored: Make, wrong: str
) -> None:
    server.will(stored(wrong))
    with pytest.raises(ServiceError, match="32 hexadecimal digits"):
        await client_of(http, server).store("text")


async def test_a_long_answer_is_cut(http: httpx.AsyncClient, server: Any) -> None:
    server.will(PlainTextResponse("x" * 100_000, status_code=400))
    with pytest.raises(ServiceError) as caught:
        await client_of(http, server).store("text")
    assert len(str(caught.value)) < 600


async def test_fetching_gives_the_bytes(http: httpx.AsyncClient, server: Any) -> None:
    server.will(Response(b"\xff\x00 bytes", media_type="text/plain"))
    assert await client_of(http, server).fetch("a" * 32) == b"\xff\x00 bytes"
    assert server.seen[0].path == f"/v1/content/{'a' * 32}"


async def test_fetching_what_is_absent_gives_none(http: httpx.AsyncClient, server: Any) -> None:
    server.will(JSONResponse({"error": {"error_code": "RESOURCE_NOT_FOUND"}}, status_code=404))
    assert await client_of(http, server).fetch("a" * 32) is None


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_fetching_may_fail(http: httpx.AsyncClient, server: Any, failing: Make, status: int) -> None:
    server.will(failing(status))
    with pytest.raises(ServiceError, match=f"{status} instead of 200"):
        await client_of(http, server).fetch("a" * 32)


async def test_twenty_texts_go_up_side_by_side(http: httpx.AsyncClient, server: Any, stored: Make) -> None:
    server.meet(6)
    server.will(stored())
    content = client_of(http, server)
    await asyncio.gather(*(content.store(str(number)) for number in range(20)))
    assert server.at_once > 5
    assert sorted(seen.body for seen in server.seen) == sorted(str(n).encode() for n in range(20))
