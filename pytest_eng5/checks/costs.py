"""Check ``costs``: what was reported, what it really costs, and the budget (contract sections 6.3 and 6.4).

``cost_estimate`` of a callback is a flat rate per token of its provider, not a price. The real cost is
worked out from the tokens and the list prices; tokens that a provider reads from its cache are not in them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_eng5.checks.attribution import judge_asked_for
from pytest_eng5.checks.drafting import about, finding
from pytest_eng5.checks.views import deliveries, distinct
from pytest_eng5.checks.wording import plural
from pytest_eng5.contracts import FLAT_RATES, LLMComparisonResultV1, flat_cost, list_price
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence, Severity

__all__ = ["check_costs", "list_cost"]

_TOLERANCE = 1e-6
"""USD: reported costs may be rounded to a millionth of a dollar."""

Callbacks = Sequence[CapturedEvent]
Judge = tuple[str, str]
"""Provider and model."""


def check_costs(evidence: RunEvidence) -> list[Finding]:
    """All findings about costs."""
    callbacks = distinct(evidence)
    return [
        *check_reported(evidence),
        *check_totals(evidence),
        *check_budget(evidence, callbacks),
        *check_prices(evidence, callbacks),
    ]


def check_reported(evidence: RunEvidence) -> Iterator[Finding]:
    """COST-MISMATCH: tokens add up, and the reported cost is their flat rate.

    Of callbacks that contradict each other, which is reported as such, one that is right is enough. So is
    the rate of the provider that was asked for or resolved, if the callback names another one.
    """
    asked = judge_asked_for(evidence)[0]
    for versions in deliveries(evidence):
        problems = [_misreported(event.comparison, asked) for event in versions]
        problem = problems[0]
        if problem is not None and None not in problems:
            text, field, hint = problem
            yield about(versions[0], "COST-MISMATCH", text, hint=hint, field=field)


def _misreported(callback: LLMComparisonResultV1, asked: str | None) -> tuple[str, str, str] | None:
    """What is wrong, with which field, and what to do about it."""
    tokens = callback.token_usage
    counted = tokens.prompt_tokens + tokens.completion_tokens
    if tokens.total_tokens != counted:
        hint = "no cost can be derived from these tokens: compare them with the provider's answer"
        text = f"total_tokens is {tokens.total_tokens}, prompt and completion are {counted} together"
        return text, "/data/token_usage/total_tokens", hint
    if abs(callback.cost_estimate - flat_cost(callback.provider, counted)) <= _TOLERANCE:
        return None
    providers = {callback.metadata_text("resolved_provider"), asked}
    rates = [flat_cost(provider, counted) for provider in providers if provider in FLAT_RATES]
    if any(abs(callback.cost_estimate - cost) <= _TOLERANCE for cost in rates):
        return None
    wanted = flat_cost(callback.provider, counted)
    rate = FLAT_RATES[callback.provider]
    hint = (
        "the cost was altered on the way, or the provider service has other flat rates: compare contract 6.4"
    )
    text = (
        f"cost_estimate is ${callback.cost_estimate:.6f}, {plural(counted, 'token')} of {callback.provider} "
        f"at ${rate:g} per 1,000 are ${wanted:.6f}"
    )
    return text, "/data/cost_estimate", hint


def check_totals(evidence: RunEvidence) -> Iterator[Finding]:
    """COST-MISMATCH: the artefact's costs and tokens are the sums of the callbacks, failed ones included.

    An artefact that breaks its schema is left to check ``schema``.
    """
    artefact = evidence.document
    costs = artefact.rest.get("costs") if artefact and isinstance(artefact.rest, dict) else None
    if artefact is None or not isinstance(costs, dict):
        return
    hint = "the artefact is derived, the event logs are the evidence: write the artefact again from the logs"
    for text, field in _differences(costs, evidence):
        yield finding("COST-MISMATCH", text, hint=hint, field=field, evidence=artefact.path.name)


def _differences(costs: dict[str, Any], evidence: RunEvidence) -> Iterator[tuple[str, str]]:
    callbacks = [event.comparison for event in evidence.distinct_comparisons]
    total, reported = costs.get("total_usd"), math.fsum(data.cost_estimate for data in callbacks)
    if isinstance(total, int | float) and not math.isclose(total, reported, abs_tol=_TOLERANCE):
        yield f"the artefact's total is ${total:.6f}, the callbacks' ${reported:.6f}", "/costs/total_usd"
    wanted: dict[Judge, tuple[int, int]] = {}
    for data in callbacks:
        prompt, completion = wanted.get((data.provider, data.model), (0, 0))
        usage = data.token_usage
        added = (prompt + usage.prompt_tokens, completion + usage.completion_tokens)
        wanted[data.provider, data.model] = added
    rows = costs.get("token_counts")
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        if isinstance(row, dict):
            judge = (str(row.get("provider")), str(row.get("model")))
            tokens = (row.get("prompt_tokens"), row.get("completion_tokens"))
            counted = wanted.pop(judge, None)
            if tokens != counted:
                told, found = _tokens(tokens), _tokens(counted)
                text = f"the artefact counts {told} of {_name(judge)}, the callbacks {found}"
                yield text, f"/costs/token_counts/{index}"
    for judge, counted in wanted.items():
        yield f"the artefact lacks {_tokens(counted)} of {_name(judge)}", "/costs/token_counts"


def _tokens(counts: tuple[Any, Any] | None) -> str:
    return "none" if counts is None else f"{counts[0]} + {counts[1]} tokens"


def _name(judge: Judge) -> str:
    return f"{judge[0]} / {judge[1]}"


def _used(callbacks: Callbacks) -> dict[Judge, tuple[int, int]]:
    """Tokens by judge; errors, which name no model (contract 3.4), only if they used any."""
    used: dict[Judge, tuple[int, int]] = {}
    for event in callbacks:
        data = event.comparison
        usage = data.token_usage
        if data.is_success or usage.prompt_tokens or usage.completion_tokens:
            prompt, completion = used.get((data.provider, data.model), (0, 0))
            added = (prompt + usage.prompt_tokens, completion + usage.completion_tokens)
            used[data.provider, data.model] = added
    return used


def list_cost(callbacks: Callbacks) -> float:
    """Cost at list prices in USD; models without a known price count nothing."""
    priced = ((list_price(*judge), tokens) for judge, tokens in _used(callbacks).items())
    return math.fsum(price.cost(*tokens) for price, tokens in priced if price is not None)


def check_budget(evidence: RunEvidence, callbacks: Callbacks) -> Iterator[Finding]:
    """COST-OVER-BUDGET: neither the reported cost, which stops a run, nor the real one exceeds the budget."""
    budget = evidence.plan.budget_usd
    if budget is None:
        return
    reported = math.fsum(event.comparison.cost_estimate for event in callbacks)
    real = list_cost(callbacks)
    if max(reported, real) > budget + _TOLERANCE:
        text = f"the run cost ${reported:.4f} as reported, ${real:.4f} at list prices, of ${budget:.4f}"
        hint = "raise budget.max_usd or --eng5-budget-usd, or make fewer comparisons with a cheaper model"
        yield finding("COST-OVER-BUDGET", text, hint=hint)


def check_prices(evidence: RunEvidence, callbacks: Callbacks) -> Iterator[Finding]:
    """COST-PRICE-UNKNOWN: every model that judged has a list price; without a budget this is an info."""
    hint = "add the model's price to pytest_eng5/contracts/prices.py, or choose a model that has one"
    severity: Severity | None = None if evidence.plan.budget_usd is not None else "info"
    for judge, tokens in _used(callbacks).items():
        if list_price(*judge) is None:
            clause = ", so that the budget is not proven to be kept" if severity is None else ""
            text = f"no list price of {_name(judge)} is known for {_tokens(tokens)}{clause}"
            yield finding("COST-PRICE-UNKNOWN", text, hint=hint, severity=severity)
