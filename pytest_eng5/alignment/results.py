"""What an alignment analysis returns: plain frozen records, JSON-able by ``to_dict()``.

In JSON a number that is not defined is ``null``; in Python it is NaN in a :class:`MetricValue` and ``None``
in a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_eng5.alignment.judge_quality import JudgeQuality

__all__ = [
    "AlignmentMetrics",
    "AnchorRow",
    "BootstrapInfo",
    "InversionRow",
    "MetricValue",
    "Population",
    "jsonable",
]


@dataclass(frozen=True)
class MetricValue:
    """A value with its interval.

    Attributes:
        value: The point value, NaN if undefined.
        low: Lower end of the interval, ``None`` without one.
        high: Upper end.
        method: Of the interval: ``bootstrap`` (a bootstrap standard error), ``percentile``, ``bca``,
            ``wilson``, ``wald``, ``model`` (repeats of the same comparisons under the fitted scores), or
            ``exact`` for none: a property of the comparisons that were made.
    """

    value: float
    low: float | None = None
    high: float | None = None
    method: str = "exact"


@dataclass(frozen=True)
class Population:
    """What the figures rest on, and what was left out of them.

    Attributes:
        anchors: Anchors handed over.
        graded: Those whose grade is known.
        unknown_grade: Ids of the others; their comparisons are excluded.
        uncompared: Ids of graded anchors without any comparison against another graded anchor; they
            have no score.
        distinct_grades: Number of different grades among the graded anchors.
        comparisons: Comparisons between graded anchors.
        excluded_comparisons: Comparisons that involve an unknown grade.
        decidable_comparisons: Comparisons between different grades: those that could be inversions.
        upper_comparisons: Those of them whose better grade is an upper grade (A or B).
        decidable_pairs: Pairs of graded anchors with different grades.
        decidable_pairs_compared: Those compared at least once.
        upper_pairs: Pairs with different grades the better of which is an upper grade.
        upper_pairs_compared: Those compared at least once.
        pairs: Pairs of graded anchors, n(n-1)/2.
        pairs_compared: Those compared at least once.
        pairs_in_both_orders: Those compared in both orders.
        connected: Whether the comparisons join all graded anchors.
    """

    anchors: int
    graded: int
    unknown_grade: tuple[str, ...]
    uncompared: tuple[str, ...]
    distinct_grades: int
    comparisons: int
    excluded_comparisons: int
    decidable_comparisons: int
    upper_comparisons: int
    decidable_pairs: int
    decidable_pairs_compared: int
    upper_pairs: int
    upper_pairs_compared: int
    pairs: int
    pairs_compared: int
    pairs_in_both_orders: int
    connected: bool


@dataclass(frozen=True)
class BootstrapInfo:
    """How the bootstrap intervals were made: enough to make them again."""

    resamples: int
    seed: int
    confidence: float
    unit: str


@dataclass(frozen=True)
class AnchorRow:
    """One anchor; counts are of comparisons with other graded anchors.

    Attributes:
        id: Anchor id.
        grade: Expert grade as written, or ``None``.
        grade_rank: Its rank, 0 = best, or ``None`` if unknown.
        theta: Score in logits, mean 0 over the scored anchors; ``None`` without a score.
        standard_error: Sum-to-zero standard error in logits.
        rank: 1 = best; equal scores share the best rank of theirs.
        expected_rank: The middle of the ranks that the grade allows: anchors of one grade share it, so
            that no order among them counts as right or wrong.
        expected_low: Best rank that the grade allows.
        expected_high: Worst rank that the grade allows.
        wins: Comparisons won.
        losses: Comparisons lost.
        comparisons: Their sum.
        win_rate: Share won, ``None`` without comparisons.
    """

    id: str
    grade: str | None
    grade_rank: int | None
    theta: float | None
    standard_error: float | None
    rank: int | None
    expected_rank: float | None
    expected_low: int | None
    expected_high: int | None
    wins: int
    losses: int
    comparisons: int
    win_rate: float | None

    @property
    def misplaced_by(self) -> int:
        """Places between the rank and the ranks that the grade allows; positive if ranked too low."""
        if self.rank is None or self.expected_low is None or self.expected_high is None:
            return 0
        return max(self.rank - self.expected_high, 0) - max(self.expected_low - self.rank, 0)


@dataclass(frozen=True)
class InversionRow:
    """One comparison that the lower grade won; every occurrence has its own row.

    Attributes:
        higher_id: Anchor with the better grade, which lost.
        higher_grade: Its grade.
        lower_id: Anchor with the worse grade, which won.
        lower_grade: Its grade.
        request_id: The comparison in the evidence.
        confidence: The judge's confidence.
        justification: The judge's reason.
        winner_position: ``A`` or ``B``, where the winner was shown.
        lower_won: Comparisons of this pair that the lower grade won.
        pair_comparisons: All comparisons of this pair.
    """

    higher_id: str
    higher_grade: str
    lower_id: str
    lower_grade: str
    request_id: str | None
    confidence: float | None
    justification: str | None
    winner_position: str
    lower_won: int
    pair_comparisons: int


@dataclass(frozen=True)
class AlignmentMetrics:
    """All figures of one population.

    Attributes:
        values: Metric by name; the names are those of the gates.
        attainable_tau_b: Greatest ``kendall_tau`` that the grade ties allow, NaN if there is none.
        attainable_tau_a: The same for ``kendall_tau_a``.
        anchors: One row per anchor, best score first, anchors without a score last.
        inversions: One row per inverted comparison, best grade first.
        population: What the figures rest on.
        bootstrap: How the intervals were made.
        quality: The judge apart from the grades, anchor by anchor; its figures are in ``values`` too.
    """

    values: Mapping[str, MetricValue]
    attainable_tau_b: float
    attainable_tau_a: float
    anchors: tuple[AnchorRow, ...]
    inversions: tuple[InversionRow, ...]
    population: Population
    bootstrap: BootstrapInfo
    quality: JudgeQuality

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; an undefined number is ``None``."""
        plain: dict[str, Any] = jsonable(
            {
                "values": {name: asdict(value) for name, value in self.values.items()},
                "attainable_tau_b": self.attainable_tau_b,
                "attainable_tau_a": self.attainable_tau_a,
                "anchors": [asdict(row) for row in self.anchors],
                "inversions": [asdict(row) for row in self.inversions],
                "population": asdict(self.population),
                "bootstrap": asdict(self.bootstrap),
                "quality": {k: v for k, v in self.quality.to_dict().items() if k != "values"},
            }
        )
        return plain


def jsonable(value: Any) -> Any:
    """The same value in plain dicts, lists and numbers; a number that is not finite is ``None``."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
