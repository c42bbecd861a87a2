"""The metrics a gate can name, and what is known about each before there is any data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from pytest_eng5.errors import UsageError

__all__ = ["METRICS", "MetricInfo", "UnknownMetricError", "metric_info"]

Kind = Literal["tau", "ratio", "count", "number", "flag"]
Needs = Literal["comparisons", "decidable", "upper", "both_orders", "three", "circle", "triads"]


class UnknownMetricError(UsageError):
    """A threshold names a metric that does not exist."""


@dataclass(frozen=True)
class MetricInfo:
    """One metric.

    Attributes:
        name: As written in a scenario and in reports.
        kind: How it is printed: ``count`` whole, ``flag`` 0 or 1, ``number`` with two decimals, the rest
            with three.
        low: Smallest value any data can give; for tau, before grade ties are taken into account.
        high: Largest value, ``None`` if it depends on the anchors.
        better: Which direction is good.
        needs: What must exist for it to be measured at all.
        description: One line for reports and help.
        interval: Whether there is an interval, so that a threshold may have a ``confidence``.
        of_judge: Whether it says how good judge and anchors are, and not how far they agree.
    """

    name: str
    kind: Kind
    low: float
    high: float | None
    better: Literal["higher", "lower", "zero", "neither"]
    needs: Needs
    description: str
    interval: bool = True
    of_judge: bool = False


_ALL = (
    MetricInfo(
        *("kendall_tau", "tau", -1.0, 1.0, "higher", "decidable"),
        description="Kendall's tau-b between expert grades and scores",
    ),
    MetricInfo(
        *("kendall_tau_a", "tau", -1.0, 1.0, "higher", "decidable"),
        description="Kendall's tau-a: ties count as neither",
    ),
    MetricInfo(
        *("direct_inversions", "count", 0.0, None, "lower", "decidable"),
        description="pairs in which the lower grade won at least one comparison",
    ),
    MetricInfo(
        *("majority_inversions", "count", 0.0, None, "lower", "decidable"),
        description="pairs in which the lower grade won more often than it lost",
    ),
    MetricInfo(
        *("inversion_rate", "ratio", 0.0, 1.0, "lower", "decidable"),
        description="share of all comparisons that the lower grade won",
    ),
    MetricInfo(
        *("agreement", "ratio", 0.0, 1.0, "higher", "decidable"),
        description="share of comparisons between different grades that the better grade won",
    ),
    MetricInfo(
        *("zero_win_anchors", "count", 0.0, None, "lower", "comparisons"),
        description="anchors that were compared and never won",
    ),
    MetricInfo(
        *("expected_zero_win", "number", 0.0, None, "neither", "comparisons"),
        description="zero-win anchors that a judge without inversions would leave on average",
        interval=False,
    ),
    MetricInfo(
        *("upper_grade_inversions", "count", 0.0, None, "lower", "upper"),
        description="direct inversions whose better grade is A or B",
    ),
    MetricInfo(
        *("position_bias", "ratio", -0.5, 0.5, "zero", "comparisons"),
        description="share of comparisons won by essay A, minus one half",
    ),
    MetricInfo(
        *("flip_rate", "ratio", 0.0, 1.0, "lower", "both_orders"),
        description="how often the winner changes when the order is swapped",
    ),
    MetricInfo(
        *("ssr", "ratio", float("-inf"), 1.0, "higher", "comparisons"),
        description="scale separation reliability",
    ),
    MetricInfo(
        *("coverage", "ratio", 0.0, 1.0, "higher", "comparisons"),
        description="share of anchor pairs compared",
        interval=False,
    ),
    MetricInfo(
        *("connected", "flag", 0.0, 1.0, "higher", "comparisons"),
        description="1 if the comparisons join all anchors, else 0",
        interval=False,
    ),
    MetricInfo(
        *("first_rate", "ratio", 0.0, 1.0, "neither", "both_orders"),
        *("P(first): how often essay A wins over pairs in both orders; 0.5 without bias", False, True),
    ),
    MetricInfo(
        *("position_effect", "number", float("-inf"), None, "zero", "comparisons"),
        *("advantage of essay A in logits, scores taken into account", True, True),
    ),
    MetricInfo(
        *("circular_triads", "count", 0.0, None, "lower", "triads"),
        *("times that i beats j, j beats k and k beats i", False, True),
    ),
    MetricInfo(
        *("consistence", "ratio", float("-inf"), 1.0, "higher", "triads"),
        *("Kendall's coefficient of consistence: 1 without circular triads", False, True),
    ),
    MetricInfo(
        *("judge_infit", "number", 0.0, None, "neither", "circle"),
        *("infit of the judge: about 1 where the model holds, above it with more upsets", False, True),
    ),
    MetricInfo(
        *("judge_outfit", "number", 0.0, None, "neither", "circle"),
        *("outfit of the judge: as infit, but heeding upsets in lopsided pairs", False, True),
    ),
    MetricInfo(
        *("worst_infit", "number", 0.0, None, "lower", "circle"),
        *("greatest infit of any anchor", False, True),
    ),
    MetricInfo(
        *("worst_outfit", "number", 0.0, None, "lower", "circle"),
        *("greatest outfit of any anchor", False, True),
    ),
    MetricInfo(
        *("misfitting_anchors", "count", 0.0, None, "lower", "circle"),
        *("anchors whose infit is above mean + 2 SD", False, True),
    ),
    MetricInfo(
        *("suspect_grades", "count", 0.0, None, "lower", "decidable"),
        *("anchors whose grade the judge contradicts in most comparisons", False, True),
    ),
    MetricInfo(
        *("split_half", "ratio", float("-inf"), 1.0, "higher", "three"),
        *("reliability from scores of random halves of the comparisons (Spearman-Brown)", False, True),
    ),
)

METRICS: Mapping[str, MetricInfo] = {info.name: info for info in _ALL}
"""Every metric by name, in the order of reports."""


def metric_info(name: str) -> MetricInfo:
    """Look a metric up.

    Raises:
        UnknownMetricError: There is none of that name; the message suggests the nearest.
    """
    info = METRICS.get(name)
    if info is None:
        near = get_close_matches(name, METRICS, cutoff=0.5)  # best first
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownMetricError(f"unknown metric {name!r}", fix=f"{hint}known: {', '.join(METRICS)}")
    return info
