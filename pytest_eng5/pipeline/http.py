"""What the three HTTP services share: a server on its own port, routes, errors, health, correlation ids."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import uvicorn
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.contracts import utc_now, validation_reasons
from pytest_eng5.pipeline.errors import ServiceError, StartupFailed
from pytest_eng5.pipeline.metrics import ROUTE_KEY, HttpMetrics, ServiceMetrics

__all__ = [
    "Endpoint",
    "HttpServer",
    "Readiness",
    "correlation_id",
    "counting",
    "error_response",
    "health_routes",
    "read_body",
    "route",
    "service_app",
]

Endpoint = Callable[[Request], Awaitable[Response]]
Readiness = Callable[[], str | None]
ModelT = TypeVar("ModelT", bound=BaseModel)


class _Server(uvicorn.Server):
    """A uvicorn server that leaves the process's signals alone and says when it accepts requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.accepting.set()


class HttpServer:
    """One service on one port, taken when the object is made so that its URL is known before it serves.

    Args:
        app: The service.
        host: Address to listen on.
        port: Port, 0 for a free one.

    Raises:
        StartupFailed: The address cannot be had.
    """

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        self._listener = _listener(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self._listener.getsockname()[1]}"
        self._server = _Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1, ws="none"
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve; returns once requests are accepted."""
        self._task = asyncio.create_task(self._server.serve([self._listener]))
        await self._server.accepting.wait()

    async def wait(self) -> None:
        """Return when the service has ended."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """End the service; requests under way get a second."""
        if self._task is None:
            self._listener.close()
            return
        self._server.should_exit = True
        await asyncio.gather(self._task, return_exceptions=True)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StartupFailed(
            f"cannot listen: {error.strerror}",
            where=f"{host}:{port}",
            fix="choose another port, or 0 for a free one",
        ) from None
    return listener


def route(method: str, path: str, endpoint: Endpoint) -> Route:
    """A route for exactly one method: unlike Starlette's default, GET does not answer HEAD."""

    async def noted(request: Request) -> Response:
        request.scope[ROUTE_KEY] = path
        return await endpoint(request)

    result = Route(path, noted, methods=[method])
    result.methods = {method}
    return result


async def read_body(request: Request, model: type[ModelT]) -> ModelT:
    """The body of a request, as a model.

    Raises:
        ServiceError: ``VALIDATION_ERROR`` with every problem and where it is.
    """
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        problems = [
            {"pointer": pointer, "message": message} for pointer, message in validation_reasons(error)
        ]
        first = f"{problems[0]['pointer']}: {problems[0]['message']}".removeprefix(": ")
        raise ServiceError("VALIDATION_ERROR", first, problems=problems) from None


def correlation_id(request: Request) -> UUID:
    """The caller's ``X-Correlation-ID``; other text than a UUID is mapped to one, none makes a new one."""
    text = request.headers.get("x-correlation-id")
    if not text:
        return uuid4()
    try:
        return UUID(text)
    except ValueError:
        return uuid5(NAMESPACE_OID, text)


def error_response(error: ServiceError, service: str, correlation: UUID) -> JSONResponse:
    """The services' error body and status (contract 5.2)."""
    body = {
        "code": error.code,
        "message": error.what,
        "correlation_id": str(correlation),
        "service": service,
        "timestamp": utc_now().isoformat(),
        "details": error.details,
    }
    return JSONResponse({"error": body}, status_code=error.status)


def service_app(service: str, routes: Sequence[Route], metrics: ServiceMetrics) -> Starlette:
    """An application that answers with error bodies; unexpected errors become a 500 without their text.

    ``/metrics`` exposes what is counted.
    """

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return error_response(error, service, correlation_id(request))

    async def failed(request: Request, error: Exception) -> Response:
        hidden = ServiceError("UNKNOWN_ERROR", f"unexpected {type(error).__name__}")
        return error_response(hidden, service, correlation_id(request))

    return Starlette(
        routes=[*routes, route("GET", "/metrics", metrics.expose)],
        exception_handlers={ServiceError: refused, Exception: failed},
        middleware=counting(metrics),
    )


def counting(metrics: ServiceMetrics) -> list[Middleware]:
    """The middleware that counts the requests of a service."""
    return [Middleware(HttpMetrics, requests=metrics.http_requests, duration=metrics.http_duration)]


def health_routes(service: str, not_ready: Readiness, facts: Callable[[], dict[str, Any]]) -> list[Route]:
    """``/healthz``, ``/healthz/live`` and ``/healthz/ready``.

    Args:
        service: Name in the answers.
        not_ready: Why the service cannot work at the moment, or ``None``.
        facts: Extra fields of ``/healthz``.
    """

    def answer(reason: str | None, **more: Any) -> JSONResponse:
        status = "healthy" if reason is None else "unhealthy"
        body = {"service": service, "status": status, "message": reason or "ok", **more}
        return JSONResponse(body, status_code=200 if reason is None else 503)

    async def health(_: Request) -> Response:
        return answer(not_ready(), **facts())

    async def live(_: Request) -> Response:
        return answer(None)

    async def ready(_: Request) -> Response:
        return answer(not_ready())

    return [
        route("GET", "/healthz", health),
        route("GET", "/healthz/live", live),
        route("GET", "/healthz/ready", ready),
    ]
