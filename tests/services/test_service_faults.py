"""The client of the side channel for faults: what is sent, and what is said when it is not taken."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pytest_eng5.contracts import Fault, FaultCount, FaultPlan
from pytest_eng5.services import FaultClient, ServiceError

pytestmark = pytest.mark.asyncio

PLAN = FaultPlan(
    faults=(Fault(action="drop", topic="comparison_result", nth=3), Fault(action="fail")),
    correlation_id=UUID("0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01"),
    essay_ids=("a", "b"),
)


def client(http: httpx.AsyncClient, url: str) -> FaultClient:
    return FaultClient(http, url, service="the CJ service", option="--eng5-cj-url")


async def test_a_plan_is_put_under_its_batch(http: httpx.AsyncClient, server: Any) -> None:
    server.will(Response(status_code=204))
    await client(http, server.url + "/").register("b-1", PLAN)
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("PUT", "/admin/faults/b-1")
    assert FaultPlan.model_validate(json.loads(seen.body)) == PLAN
    assert json.loads(seen.body)["faults"][0] == {"action": "drop", "topic": "comparison_result", "nth": 3}


@pytest.mark.parametrize("status", [404, 405])
async def test_a_service_without_the_side_channel_is_named(
    http: httpx.AsyncClient, server: Any, status: int
) -> None:
    server.will(PlainTextResponse("no such page", status_code=status))
    with pytest.raises(ServiceError) as caught:
        await client(http, server.url).register("b-1", PLAN)
    assert caught.value.what == "the CJ service takes no fault plan, so 'faults' cannot be planted"
    assert caught.value.where == server.url
    assert "--eng5-pipeline embedded" in str(caught.value.fix)


async def test_a_refusal_is_told_with_its_reason(http: httpx.AsyncClient, server: Any) -> None:
    server.will(JSONResponse({"error": {"code": "VALIDATION_ERROR", "message": "not here"}}, status_code=400))
    with pytest.raises(ServiceError, match=r"refused the fault plan \(400\): .*not here"):
        await client(http, server.url).register("b-1", PLAN)


async def test_counts_are_read(http: httpx.AsyncClient, server: Any) -> None:
    server.will(JSONResponse({"faults": [{"seen": 6, "fired": 1}, {"seen": 0, "fired": 0}]}))
    counts = await client(http, server.url).counts("b-1")
    assert counts.faults == (FaultCount(seen=6, fired=1), FaultCount())
    assert (server.seen[0].method, server.seen[0].path) == ("GET", "/admin/faults/b-1")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Response(status_code=404), "no longer knows the fault plan"),
        (JSONResponse({"faults": [{"seen": "many"}]}), "no counts of faults"),
        (PlainTextResponse("hello"), "no counts of faults"),
    ],
)
async def test_counts_that_cannot_be_had_are_an_error(
    http: httpx.AsyncClient, server: Any, answer: Response, message: str
) -> None:
    server.will(answer)
    with pytest.raises(ServiceError, match=message):
        await client(http, server.url).counts("b-1")
