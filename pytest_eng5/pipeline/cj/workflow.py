"""One batch from request to result: fetch, compare wave by wave, score, publish (contract section 7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_eng5.errors import Eng5Error
from pytest_eng5.pipeline.cj import events
from pytest_eng5.pipeline.cj.assignments import AssignmentStore
from pytest_eng5.pipeline.cj.batch import Batch, Comparison, Essay
from pytest_eng5.pipeline.cj.clients import ContentClient, ProviderClient
from pytest_eng5.pipeline.cj.decision import Decision, assess, decide
from pytest_eng5.pipeline.cj.grading import grade_students
from pytest_eng5.pipeline.cj.matching import MatchingWeights, Pair, coverage_pairs, resampling_pairs
from pytest_eng5.pipeline.cj.metrics import CJMetrics
from pytest_eng5.pipeline.cj.outbox import Message, Outbox
from pytest_eng5.pipeline.cj.preparation import (
    assignment_of,
    check_request,
    fetch_essays,
    judge_context,
    provider_overrides,
)
from pytest_eng5.pipeline.cj.records import BatchStore
from pytest_eng5.pipeline.cj.scoring import bradley_terry, max_score_change, ranking
from pytest_eng5.pipeline.cj.submission import WaveSender, effective_batching_mode
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import PipelineError, ServiceError
from pytest_eng5.pipeline.faults import CJ_EVENTS, FaultBook
from pytest_eng5.pipeline.logs import service_logger
from pytest_eng5.pipeline.publisher import Publisher
from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["Services", "Workflow"]

_FORCED_SCORING_PROGRESS = 0.8
_log = service_logger("cj_assessment_service")


@dataclass(slots=True)
class Services:
    """What a workflow works with; all that is kept is in ``database``."""

    settings: CJSettings
    content: ContentClient
    provider: ProviderClient
    publisher: Publisher
    topic_prefix: str = ""
    metrics: CJMetrics = field(default_factory=CJMetrics)
    database: Database = field(default_factory=Database)
    faults: FaultBook = field(default_factory=lambda: FaultBook(CJ_EVENTS))
    assignments: AssignmentStore = field(init=False)
    batches: BatchStore = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.assignments = AssignmentStore(self.database)
        self.batches = BatchStore(self.database)
        self.outbox = Outbox(self.database, self.batches, self.publisher, self.faults)


class _Ended(Eng5Error):
    """A batch ends without a result; ``reason`` becomes its ``error_info``."""

    def __init__(self, reason: dict[str, Any]) -> None:
        super().__init__(str(reason["reason"]))
        self.reason = reason


class Workflow:
    """Drives one batch.

    Args:
        batch: Its state.
        services: Clients, publisher, settings.
        expect: Told of every comparison before it is sent, so that its callback finds the batch.
    """

    def __init__(self, batch: Batch, services: Services, expect: Callable[[Comparison], None]) -> None:
        self._batch = batch
        self._services = services
        self._settings = services.settings
        self._expect = expect

    async def run(self) -> None:
        """Work on the batch until its completed or failed event is published.

        Raises:
            PipelineError: The pipeline as a whole cannot go on.
        """
        batch = self._batch
        try:
            await self._work()
        except PipelineError:
            raise
        except _Ended as end:
            # The correlation id of the last callback, not of the request (contract 1.3).
            correlation = batch.last_callback or batch.correlation_id
            failure = events.failed(batch.batch_id, str(batch.job_id), end.reason)
            await self._end(events.failure_message(failure, correlation, batch.trace))
            _log.warning("batch failed", batch_id=batch.batch_id, reason=end.reason["reason"])
        except Exception as error:
            await self._publish_error(error)

    async def _publish_error(self, error: Exception) -> None:
        batch = self._batch
        if not isinstance(error, ServiceError):
            _log.exception("unexpected error in a batch", batch_id=batch.batch_id)
            error = ServiceError("PROCESSING_ERROR", f"unexpected {type(error).__name__} in the CJ service")
        job_id = str(batch.job_id) if batch.callbacks else events.INITIALIZATION_FAILED
        info = events.error_info(error, batch.correlation_id)
        failure = events.failed(batch.batch_id, job_id, info)
        await self._end(events.failure_message(failure, batch.correlation_id, batch.trace))
        _log.warning("batch failed", batch_id=batch.batch_id, error_code=error.code, problem=error.what)

    async def _end(self, *messages: Message) -> None:
        await self._services.outbox.end(self._batch.job_id, messages)

    async def _work(self) -> None:
        batch = self._batch
        if not batch.essays:
            check_request(batch.request)
            await self._take_essays()
            self._services.batches.prepared(batch)
        if len(batch.students) >= 2:
            await self._compare()
        await self._finalize()

    async def _take_essays(self) -> None:
        batch, content, assignments = self._batch, self._services.content, self._services.assignments
        assignment = assignment_of(batch.request, assignments)
        named = [Essay(ref.essay_id) for ref in batch.request.essays_for_cj]
        if sum(not essay.is_anchor for essay in named) < 2:
            batch.take_essays(named)
            return
        if assignment is not None:
            batch.grade_scale = assignment.grade_scale
        batch.context = await judge_context(batch.request, content, assignment)
        batch.take_essays(await fetch_essays(batch.request, content, assignments, assignment))

    async def _compare(self) -> None:
        """Waves until the decision table says that the batch is done.

        Raises:
            _Ended: It is done without a result.
        """
        batch, sender = self._batch, self._sender()
        if batch.wave:
            pairs = await self._resume(sender)
        else:
            pairs = [batch.orientation.coverage(pair) for pair in await self._coverage_wave()]
        while pairs:
            batch.wave += 1
            wave = [batch.submit(pair) for pair in pairs]
            self._services.batches.submitted(batch, wave)
            pairs = await self._see_through(sender, wave)

    async def _resume(self, sender: WaveSender) -> list[Pair]:
        """Go on with the wave that was under way when the process before this one ended."""
        batch = self._batch
        if before := batch.outcomes_before(batch.wave):
            batch.theta = await asyncio.to_thread(bradley_terry, len(batch.essays), before)
        return await self._see_through(
            sender, [each for each in batch.comparisons.values() if each.wave == batch.wave]
        )

    async def _see_through(self, sender: WaveSender, wave: Sequence[Comparison]) -> list[Pair]:
        """Send what is to be sent of a wave and await its callbacks; returns the pairs of the next one."""
        for comparison in wave:
            self._expect(comparison)
        await sender.send([each for each in wave if not each.sent and not each.settled])
        return await self._next_wave() if await self._callbacks_arrived() else []

    def _sender(self) -> WaveSender:
        overrides = provider_overrides(self._batch.request, self._settings)
        mode = effective_batching_mode(self._settings, self._batch.batching_hint, overrides.provider_override)
        return WaveSender(
            self._batch,
            self._services.provider,
            overrides,
            self._settings,
            mode=mode,
            topic_prefix=self._services.topic_prefix,
            metrics=self._services.metrics,
            store=self._services.batches,
        )

    async def _callbacks_arrived(self) -> bool:
        """Wait for all callbacks of the wave, or for the monitor to give the batch up.

        Returns:
            False when it was given up but is far enough to be scored.

        Raises:
            _Ended: It was given up and is not far enough (contract 7.7).
        """
        batch = self._batch
        await batch.settled.wait()
        if batch.callbacks == batch.submitted:
            return True
        progress = batch.callbacks / batch.budget
        if progress >= _FORCED_SCORING_PROGRESS and batch.completed:
            _log.warning(
                "batch scored without all callbacks", batch_id=batch.batch_id, callbacks=batch.callbacks
            )
            return False
        raise _Ended(_stuck(progress))

    async def _next_wave(self) -> list[Pair]:
        """Score, decide, and draw the next wave; empty when the batch is to be finalised.

        Raises:
            _Ended: Too few comparisons succeeded.
        """
        batch = self._batch
        facts = batch.facts(await self._score())
        decision = decide(facts, self._settings)
        if decision is Decision.RESAMPLE:
            if pairs := self._resampling_wave():
                self._services.metrics.decided(decision.value, facts.max_score_change)
                return pairs
            decision = decide(facts, self._settings, resampling=False)
        _log.info(
            "wave complete", batch_id=batch.batch_id, callbacks=batch.callbacks, decision=decision.value
        )
        self._services.metrics.decided(decision.value, facts.max_score_change)
        if decision is Decision.REQUEST_MORE_COMPARISONS:
            if drawn := await self._coverage_wave():
                return [batch.orientation.coverage(pair) for pair in drawn]
            # Every pair is compared and budget is left: what the production service's sweep finishes
            # minutes later is finished here at once.
            if assess(facts, self._settings).low_success:
                decision = Decision.FINALIZE_FAILURE
        if decision is Decision.FINALIZE_FAILURE:
            raise _Ended(self._low_success())
        return []

    async def _score(self) -> float | None:
        """Fit θ to all outcomes; the largest change since the wave before, ``None`` without one."""
        batch = self._batch
        outcomes = batch.outcomes
        if not outcomes:
            return None
        before = batch.theta
        batch.theta = await asyncio.to_thread(bradley_terry, len(batch.essays), outcomes)
        return max_score_change(batch.theta, before)

    async def _coverage_wave(self) -> list[Pair]:
        batch, settings = self._batch, self._settings
        weights = MatchingWeights(
            settings.matching_weight_comparison_count, settings.matching_weight_bt_proximity
        )
        theta = [0.0] * len(batch.essays) if batch.theta is None else batch.theta.tolist()
        pairs = await asyncio.to_thread(
            coverage_pairs, batch.counts, theta, batch.covered, batch.random, weights
        )
        return pairs[: batch.budget - batch.submitted]

    def _resampling_wave(self) -> list[Pair]:
        batch = self._batch
        pairs = resampling_pairs(batch.drawn, batch.counts, batch.budget - batch.submitted, batch.random)
        batch.resampling_passes += bool(pairs)
        return [batch.orientation.resampling(pair) for pair in pairs]

    def _low_success(self) -> dict[str, Any]:
        batch = self._batch
        state = assess(batch.facts(None), self._settings)
        return {
            "reason": "low_success_rate",
            "details": {
                "callbacks_received": batch.callbacks,
                "completed_comparisons": batch.completed,
                "failed_comparisons": batch.failed,
                "success_rate": state.success_rate,
                "success_rate_threshold": self._settings.min_success_rate_threshold,
                "callbacks_reached_cap": state.callbacks_reached_cap,
                "budget_exhausted": state.budget_exhausted,
            },
        }

    async def _finalize(self) -> None:
        batch = self._batch
        if batch.submitted and batch.theta is None:
            await self._score()
        theta = [0.0] * len(batch.essays) if batch.theta is None else batch.theta.tolist()
        grades = grade_students(batch, theta)
        await self._end(*events.result_messages(batch, theta, ranking(theta), self._settings, grades))
        self._services.metrics.finished(batch.callbacks, batch.elapsed)
        _log.info("batch complete", batch_id=batch.batch_id, callbacks=batch.callbacks)


def _stuck(progress: float) -> dict[str, Any]:
    return {
        "reason": "stuck_timeout_insufficient_progress",
        "progress_pct": round(100 * progress, 1),
        "batch_state": "WAITING_CALLBACKS",
    }
