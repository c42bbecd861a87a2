"""HTTP of the CJ service; for now its health (the admin routes come with assignment-bound batches)."""

from __future__ import annotations

from starlette.applications import Starlette

from pytest_eng5.pipeline.cj.consumer import CJConsumer
from pytest_eng5.pipeline.cj.events import SERVICE
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.http import Readiness, health_routes, service_app

__all__ = ["cj_app"]


def cj_app(service: CJService, consumer: CJConsumer, not_ready: Readiness) -> Starlette:
    """The service: ready only while its consumer has partitions and positions and ``not_ready`` agrees."""

    def problem() -> str | None:
        return not_ready() or consumer.not_ready()

    routes = health_routes(SERVICE, problem, lambda: {"running_batches": service.running})
    return service_app(SERVICE, routes, service.metrics)
