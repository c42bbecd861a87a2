"""Check ``metadata``: what every callback must carry, hop by hop (contract sections 2.3 and 3).

Works on distinct callbacks, successes and errors alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_eng5.checks.attribution import check_attribution
from pytest_eng5.checks.correlation import check_correlation
from pytest_eng5.checks.drafting import Observation, about, tallied
from pytest_eng5.checks.dropped import check_dropped
from pytest_eng5.checks.hashes import check_hashes
from pytest_eng5.checks.views import distinct, is_of_run
from pytest_eng5.checks.wording import clip, plural, short_topic
from pytest_eng5.contracts import PROMPT_HASH
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["REQUIRED", "check_metadata"]

REQUIRED = ("essay_a_id", "essay_b_id", "prompt_sha256", "bos_batch_id")
"""Keys without which a callback cannot be used."""

Callbacks = Sequence[CapturedEvent]


def check_metadata(evidence: RunEvidence) -> list[Finding]:
    """All findings about the metadata of callbacks and results."""
    callbacks = distinct(evidence)
    odd = [event for event in callbacks if not _is_sound(evidence, _values(event))]
    return [
        *check_missing(callbacks, odd),
        *check_malformed(evidence, callbacks, odd),
        *check_batch_ids(evidence),
        *check_unknown_essays(evidence, odd),
        *check_same_essay(odd),
        *check_hashes(evidence, callbacks),
        *check_correlation(evidence, callbacks),
        *check_dropped(evidence, callbacks),
        *check_attribution(evidence, callbacks),
    ]


def _values(event: CapturedEvent) -> dict[str, Any]:
    return event.comparison.request_metadata


def _is_sound(evidence: RunEvidence, values: dict[str, Any]) -> bool:
    """Whether the required keys are beyond doubt, as they nearly always are: two planned essays and so on."""
    first, second, digest, batch = (values.get(key) for key in REQUIRED)
    return (
        batch == evidence.plan.batch_uuid
        and type(first) is type(second) is type(digest) is str
        and first != second
        and first in evidence.essays
        and second in evidence.essays
        and PROMPT_HASH.fullmatch(digest) is not None
    )


def check_missing(callbacks: Callbacks, odd: Callbacks) -> list[Finding]:
    """META-MISSING: both essay ids, the prompt hash and the batch id are there; null counts as absent."""
    hint = "the comparison cannot be used; look where request_metadata is passed on without this key"
    seen: Iterator[Observation] = (
        (f"{key} absent", event, f"/data/request_metadata/{key}")
        for event in odd
        for key in REQUIRED
        if _values(event).get(key) is None
    )
    return tallied("META-MISSING", seen, callbacks, hint)


def check_malformed(evidence: RunEvidence, callbacks: Callbacks, odd: Callbacks) -> list[Finding]:
    """META-MALFORMED: required values are texts, hashes hexadecimal, batch ids the run's own.

    ``cj_batch_id`` is the CJ service's own number of the batch: one batch, one number.
    """
    hint = "compare the value with contract section 3.1; the producer or a hop before it altered the value"
    named = [values["cj_batch_id"] for event in callbacks if "cj_batch_id" in (values := _values(event))]
    jobs = Counter(map(repr, named))
    job = max(sorted(jobs), key=lambda name: jobs[name], default="")
    seen: list[Observation] = []
    for event in odd if len(jobs) < 2 else callbacks:
        values = _values(event)
        problems = [
            (key, problem)
            for key in REQUIRED
            if (value := values.get(key)) is not None and (problem := _malformed(evidence, key, value))
        ]
        if "cj_batch_id" in values and repr(values["cj_batch_id"]) != job:
            problems.append(("cj_batch_id", f"is not {job} as in the other callbacks"))
        seen += [(f"{key} {problem}", event, f"/data/request_metadata/{key}") for key, problem in problems]
    return tallied("META-MALFORMED", seen, callbacks, hint)


def _malformed(evidence: RunEvidence, key: str, value: Any) -> str | None:
    if not isinstance(value, str):
        return f"is not a text but {type(value).__name__}"
    if not value:
        return "is empty"
    if key == "prompt_sha256" and not PROMPT_HASH.fullmatch(value):
        return "is not 64 lower-case hexadecimal digits"
    if key == "bos_batch_id" and value != evidence.plan.batch_uuid:
        return f"is not this run's {evidence.plan.batch_uuid}"
    return None


def check_batch_ids(evidence: RunEvidence) -> Iterator[Finding]:
    """META-MALFORMED: completion, rich result and failure name this run's batch.

    One that names another is the run's all the same if it lists the run's essays.
    """
    hint = "consumers match these events on this field and will not find it; compare it with the request"
    named = [
        *((event, "/data/batch_id", event.result.batch_id) for event in evidence.results),
        *((event, "/data/entity_id", event.completion.entity_id) for event in evidence.completions),
        *((event, "/data/entity_id", event.failure.entity_id) for event in evidence.failures),
    ]
    for event, field, batch in named:
        if batch != evidence.plan.batch_uuid:
            name, topic = field.removeprefix("/data/"), short_topic(event.record.topic)
            state = "is absent" if batch is None else f"is {clip(batch)}, not this run's"
            yield about(event, "META-MALFORMED", f"{name} of {topic} {state}", hint=hint, field=field)


def check_unknown_essays(evidence: RunEvidence, callbacks: Callbacks) -> Iterator[Finding]:
    """META-UNKNOWN-ESSAY: both essays are planned ones, or anchors that the assignment brings along."""
    planned = plural(len(evidence.plan.essays), "planned essay")
    hint = "the id was altered on the way, or the callback belongs to another run"
    for event in callbacks:
        for key in ("essay_a_id", "essay_b_id"):
            essay = event.comparison.metadata_text(key)
            if essay is not None and not is_of_run(evidence, essay):
                text, field = f"{key} {clip(essay)} is none of {planned}", f"/data/request_metadata/{key}"
                yield about(event, "META-UNKNOWN-ESSAY", text, hint=hint, field=field)


def check_same_essay(callbacks: Callbacks) -> Iterator[Finding]:
    """META-SAME-ESSAY: essay A and essay B are two essays."""
    hint = "one of the two ids was overwritten; the comparison says nothing and is not counted"
    for event in callbacks:
        essay = event.comparison.metadata_text("essay_a_id")
        if essay is not None and essay == event.comparison.metadata_text("essay_b_id"):
            text = f"essay {clip(essay)} is compared with itself"
            field = "/data/request_metadata/essay_b_id"
            yield about(event, "META-SAME-ESSAY", text, hint=hint, field=field, essay_ids=(essay,))
