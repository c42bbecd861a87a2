"""A service that simulates a judge says where it takes the judge's behaviour; others are left alone."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pytest_eng5.services import ProviderClient, ServiceError

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize(
    ("offered", "path"),
    [
        ("/admin/simulations", "/admin/simulations"),
        ("/admin/simulations/", "/admin/simulations"),
        ("/v2/judge-1.x/sim_", "/v2/judge-1.x/sim_"),
    ],
)
async def test_the_path_is_the_one_that_is_offered(
    http: httpx.AsyncClient, server: Any, offered: str, path: str
) -> None:
    server.will(JSONResponse({"use_mock_llm": True, "simulations": offered}))
    assert await ProviderClient(http, server.url + "/").simulations_path() == path
    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/admin/mock-mode")]


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse({"use_mock_llm": True, "mock_mode": "default", "default_provider": "mock"}),
        JSONResponse({"use_mock_llm": True, "simulations": True}),
        JSONResponse({"use_mock_llm": True, "simulations": None}),
        JSONResponse({"use_mock_llm": True, "simulations": ""}),
        JSONResponse({"use_mock_llm": True, "simulations": "//other.host/x"}),
        JSONResponse({"use_mock_llm": True, "simulations": "http://other.host/x"}),
        JSONResponse({"use_mock_llm": True, "simulations": "@other.host/x"}),
        JSONResponse({"use_mock_llm": True, "simulations": "/x?y=1"}),
        JSONResponse({"simulations": "/admin/simulations"}, status_code=404),
        JSONResponse(["/admin/simulations"]),
        PlainTextResponse("not found", status_code=404),
        Response(b"\xff", media_type="application/json"),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.body[:60]!r}",
)
async def test_anything_less_clear_is_no_offer(
    http: httpx.AsyncClient, server: Any, answer: Response
) -> None:
    server.will(answer)
    assert await ProviderClient(http, server.url).simulations_path() is None


async def test_a_dead_service_is_an_error_and_no_offer(http: httpx.AsyncClient) -> None:
    with pytest.raises(ServiceError):
        await ProviderClient(http, "http://127.0.0.1:1").simulations_path()


async def test_a_simulation_goes_where_it_was_offered(http: httpx.AsyncClient, server: Any) -> None:
    server.will(Response(status_code=204))
    await ProviderClient(http, server.url).register_simulation("b-1", {"qualities": {}}, "/v2/sims")
    (seen,) = server.seen
    assert (seen.method, seen.path, json.loads(seen.body)) == ("PUT", "/v2/sims/b-1", {"qualities": {}})
