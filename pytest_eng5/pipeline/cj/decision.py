"""What to do after a complete wave: the decision table of contract section 7.5, as a pure function."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pytest_eng5.pipeline.settings import CJSettings

__all__ = ["Assessment", "Decision", "WaveFacts", "assess", "decide", "may_resample"]


class Decision(StrEnum):
    """The next step of a batch."""

    WAIT_FOR_CALLBACKS = "WAIT_FOR_CALLBACKS"
    RESAMPLE = "RESAMPLE"
    FINALIZE_FAILURE = "FINALIZE_FAILURE"
    FINALIZE_SCORING = "FINALIZE_SCORING"
    REQUEST_MORE_COMPARISONS = "REQUEST_MORE_COMPARISONS"
    NO_OP = "NO_OP"


@dataclass(frozen=True, slots=True)
class WaveFacts:
    """Counters of a batch.

    Attributes:
        essays: Number of essays compared.
        budget: Most comparisons that may be submitted.
        submitted, completed, failed: Comparisons so far; completed ones have a winner.
        covered_pairs: Distinct unordered pairs with a winner.
        resampling_passes: Resampling waves so far.
        max_score_change: Largest change of any θ since the wave before; ``None`` after the first one.
        provider_batch_api: Whether all waves went out in one submission.
    """

    essays: int
    budget: int
    submitted: int
    completed: int
    failed: int
    covered_pairs: int
    resampling_passes: int = 0
    max_score_change: float | None = None
    provider_batch_api: bool = False


@dataclass(frozen=True, slots=True)
class Assessment:
    """The derived quantities of contract 7.5, in its order and under its names."""

    success_rate: float | None
    stability_passed: bool
    callbacks_reached_cap: bool
    budget_exhausted: bool
    unique_coverage_complete: bool
    small_net: bool
    small_net_cap_reached: bool
    low_success: bool

    @property
    def at_a_limit(self) -> bool:
        """Whether cap, budget or the small net's passes are used up."""
        return self.callbacks_reached_cap or self.budget_exhausted or self.small_net_cap_reached

    @property
    def failing(self) -> bool:
        """Whether the batch has failed: too few successes, and nothing left to make up for it."""
        return self.low_success and self.at_a_limit


def assess(facts: WaveFacts, settings: CJSettings) -> Assessment:
    """Derive the quantities that the table asks for."""
    callbacks = facts.completed + facts.failed
    rate = facts.completed / callbacks if callbacks else None
    enough_success = rate is None or rate >= settings.min_success_rate_threshold
    covered = facts.covered_pairs >= facts.essays * (facts.essays - 1) // 2
    small = facts.essays <= settings.min_resampling_net_size
    stable = (
        facts.max_score_change is not None
        and callbacks >= settings.min_comparisons_for_stability_check
        and facts.max_score_change <= settings.score_stability_threshold
        and enough_success
    )
    return Assessment(
        success_rate=rate,
        stability_passed=stable,
        callbacks_reached_cap=callbacks >= facts.budget,
        budget_exhausted=facts.budget - facts.submitted <= 0,
        unique_coverage_complete=covered,
        small_net=small,
        small_net_cap_reached=(
            small and covered and facts.resampling_passes >= settings.max_resampling_passes_for_small_net
        ),
        low_success=callbacks > 0 and (facts.completed == 0 or not enough_success),
    )


def may_resample(facts: WaveFacts, state: Assessment, settings: CJSettings) -> bool:
    """Whether pairs that were already compared may be compared again in the next wave."""
    small_cap, regular_cap = settings.max_resampling_passes_for_small_net, settings.regular_resampling_cap
    if facts.provider_batch_api or facts.resampling_passes >= (small_cap if state.small_net else regular_cap):
        return False
    if state.stability_passed or state.budget_exhausted or state.failing:
        return False
    return state.unique_coverage_complete and (state.small_net or not state.callbacks_reached_cap)


def decide(facts: WaveFacts, settings: CJSettings, *, resampling: bool = True) -> Decision:
    """The next step of a batch.

    Args:
        facts: The batch's counters.
        settings: Thresholds and caps.
        resampling: False when a resampling wave was asked for and no pair could be made.
    """
    state = assess(facts, settings)
    if facts.submitted > facts.completed + facts.failed:
        return Decision.WAIT_FOR_CALLBACKS
    if resampling and may_resample(facts, state, settings):
        return Decision.RESAMPLE
    if state.failing:
        return Decision.FINALIZE_FAILURE
    if state.stability_passed or state.at_a_limit:
        return Decision.FINALIZE_SCORING
    if facts.submitted < facts.budget and not facts.provider_batch_api:
        return Decision.REQUEST_MORE_COMPARISONS
    return Decision.NO_OP
