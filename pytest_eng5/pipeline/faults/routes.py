"""The side channel by which a service is told its faults, and tells how often they fired."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.contracts import FaultPlan
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.faults.book import FaultBook
from pytest_eng5.pipeline.http import read_body, route

__all__ = ["FAULTS_PATH", "Refusal", "fault_routes"]

FAULTS_PATH = "/admin/faults"

Refusal = Callable[[FaultPlan], str | None]
"""Why a service cannot do what a plan asks for, ``None`` if it can."""


def fault_routes(book: FaultBook, refusal: Refusal = lambda _: None) -> list[Route]:
    """PUT a plan for a batch before its request is published; GET the counts of its faults."""

    async def register(request: Request) -> Response:
        plan = await read_body(request, FaultPlan)
        problem = refusal(plan)
        if problem is not None:
            raise ServiceError("VALIDATION_ERROR", problem)
        book.register(request.path_params["batch_id"], plan)
        return Response(status_code=204)

    async def counts(request: Request) -> Response:
        batch_id = request.path_params["batch_id"]
        faults = book.find(batch_id)
        if faults is None:
            raise ServiceError("RESOURCE_NOT_FOUND", "no faults are planned for it", batch_id=batch_id)
        return JSONResponse(faults.counts().model_dump())

    path = f"{FAULTS_PATH}/{{batch_id}}"
    return [route("PUT", path, register), route("GET", path, counts)]
