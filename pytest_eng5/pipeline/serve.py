"""Puts the three services together in one event loop, starts them and ends them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from pytest_eng5.contracts import PIPELINE_EVENTS, ProcessingEvent, topic_names
from pytest_eng5.pipeline.cj.app import cj_app
from pytest_eng5.pipeline.cj.clients import ContentClient, ProviderClient
from pytest_eng5.pipeline.cj.consumer import CJConsumer
from pytest_eng5.pipeline.cj.scoring import load_choix
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.cj.workflow import Services
from pytest_eng5.pipeline.content.app import content_app
from pytest_eng5.pipeline.content.store import MemoryStore
from pytest_eng5.pipeline.errors import PipelineError, StartupFailed
from pytest_eng5.pipeline.http import HttpServer
from pytest_eng5.pipeline.kafka import BrokerWatch, KafkaOptions, TopicSpec, ensure_topics
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.provider.app import provider_app
from pytest_eng5.pipeline.provider.archive import PromptArchive
from pytest_eng5.pipeline.provider.queue import ComparisonQueue
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.settings import CJSettings, LLMProviderSettings

__all__ = ["Pipeline", "ServeOptions"]

_STOP_TIMEOUT = 1.0
_log = service_logger("pipeline")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line decides; port 0 is a free port."""

    kafka: KafkaOptions
    host: str = "127.0.0.1"
    content_port: int = 0
    cj_port: int = 0
    llm_port: int = 0


class Pipeline:
    """The three services.

    Args:
        options: Addresses.
        cj: Settings of the CJ service.
        provider: Settings of the LLM provider service.
    """

    def __init__(self, options: ServeOptions, cj: CJSettings, provider: LLMProviderSettings) -> None:
        self._options = options
        self._cj = cj
        self._provider = provider

    async def run(self, announce: Callable[[dict[str, Any]], None]) -> None:
        """Start everything, call ``announce`` once everything is ready, and serve until cancelled.

        Args:
            announce: Gets URLs and process id, when a message published from then on will not be missed.

        Raises:
            PipelineError: It cannot start, or cannot go on.
        """
        try:
            async with AsyncExitStack() as stack:
                await self._run(stack, announce)
        except* PipelineError as group:
            raise next(_leaves(group)) from group

    async def _run(self, stack: AsyncExitStack, announce: Callable[[dict[str, Any]], None]) -> None:
        options, kafka = self._options, self._options.kafka
        admin = AIOKafkaAdminClient(**kafka.client_arguments("eng5-pipeline-admin"))
        publisher = Publisher(kafka)
        await self._connect(stack, admin, publisher)
        watch = BrokerWatch(admin, kafka)
        # Entered last and so left first: no task outlives what it works with.
        tasks = asyncio.TaskGroup()

        store = MemoryStore()
        content = HttpServer(content_app(store), options.host, options.content_port)
        content_url = f"{content.url}/v1/content"
        book = SimulationBook()
        archive = PromptArchive(store if self._provider.store_prompts else None)
        queue = ComparisonQueue(self._provider, book, publisher, archive)
        callback_topic = publisher.topic(ProcessingEvent.LLM_COMPARISON_RESULT)
        llm_app = provider_app(queue, book, callback_topic, lambda: watch.problem)
        llm = HttpServer(llm_app, options.host, options.llm_port)

        http = await stack.enter_async_context(_client())
        services = Services(
            settings=self._cj,
            content=ContentClient(http, content_url, self._cj),
            provider=ProviderClient(http, llm.url, self._cj),
            publisher=publisher,
            topic_prefix=kafka.topic_prefix,
        )
        service = CJService(services, tasks)
        consumer = CJConsumer(kafka, self._cj.session_timeout_ms)
        cj = HttpServer(cj_app(service, consumer, watch), options.host, options.cj_port)

        servers = (content, llm, cj)
        stack.push_async_callback(_stop_all, servers)
        for server in servers:
            await server.start()
        stack.push_async_callback(_bounded, consumer.stop)
        await consumer.start()
        await stack.enter_async_context(tasks)
        for name, work in (
            ("watch over the broker", watch.run()),
            ("comparison queue", queue.run()),
            ("Kafka consumer", consumer.run(service.handle)),
        ):
            tasks.create_task(_endless(name, work))
        tasks.create_task(asyncio.to_thread(load_choix))
        announce({"content_url": content_url, "cj_url": cj.url, "llm_url": llm.url, "pid": os.getpid()})

    async def _connect(self, stack: AsyncExitStack, admin: AIOKafkaAdminClient, publisher: Publisher) -> None:
        try:
            stack.push_async_callback(_bounded, admin.close)
            await admin.start()
            names = topic_names(PIPELINE_EVENTS, self._options.kafka.topic_prefix)
            await ensure_topics(admin, map(TopicSpec, names))
            stack.push_async_callback(_bounded, publisher.stop)
            await publisher.start()
        except (KafkaError, OSError) as error:
            raise StartupFailed(
                f"the Kafka broker cannot be used: {error}",
                where=self._options.kafka.bootstrap_servers,
                fix="start a broker there (eng5 kafka run) or pass --bootstrap-servers",
            ) from None


def _client() -> httpx.AsyncClient:
    # Loopback only: no proxy from the environment, and few connections, since the client looks at each of
    # them for every request.
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    return httpx.AsyncClient(limits=limits, trust_env=False)


async def _stop_all(servers: Iterable[HttpServer]) -> None:
    await asyncio.gather(*(server.stop() for server in servers))


async def _bounded(stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Stop a Kafka client, but neither wait for a broker that is gone nor let the client's end be ours.

    aiokafka lets the cancellation of its own tasks out of ``stop()`` when the broker is away; as a task of
    its own it cannot be mistaken for a cancellation of the pipeline.
    """
    task = asyncio.create_task(stop())
    await asyncio.wait({task}, timeout=_STOP_TIMEOUT)
    if not task.done():
        task.cancel()
    elif task.cancelled() or task.exception():
        _log.warning("client not stopped cleanly")


async def _endless(name: str, work: Coroutine[Any, Any, None]) -> None:
    """Await work that may end only together with the pipeline.

    Raises:
        PipelineError: It ended by itself; a task group would go on without it in silence.
    """
    task = asyncio.current_task()
    assert task is not None
    with suppress(asyncio.CancelledError):
        await work
    if task.cancelling():
        raise asyncio.CancelledError
    raise PipelineError(
        f"the {name} ended by itself", fix="start the pipeline again; see its log for the cause"
    )


def _leaves(group: BaseExceptionGroup[PipelineError]) -> Iterator[PipelineError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
