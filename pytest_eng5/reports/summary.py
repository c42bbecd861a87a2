"""``summary.json``: what outside tools read about a session."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pytest_eng5.alignment import MetricValue, RepeatedFigure
from pytest_eng5.evidence import write_json
from pytest_eng5.gates import Verdict
from pytest_eng5.gates.improvement import IMPROVEMENTS
from pytest_eng5.reports.comparison_model import Comparison
from pytest_eng5.reports.outcome import VariantOutcome
from pytest_eng5.reports.repeats import Repeats

__all__ = [
    "Summary",
    "SummaryComparison",
    "SummaryGate",
    "SummaryMetric",
    "SummaryRepeats",
    "SummaryScenario",
    "SummaryVariant",
    "summary_document",
    "write_summary",
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SummaryMetric(_Part):
    """A metric with its interval; null where undefined."""

    value: float | None
    low: float | None
    high: float | None


class SummaryGate(_Part):
    """One gate."""

    status: Literal["PASS", "FAIL", "UNDECIDED"]
    min: float | None = None
    max: float | None = None
    confidence: float | None = Field(default=None, description="Null: the value was judged, not an interval")
    tolerated: bool = Field(default=False, description="Undecided, which the scenario makes a warning only")
    needed: int | None = Field(
        default=None, description="Comparisons in all that would decide; null if decided or no number would"
    )


class SummaryRepeats(_Part):
    """A metric over the runs of a variant; null where undefined."""

    values: tuple[float | None, ...] = Field(description="One per run, in their order")
    mean: float | None
    sd: float | None = Field(description="Standard deviation between the runs (n - 1)")
    sd_low: float | None = Field(description="95 % interval of it")
    sd_high: float | None
    noise_floor: float | None = Field(description="The same of this prompt: measured, or simulated")
    measured: bool = Field(description="Whether the noise floor is the standard deviation between the runs")


class SummaryVariant(_Part):
    """One variant."""

    variant: str
    verdict: Literal["PASS", "FAIL", "UNDECIDED", "ERROR", "DONE"] = Field(
        description="DONE: the mode judges nothing and nothing went wrong"
    )
    metrics: dict[str, SummaryMetric]
    gates: dict[str, SummaryGate] = {}
    comparisons: int = Field(ge=0, description="Comparisons that succeeded, all runs together")
    cost_usd: float | None = Field(description="As reported in the callbacks; null if not known")
    run_dirs: tuple[str, ...] = Field(description="Run folders, relative to the folder of the summary")
    repeats: dict[str, SummaryRepeats] | None = Field(
        default=None, description="Metrics over the runs of a variant that ran more than once"
    )


class SummaryScenario(_Part):
    """One scenario with its variants, in the order of the session."""

    scenario: str
    variants: tuple[SummaryVariant, ...]


class SummaryComparison(_Part):
    """One figure of a variant compared with the baseline of its scenario."""

    scenario: str
    baseline: str
    candidate: str
    metric: str
    status: Literal["PASS", "FAIL", "UNDECIDED"]
    improvement: float | None = Field(description="Positive if the candidate is better")
    low: float | None
    high: float | None
    min_improvement: float
    p_value: float | None
    adjusted_p_value: float | None = Field(description="Corrected (Holm) for all candidates of the scenario")
    pairs: int = Field(ge=0, description="Anchor pairs that both judged")
    differing_pairs: int = Field(ge=0, description="Those of them that were judged differently")


class Summary(_Part):
    """The whole document."""

    schema_version: str = Field(default="1.2.0", pattern=r"^1\.\d+\.\d+$")
    session: str
    scenarios: tuple[SummaryScenario, ...]
    comparisons: tuple[SummaryComparison, ...] = Field(
        default=(), description="Of the blocks `compare`; what could not be compared is left out"
    )


def summary_document(
    session: str, outcomes: Iterable[VariantOutcome], root: Path, comparisons: Iterable[Comparison] = ()
) -> dict[str, Any]:
    """The summary as plain JSON-able values.

    Args:
        session: Name of the session.
        outcomes: Variants in the order of the session.
        root: Folder that run folders are named relative to.
        comparisons: Between the variants.
    """
    scenarios: dict[str, list[SummaryVariant]] = {}
    for outcome in outcomes:
        scenarios.setdefault(outcome.scenario, []).append(_variant(outcome, root))
    summary = Summary(
        session=session,
        scenarios=tuple(
            SummaryScenario(scenario=name, variants=tuple(variants)) for name, variants in scenarios.items()
        ),
        comparisons=tuple(row for comparison in comparisons for row in _compared(comparison)),
    )
    return summary.model_dump(mode="json")


def write_summary(
    path: Path, session: str, outcomes: Iterable[VariantOutcome], comparisons: Iterable[Comparison] = ()
) -> None:
    """Write ``summary.json`` atomically; run folders are named relative to its folder."""
    write_json(path, summary_document(session, outcomes, path.parent, comparisons))


def _compared(comparison: Comparison) -> Iterator[SummaryComparison]:
    for candidate in comparison.candidates:
        for verdict in candidate.verdicts:
            figure = candidate.figures[IMPROVEMENTS[verdict.metric]]
            yield SummaryComparison(
                scenario=comparison.scenario,
                baseline=comparison.baseline,
                candidate=candidate.candidate,
                **verdict.model_dump(exclude={"message", "hint"}),
                p_value=figure.p_value,
                adjusted_p_value=figure.adjusted_p_value,
                pairs=candidate.pairs,
                differing_pairs=len(candidate.differing_pairs),
            )


def _variant(outcome: VariantOutcome, root: Path) -> SummaryVariant:
    made = [run.root for run in outcome.runs if run.root.is_dir()]
    return SummaryVariant(
        variant=outcome.variant,
        verdict=outcome.verdict.value,
        metrics={name: _metric(found) for name, found in outcome.metrics.items()},
        gates={verdict.metric: _gate(verdict) for verdict in outcome.verdicts},
        comparisons=outcome.ledger.succeeded,
        cost_usd=outcome.cost_usd,
        run_dirs=tuple(Path(os.path.relpath(folder, root)).as_posix() for folder in made),
        repeats=_repeats(outcome.repeats),
    )


def _repeats(repeats: Repeats | None) -> dict[str, SummaryRepeats] | None:
    if repeats is None or repeats.runs < 2:
        return None
    return {name: _repeated(found) for name, found in repeats.figures.items()}


def _repeated(found: RepeatedFigure) -> SummaryRepeats:
    low, high = found.spread_interval() or (None, None)
    return SummaryRepeats(
        values=tuple(_finite(value) for value in found.values),
        mean=_finite(found.mean),
        sd=_finite(found.spread),
        sd_low=_finite(low),
        sd_high=_finite(high),
        noise_floor=_finite(found.noise_floor),
        measured=found.measured,
    )


def _gate(verdict: Verdict) -> SummaryGate:
    return SummaryGate(
        status=verdict.status.value,
        min=_finite(verdict.minimum),
        max=_finite(verdict.maximum),
        confidence=verdict.confidence,
        tolerated=verdict.tolerated,
        needed=verdict.needed,
    )


def _metric(found: MetricValue) -> SummaryMetric:
    return SummaryMetric(value=_finite(found.value), low=_finite(found.low), high=_finite(found.high))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
