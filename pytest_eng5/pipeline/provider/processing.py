"""From an accepted comparison to its callback, whichever queue it came through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pytest_eng5.contracts import LLMComparisonResultV1, ProcessingEvent
from pytest_eng5.pipeline.errors import PipelineError, PublishRefused, ServiceError
from pytest_eng5.pipeline.faults import FaultySeam
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.provider import callbacks
from pytest_eng5.pipeline.provider.archive import PromptArchive
from pytest_eng5.pipeline.provider.callbacks import SERVICE, QueuedComparison
from pytest_eng5.pipeline.provider.judge import (
    Judgement,
    default_judgement,
    essay_texts,
    fails,
    labelled_prompt,
    simulated_judgement,
)
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.settings import LLMProviderSettings

__all__ = ["Processor"]

_log = service_logger(SERVICE)


class Processor:
    """Takes one comparison after the other to the judge and publishes the answers.

    Args:
        settings: The mock's numbers.
        book: The registered simulations.
        publisher: Where callbacks and telemetry go.
        archive: Keeps the exact prompts that the provider gets, if they are kept.
        metrics: Counts the answers; knows the name of this process.
    """

    def __init__(
        self,
        settings: LLMProviderSettings,
        book: SimulationBook,
        publisher: FaultySeam,
        archive: PromptArchive | None,
        metrics: ProviderMetrics,
    ) -> None:
        self._settings = settings
        self._book = book
        self._publisher = publisher
        self._archive = archive
        self._metrics = metrics

    async def process(self, item: QueuedComparison) -> None:
        """Answer a comparison; an event that the broker will never take is reported and passed over.

        Raises:
            BrokerLost: The broker is away.
        """
        try:
            with self._metrics.processing(item) as answered:
                await self._process(item, answered)
        except PublishRefused as error:
            _log.error("event not published", request_id=str(item.queue_id), problem=str(error))

    async def _process(
        self, item: QueuedComparison, answered: Callable[[LLMComparisonResultV1], None]
    ) -> None:
        for event, envelope in callbacks.telemetry(item):
            await self._publisher.publish(event, envelope)
        result = await self._result(item)
        envelope = callbacks.callback_envelope(result)
        await self._publisher.publish(ProcessingEvent.LLM_COMPARISON_RESULT, envelope)
        answered(result)
        _log.info(
            "comparison answered",
            worker=self._metrics.worker_id,
            request_id=result.request_id,
            batch_id=item.request.metadata.get("bos_batch_id"),
            success=result.is_success,
        )
        for event, envelope in callbacks.telemetry(item, result):
            await self._publisher.publish(event, envelope)

    async def _result(self, item: QueuedComparison) -> LLMComparisonResultV1:
        stored: str | None = None
        try:
            if self._archive is not None:
                stored = await self._archive.keep(item.request.user_prompt)
            judgement = await self._judge(item)
            return callbacks.success(item, judgement, self._settings.mock_tokens_per_word, stored)
        except PipelineError:
            raise
        except ServiceError as error:
            return callbacks.failure(item, error, stored)
        except Exception as error:
            _log.exception("unexpected error in a comparison", request_id=str(item.queue_id))
            hidden = ServiceError("LLM_INTERNAL_ERROR", f"unexpected {type(error).__name__}")
            return callbacks.failure(item, hidden, stored)

    async def _judge(self, item: QueuedComparison) -> Judgement:
        metadata, prompt = item.request.metadata, item.request.user_prompt
        batch_id = metadata.get("bos_batch_id")
        simulation = self._book.find(batch_id)
        if simulation is None:
            await asyncio.sleep(self._settings.mock_latency_ms / 1000)
            return default_judgement(prompt, self._settings)
        first, second = str(metadata.get("essay_a_id")), str(metadata.get("essay_b_id"))
        blocks = [block.content for block in item.request.prompt_blocks or ()]
        simulation = simulation.for_pair(essay_texts((first, second), blocks))
        unknown = [essay_id for essay_id in (first, second) if essay_id not in simulation.qualities]
        if unknown:
            raise ServiceError(
                "LLM_CONFIGURATION_ERROR", "the simulation has no quality of an essay", ids=unknown
            )
        labelled = labelled_prompt(prompt, (first, second), simulation.labels)
        attempt = item.attempt
        if attempt is None:
            attempt = self._book.attempt(str(batch_id), labelled)
        await asyncio.sleep(simulation.latency_ms / 1000)
        if fails(simulation, labelled, attempt):
            # Nested as the external-service errors of the real providers are (contract 3.4).
            context = {"provider": "mock", "failure_rate": simulation.failure_rate}
            raise ServiceError("EXTERNAL_SERVICE_ERROR", "the simulated judge failed", context=context)
        return simulated_judgement(simulation, labelled, first, second)
