"""What lies on the provider's own two topics: queued comparisons, and registered simulations.

The production service keeps its queue in Redis (contract 6.6); these topics belong to the reference pipeline
alone and are named so.
"""

from __future__ import annotations

import time
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from pytest_eng5.contracts import LLMComparisonRequest, text_sha256, utc_now
from pytest_eng5.pipeline.kafka import TopicSpec
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.judge import Simulation

__all__ = [
    "QueueRecord",
    "SimulationRecord",
    "batch_of",
    "provider_topics",
    "queue_topic",
    "simulations_topic",
]

_HOUR_MS = 3_600_000


def queue_topic(prefix: str) -> str:
    """The topic of queued comparisons."""
    return f"{prefix}pytest_eng5.llm_provider.queue.v1"


def simulations_topic(prefix: str) -> str:
    """The topic of registered simulations, one partition, compacted."""
    return f"{prefix}pytest_eng5.llm_provider.simulations.v1"


def provider_topics(prefix: str, queue_partitions: int) -> list[TopicSpec]:
    """Both topics as they are created; the queue keeps items for 4 hours, as the production queue does."""
    queue = {"retention.ms": str(4 * _HOUR_MS), "cleanup.policy": "delete"}
    simulations = {"cleanup.policy": "compact,delete", "retention.ms": str(7 * 24 * _HOUR_MS)}
    return [
        TopicSpec(queue_topic(prefix), queue_partitions, queue),
        TopicSpec(simulations_topic(prefix), 1, simulations),
    ]


def batch_of(request: LLMComparisonRequest) -> str | None:
    """The batch that a comparison belongs to, if it says so."""
    batch_id = request.metadata.get("bos_batch_id")
    return batch_id if isinstance(batch_id, str) else None


class QueueRecord(BaseModel):
    """A comparison that was accepted, as it waits for a worker."""

    queue_id: UUID
    requested_at: datetime
    request: LLMComparisonRequest

    @classmethod
    def of(cls, item: QueuedComparison) -> QueueRecord:
        """The record of a comparison."""
        return cls(queue_id=item.queue_id, requested_at=item.requested_at, request=item.request)

    @property
    def key(self) -> bytes:
        """The same for each repetition of a comparison in a batch, which so stay in one partition."""
        return text_sha256(f"{batch_of(self.request)}\n{self.request.user_prompt}").encode()

    def item(self, attempt: int | None) -> QueuedComparison:
        """The comparison again; ``attempt`` is how often it was asked for before, if that is known."""
        waited = max(0.0, (utc_now() - self.requested_at).total_seconds())
        started = time.monotonic() - waited
        return QueuedComparison(self.request, self.queue_id, self.requested_at, started, attempt)


class SimulationRecord(BaseModel):
    """A registered simulation.

    Attributes:
        queue_since: End of each queue partition at the registration: attempts are counted from there.
    """

    simulation: Simulation
    queue_since: dict[int, int] = Field(default_factory=dict)
