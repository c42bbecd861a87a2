"""Every code a check can report: which check it belongs to, how severe it is, and the rule behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_eng5.evidence import Severity

__all__ = ["CODES", "CodeInfo"]


@dataclass(frozen=True, slots=True)
class CodeInfo:
    """One code.

    Attributes:
        code: Stable name, never reused for another rule.
        check: Item that reports it.
        severity: Normal severity; a few codes also report milder cases, which their rule says.
        rule: What must hold, one sentence; the code is reported where it does not.
    """

    code: str
    check: str
    severity: Severity
    rule: str


_EVENTS: tuple[tuple[str, Severity, str], ...] = (
    ("EVENT-UNDECODABLE", "error", "A record of the run is a JSON object in UTF-8."),
    ("EVENT-SCHEMA", "error", "A record of the run satisfies the model of its topic."),
    ("EVENT-VERSION", "error", "The envelope's schema_version is 1."),
    ("EVENT-DUPLICATE", "warning", "An event is delivered once; a redelivery is legal, but reported."),
    ("EVENT-CONFLICT", "error", "Callbacks of one request id have one content."),
    ("EVENT-STALE", "error", "Nothing about a run was published, or happened, before its request."),
    ("EVENT-LATE", "warning", "Callbacks are published before the completion; later ones still count."),
    ("EVENT-CLOCK", "warning", "Dates follow each other, and none lies in the future of its record."),
)
_METADATA: tuple[tuple[str, Severity, str], ...] = (
    ("META-MISSING", "error", "Every callback names both essays, the prompt hash and the batch."),
    (
        "META-MALFORMED",
        "error",
        "Ids are texts, hashes 64 lower-case hex digits, batch ids those of the run.",
    ),
    ("META-UNKNOWN-ESSAY", "error", "Both essays of a callback belong to the run."),
    ("META-SAME-ESSAY", "error", "No essay is compared with itself."),
    (
        "META-HASH-MISMATCH",
        "error",
        "The hash is that of the stored prompt, which names the callback's essays; one pair, one hash.",
    ),
    ("META-HASH-COLLISION", "error", "Different ordered pairs have different prompt hashes."),
    ("META-CORRELATION", "error", "Correlation ids are those of the request and of the comparison."),
    (
        "META-DROPPED",
        "error",
        "What a request asked for, and what other callbacks carry, is in every callback.",
    ),
    ("META-ATTRIBUTION", "error", "Provider and model are those asked for, everywhere the same."),
)
_COMPLETENESS: tuple[tuple[str, Severity, str], ...] = (
    ("COUNT-MISSING", "error", "Every planned comparison came back; a legal stable early stop is an info."),
    ("COUNT-EXTRA", "error", "No more comparisons came back than were planned."),
    ("RESULT-MISSING", "error", "A batch that did not fail has a rich result."),
    ("RESULT-DUPLICATE", "error", "A batch has one rich result; the same one redelivered is legal."),
    ("COMPLETION-MISSING", "error", "A batch that did not fail has a completion."),
    ("COMPLETION-DUPLICATE", "error", "A batch has one completion; the same one redelivered is legal."),
    ("PIPELINE-FAILED", "error", "The pipeline did not fail the batch."),
    ("ESSAY-MISSING", "error", "Every planned essay was compared and is in the rich result, and no other."),
    ("PARTIAL-DATA", "error", "Capturing ended by itself, not by a deadline or an interruption."),
    ("SUCCESS-RATE", "error", "At least 80 % of the comparisons succeeded; any failed one is an info."),
)
_SCHEMA: tuple[tuple[str, Severity, str], ...] = (
    ("SCHEMA-ARTEFACT", "error", "The artefact satisfies its JSON Schema and agrees with the event logs."),
    ("SCHEMA-1.0", "error", "The artefact of an assignment satisfies schema 1.0 as well."),
)
_SCORING: tuple[tuple[str, Severity, str], ...] = (
    ("SCORE-MISMATCH", "error", "Published scores are those that the captured comparisons give."),
    ("SCORE-CENTRE", "error", "Published scores have mean 0 over all essays."),
    ("RANK-MISMATCH", "error", "Ranks are 1 to n in the order of the scores."),
    ("PROJECTION-MISMATCH", "error", "Grades and confidence are those that scores and anchors give."),
)
_COSTS: tuple[tuple[str, Severity, str], ...] = (
    ("COST-MISMATCH", "error", "Reported costs are the flat rate of the tokens, totals are sums."),
    ("COST-OVER-BUDGET", "error", "Neither the reported cost nor that at list prices exceeds the budget."),
    ("COST-PRICE-UNKNOWN", "error", "Every model has a list price; without a budget it is an info."),
)
_MANIFEST: tuple[tuple[str, Severity, str], ...] = (
    ("MANIFEST-HASH", "error", "Every listed file has its SHA-256 and size."),
    ("MANIFEST-MISSING", "error", "The manifest is readable and every listed file exists."),
    ("MANIFEST-UNLISTED", "error", "Every file of the run is listed."),
    ("ARTEFACT-CHECKSUM", "error", "The artefact's own checksum is that of its content."),
)

CODES: Mapping[str, CodeInfo] = {
    code: CodeInfo(code, check, severity, rule)
    for check, rows in (
        ("events", _EVENTS),
        ("metadata", _METADATA),
        ("completeness", _COMPLETENESS),
        ("schema", _SCHEMA),
        ("scoring", _SCORING),
        ("costs", _COSTS),
        ("manifest", _MANIFEST),
    )
    for code, severity, rule in rows
}
"""All codes by name, in the order of reports."""
