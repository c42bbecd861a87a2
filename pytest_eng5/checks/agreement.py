"""Rule SCHEMA-ARTEFACT, second half: the artefact says what the event logs say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from pytest_eng5.checks.drafting import essay_ids, finding
from pytest_eng5.checks.wording import clip, listed, short_id
from pytest_eng5.contracts import LLMComparisonResultV1
from pytest_eng5.evidence import ArtefactDocument, Finding, RunEvidence

__all__ = ["check_agreement"]

_HINT = "the artefact is derived, the event logs are the evidence: write the artefact again from the logs"
_COMPARED = ("status", "essay_a_id", "essay_b_id", "winner_id", "loser_id", "provider", "model")

Document = dict[str, Any]
Difference = tuple[str, str, str | None]
"""What differs, where in the artefact, and the request concerned."""


def check_agreement(evidence: RunEvidence, artefact: ArtefactDocument) -> Iterator[Finding]:
    """SCHEMA-ARTEFACT: ids, comparisons and counts of the artefact are those of plan and event logs.

    Args:
        evidence: The run.
        artefact: The artefact, which satisfies its schema.
    """
    for text, field, request in (
        *_identity(evidence, artefact.rest),
        *_inputs(evidence, artefact.rest),
        *_comparisons(evidence, artefact),
        *_counts(evidence, artefact.rest),
    ):
        yield finding(
            "SCHEMA-ARTEFACT",
            f"the artefact disagrees with the evidence: {text}",
            hint=_HINT,
            field=field,
            request_id=request,
            evidence=artefact.path.name,
        )


def _identity(evidence: RunEvidence, document: Document) -> Iterator[Difference]:
    """It names the run of the plan."""
    plan = evidence.plan
    for key, expected in (
        ("batch_uuid", plan.batch_uuid),
        ("correlation_id", plan.correlation_id),
        ("planned_comparisons", plan.planned_comparisons),
        ("runner_mode", plan.mode),
    ):
        actual = document["metadata"][key]
        if actual != expected:
            yield f"{key} is {clip(actual)}, planned was {clip(expected)}", f"/metadata/{key}", None


def _inputs(evidence: RunEvidence, document: Document) -> Iterator[Difference]:
    """It lists the planned essays."""
    inputs = document["inputs"]
    listed_ids = {essay["essay_id"] for key in ("anchors", "students") for essay in inputs.get(key, ())}
    differing = sorted(listed_ids ^ evidence.essays.keys())
    if differing:
        names = listed([short_id(essay) for essay in differing])
        yield f"its inputs and the plan differ in {names}", "/inputs", None


def _rows(artefact: ArtefactDocument) -> Iterator[tuple[str, int, Document]]:
    """Every comparison with its list and place; those that schema 1.0 cannot hold stand apart."""
    for first, rows in artefact.rows():
        for index, row in enumerate(rows, start=first):
            yield "llm_comparisons", index, row
    for index, row in enumerate(artefact.rest.get("incomplete_comparisons", ())):
        yield "incomplete_comparisons", index, row


def _comparisons(evidence: RunEvidence, artefact: ArtefactDocument) -> Iterator[Difference]:
    """It holds every distinct callback once, with its essays, outcome and judge, and no other.

    Of callbacks that contradict each other either may be the one.
    """
    captured: dict[str, list[LLMComparisonResultV1]] = {}
    for event in evidence.comparisons:
        captured.setdefault(event.comparison.request_id, []).append(event.comparison)
    held: Counter[str] = Counter()
    altered: list[Difference] = []
    for key, index, row in _rows(artefact):
        request = row["request_id"]
        held[request] += 1
        differing = [_differing(row, callback) for callback in captured.get(request, ())]
        if differing and all(differing):
            pointer = f"/{key}/{index}/{differing[0][0]}"
            text = f"request {short_id(request)} has another {listed(differing[0])}"
            altered.append((text, pointer, request))
    for request in sorted(captured.keys() - held.keys()):
        yield f"request {short_id(request)} is not in it", "/llm_comparisons", request
    for request in sorted(held.keys() - captured.keys()):
        yield f"request {short_id(request)} was never captured", "/llm_comparisons", request
    for request in sorted(request for request, count in held.items() if count > 1):
        text = f"request {short_id(request)} is in it {held[request]} times"
        yield text, "/llm_comparisons", request
    yield from altered


def _facts(callback: LLMComparisonResultV1) -> tuple[str | None, ...]:
    return (
        "succeeded" if callback.is_success else "failed",
        callback.metadata_text("essay_a_id"),
        callback.metadata_text("essay_b_id"),
        *callback.outcome,
        callback.provider,
        callback.model,
    )


def _differing(row: Document, callback: LLMComparisonResultV1) -> list[str]:
    """Fields with another value; a winner may be left out where the callback's ids are of no use."""
    facts, told = _facts(callback), tuple(map(row.get, _COMPARED))
    if facts == told:
        return []
    optional = () if len(set(essay_ids(callback))) == 2 else ("winner_id", "loser_id")
    return [
        key
        for key, fact, value in zip(_COMPARED, facts, told, strict=True)
        if value != fact and not (value is None and key in optional)
    ]


def _counts(evidence: RunEvidence, document: Document) -> Iterator[Difference]:
    """Its numbers of comparisons, in total and per essay, are those of the callbacks.

    Per essay either all comparisons or those with a winner may be counted.
    """
    observed = document["validation"]["runner_status"]["observed_events"]["llm_comparisons"]
    callbacks = [event.comparison for event in evidence.distinct_comparisons]
    if observed != len(callbacks):
        field = "/validation/runner_status/observed_events/llm_comparisons"
        yield f"{observed} comparisons observed, {len(callbacks)} are in the logs", field, None
    made = Counter(essay for callback in callbacks for essay in essay_ids(callback))
    won = Counter(essay for event in evidence.succeeded for essay in essay_ids(event.comparison))
    for index, row in enumerate(document.get("bt_summary", ())):
        essay, count = row["essay_id"], row["comparison_count"]
        if not won[essay] <= count <= made[essay]:
            text = f"{count} comparisons of essay {short_id(essay)}, the logs hold {made[essay]}"
            yield text, f"/bt_summary/{index}/comparison_count", None
