"""Metrics of the LLM provider service (contract section 12.2): those whose numbers are real here.

All of them are of one worker; a sum over the workers is the service's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from prometheus_client import Counter, Gauge, Histogram

from pytest_eng5.contracts import LLMComparisonResultV1
from pytest_eng5.pipeline.metrics import ServiceMetrics
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison

__all__ = ["ProviderMetrics"]

_MODE = "per_request"
_REQUEST_TYPE = "comparison"


class ProviderMetrics(ServiceMetrics):
    """Counts comparisons, their outcomes, their tokens and how long they waited.

    Args:
        worker_id: Name of this process, the label of the two metrics that the contract does not know.
    """

    def __init__(self, worker_id: str) -> None:
        super().__init__("llm_provider")
        self.worker_id = worker_id
        judge = ["provider", "model"]
        self._requests = self._counter("requests", "Comparisons", [*judge, "request_type", "status"])
        self._errors = self._counter("errors", "Comparisons that failed", [*judge, "error_type"])
        self._tokens = self._counter("tokens_used", "Tokens of prompts and answers", [*judge, "token_type"])
        self._cost = self._counter("cost_dollars", "Cost as the callbacks estimate it", judge)
        self._callbacks = self._counter(
            "comparison_callbacks", "Callbacks published", ["queue_processing_mode", "result"]
        )
        self._overflow = self._counter("queue_overflow", "Comparisons refused, queue full", ["queue_type"])
        self._response = self._histogram("response_duration_seconds", "Acceptance to answer", judge)
        self._processing = self._histogram(
            "queue_processing_time_seconds", "Time with a worker", ["provider", "status"]
        )
        self._wait = self._histogram(
            "queue_wait_time_seconds", "Time in the queue", ["queue_processing_mode", "result"]
        )
        self._concurrent = Gauge(
            "llm_provider_concurrent_requests",
            "Comparisons with the judge",
            ["provider"],
            registry=self.registry,
        )
        self._depth = Gauge(
            "llm_provider_queue_depth", "Comparisons in the queue", ["queue_type"], registry=self.registry
        )
        self._worker = Counter(
            "pytest_eng5_llm_provider_comparisons",
            "Comparisons this worker answered",
            ["worker"],
            registry=self.registry,
        ).labels(worker_id)
        self._open = 0

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"llm_provider_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, labels: list[str]) -> Histogram:
        return Histogram(f"llm_provider_{name}", text, labels, registry=self.registry)

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Take the depth of the queue from a function: ``queued`` waits, ``total`` is under way as well."""
        self._depth.labels("queued").set_function(waiting)
        self._depth.labels("total").set_function(lambda: waiting() + self._open)

    def refused(self) -> None:
        """A comparison found the queue full."""
        self._overflow.labels("total").inc()

    @contextmanager
    def processing(self, item: QueuedComparison) -> Iterator[Callable[[LLMComparisonResultV1], None]]:
        """Around the work on a comparison; to be called with its result once that is published."""
        began = monotonic()
        concurrent = self._concurrent.labels(item.provider)
        concurrent.inc()
        self._open += 1

        def answered(result: LLMComparisonResultV1) -> None:
            self._answered(item, result, began)

        try:
            yield answered
        finally:
            self._open -= 1
            concurrent.dec()

    def _answered(self, item: QueuedComparison, result: LLMComparisonResultV1, began: float) -> None:
        outcome, now = "success" if result.is_success else "failure", monotonic()
        judge = item.provider, item.model
        self._worker.inc()
        self._requests.labels(*judge, _REQUEST_TYPE, outcome).inc()
        self._callbacks.labels(_MODE, outcome).inc()
        self._processing.labels(item.provider, outcome).observe(now - began)
        self._wait.labels(_MODE, outcome).observe(max(0.0, began - item.started))
        self._response.labels(*judge).observe(max(0.0, now - item.started))
        if result.error_detail is not None:
            self._errors.labels(*judge, result.error_detail.error_code).inc()
            return
        usage = result.token_usage
        for kind, tokens in (
            ("prompt", usage.prompt_tokens),
            ("completion", usage.completion_tokens),
            ("total", usage.total_tokens),
        ):
            self._tokens.labels(*judge, kind).inc(tokens)
        self._cost.labels(*judge).inc(result.cost_estimate)
