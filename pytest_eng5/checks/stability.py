"""Whether a run that made fewer comparisons than planned was allowed to stop (contract 7.4 and 7.5).

The pipeline works in waves in which every essay is compared at most once, and may finish after a wave that
changed no score by more than 0.025. Both leave traces in the callbacks, from which they are told apart from
callbacks that were lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pytest_eng5.alignment import fit_bradley_terry
from pytest_eng5.checks.drafting import essay_ids
from pytest_eng5.contracts import BatchStatus
from pytest_eng5.errors import Eng5Error
from pytest_eng5.evidence import CapturedEvent, RunEvidence

__all__ = ["MIN_COMPARISONS", "MIN_SUCCESS_RATE", "STABLE_CHANGE", "last_change", "stopped_stable"]

MIN_COMPARISONS = 12
STABLE_CHANGE = 0.025
MIN_SUCCESS_RATE = 0.8
"""Defaults of the CJ service (contract 7.1)."""

_ROUNDING = 1e-6


def stopped_stable(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> float | None:
    """The largest change of a score in the last wave if stopping was legal, else ``None``.

    Legal means: the batch completed successfully, after at least 12 comparisons of which 80 % succeeded, in
    whole waves, and no score moved by more than 0.025 in the last one.
    """
    succeeded = sum(event.comparison.is_success for event in callbacks)
    if (
        len(callbacks) < MIN_COMPARISONS
        or succeeded < MIN_SUCCESS_RATE * len(callbacks)
        or not _completed(evidence)
        or not _whole_waves(evidence, callbacks)
    ):
        return None
    change = last_change(evidence, callbacks)
    return change if change is not None and change <= STABLE_CHANGE + _ROUNDING else None


def _completed(evidence: RunEvidence) -> bool:
    done = (event.completion.status is BatchStatus.COMPLETED_SUCCESSFULLY for event in evidence.completions)
    return not evidence.failures and any(done)


def _whole_waves(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> bool:
    """Whether the callbacks are waves of floor(n/2) comparisons with every essay compared equally often.

    With an odd number of essays one sits out per wave, the one with most comparisons: counts differ by one
    at most. A single lost callback breaks the first condition, and with an even number both.
    """
    counts = Counter(essay for event in callbacks for essay in essay_ids(event.comparison))
    numbers = [counts[essay] for essay in evidence.essays]
    wave = len(numbers) // 2
    return wave > 0 and len(callbacks) % wave == 0 and max(numbers) - min(numbers) <= len(numbers) % 2


def last_change(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> float | None:
    """Largest change of any θ in the last wave: the floor(n/2) comparisons that ended last, in logits."""
    wave = len(evidence.essays) // 2
    ordered = sorted(callbacks, key=lambda e: (e.comparison.completed_at, e.comparison.request_id))
    try:
        before = _scores(evidence, ordered[: len(ordered) - wave])
        after = _scores(evidence, ordered)
    except Eng5Error:
        return None
    return max((abs(after[essay] - before[essay]) for essay in evidence.essays), default=None)


def _scores(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> dict[str, float]:
    outcomes = [(event.comparison.winner_id, event.comparison.loser_id) for event in callbacks]
    games = [(won, lost) for won, lost in outcomes if won is not None and lost is not None and won != lost]
    compared = (essay for game in games for essay in game)
    place = {essay: index for index, essay in enumerate(dict.fromkeys([*evidence.essays, *compared]))}
    winners, losers = [place[won] for won, _ in games], [place[lost] for _, lost in games]
    fit = fit_bradley_terry(len(place), winners, losers)
    return {essay: float(fit.theta[index]) for essay, index in place.items()}
