"""The LLM provider service's client: what counts as a mock decides whether money may be spent."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pytest_eng5.services import ProviderClient, ServiceError

pytestmark = pytest.mark.asyncio


async def test_a_service_that_says_so_runs_a_mock(http: httpx.AsyncClient, server: Any) -> None:
    server.will(JSONResponse({"use_mock_llm": True, "mock_mode": "default", "default_provider": "mock"}))
    assert await ProviderClient(http, server.url + "/").runs_a_mock() is True
    assert (server.seen[0].method, server.seen[0].path) == ("GET", "/admin/mock-mode")


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"use_mock_llm": False, "mock_mode": None, "default_provider": "anthropic"}),
        JSONResponse({"use_mock_llm": "true"}),
        JSONResponse({"use_mock_llm": 1}),
        JSONResponse({"use_mock_llm": None}),
        JSONResponse({"mock_mode": "default"}),
        JSONResponse([True]),
        JSONResponse(None),
        JSONResponse({"use_mock_llm": True}, status_code=404),
        JSONResponse({"use_mock_llm": True}, status_code=401),
        PlainTextResponse("use_mock_llm"),
        Response(b"\xff", media_type="application/json"),
        Response(b""),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.body[:24]!r}",
)
async def test_anything_less_clear_does_not_count_as_a_mock(
    http: httpx.AsyncClient, server: Any, answer: Response
) -> None:
    server.will(answer)
    assert await ProviderClient(http, server.url).runs_a_mock() is False


async def test_a_dead_service_is_an_error_not_a_mock(http: httpx.AsyncClient) -> None:
    with pytest.raises(ServiceError) as caught:
        await ProviderClient(http, "http://127.0.0.1:1").runs_a_mock()
    assert "--eng5-llm-url" in str(caught.value.fix)
    assert caught.value.where == "http://127.0.0.1:1/admin/mock-mode"


async def test_a_failing_service_is_an_error_not_a_mock(http: httpx.AsyncClient, server: Any) -> None:
    server.will(JSONResponse({"use_mock_llm": True}, status_code=503))
    with pytest.raises(ServiceError, match="503"):
        await ProviderClient(http, server.url).runs_a_mock()
    assert len(server.seen) == 3


async def test_a_simulation_is_put_under_its_batch(http: httpx.AsyncClient, server: Any) -> None:
    server.will(Response(status_code=204))
    simulation = {"qualities": {"a": 1.0}, "labels": {"a": "x"}, "discrimination": 4.0, "seed": 7}
    await ProviderClient(http, server.url).register_simulation("b-1", simulation)
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("PUT", "/admin/simulations/b-1")
    assert json.loads(seen.body) == simulation


@pytest.mark.parametrize("status", [200, 400, 404, 405, 422])
async def test_a_refused_simulation_points_at_the_reference_pipeline(
    http: httpx.AsyncClient, server: Any, status: int
) -> None:
    server.will(PlainTextResponse("no such route", status_code=status))
    with pytest.raises(ServiceError) as caught:
        await ProviderClient(http, server.url).register_simulation("b-1", {})
    assert str(status) in caught.value.what
    assert "no such route" in caught.value.what
    assert "--eng5-pipeline embedded" in str(caught.value.fix)
    assert str(caught.value.where).endswith("/admin/simulations/b-1")
