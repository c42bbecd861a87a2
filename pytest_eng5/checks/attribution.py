"""Rule META-ATTRIBUTION: who judged is who was asked, in every callback and in the rich result.

Error callbacks name no model and often the wrong provider (contract 3.4), so that only their
``resolved_provider`` is looked at.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import multimode

from pytest_eng5.checks.drafting import about
from pytest_eng5.checks.views import in_order
from pytest_eng5.checks.wording import clip
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["check_attribution", "judge_asked_for"]

Judge = tuple[str, str]
"""Provider and model."""

_HINT = "results are of no use until it is known who judged: compare with the provider service's logs"


def check_attribution(evidence: RunEvidence, callbacks: Sequence[CapturedEvent]) -> Iterator[Finding]:
    """META-ATTRIBUTION: the judge asked for, the same in all callbacks, and in the rich result."""
    provider, model = judge_asked_for(evidence)
    counts = Counter(_judge(event) for event in callbacks if event.comparison.is_success)
    usual = max(sorted(counts), key=lambda judge: counts[judge], default=None)
    problems: dict[tuple[object, ...], tuple[str, str] | None] = {}
    for event in callbacks:
        kind = (
            *_judge(event),
            event.comparison.is_success,
            event.comparison.metadata_text("resolved_provider"),
        )
        if kind not in problems:
            problems[kind] = _against_request(event, provider, model) or _against_others(event, usual)
        problem = problems[kind]
        if problem is not None:
            text, field = problem
            yield about(event, "META-ATTRIBUTION", text, hint=_HINT, field=field)
    yield from _against_result(evidence, counts)


def judge_asked_for(evidence: RunEvidence) -> tuple[str | None, str | None]:
    """Provider and model that the request names, each ``None`` where the service chooses."""
    if evidence.request_data is None:
        return evidence.plan.provider, evidence.plan.model
    overrides = evidence.request_data.overrides()
    return overrides.get("provider_override"), overrides.get("model_override")


def _judge(event: CapturedEvent) -> Judge:
    callback = event.comparison
    return callback.provider, callback.model


def same_model(asked: str, answered: str) -> bool:
    """Whether a model is the one asked for, or a dated version of it (``gpt-5.1-2025-11-13``)."""
    return re.fullmatch(re.escape(asked) + r"(?:[-@]\d[\d-]*)?", answered) is not None


def _against_request(event: CapturedEvent, provider: str | None, model: str | None) -> tuple[str, str] | None:
    """Provider and model of a success are those of the request; so is the provider it was resolved to."""
    callback = event.comparison
    if callback.is_success and provider is not None and callback.provider != provider:
        return f"provider is {callback.provider}, the request asked for {provider}", "/data/provider"
    if callback.is_success and model is not None and not same_model(model, callback.model):
        return f"model is {clip(callback.model)}, the request asked for {clip(model)}", "/data/model"
    resolved = callback.metadata_text("resolved_provider")
    if provider is not None and resolved is not None and resolved != provider:
        field = "/data/request_metadata/resolved_provider"
        return f"resolved_provider is {clip(resolved)}, the request asked for {provider}", field
    return None


def _against_others(event: CapturedEvent, usual: Judge | None) -> tuple[str, str] | None:
    """Provider and model of a success are those of most successes."""
    judge = _judge(event)
    if not event.comparison.is_success or usual is None or judge == usual:
        return None
    field = "/data/provider" if judge[0] != usual[0] else "/data/model"
    return f"judged by {_name(judge)}, most of the run by {_name(usual)}", field


def _against_result(evidence: RunEvidence, counts: Counter[Judge]) -> Iterator[Finding]:
    """The rich result names the most frequent judge of the successes; ties may go either way."""
    usual = sorted(multimode(counts.elements()))
    told: set[Judge] = set()
    for event in in_order(evidence.results):
        judge = (event.result.model_provider, event.result.model_used)
        if not usual or judge in usual or judge in told:
            continue
        told.add(judge)
        field = "/data/model_provider" if judge[0] != usual[0][0] else "/data/model_used"
        text = f"rich result names {_name(judge)}, most comparisons {_name(usual[0])}"
        yield about(event, "META-ATTRIBUTION", text, hint=_HINT, field=field)


def _name(judge: Judge) -> str:
    return f"{judge[0]} / {judge[1]}"
