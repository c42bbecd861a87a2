"""Health and clock of a service, as the preflight reports them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from pytest_eng5.services import ServiceTimeout, Unreachable, check_health, health_url
from pytest_eng5.services.health import clock_skew

NAMES = {"service": "the CJ service", "option": "CJ_SERVICE_URL"}
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://localhost:8001/v1/content", "http://localhost:8001/healthz"),
        ("http://localhost:8001/v1/content/", "http://localhost:8001/healthz"),
        ("http://localhost:9095", "http://localhost:9095/healthz"),
        ("http://localhost:9095/", "http://localhost:9095/healthz"),
        ("http://localhost:9095/admin/v1", "http://localhost:9095/healthz"),
        ("http://localhost:8090/api/v1", "http://localhost:8090/healthz"),
        ("https://gate.example/content/v1/content", "https://gate.example/content/healthz"),
    ],
)
def test_where_the_health_route_is(address: str, expected: str) -> None:
    assert health_url(address) == expected


@pytest.mark.asyncio
async def test_a_healthy_service(http: httpx.AsyncClient, cj: Any) -> None:
    health = await check_health(http, cj.url, **NAMES)
    assert health.healthy
    assert (health.status, health.detail, health.error) == (200, "healthy: database", None)
    assert health.url == f"{cj.url}/healthz"
    assert health.seconds is not None
    assert 0 < health.seconds < 30
    assert health.clock is not None
    assert abs(health.clock.seconds) < 3, "both clocks are this machine's"


@pytest.mark.asyncio
async def test_an_unhealthy_service(http: httpx.AsyncClient, cj: Any) -> None:
    cj.healthy = False
    health = await check_health(http, cj.url, **NAMES)
    assert not health.healthy
    assert (health.status, health.detail) == (503, "unhealthy: database")
    assert "503" in str(health.error)
    assert "CJ_SERVICE_URL" in str(health.error)
    assert len(cj.seen) == 1, "asked once: the answer is the result"


@pytest.mark.asyncio
async def test_nobody_there(http: httpx.AsyncClient) -> None:
    health = await check_health(http, "http://127.0.0.1:1", **NAMES)
    assert not health.healthy
    assert isinstance(health.error, Unreachable)
    assert (health.status, health.seconds, health.clock) == (None, None, None)


@pytest.mark.asyncio
async def test_a_service_that_hangs(http: httpx.AsyncClient, server: Any) -> None:
    server.delay = 0.8
    server.will(PlainTextResponse("ok"))
    health = await check_health(http, server.url, timeout_seconds=0.2, **NAMES)
    assert not health.healthy
    assert isinstance(health.error, ServiceTimeout)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "healthy"),
    [
        (PlainTextResponse("ok"), True),
        (JSONResponse(["ok"]), True),
        (JSONResponse({"status": 1}), True),
        (HTMLResponse("<title>Sign in</title>", 404), False),
        (Response(status_code=301, headers={"location": "/login"}), False),
        (Response(b"\xff" * 100_000, 500), False),
    ],
)
async def test_any_answer_is_a_result(
    http: httpx.AsyncClient, server: Any, answer: Response, healthy: bool
) -> None:
    server.will(answer)
    health = await check_health(http, server.url, **NAMES)
    assert health.healthy is healthy
    assert len(health.detail) <= 250
    assert (health.error is None) is healthy


@pytest.mark.asyncio
async def test_the_time_of_the_answer_is_the_services(http: httpx.AsyncClient, server: Any) -> None:
    async def slow(_: Request) -> Response:
        await asyncio.sleep(0.3)
        return PlainTextResponse("ok")

    server.will(slow)
    health = await check_health(http, server.url, **NAMES)
    assert health.seconds is not None
    assert 0.29 < health.seconds < 30


@pytest.mark.asyncio
@pytest.mark.parametrize("hours", [-5, 3])
async def test_a_clock_that_is_wrong_is_noticed(http: httpx.AsyncClient, server: Any, hours: int) -> None:
    """Ours is turned: the server's Date header is what it is."""
    server.will(PlainTextResponse("ok"))
    turned = timedelta(hours=hours)
    health = await check_health(http, server.url, now=lambda: datetime.now(UTC) - turned, **NAMES)
    assert health.clock is not None
    assert health.clock.certain
    assert health.clock.seconds == pytest.approx(hours * 3600, abs=3)


@given(
    st.floats(-1e6, 1e6).map(lambda seconds: timedelta(seconds=round(seconds, 3))),
    st.floats(0, 5),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_the_true_skew_is_always_within_the_uncertainty(
    skew: timedelta, seconds: float, moment: float, age: float
) -> None:
    """The header is made during the exchange or up to a second before, and cut to whole seconds."""
    written = NOW + skew + timedelta(seconds=seconds * moment - age)
    found = clock_skew(format_datetime(written.replace(microsecond=0), usegmt=True), NOW, seconds)
    assert found is not None
    assert abs(found.seconds - skew.total_seconds()) <= found.uncertainty + 1e-3


@given(
    st.one_of(
        st.none(), st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} [\d:]* ?\S*")
    )
)
def test_any_date_header_is_a_skew_or_none(header: str | None) -> None:
    found = clock_skew(header, NOW, 0.1)
    assert found is None or found.uncertainty > 0
