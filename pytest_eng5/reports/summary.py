"""``summary.json``: what outside tools read about a session."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pytest_eng5.alignment import MetricValue
from pytest_eng5.evidence import write_json
from pytest_eng5.gates import Verdict
from pytest_eng5.reports.outcome import VariantOutcome

__all__ = [
    "Summary",
    "SummaryGate",
    "SummaryMetric",
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


class SummaryScenario(_Part):
    """One scenario with its variants, in the order of the session."""

    scenario: str
    variants: tuple[SummaryVariant, ...]


class Summary(_Part):
    """The whole document."""

    schema_version: str = Field(default="1.2.0", pattern=r"^1\.\d+\.\d+$")
    session: str
    scenarios: tuple[SummaryScenario, ...]


def summary_document(session: str, outcomes: Iterable[VariantOutcome], root: Path) -> dict[str, Any]:
    """The summary as plain JSON-able values.

    Args:
        session: Name of the session.
        outcomes: Variants in the order of the session.
        root: Folder that run folders are named relative to.
    """
    scenarios: dict[str, list[SummaryVariant]] = {}
    for outcome in outcomes:
        scenarios.setdefault(outcome.scenario, []).append(_variant(outcome, root))
    summary = Summary(
        session=session,
        scenarios=tuple(
            SummaryScenario(scenario=name, variants=tuple(variants)) for name, variants in scenarios.items()
        ),
    )
    return summary.model_dump(mode="json")


def write_summary(path: Path, session: str, outcomes: Iterable[VariantOutcome]) -> None:
    """Write ``summary.json`` atomically; run folders are named relative to its folder."""
    write_json(path, summary_document(session, outcomes, path.parent))


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
