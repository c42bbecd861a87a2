"""Attempts, pauses and time bounds, against servers that are slow, drop connections or never end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from pytest_eng5.services import Retry, ServiceError, ServiceTimeout, UnexpectedAnswer, Unreachable
from pytest_eng5.services.http import exchange, send, shown_url

NAMES = {"service": "the service", "option": "--its-url"}
Connection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(handle: Connection) -> AsyncIterator[str]:
    """A server that speaks for itself, below HTTP."""
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/x"
    finally:
        server.close()


@given(
    st.integers(1, 5000),
    st.floats(0, 10),
    st.floats(0, 60),
    st.floats(0, 1, exclude_max=True),
)
def test_a_pause_is_bounded_and_never_negative(n: int, first: float, longest: float, jitter: float) -> None:
    retry = Retry(first_pause=first, longest_pause=longest, jitter=lambda: jitter)
    assert 0 <= retry.pause(n) <= longest


@given(st.floats(0, 1, exclude_max=True))
def test_pauses_double_and_vary_by_half(jitter: float) -> None:
    retry = Retry(first_pause=1.0, longest_pause=5.0, jitter=lambda: jitter)
    for attempt, whole in ((1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (5, 5.0)):
        assert whole / 2 <= retry.pause(attempt) <= whole


def test_two_clients_do_not_come_back_together() -> None:
    assert len({Retry().pause(1) for _ in range(20)}) > 15


@pytest.mark.asyncio
async def test_the_pauses_between_attempts(
    http: httpx.AsyncClient, server: Any, failing: Any, pauses: Any
) -> None:
    server.will(failing())
    retry = Retry(attempts=5, first_pause=1, longest_pause=3, sleep=pauses.sleep, jitter=lambda: 0.5)
    with pytest.raises(ServiceError, match="5 attempts"):
        await send(http, "GET", server.url, retry=retry, **NAMES)
    assert pauses.taken == [0.75, 1.5, 2.25, 2.25]
    assert len(server.seen) == 5


@pytest.mark.asyncio
async def test_what_must_not_be_repeated_is_asked_once(
    http: httpx.AsyncClient, impatient: httpx.AsyncClient, server: Any, failing: Any, quick: Retry
) -> None:
    server.will(failing(503))
    answer = await exchange(http, "POST", server.url, retry=quick, repeatable=False, **NAMES)
    assert (answer.response.status_code, answer.attempts, len(server.seen)) == (503, 1, 1)
    server.delay = 0.8
    with pytest.raises(ServiceTimeout, match=r"1 attempt\n"):
        await exchange(impatient, "POST", server.url, retry=quick, repeatable=False, **NAMES)
    assert len(server.seen) == 2


@pytest.mark.asyncio
async def test_a_connection_that_cannot_be_made_is_always_tried_again(
    http: httpx.AsyncClient, quick: Retry, pauses: Any
) -> None:
    with pytest.raises(Unreachable, match="3 attempts"):
        await exchange(http, "POST", "http://127.0.0.1:1", retry=quick, repeatable=False, **NAMES)
    assert len(pauses.taken) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "url", ["nowhere", "ftp://host/x", "http://", f"http://{'a' * 70}.example/", "http://[::1/"]
)
async def test_what_is_no_address_is_not_tried_twice(
    http: httpx.AsyncClient, quick: Retry, pauses: Any, url: str
) -> None:
    with pytest.raises(Unreachable) as caught:
        await send(http, "GET", url, retry=quick, **NAMES)
    assert "--its-url" in str(caught.value.fix)
    assert pauses.taken == [] or "a" * 70 in url


@pytest.mark.asyncio
async def test_a_body_that_drips_for_ever_ends(http: httpx.AsyncClient) -> None:
    """Each byte resets the read timeout; the bound on the whole does not care."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)

    began = time.monotonic()
    async with listening(drip) as url:
        with pytest.raises(ServiceTimeout, match=r"no complete answer within 0\.4 s"):
            await send(http, "GET", url, retry=Retry(total=0.4), **NAMES)
    assert time.monotonic() - began < 30


@pytest.mark.asyncio
async def test_the_bound_holds_during_a_pause(http: httpx.AsyncClient, server: Any, failing: Any) -> None:
    server.will(failing())
    began = time.monotonic()
    with pytest.raises(ServiceTimeout):
        await send(http, "GET", server.url, retry=Retry(total=0.3, first_pause=60, longest_pause=60), **NAMES)
    assert time.monotonic() - began < 30


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"SSH-2.0-OpenSSH\r\n"]
)
async def test_a_server_that_hangs_up(
    http: httpx.AsyncClient, quick: Retry, pauses: Any, said: bytes
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    async with listening(hang_up) as url:
        with pytest.raises(Unreachable, match="does not answer"):
            await send(http, "GET", url, retry=quick, **NAMES)
    assert len(pauses.taken) == 2


@pytest.mark.asyncio
async def test_a_body_that_is_not_what_its_encoding_says(
    http: httpx.AsyncClient, server: Any, quick: Retry
) -> None:
    server.will(Response(b"no gzip", headers={"content-encoding": "gzip"}))
    with pytest.raises(UnexpectedAnswer, match="cannot be decoded"):
        await send(http, "GET", server.url, retry=quick, **NAMES)
    assert len(server.seen) == 1


@pytest.mark.asyncio
async def test_redirects_are_answers_even_if_the_client_would_follow(server: Any, quick: Retry) -> None:
    server.will(RedirectResponse("/elsewhere"), PlainTextResponse("elsewhere"))
    async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as http:
        response = await send(http, "GET", server.url, retry=quick, **NAMES)
    assert response.status_code == 307
    assert len(server.seen) == 1


@pytest.mark.asyncio
async def test_a_password_in_an_address_is_not_shown(http: httpx.AsyncClient, quick: Retry) -> None:
    with pytest.raises(Unreachable) as caught:
        await send(http, "GET", "http://me:geheim@127.0.0.1:1/x", retry=quick, **NAMES)
    assert "geheim" not in str(caught.value)
    assert caught.value.where == "http://127.0.0.1:1/x"


@given(
    st.sampled_from(["", "me@", "me:geheim@", "me:ge@heim@", "@"]), st.text(alphabet="ab:@/.?#", max_size=20)
)
def test_only_user_name_and_password_are_left_out(user: str, rest: str) -> None:
    for start in ("/", "?", "#"):
        assert shown_url(f"http://{user}host:80{start}{rest}") == f"http://host:80{start}{rest}"


@pytest.mark.asyncio
async def test_cancelling_is_not_an_answer(http: httpx.AsyncClient, server: Any) -> None:
    server.delay = 0.4
    server.will(PlainTextResponse("late"))
    task = asyncio.create_task(send(http, "GET", server.url, **NAMES))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
