"""Costs: flat rates, totals, budget and prices, each from both sides of what is allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_eng5.checks.costs import (
    check_budget,
    check_costs,
    check_prices,
    check_reported,
    check_totals,
    list_cost,
)

MODEL = "gpt-5-mini-2025-08-07"
TOKENS = {"prompt_tokens": 600, "completion_tokens": 400, "total_tokens": 1000}
"""A thousand: the flat rate of a provider is their cost."""
RATES = {"anthropic": 0.01, "openai": 0.015, "google": 0.005, "openrouter": 0.02, "mock": 0.0}


def reported(run: Any) -> list[tuple[str, str | None, str | None]]:
    return [(f.message, f.field, f.hint) for f in check_reported(run.held())]


def one(run: Any, **changes: Any) -> Any:
    """A run with one callback of a thousand tokens, by whomever the service chose."""
    run.overrides.clear()
    del run.comparisons[1:]
    message = run.comparisons[0]
    del message.metadata["resolved_provider"]
    message.data.update(token_usage=dict(TOKENS), cost_estimate=0.015)
    message.data.update(changes)
    return message


@pytest.mark.parametrize("provider", RATES)
def test_the_flat_rate_of_a_provider(run: Any, provider: str) -> None:
    message = one(run, provider=provider, cost_estimate=RATES[provider])
    assert reported(run) == []
    message.data["cost_estimate"] += 0.001
    hint = (
        "the cost was altered on the way, or the provider service has other flat rates: compare contract 6.4"
    )
    text = (
        f"cost_estimate is ${RATES[provider] + 0.001:.6f}, 1000 tokens of {provider} "
        f"at ${RATES[provider]:g} per 1,000 are ${RATES[provider]:.6f}"
    )
    assert reported(run) == [(text, "/data/cost_estimate", hint)]


NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


@pytest.mark.parametrize(("cost", "right"), [(0.0, True), (1e-6, True), (1.1e-6, False)])
@pytest.mark.parametrize("resolved", [False, True])
def test_a_cost_may_be_rounded_to_a_millionth(run: Any, cost: float, right: bool, resolved: bool) -> None:
    """At the rate of the provider itself, and of the one that it was resolved to, whose rate is nothing."""
    tokens = TOKENS if resolved else NO_TOKENS
    message = one(run, token_usage=tokens, cost_estimate=cost)
    if resolved:
        message.metadata["resolved_provider"] = "mock"
    assert (reported(run) == []) is right


@pytest.mark.parametrize(
    ("asked", "resolved", "cost", "right"),
    [
        (None, None, 0.005, False),
        ("google", None, 0.005, True),
        (None, "google", 0.005, True),
        ("google", "anthropic", 0.005, True),
        ("google", "anthropic", 0.01, True),
        ("google", "anthropic", 0.02, False),
        ("google", "nobody", 0.005, True),
    ],
)
def test_the_rate_of_the_provider_asked_for_or_resolved_is_right_too(
    run: Any, asked: str | None, resolved: str | None, cost: float, right: bool
) -> None:
    message = one(run, cost_estimate=cost)
    if asked is not None:
        run.overrides["provider_override"] = asked
    message.metadata["resolved_provider"] = resolved
    assert (reported(run) == []) is right


def test_tokens_that_do_not_add_up(run: Any) -> None:
    one(run, token_usage=TOKENS | {"total_tokens": 999})
    hint = "no cost can be derived from these tokens: compare them with the provider's answer"
    text = "total_tokens is 999, prompt and completion are 1000 together"
    assert reported(run) == [(text, "/data/token_usage/total_tokens", hint)]


@pytest.mark.parametrize(
    ("costs", "faults"),
    [((0.015, 0.5), 0), ((0.5, 0.015), 0), ((0.5, 0.5), 1), ((0.5, 0.6), 1), ((0.015, 0.015), 0)],
)
def test_of_contradicting_callbacks_one_that_is_right_is_enough(
    run: Any, costs: tuple[float, float], faults: int
) -> None:
    message = one(run, cost_estimate=costs[0])
    run.comparisons.append(message.again(second=90.0))
    run.comparisons[1].data["cost_estimate"] = costs[1]
    assert len(reported(run)) == faults


def totals(run: Any, costs: Any) -> list[tuple[str, str | None]]:
    """What is said of an artefact with these costs."""
    run.root.mkdir()
    run.artefact.write_text(json.dumps({"costs": costs}))
    return [(f.message, f.field) for f in check_totals(run.held())]


def row(prompt: int, completion: int, provider: str = "openai", model: str = MODEL) -> dict[str, Any]:
    return {
        "provider": provider,
        "model": model,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
    }


LACKING = (f"the artefact lacks 1200 + 800 tokens of openai / {MODEL}", "/costs/token_counts")
RIGHT = row(1200, 800)


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({"total_usd": 0.03, "token_counts": [RIGHT]}, []),
        ({"total_usd": 0.0300005, "token_counts": [RIGHT]}, []),
        ({"total_usd": 0.0299995, "token_counts": [RIGHT]}, []),
        ({"token_counts": [RIGHT]}, []),
        (
            {"total_usd": 0.030002, "token_counts": [RIGHT]},
            [("the artefact's total is $0.030002, the callbacks' $0.030000", "/costs/total_usd")],
        ),
        (
            {"total_usd": 0.03, "token_counts": [row(1200, 1)]},
            [
                (
                    f"the artefact counts 1200 + 1 tokens of openai / {MODEL}, "
                    "the callbacks 1200 + 800 tokens",
                    "/costs/token_counts/0",
                )
            ],
        ),
        (
            {"total_usd": 0.03, "token_counts": [RIGHT, row(3, 4, "google", "x")]},
            [
                (
                    "the artefact counts 3 + 4 tokens of google / x, the callbacks none",
                    "/costs/token_counts/1",
                )
            ],
        ),
        ({"total_usd": 0.03, "token_counts": []}, [LACKING]),
        ({"total_usd": 0.03, "token_counts": None}, [LACKING]),
        ({"total_usd": 0.03, "token_counts": 7}, [LACKING]),
        ({"total_usd": 0.03, "token_counts": ["x", RIGHT]}, []),
        ({"total_usd": "0.5", "token_counts": [RIGHT]}, []),
        (None, []),
    ],
)
def test_the_totals_of_an_artefact(run: Any, costs: Any, expected: list[tuple[str, str]]) -> None:
    """Two callbacks of a thousand tokens; values of another type are left to the schema."""
    one(run)
    run.comparisons.append(run.comparisons[0].again(second=90.0))
    run.comparisons[1].data["request_id"] = "another"
    assert totals(run, costs) == expected


def judged(run: Any, rows: list[tuple[str, str, bool, int, int]], make: Any) -> Any:
    """Callbacks as (provider, model, whether it succeeded, tokens of the prompt, of the completion)."""
    run.comparisons = []
    for number, (provider, model, success, prompt, completion) in enumerate(rows):
        message = make.callback(number, 0, 1)
        if not success:
            make.fail(message)
        tokens = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        message.data.update(provider=provider, model=model, token_usage=tokens)
        run.comparisons.append(message)
    return run.held()


HAIKU = "claude-haiku-4-5-20251001"


@pytest.mark.parametrize(
    ("rows", "dollars"),
    [
        ([("openai", MODEL, True, 1000, 1000)], 0.00225),
        ([("openai", MODEL, True, 1000, 0)] * 3, 0.00075),
        ([("openai", MODEL, False, 1000, 0)], 0.00025),
        ([("openai", MODEL, False, 0, 1000)], 0.002),
        ([("openai", MODEL, True, 1000, 1000), ("anthropic", HAIKU, True, 2000, 100)], 0.00475),
        ([("openai", "gpt-new", True, 1000, 1000)], 0.0),
        ([], 0.0),
    ],
)
def test_the_cost_at_list_prices(run: Any, make: Any, rows: Any, dollars: float) -> None:
    """OpenAI's small model costs 0.25 and 2 dollars per million tokens, Anthropic's 1 and 5."""
    evidence = judged(run, rows, make)
    assert list_cost(evidence.distinct_comparisons) == pytest.approx(dollars, abs=1e-12)


@pytest.mark.parametrize(
    ("rows", "unpriced"),
    [
        ([("openai", "new", True, 0, 0)], "openai / new is known for 0 + 0 tokens"),
        (
            [("openai", "new", True, 5, 0), ("openai", "new", True, 6, 7)],
            "openai / new is known for 11 + 7 tokens",
        ),
        ([("openai", "unknown", False, 5, 0)], "openai / unknown is known for 5 + 0 tokens"),
        ([("openai", "unknown", False, 0, 5)], "openai / unknown is known for 0 + 5 tokens"),
        ([("openai", "unknown", False, 0, 0)], None),
        ([("openai", MODEL, True, 5, 5)], None),
    ],
)
@pytest.mark.parametrize("budget", [None, 1.0])
def test_models_without_a_price(
    run: Any, make: Any, rows: Any, unpriced: str | None, budget: float | None
) -> None:
    run.plan["budget_usd"] = budget
    evidence = judged(run, rows, make)
    found = [(f.message, f.severity) for f in check_prices(evidence, evidence.distinct_comparisons)]
    clause = "" if budget is None else ", so that the budget is not proven to be kept"
    severity = "info" if budget is None else "error"
    assert found == ([] if unpriced is None else [(f"no list price of {unpriced}{clause}", severity)])


@pytest.mark.parametrize(
    ("cost", "budget", "over"),
    [
        (0.5, None, False),
        (0.5, 0.5, False),
        (1.000001, 1.0, False),
        (1.000002, 1.0, True),
        (0.0, 0.003, False),
        (0.0, 0.002, True),
    ],
)
def test_the_budget(run: Any, make: Any, cost: float, budget: float | None, over: bool) -> None:
    """A thousand tokens each way cost 0.00225 at list prices; a millionth is rounding."""
    run.plan["budget_usd"] = budget
    judged(run, [("openai", MODEL, True, 1000, 1000)], make)
    run.comparisons[0].data["cost_estimate"] = cost
    evidence = run.held()
    found = [(f.message, f.hint) for f in check_budget(evidence, evidence.distinct_comparisons)]
    text = f"the run cost ${cost:.4f} as reported, $0.0022 at list prices, of ${budget or 0:.4f}"
    hint = "raise budget.max_usd or --eng5-budget-usd, or make fewer comparisons with a cheaper model"
    assert found == ([(text, hint)] if over else [])


def test_all_rules_about_costs_are_looked_at(run: Any) -> None:
    run.plan["budget_usd"] = 0.001
    run.comparisons[3].data["cost_estimate"] = 5.0
    run.comparisons[4].data["model"] = "gpt-new"
    codes = [f.code for f in check_costs(run.held())]
    assert codes == ["COST-MISMATCH", "COST-OVER-BUDGET", "COST-PRICE-UNKNOWN"]
