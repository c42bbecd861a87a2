"""State of one batch, kept up to date callback by callback in constant time."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from pytest_eng5.contracts import (
    ANCHOR_PREFIX,
    ELS_CJAssessmentRequestV1,
    EventEnvelope,
    LLMComparisonResultV1,
    utc_now,
)
from pytest_eng5.pipeline.cj.decision import WaveFacts
from pytest_eng5.pipeline.cj.matching import Pair, unordered
from pytest_eng5.pipeline.cj.orientation import Orientation
from pytest_eng5.pipeline.cj.prompts import JudgeContext

__all__ = ["Batch", "Comparison", "Essay", "comparison_budget"]


@dataclass(frozen=True, slots=True)
class Essay:
    """One essay to compare; ``grade`` is an anchor's expert grade."""

    id: str
    text: str = field(default="", repr=False)
    grade: str | None = None

    @property
    def is_anchor(self) -> bool:
        """Whether the id marks it as an anchor of an assignment."""
        return self.id.startswith(ANCHOR_PREFIX)


@dataclass(slots=True)
class Comparison:
    """One submitted pair, as indices of essays; ``winner`` stays ``None`` on errors."""

    correlation_id: UUID
    first: int
    second: int
    wave: int = 1
    sent: bool = False
    settled: bool = False
    winner: int | None = None

    @property
    def loser(self) -> int:
        """The other essay than the winner."""
        return self.second if self.winner == self.first else self.first


def comparison_budget(service_maximum: int, metadata: dict[str, Any] | None) -> int:
    """Most comparisons of a batch: a request lowers the service's maximum, never raises it (contract 7.3)."""
    wanted = (metadata or {}).get("max_comparisons")
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
        return min(service_maximum, wanted)
    return service_maximum


def _traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


@dataclass(slots=True)
class Batch:
    """A request being worked on.

    ``comparisons`` is in the order of submission, so that scores do not depend on the order in which the
    callbacks happen to arrive.
    """

    job_id: int
    batch_id: str
    request: ELS_CJAssessmentRequestV1
    correlation_id: UUID
    budget: int
    random: Random
    batching_hint: str | None = None
    started_at: datetime = field(default_factory=utc_now)
    started: float = field(default_factory=time.monotonic)
    trace: dict[str, str] = field(default_factory=lambda: {"traceparent": _traceparent()})
    context: JudgeContext = field(default_factory=JudgeContext)
    grade_scale: str | None = None
    essays: Sequence[Essay] = ()
    comparisons: dict[UUID, Comparison] = field(default_factory=dict)
    counts: list[int] = field(default_factory=list)
    theta: NDArray[np.float64] | None = None
    completed: int = 0
    failed: int = 0
    resampling_passes: int = 0
    wave: int = 0
    covered: set[Pair] = field(default_factory=set)
    drawn: set[Pair] = field(default_factory=set)
    judges: Counter[tuple[str, str]] = field(default_factory=Counter)
    last_callback: UUID | None = None
    last_activity: float = field(default_factory=time.monotonic)
    stuck: bool = False
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    orientation: Orientation = field(init=False)

    @classmethod
    def accept(
        cls, job_id: int, batch_id: str, envelope: EventEnvelope, maximum: int, seed: int | None
    ) -> Batch:
        """A batch for a valid request; ``seed`` makes its pairs repeatable."""
        hint = (envelope.metadata or {}).get("llm_batching_mode_hint")
        return cls(
            job_id=job_id,
            batch_id=batch_id,
            request=envelope.data,
            correlation_id=envelope.correlation_id,
            budget=comparison_budget(maximum, envelope.metadata),
            random=Random(seed),
            batching_hint=hint if isinstance(hint, str) and hint else None,
        )

    def take_essays(self, essays: Sequence[Essay]) -> None:
        """Set the essays that will be compared."""
        self.essays = tuple(essays)
        self.counts = [0] * len(self.essays)
        self.orientation = Orientation(len(self.essays), self.random)

    @property
    def submitted(self) -> int:
        """Comparisons submitted so far."""
        return len(self.comparisons)

    @property
    def callbacks(self) -> int:
        """Comparisons that have an outcome."""
        return self.completed + self.failed

    @property
    def students(self) -> list[Essay]:
        """The essays that are no anchors."""
        return [essay for essay in self.essays if not essay.is_anchor]

    @property
    def elapsed(self) -> float:
        """Seconds since the request was accepted."""
        return time.monotonic() - self.started

    @property
    def outcomes(self) -> list[Pair]:
        """(winner, loser) of every comparison that has a winner, in the order of submission."""
        return [(c.winner, c.loser) for c in self.comparisons.values() if c.winner is not None]

    def outcomes_before(self, wave: int) -> list[Pair]:
        """The same of the waves before one."""
        settled = (c for c in self.comparisons.values() if c.wave < wave)
        return [(c.winner, c.loser) for c in settled if c.winner is not None]

    def facts(self, max_score_change: float | None) -> WaveFacts:
        """The counters that decide what comes next."""
        return WaveFacts(
            essays=len(self.essays),
            budget=self.budget,
            submitted=self.submitted,
            completed=self.completed,
            failed=self.failed,
            covered_pairs=len(self.covered),
            resampling_passes=self.resampling_passes,
            max_score_change=max_score_change,
        )

    def submit(self, ordered: Pair) -> Comparison:
        """Count a comparison of the present wave as submitted, before it is sent."""
        comparison = Comparison(uuid4(), *ordered, wave=self.wave)
        self.enter(comparison)
        return comparison

    def enter(self, comparison: Comparison) -> None:
        """Count a comparison without an outcome; its order is known to the orientation already."""
        self.comparisons[comparison.correlation_id] = comparison
        self.drawn.add(unordered(comparison.first, comparison.second))
        for essay in (comparison.first, comparison.second):
            self.counts[essay] += 1
        self.settled.clear()
        self.last_activity = time.monotonic()

    def give_up(self) -> None:
        """Wait no longer for the callbacks that are missing."""
        self.stuck = True
        self.settled.set()

    def settle(self, comparison: Comparison, result: LLMComparisonResultV1 | None) -> bool:
        """Record the outcome of a comparison; ``None`` means that it could not be sent.

        Returns:
            False when it had an outcome already (a duplicate).
        """
        if comparison.settled:
            return False
        if result is None:
            self.record(comparison, None, None)
            return True
        winners = {"Essay A": comparison.first, "Essay B": comparison.second}
        winner = None if result.winner is None else winners[result.winner]
        self.record(comparison, winner, (result.provider, result.model))
        return True

    def record(self, comparison: Comparison, winner: int | None, judge: tuple[str, str] | None) -> None:
        """Record an outcome.

        Args:
            comparison: It has none yet.
            winner: Index of the essay; ``None`` on errors.
            judge: Provider and model of the callback; ``None`` if there was none.
        """
        comparison.settled = True
        self.last_activity = time.monotonic()
        if winner is not None and judge is not None:
            comparison.winner = winner
            self.covered.add(unordered(comparison.first, comparison.second))
            self.judges[judge] += 1
            self.completed += 1
        else:
            self.failed += 1
        if judge is not None:
            self.last_callback = comparison.correlation_id
        if self.callbacks == self.submitted:
            self.settled.set()
