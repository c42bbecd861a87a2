"""Whether a run that made fewer comparisons than planned was allowed to stop (contract 7.4 and 7.5).

The pipeline works in waves in which every essay is compared at most once, as many pairs as those not compared
yet allow, and may finish after a wave that changed no score by more than 0.025. Both leave traces in the
callbacks, from which they are told apart from callbacks that were lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

import networkx as nx

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
    waves without a gap, and no score moved by more than 0.025 in the last one.
    """
    succeeded = sum(event.comparison.is_success for event in callbacks)
    if (
        len(callbacks) < MIN_COMPARISONS
        or succeeded < MIN_SUCCESS_RATE * len(callbacks)
        or not _completed(evidence)
    ):
        return None
    wave = len(evidence.essays) // 2
    if not _whole_waves(evidence, callbacks):
        waves = list(_waves(callbacks))
        if not _largest_waves(evidence, waves):
            return None
        wave = len(waves[-1])
    change = last_change(evidence, callbacks, wave)
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


def _waves(callbacks: Sequence[CapturedEvent]) -> Iterator[list[CapturedEvent]]:
    """The callbacks of each wave.

    A wave is requested when the one before has come back, and no essay is in it twice: where one comes again
    the next wave begins. It begins nowhere else, since a first pair of essays that were both left out would
    have fitted into the wave before, unless it had been compared already.
    """
    wave: list[CapturedEvent] = []
    taken: set[str] = set()
    for event in sorted(callbacks, key=lambda e: (e.comparison.requested_at, e.comparison.request_id)):
        if taken.intersection(essay_ids(event.comparison)):
            yield wave
            wave, taken = [], set()
        wave.append(event)
        taken.update(essay_ids(event.comparison))
    if wave:
        yield wave


def _largest_waves(evidence: RunEvidence, waves: Sequence[Sequence[CapturedEvent]]) -> bool:
    """Whether every wave is as large as the pairs not compared yet allow: of those none was lost.

    With most pairs compared the rest may not cover all essays at once, so that waves get smaller. A pair
    whose comparison failed may come again.
    """
    left = {frozenset(pair) for pair in combinations(evidence.essays, 2)}
    for wave in waves:
        pairs = {frozenset(essay_ids(event.comparison)): event.comparison.is_success for event in wave}
        if not left.issuperset(pairs):
            return False
        if len(pairs) < len(evidence.essays) // 2 and len(pairs) < _largest(left):
            return False
        left.difference_update(pair for pair, succeeded in pairs.items() if succeeded)
    return True


def _largest(pairs: Iterable[frozenset[str]]) -> int:
    """How many of these pairs can be in one wave."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_edges_from((min(pair), max(pair)) for pair in pairs)
    return len(nx.max_weight_matching(graph, maxcardinality=True))


def last_change(evidence: RunEvidence, callbacks: Sequence[CapturedEvent], wave: int) -> float | None:
    """Largest change of any θ in the last ``wave`` comparisons, those that ended last, in logits."""
    ordered = sorted(callbacks, key=lambda e: (e.comparison.completed_at, e.comparison.request_id))
    try:
        before = _scores(evidence, ordered[: len(ordered) - wave])
        after = _scores(evidence, ordered)
    except Eng5Error:
        return None
    return max((abs(after[essay] - before[essay]) for essay in evidence.essays), default=None)


def _scores(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> dict[str, float]:
    outcomes = [event.comparison.outcome for event in callbacks]
    games = [(won, lost) for won, lost in outcomes if won is not None and lost is not None and won != lost]
    compared = (essay for game in games for essay in game)
    place = {essay: index for index, essay in enumerate(dict.fromkeys([*evidence.essays, *compared]))}
    winners, losers = [place[won] for won, _ in games], [place[lost] for _, lost in games]
    fit = fit_bradley_terry(len(place), winners, losers)
    return {essay: float(fit.theta[index]) for essay, index in place.items()}
