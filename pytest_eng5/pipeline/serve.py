"""Puts the services of one process together in one event loop, starts them and ends them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from aiokafka.errors import KafkaError

from pytest_eng5.pipeline.broker import Broker
from pytest_eng5.pipeline.content.app import content_app
from pytest_eng5.pipeline.content.store import DatabaseStore
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import PipelineError
from pytest_eng5.pipeline.http import HttpServer
from pytest_eng5.pipeline.kafka import KafkaOptions
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.parts import ServicePart, Work
from pytest_eng5.pipeline.provider.archive import HttpArchive, PromptArchive, StoreArchive
from pytest_eng5.pipeline.provider.records import provider_topics
from pytest_eng5.pipeline.provider.service import ProviderService
from pytest_eng5.pipeline.settings import CJSettings, LLMProviderSettings
from pytest_eng5.pipeline.startup import Startup, check_content_service, check_provider_service
from pytest_eng5.pipeline.state_path import MEMORY, default_path, open_state
from pytest_eng5.pipeline.topics import event_topics

__all__ = ["SERVICES", "Pipeline", "ServeOptions"]

SERVICES = ("content", "cj", "llm")
_STOP_TIMEOUT = 1.0
_log = service_logger("pipeline")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line decides; port 0 is a free port.

    Attributes:
        kafka: The broker; ``None`` where only the content service runs, which needs none.
        services: Which of `SERVICES` run in this process.
        content_url: The content service, where it runs elsewhere.
        llm_url: The LLM provider service, where it runs elsewhere.
        partitions: Of the topics that are created.
        create_topics: Whether missing topics are created.
        patience: Seconds to wait at the start for the broker and the services that run elsewhere.
        worker_id: Name of this process in logs and metrics.
        state: File of the state, ``memory``, or ``None`` for a file of its own.
        jwt_key_file: Holds the key of the admin API's tokens, where it is not in the environment.
    """

    kafka: KafkaOptions | None
    services: frozenset[str] = frozenset(SERVICES)
    host: str = "127.0.0.1"
    content_port: int = 0
    cj_port: int = 0
    llm_port: int = 0
    content_url: str | None = None
    llm_url: str | None = None
    partitions: int = 3
    create_topics: bool = True
    patience: float = 0.0
    worker_id: str = "pipeline"
    state: str | None = MEMORY
    jwt_key_file: Path | None = None

    def identity(self) -> list[object]:
        """What makes this the same pipeline when it is started again."""
        broker = () if self.kafka is None else (self.kafka.bootstrap_servers, self.kafka.topic_prefix)
        return [*broker, *sorted(self.services), self.content_port, self.cj_port, self.llm_port]


@dataclass(slots=True)
class _Running:
    """What runs in the process so far: servers, what to start after the broker, and endless work by name."""

    stack: AsyncExitStack
    startup: Startup
    http: httpx.AsyncClient
    broker: Broker | None
    database: Database
    store: DatabaseStore
    tasks: asyncio.TaskGroup
    servers: list[HttpServer]
    parts: list[ServicePart]
    works: list[tuple[str, Work]]

    def not_ready(self) -> str | None:
        """Why nothing that needs the others can work at the moment."""
        return self.startup.problem or (None if self.broker is None else self.broker.problem)


class Pipeline:
    """The services of one process.

    Args:
        options: What runs here, and addresses.
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
        options = self._options
        database = self._open_state()
        stack.callback(database.close)
        running = _Running(
            stack=stack,
            startup=Startup(options.patience),
            http=await stack.enter_async_context(_client()),
            broker=None if options.kafka is None else Broker(options.kafka),
            database=database,
            store=DatabaseStore(database),
            tasks=asyncio.TaskGroup(),
            servers=[],
            parts=[],
            works=[],
        )
        urls = self._assemble(running)
        stack.push_async_callback(_stop_all, running.servers)
        for server in running.servers:
            await server.start()
        await self._connect(running)
        # Entered last and so left first: no task outlives what it works with.
        await stack.enter_async_context(running.tasks)
        for name, work in [*running.works, *((f"server at {s.url}", s.wait) for s in running.servers)]:
            running.tasks.create_task(_endless(name, work()))
        running.startup.done()
        announce({**urls, "pid": os.getpid()})

    def _open_state(self) -> Database:
        """The state; a provider service alone has none with a queue in Kafka."""
        if self._options.services == {"llm"} and self._provider.queue == "kafka":
            return Database()
        return open_state(self._options.state, default_path(self._options.identity()))

    def _assemble(self, running: _Running) -> dict[str, str | None]:
        """Make what runs here, each on its port; returns all addresses, ``None`` where nobody knows one."""
        options = self._options
        content_url, llm_url, cj_url = options.content_url, options.llm_url, None
        if "content" in options.services:
            server = HttpServer(content_app(running.store), options.host, options.content_port)
            running.servers.append(server)
            content_url = f"{server.url}/v1/content"
        if "llm" in options.services:
            llm_url = self._add_provider(running)
        if "cj" in options.services:
            assert content_url is not None
            assert llm_url is not None
            cj_url = self._add_cj(running, content_url, llm_url)
        return {"content_url": content_url, "cj_url": cj_url, "llm_url": llm_url}

    def _add_provider(self, running: _Running) -> str:
        options = self._options
        assert running.broker is not None
        provider = ProviderService(
            self._provider,
            running.broker,
            self._archive(running),
            running.not_ready,
            options.worker_id,
            running.database,
        )
        return self._add(running, provider, options.llm_port)

    def _archive(self, running: _Running) -> PromptArchive | None:
        if not self._provider.store_prompts:
            return None
        if "content" in self._options.services:
            return StoreArchive(running.store)
        assert self._options.content_url is not None
        return HttpArchive(running.http, self._options.content_url)

    def _add_cj(self, running: _Running, content_url: str, llm_url: str) -> str:
        # Here and not above: its numpy and networkx would double the start and the memory of a worker.
        from pytest_eng5.pipeline.cj.admin_auth import AdminAccess
        from pytest_eng5.pipeline.cj.part import CJPart

        assert running.broker is not None
        part = CJPart(
            self._cj,
            running.broker,
            running.http,
            content_url,
            llm_url,
            running.tasks,
            running.not_ready,
            running.database,
            AdminAccess.from_environment(secret_file=self._options.jwt_key_file),
        )
        return self._add(running, part, self._options.cj_port)

    def _add(self, running: _Running, part: ServicePart, port: int) -> str:
        server = HttpServer(part.app, self._options.host, port)
        running.servers.append(server)
        running.parts.append(part)
        running.works.extend(part.works)
        return server.url

    async def _connect(self, running: _Running) -> None:
        """Wait for the broker and the services elsewhere, then start what works with them."""
        options, startup, broker = self._options, running.startup, running.broker
        if broker is None:
            return
        prefix = broker.options.topic_prefix
        topics = event_topics(options.services, prefix, options.partitions)
        if "llm" in options.services and self._provider.queue == "kafka":
            topics += provider_topics(prefix, self._provider.queue_partitions)
        running.stack.push_async_callback(_bounded, broker.stop)
        await startup.wait_for(
            "the Kafka broker", lambda: broker.connect(topics, create=options.create_topics)
        )
        await self._await_services(running)
        cluster_id = await broker.cluster_id()
        if cluster_id is not None and running.database.moves_to(cluster_id):
            for part in running.parts:
                part.forget()
        for part in running.parts:
            running.stack.push_async_callback(_bounded, part.stop)
            await part.start()
        running.works.append(("watch over the broker", broker.watch))

    async def _await_services(self, running: _Running) -> None:
        options, http = self._options, running.http
        content_url, llm_url = options.content_url, options.llm_url
        needs_content = "cj" in options.services or self._provider.store_prompts
        if content_url is not None and needs_content:
            await running.startup.wait_for(
                "the content service", lambda: check_content_service(http, content_url)
            )
        if llm_url is not None and "cj" in options.services:
            await running.startup.wait_for(
                "the LLM provider service", lambda: check_provider_service(http, llm_url)
            )


def _client() -> httpx.AsyncClient:
    # No proxy from the environment, and few connections, since the client looks at each of them for every
    # request.
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
        try:
            await work
        except KafkaError as error:
            raise PipelineError(
                f"the {name} cannot go on: {type(error).__name__}: {error}",
                fix="look at the broker's own log; start the pipeline again once that is mended",
            ) from error
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
