"""Metrics that every service has: its HTTP requests, and the route that exposes what is counted.

Every service has a registry of its own, so that several of them in one process do not mix their numbers.
"""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["ROUTE_KEY", "HttpMetrics", "ServiceMetrics"]

ROUTE_KEY = "pytest_eng5.route"
"""Where a route leaves its path in the request's scope: a label must not hold the ids of the real path."""

_UNMATCHED = "unmatched"


class HttpMetrics:
    """Counts and times the requests of an application; used as its middleware.

    Args:
        app: The application.
        requests: Counter with the labels method, endpoint and status_code.
        duration: Histogram with the labels method and endpoint.
    """

    def __init__(self, app: ASGIApp, requests: Counter, duration: Histogram) -> None:
        self._app = app
        self._requests = requests
        self._duration = duration

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            method, endpoint = scope["method"], scope.get(ROUTE_KEY, _UNMATCHED)
            self._requests.labels(method, endpoint, str(status)).inc()
            self._duration.labels(method, endpoint).observe(time.perf_counter() - began)


class ServiceMetrics:
    """The registry of one service, with the metrics of its HTTP requests.

    Args:
        prefix: Of the names of the HTTP metrics.
    """

    def __init__(self, prefix: str) -> None:
        self.registry = CollectorRegistry()
        self.http_requests = Counter(
            f"{prefix}_http_requests",
            "HTTP requests",
            ["method", "endpoint", "status_code"],
            registry=self.registry,
        )
        self.http_duration = Histogram(
            f"{prefix}_http_request_duration_seconds",
            "Duration of HTTP requests",
            ["method", "endpoint"],
            registry=self.registry,
        )

    async def expose(self, _: Request) -> Response:
        """The answer of ``/metrics``."""
        return Response(generate_latest(self.registry), headers={"content-type": CONTENT_TYPE_LATEST})
