"""The CJ service, put together for one process."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup

import httpx

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.pipeline.broker import Broker
from pytest_eng5.pipeline.cj.admin import admin_routes, anchor_routes
from pytest_eng5.pipeline.cj.admin_auth import AdminAccess
from pytest_eng5.pipeline.cj.app import cj_app
from pytest_eng5.pipeline.cj.clients import ContentClient, ProviderClient
from pytest_eng5.pipeline.cj.consumer import CJConsumer
from pytest_eng5.pipeline.cj.scoring import load_choix
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.cj.workflow import Services
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.faults import fault_routes
from pytest_eng5.pipeline.http import Readiness
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.parts import Work
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["CJPart"]

_log = service_logger("cj_assessment_service")


class CJPart:
    """Application, consumer and batches of one process.

    Args:
        settings: Of the service.
        broker: Where requests and callbacks come from.
        http: Client.
        content_url: The content service, ``.../v1/content``.
        llm_url: The LLM provider service, without a path.
        tasks: Where batches run.
        not_ready: Why the process cannot work at the moment.
        database: The state of the process.
        access: Who may use the admin API.
    """

    def __init__(
        self,
        settings: CJSettings,
        broker: Broker,
        http: httpx.AsyncClient,
        content_url: str,
        llm_url: str,
        tasks: TaskGroup,
        not_ready: Readiness,
        database: Database,
        access: AdminAccess,
    ) -> None:
        content = ContentClient(http, content_url, settings)
        services = Services(
            settings=settings,
            content=content,
            provider=ProviderClient(http, llm_url, settings),
            publisher=broker.publisher,
            topic_prefix=broker.options.topic_prefix,
            database=database,
        )
        service = CJService(services, tasks)
        consumer = CJConsumer(broker.options, settings.session_timeout_ms)
        self._tasks = tasks
        self._consumer = consumer
        self._options = broker.options
        self._services = services
        assignments = services.assignments
        routes = [
            *admin_routes(assignments, content, access),
            *anchor_routes(assignments, content),
            *fault_routes(services.faults),
        ]
        broker.direct = lambda value: service.handle(ProcessingEvent.LLM_COMPARISON_RESULT, value)
        self.app = cj_app(service, consumer, not_ready, routes)
        self.works: list[tuple[str, Work]] = [
            ("Kafka consumer", lambda: self._run(service)),
            ("batch monitor", service.monitor.run),
        ]

    def forget(self) -> None:
        """Give up the batches under way: their callbacks lie on a cluster that is gone."""
        self._services.outbox.forget()
        if given_up := self._services.batches.end_all():
            _log.warning("another Kafka cluster: batches given up", count=given_up)

    async def start(self) -> None:
        """Join the consumer group; the broker is connected."""
        await self._consumer.start()

    async def stop(self) -> None:
        """Leave the group."""
        await self._consumer.stop()

    async def _run(self, service: CJService) -> None:
        self._tasks.create_task(asyncio.to_thread(load_choix))
        await self._services.outbox.recover(self._options)
        service.resume()
        await self._consumer.run(service.handle)
