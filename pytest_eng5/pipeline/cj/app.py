"""HTTP of the CJ service: health, admin API, registration of anchors."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.routing import Route

from pytest_eng5.pipeline.cj.consumer import CJConsumer
from pytest_eng5.pipeline.cj.events import SERVICE
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.http import Readiness, health_routes, service_app

__all__ = ["cj_app"]


def cj_app(
    service: CJService, consumer: CJConsumer, not_ready: Readiness, more: Sequence[Route] = ()
) -> Starlette:
    """The service: ready only while its consumer has partitions and positions and ``not_ready`` agrees.

    Args:
        service: The batches.
        consumer: Where they come from.
        not_ready: Why the process cannot work at the moment.
        more: Routes besides health.
    """

    def problem() -> str | None:
        return not_ready() or consumer.not_ready()

    routes = health_routes(SERVICE, problem, lambda: {"running_batches": service.running})
    return service_app(SERVICE, [*routes, *more], service.metrics)
