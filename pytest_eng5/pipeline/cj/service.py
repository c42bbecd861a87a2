"""The CJ service's side of Kafka: requests become batches, callbacks find their comparison."""

from __future__ import annotations

import time
from asyncio import TaskGroup
from typing import Any
from uuid import UUID, uuid4

import orjson
from pydantic import ValidationError

from pytest_eng5.contracts import EventEnvelope, ProcessingEvent, decode_event, validation_reasons
from pytest_eng5.pipeline.cj import events
from pytest_eng5.pipeline.cj.batch import Batch, Comparison
from pytest_eng5.pipeline.cj.metrics import CJMetrics
from pytest_eng5.pipeline.cj.monitor import BatchMonitor
from pytest_eng5.pipeline.cj.workflow import Services, Workflow
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["CJService"]

_BATCH_ID_LIMIT = 36
_log = service_logger("cj_assessment_service")


class CJService:
    """Handles the two topics of the CJ service; every batch is a task of its own.

    Redeliveries carry another ``event_id`` (contract 1.4), so that a request is known by its batch id and a
    callback by its comparison: repeated ones, and ones that belong to nobody, change nothing.

    Args:
        services: What the batches work with.
        tasks: Where the batches run.
    """

    def __init__(self, services: Services, tasks: TaskGroup) -> None:
        self._services = services
        self._tasks = tasks
        self._batches = services.batches
        self._expected: dict[UUID, tuple[Batch, Comparison]] = {}
        self._running: dict[int, Batch] = {}
        self.monitor = BatchMonitor(services.settings, self._running.values)

    @property
    def running(self) -> int:
        """Batches under way."""
        return len(self._running)

    @property
    def metrics(self) -> CJMetrics:
        """What is counted."""
        return self._services.metrics

    async def handle(self, event: ProcessingEvent, value: bytes | None) -> None:
        """Handle one record; a record that cannot be read is reported and passed over."""
        if event is ProcessingEvent.LLM_COMPARISON_RESULT:
            began = time.perf_counter()
            status = self._callback(value or b"")
            self.metrics.called_back(status, time.perf_counter() - began)
        else:
            await self._request(value or b"")

    def _callback(self, value: bytes) -> str:
        """Give a callback to its comparison; returns what kind of callback it was."""
        try:
            envelope = decode_event(ProcessingEvent.LLM_COMPARISON_RESULT, value)
        except ValidationError as error:
            _log.error("callback cannot be read", problems=_problems(error))
            return "unreadable"
        result = envelope.data
        self.metrics.consumed(envelope.event_timestamp)
        found = self._expected.get(result.correlation_id)
        if found is None:
            _log.warning("callback of no comparison under way", request_id=result.request_id)
            return "unknown"
        if not found[0].settle(found[1], result):
            _log.warning("callback repeated", request_id=result.request_id, batch_id=found[0].batch_id)
            return "duplicate"
        self._batches.settled(found[1], (result.provider, result.model))
        self.metrics.settled(result)
        return "success" if result.is_success else "failure"

    async def _request(self, value: bytes) -> None:
        try:
            envelope = decode_event(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, value)
        except ValidationError as error:
            await self._refuse_unreadable(value, error)
            return
        self.metrics.consumed(envelope.event_timestamp)
        batch_id = envelope.data.entity_id
        if not batch_id or len(batch_id) > _BATCH_ID_LIMIT:
            named = batch_id or envelope.data.system_metadata.entity_id
            message = f"entity_id is the batch id and has 1 to {_BATCH_ID_LIMIT} characters"
            await self._refuse(0, named, envelope.correlation_id, ServiceError("VALIDATION_ERROR", message))
        elif batch := self._accept(batch_id, envelope, value):
            _log.info("batch accepted", batch_id=batch_id, budget=batch.budget)
            self._tasks.create_task(self._run(batch))

    def _accept(self, batch_id: str, envelope: EventEnvelope, value: bytes) -> Batch | None:
        """The batch of a request, ``None`` if the request came before."""
        settings = self._services.settings
        with self._batches.transaction():
            job_id = self._claim(batch_id)
            if job_id is None:
                return None
            batch = Batch.accept(
                job_id, batch_id, envelope, settings.max_pairwise_comparisons, settings.pair_generation_seed
            )
            self._batches.accepted(batch, value)
        return batch

    def _claim(self, batch_id: str) -> int | None:
        job_id = self._batches.claim(batch_id)
        if job_id is None:
            _log.warning("request repeated, ignored", batch_id=batch_id)
        return job_id

    def resume(self) -> None:
        """Take up the batches that were under way when the process before this one ended.

        Before anything is consumed, so that their callbacks find them. The batch timeout starts anew: what
        came in the meantime has not been read yet.
        """
        for batch in self._batches.running(self._services.settings.pair_generation_seed):
            waiting = [each for each in batch.comparisons.values() if not each.settled]
            for comparison in waiting:
                self._expected[comparison.correlation_id] = (batch, comparison)
            _log.info(
                "batch resumed", batch_id=batch.batch_id, callbacks=batch.callbacks, waiting=len(waiting)
            )
            self._tasks.create_task(self._run(batch))

    async def _run(self, batch: Batch) -> None:
        def expect(comparison: Comparison) -> None:
            self._expected[comparison.correlation_id] = (batch, comparison)

        self._running[batch.job_id] = batch
        try:
            await Workflow(batch, self._services, expect).run()
        finally:
            del self._running[batch.job_id]
            for correlation in batch.comparisons:
                self._expected.pop(correlation, None)

    async def _refuse_unreadable(self, value: bytes, error: ValidationError) -> None:
        """Say what is wrong with a request, on the failed topic if it says which batch it is about."""
        problems = _problems(error)
        _log.error("request cannot be read", problems=problems)
        batch_id, correlation = _identity(value)
        job_id = self._claim(batch_id) if batch_id else None
        if batch_id and job_id is not None:
            pointer, message = validation_reasons(error)[0]
            refusal = ServiceError("VALIDATION_ERROR", f"{pointer}: {message}", problems=problems)
            await self._refuse(job_id, batch_id, correlation, refusal)

    async def _refuse(self, job_id: int, batch_id: str, correlation: UUID, error: ServiceError) -> None:
        failure = events.failed(batch_id, events.INITIALIZATION_FAILED, events.error_info(error, correlation))
        await self._services.outbox.end(job_id, [events.failure_message(failure, correlation)])
        _log.error("request refused", batch_id=batch_id, error_code=error.code, problem=error.what)


def _problems(error: ValidationError) -> list[str]:
    return [f"{pointer}: {message}" for pointer, message in validation_reasons(error)]


def _identity(value: bytes) -> tuple[str | None, UUID]:
    """Batch id and correlation id of a request that does not validate, as far as they can be read."""
    try:
        raw: Any = orjson.loads(value)
        batch_id = raw["data"]["entity_id"]
        correlation = UUID(raw["correlation_id"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None, uuid4()
    return (batch_id if isinstance(batch_id, str) and batch_id else None), correlation
