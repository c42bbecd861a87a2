"""What the last step of a run tells its log: what was derived from the evidence, and the run in figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from pytest_eng5.alignment import alignment_metrics
from pytest_eng5.checks import ledger
from pytest_eng5.evidence import Artefact, Finding, RunEnding, RunEvidence
from pytest_eng5.gates import METRICS
from pytest_eng5.gates.vacuity import vacuous
from pytest_eng5.reports.outcome import OF_THE_ORDER, QUIET_MODES
from pytest_eng5.reports.population import population
from pytest_eng5.telemetry import RunLog

__all__ = ["tell_artefact", "tell_evidence", "tell_summary"]


def tell_evidence(log: RunLog, evidence: RunEvidence, ending: RunEnding) -> None:
    """What was read back from disk."""
    log.info(
        "hydrator_initialized",
        comparisons=len(evidence.distinct_comparisons),
        redelivered=len(evidence.comparisons) - len(evidence.distinct_comparisons),
        assessment_results=len(evidence.results),
        completions=len(evidence.completions),
        failures=len(evidence.failures),
        rejected=len(evidence.rejected),
    )
    if ending.reason.is_infrastructure:
        seconds = ending.timeout_seconds
        log.warning("hydrator_timeout_marked", reason=ending.reason.value, timeout_seconds=seconds)


def tell_artefact(log: RunLog, name: str, artefact: Artefact, evidence: RunEvidence) -> None:
    """What the artefact holds."""
    if evidence.plan.mode == "dry-run":
        log.info("runner_dry_run_stub_created", artefact=name)
    log.info("llm_comparison_hydrated", count=len(artefact.llm_comparisons))
    log.info("assessment_result_hydrated", count=len(evidence.results))
    log.info("completion_event_recorded", count=len(evidence.completions))
    log.info("artefact_manifest_updated", artefact=name, files=len(artefact.validation.manifest))


def tell_summary(
    log: RunLog, ending: RunEnding, evidence: RunEvidence | None, findings: Sequence[Finding]
) -> None:
    """What the checks found, and the metrics of the run; what is not known is null or absent."""
    codes = Counter(finding.code for finding in findings)
    errors, warnings = (sum(found.severity == kind for found in findings) for kind in ("error", "warning"))
    if evidence is None:
        log.error("validation_load_failed", detail=findings[0].message if findings else None)
    log.info("runner_validation_state", valid=not errors, errors=errors, warnings=warnings, codes=dict(codes))
    summary: dict[str, Any] = {
        "reason": ending.reason.value,
        "partial": ending.partial,
        "published": ending.published,
        "seconds": round((ending.ended_at - ending.started_at).total_seconds(), 3),
        "errors": errors,
    }
    if evidence is not None and evidence.plan.mode not in QUIET_MODES:
        summary |= _try(_counts, evidence) | _try(_figures, evidence)
    log.info("run_summary", **summary)


def _try(figures: Callable[[RunEvidence], dict[str, Any]], evidence: RunEvidence) -> dict[str, Any]:
    """Figures for the log alone: a fault in them is for the reports to tell, which need them."""
    try:
        return figures(evidence)
    except Exception as error:
        return {"not_measured": str(error).partition("\n")[0] or type(error).__name__}


def _counts(evidence: RunEvidence) -> dict[str, Any]:
    counts, distinct = ledger(evidence), [event.comparison for event in evidence.distinct_comparisons]
    return {
        "planned": counts.planned,
        "succeeded": counts.succeeded,
        "failed": counts.failed,
        "missing": counts.missing,
        "unexpected": counts.unexpected,
        "rejected": len(evidence.rejected),
        "redelivered": len(evidence.comparisons) - len(distinct),
        "cost_usd": round(math.fsum(data.cost_estimate for data in distinct), 6),
        "prompt_tokens": sum(data.token_usage.prompt_tokens for data in distinct),
        "completion_tokens": sum(data.token_usage.completion_tokens for data in distinct),
        "judges": sorted({f"{data.provider} {data.model}" for data in distinct}),
    }


def _figures(evidence: RunEvidence) -> dict[str, Any]:
    """Point values of all metrics; no intervals, which the reports compute over all repeats."""
    metrics = alignment_metrics(population(evidence), bootstrap=0)
    figures: dict[str, Any] = {name: round(metric.value, 6) for name, metric in metrics.values.items()}
    if (reason := vacuous(METRICS["coverage"], metrics)) is not None:
        figures |= {**dict.fromkeys(OF_THE_ORDER), "not_measured": reason}
    return figures
