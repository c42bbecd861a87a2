"""HTTP of the CJ service; for now its health (the admin routes come with assignment-bound batches)."""

from __future__ import annotations

from starlette.applications import Starlette

from pytest_eng5.pipeline.cj.consumer import CJConsumer
from pytest_eng5.pipeline.cj.events import SERVICE
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.http import health_routes, service_app
from pytest_eng5.pipeline.kafka import BrokerWatch

__all__ = ["cj_app"]


def cj_app(service: CJService, consumer: CJConsumer, watch: BrokerWatch) -> Starlette:
    """The service: ready only while its consumer has partitions and positions and the broker answers."""

    def not_ready() -> str | None:
        return watch.problem or consumer.not_ready()

    return service_app(
        SERVICE, health_routes(SERVICE, not_ready, lambda: {"running_batches": service.running})
    )
