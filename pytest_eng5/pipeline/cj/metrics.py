"""Metrics of the CJ service (contract section 12.1): those whose numbers are real here."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import Counter, Histogram

from pytest_eng5.contracts import LLMComparisonResultV1, utc_now
from pytest_eng5.pipeline.metrics import ServiceMetrics

__all__ = ["CJMetrics"]

_COMPARISONS = (10, 20, 30, 45, 66, 100, 150, 250, 500, 1000)
_CHANGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SECONDS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 14400)


class CJMetrics(ServiceMetrics):
    """Counts callbacks, decisions and batches."""

    def __init__(self) -> None:
        super().__init__("cj_assessment")
        self._callbacks = self._counter("cj_callbacks_processed", "Callbacks by what they were", ["status"])
        self._comparisons = self._counter("cj_comparisons", "Comparisons with an outcome", ["status"])
        self._failures = self._counter("cj_failed_comparisons", "Failures by error code", ["failure_reason"])
        self._requests = self._counter("cj_llm_requests", "Comparisons submitted", ["batching_mode"])
        self._batches = self._counter("cj_llm_batches_started", "Batches begun", ["batching_mode"])
        self._decisions = self._counter("cj_workflow_decisions", "Decisions after a wave", ["decision"])
        self._latency = self._histogram("cj_callback_latency_seconds", "Judge's answer to its arrival here")
        self._handling = self._histogram("cj_callback_processing_duration_seconds", "Handling of a callback")
        self._kafka = self._histogram("kafka_message_queue_latency_seconds", "Age of consumed messages")
        self._changes = self._histogram("cj_score_stability_changes", "Largest change of a θ", _CHANGES)
        self._made = self._histogram("huleedu_cj_comparisons_made", "Comparisons of a batch", _COMPARISONS)
        self._duration = self._histogram(
            "huleedu_cj_assessment_duration_seconds", "Request to result", _SECONDS
        )

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...] = Histogram.DEFAULT_BUCKETS
    ) -> Histogram:
        return Histogram(name, text, buckets=buckets, registry=self.registry)

    def consumed(self, published_at: datetime) -> None:
        """A message was taken from Kafka."""
        self._kafka.observe(_age(published_at))

    def called_back(self, status: str, seconds: float) -> None:
        """A callback was handled: ``success``, ``failure``, ``duplicate``, ``unknown`` or ``unreadable``."""
        self._callbacks.labels(status).inc()
        self._handling.observe(seconds)

    def settled(self, result: LLMComparisonResultV1) -> None:
        """A comparison has its outcome."""
        self._latency.observe(_age(result.completed_at))
        self._comparisons.labels("completed" if result.is_success else "failed").inc()
        if result.error_detail is not None:
            self._failures.labels(result.error_detail.error_code).inc()

    def submitted(self, batching_mode: str) -> None:
        """A comparison was accepted by the LLM provider service."""
        self._requests.labels(batching_mode).inc()

    def batch_started(self, batching_mode: str) -> None:
        """The first wave of a batch is about to be sent."""
        self._batches.labels(batching_mode).inc()

    def decided(self, decision: str, max_score_change: float | None) -> None:
        """A wave is complete and what comes next is decided."""
        self._decisions.labels(decision).inc()
        if max_score_change is not None:
            self._changes.observe(max_score_change)

    def finished(self, comparisons: int, seconds: float) -> None:
        """A batch has its result."""
        self._made.observe(comparisons)
        self._duration.observe(seconds)


def _age(moment: datetime) -> float:
    return max(0.0, (utc_now() - moment).total_seconds())
