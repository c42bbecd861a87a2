"""HTTP of the content service: store bytes, fetch bytes (contract section 4).

Errors carry an ``ErrorDetail`` here, unlike those of the other two services.
"""

from __future__ import annotations

import re
from uuid import UUID

from prometheus_client import Gauge
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pytest_eng5.contracts import ErrorDetail
from pytest_eng5.pipeline.content.store import ContentStore, Stored
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.http import correlation_id, counting, health_routes, route
from pytest_eng5.pipeline.metrics import ServiceMetrics

__all__ = ["SERVICE", "content_app"]

SERVICE = "content_service"
_STORAGE_ID = re.compile(r"[0-9a-fA-F]{32}")


def content_app(store: ContentStore) -> Starlette:
    """The service over a store."""

    async def upload(request: Request) -> Response:
        body = await request.body()
        if not body:
            raise ServiceError("VALIDATION_ERROR", "the request body is empty", field="body")
        content_type = request.headers.get("content-type") or "text/plain"
        storage_id = await store.put(Stored(body, content_type))
        answer = {"storage_id": storage_id, "correlation_id": str(correlation_id(request))}
        return JSONResponse(answer, status_code=201)

    async def download(request: Request) -> Response:
        storage_id = request.path_params["storage_id"]
        if not _STORAGE_ID.fullmatch(storage_id):
            raise ServiceError(
                "VALIDATION_ERROR", "a storage id is 32 hexadecimal digits", field="storage_id"
            )
        stored = await store.get(storage_id)
        if stored is None:
            raise ServiceError(
                "RESOURCE_NOT_FOUND", f"no content with id {storage_id}", resource_id=storage_id
            )
        return Response(stored.body, headers={"content-type": stored.content_type})

    metrics = ServiceMetrics(SERVICE)
    documents = Gauge(f"{SERVICE}_documents", "Contents that are kept", registry=metrics.registry)

    async def expose(request: Request) -> Response:
        documents.set(await store.count())
        return await metrics.expose(request)

    return Starlette(
        routes=[
            route("POST", "/v1/content", upload),
            route("GET", "/v1/content/{storage_id}", download),
            route("GET", "/metrics", expose),
            *health_routes(SERVICE, lambda: None, dict),
        ],
        exception_handlers={ServiceError: _refused, Exception: _failed},
        middleware=counting(metrics),
    )


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    detail = _detail(error, correlation_id(request), f"{request.method} {request.url.path}")
    return JSONResponse({"error": detail.model_dump(mode="json")}, status_code=error.status)


async def _failed(request: Request, error: Exception) -> Response:
    body = {
        "error_code": "UNKNOWN_ERROR",
        "message": f"unexpected {type(error).__name__}",
        "correlation_id": str(correlation_id(request)),
    }
    return JSONResponse({"error": body}, status_code=500)


def _detail(error: ServiceError, correlation: UUID, operation: str) -> ErrorDetail:
    return ErrorDetail(
        error_code=error.code,
        message=error.what,
        correlation_id=correlation,
        service=SERVICE,
        operation=operation,
        details=error.details,
    )
