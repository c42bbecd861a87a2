"""The LLM provider service, put together for one process."""

from __future__ import annotations

from pytest_eng5.contracts import FaultPlan, ProcessingEvent
from pytest_eng5.pipeline.broker import Broker
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.faults import PROVIDER_EVENTS, FaultBook, FaultySeam, fault_routes
from pytest_eng5.pipeline.http import Readiness
from pytest_eng5.pipeline.parts import Part, Work
from pytest_eng5.pipeline.provider.app import Register, provider_app
from pytest_eng5.pipeline.provider.archive import PromptArchive
from pytest_eng5.pipeline.provider.journal import Journal
from pytest_eng5.pipeline.provider.kafka_queue import KafkaQueue
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.queue import ComparisonQueue, MemoryQueue
from pytest_eng5.pipeline.provider.shared_simulations import SharedSimulations
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.replay import answered_since
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["ProviderService"]

_CLOCK_MARGIN_MS = 60_000


class _Resumption:
    """Takes up what the process before this one accepted and did not answer."""

    def __init__(self, broker: Broker, queue: MemoryQueue, journal: Journal) -> None:
        self._broker = broker
        self._queue = queue
        self._journal = journal

    async def start(self) -> None:
        """Ask the broker which callbacks it has, so that no comparison is judged twice."""
        waiting = {str(item.queue_id): item.requested_at.timestamp() for item in self._journal.waiting()}
        if not waiting:
            return
        publisher = self._broker.publisher
        partitions = await publisher.partitions(publisher.topic(ProcessingEvent.LLM_COMPARISON_RESULT))
        since = int(min(waiting.values()) * 1000) - _CLOCK_MARGIN_MS
        self._queue.resume(await answered_since(self._broker.options, partitions, since))

    async def stop(self) -> None:
        """Nothing to give back."""


def _refusal(plan: FaultPlan, broker: Broker) -> str | None:
    """The true callback reaches the CJ service only within a process."""
    if broker.direct is not None:
        return None
    hidden = [
        fault for fault in plan.faults if not fault.reaches_cj and set(fault.events) & {*PROVIDER_EVENTS}
    ]
    if not hidden:
        return None
    return (
        f"{hidden[0]}: the CJ service runs in another process and cannot be given the true callback; "
        "write 'reaches_cj: true', or run both services in one process"
    )


class ProviderService:
    """Application, queue and judge of one process.

    Args:
        settings: Of the service.
        broker: Where callbacks go.
        archive: Where prompts are kept, if they are.
        not_ready: Why the process cannot work at the moment.
        worker_id: Name of the process.
        database: The state of the process; a queue in Kafka keeps itself.
    """

    def __init__(
        self,
        settings: LLMProviderSettings,
        broker: Broker,
        archive: PromptArchive | None,
        not_ready: Readiness,
        worker_id: str,
        database: Database,
    ) -> None:
        journal = None if settings.queue == "kafka" else Journal(database)
        book = SimulationBook(journal)
        metrics = ProviderMetrics(worker_id)
        faults = FaultBook(PROVIDER_EVENTS)
        seam = FaultySeam(broker.publisher, faults, lambda: broker.direct)
        processor = Processor(settings, book, seam, archive, metrics)
        self._journal = journal
        self._parts: list[Part] = []
        self.works: list[tuple[str, Work]] = []
        register: Register
        queue: ComparisonQueue
        if settings.queue == "kafka":
            shared = SharedSimulations(broker.options, broker.publisher, book)
            queue = KafkaQueue(settings, broker.options, broker.publisher, processor, shared, worker_id)
            self._parts = [shared, queue]
            self.works = [("registered simulations", shared.run)]
            register = shared.register
        else:
            assert journal is not None
            queue = memory = MemoryQueue(settings, processor, journal)
            self._parts = [_Resumption(broker, memory, journal)]
            register = book.register_now
        self.works.append(("comparison queue", queue.run))
        callback_topic = broker.publisher.topic(ProcessingEvent.LLM_COMPARISON_RESULT)
        metrics.watch_queue(lambda: queue.depth)
        routes = (
            [] if settings.queue == "kafka" else fault_routes(faults, lambda plan: _refusal(plan, broker))
        )
        self.app = provider_app(queue, register, callback_topic, not_ready, metrics, routes)

    def forget(self) -> None:
        """Answer none of the comparisons that the process before this one left."""
        if self._journal is not None:
            self._journal.forget()

    async def start(self) -> None:
        """Take up the work; the broker is connected."""
        for part in self._parts:
            await part.start()

    async def stop(self) -> None:
        """Give the work back."""
        for part in reversed(self._parts):
            await part.stop()
