"""A gate never passes on nothing: reasons why a metric cannot be judged at all (design section 9)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_eng5.gates.registry import MetricInfo
from pytest_eng5.gates.wording import plural

if TYPE_CHECKING:
    from pytest_eng5.alignment import AlignmentMetrics, Population

__all__ = ["vacuous"]

_SHOWN = 5


def vacuous(info: MetricInfo, metrics: AlignmentMetrics) -> str | None:
    """Why this metric must not pass whatever its value, or ``None``."""
    return _nothing(metrics.population) or _nothing_for(info, metrics.population) or _undefined(info, metrics)


def _nothing(found: Population) -> str | None:
    if found.unknown_grade:
        return f"the grade of {_names(found.unknown_grade, found.anchors)} is unknown"
    if found.graded < 2:
        return f"there is nothing to agree with: {plural(found.graded, 'anchor')}"
    if found.comparisons == 0:
        return f"no comparison between the {found.graded} anchors succeeded"
    if found.uncompared:
        return f"{_names(found.uncompared, found.anchors)} took part in no comparison"
    if not found.connected:
        return f"the {found.comparisons} comparisons leave the anchors in unconnected groups"
    return None


def _nothing_for(info: MetricInfo, found: Population) -> str | None:
    if info.needs in ("decidable", "upper") and found.distinct_grades < 2:
        return f"all {found.graded} anchors have the same grade"
    if info.needs in ("decidable", "upper") and found.decidable_comparisons == 0:
        return "no comparison was between different grades"
    if info.needs == "upper" and found.upper_comparisons == 0:
        return "no comparison was between a grade A or B and a lower one"
    if info.needs == "both_orders" and found.pairs_in_both_orders == 0:
        return "no pair was seen in both orders"
    if info.needs in ("three", "circle", "triads") and found.graded < 3:
        return f"it takes at least 3 anchors, and there are {found.graded}"
    if info.needs == "circle" and found.pairs_compared < found.graded:
        return f"{found.pairs_compared} pairs close no circle, so scores fit any outcome"
    return None


def _undefined(info: MetricInfo, metrics: AlignmentMetrics) -> str | None:
    found = metrics.values.get(info.name)
    if found is None:
        return "it was not computed"
    if not math.isfinite(found.value):
        value = "undefined" if math.isnan(found.value) else str(found.value)
        return f"its value is {value} ({_WHY_UNDEFINED.get(info.name, 'all scores equal?')})"
    return None


_TRIADS = "no three anchors were all compared with each other, each pair with a majority"
_WHY_UNDEFINED = {
    "position_effect": "no comparison that closes a circle tells the order from the essays",
    "circular_triads": _TRIADS,
    "consistence": _TRIADS,
    "misfitting_anchors": "of fewer than 6 anchors none can stand out by 2 SD",
    "suspect_grades": "no anchor has two comparisons with lower grades, or two with higher ones",
    "split_half": "the halves have no scores to correlate",
}


def _names(ids: tuple[str, ...], total: int) -> str:
    shown = ", ".join(ids[:_SHOWN]) + (", .." if len(ids) > _SHOWN else "")
    return f"{len(ids)} of {plural(total, 'anchor')} ({shown})"
