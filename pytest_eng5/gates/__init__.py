"""Gates: a metric, a threshold, a verdict. Pure, without numerical libraries, never green on nothing.

:func:`judge` decides; :func:`unreachable`, :func:`contradictions` and :func:`never_certain` refuse, before
anything is run, what no data could satisfy; :data:`METRICS` lists what can be gated on. Grades become ranks
with ``contracts.grade_rank``; this room takes ranks, 0 = best, ``None`` = unknown.
"""

from __future__ import annotations

from pytest_eng5.gates.certainty import never_certain
from pytest_eng5.gates.deciding import Needed, needed_to_decide
from pytest_eng5.gates.reach import Contradiction, attainable, contradictions, unreachable
from pytest_eng5.gates.registry import METRICS, MetricInfo, UnknownMetricError, metric_info
from pytest_eng5.gates.threshold import ThresholdLike
from pytest_eng5.gates.verdicts import Status, Verdict, judge, unmeasured

__all__ = [
    "METRICS",
    "Contradiction",
    "MetricInfo",
    "Needed",
    "Status",
    "ThresholdLike",
    "UnknownMetricError",
    "Verdict",
    "attainable",
    "contradictions",
    "judge",
    "metric_info",
    "needed_to_decide",
    "never_certain",
    "unmeasured",
    "unreachable",
]
