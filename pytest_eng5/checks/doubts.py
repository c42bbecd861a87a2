"""Whether the captured comparisons can be taken for those that the pipeline scored.

Scores, ranks and confidence are derived from captured comparisons. Where one of those is lost, unreadable,
in conflict or told about the wrong essays, another result is no proof against the pipeline: the fault is
reported where it is, and what follows from it is an info.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_eng5.checks.completeness import check_completeness
from pytest_eng5.checks.events import check_events
from pytest_eng5.checks.metadata import check_metadata
from pytest_eng5.checks.wording import plural
from pytest_eng5.contracts import ProcessingEvent, topic_name
from pytest_eng5.evidence import Finding, RunEvidence

__all__ = ["doubts", "softened"]

_OF_THE_RUN = frozenset({"COUNT-MISSING", "COUNT-EXTRA", "PARTIAL-DATA", "PIPELINE-FAILED", "ESSAY-MISSING"})
_OF_A_CALLBACK = frozenset(
    {
        *("EVENT-UNDECODABLE", "EVENT-SCHEMA", "EVENT-CONFLICT", "EVENT-STALE", "EVENT-LATE"),
        *("META-UNKNOWN-ESSAY", "META-SAME-ESSAY", "META-HASH-MISMATCH", "META-HASH-COLLISION"),
        *("META-CORRELATION", "META-MISSING", "META-MALFORMED"),
    }
)
_HARMLESS_FIELDS = ("/prompt_sha256", "/bos_batch_id", "/cj_batch_id")


def doubts(evidence: RunEvidence) -> tuple[str, ...]:
    """Codes of findings that leave it open which comparisons the pipeline scored, sorted."""
    findings = (*check_events(evidence), *check_metadata(evidence), *check_completeness(evidence))
    return tuple(sorted({finding.code for finding in findings if _is_doubt(finding)}))


def _is_doubt(finding: Finding) -> bool:
    if finding.severity == "info":
        return False
    if finding.code in _OF_THE_RUN:
        return True
    of_a_callback = f"{topic_name(ProcessingEvent.LLM_COMPARISON_RESULT)}[" in (finding.position or "")
    harmless = finding.code in ("META-MISSING", "META-MALFORMED") and (finding.field or "").endswith(
        _HARMLESS_FIELDS
    )
    return finding.code in _OF_A_CALLBACK and of_a_callback and not harmless


def softened(evidence: RunEvidence, findings: Iterable[Finding]) -> list[Finding]:
    """The findings; or one info for each code if what they were derived from is in doubt."""
    found = list(findings)
    reasons = doubts(evidence) if found else ()
    if not reasons:
        return found
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(finding.code, []).append(finding)
    return [_unproven(group, reasons) for group in groups.values()]


def _unproven(group: Sequence[Finding], reasons: Sequence[str]) -> Finding:
    text = (
        f"not provable because of {', '.join(reasons)}: {plural(len(group), 'difference')}, "
        f"the first: {group[0].message}"
    )
    hint = "mend what is named first: which comparisons the pipeline scored is not known until then"
    return group[0].model_copy(update={"severity": "info", "message": text, "hint": hint})
