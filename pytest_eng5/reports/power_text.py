"""An answer of ``eng5 power`` in words."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pytest_eng5.alignment import Planned
from pytest_eng5.reports.power import GatePlan, PowerAnswer

__all__ = ["power_lines"]

_ASSUMPTION = (
    "assumed: comparisons of one pair are independent, which flatters repeats at temperature 0; and so are",
    "  two variants, which is cautious where they err on the same pairs",
)


def power_lines(answer: PowerAnswer) -> list[str]:
    """The lines to print, the answer to what was asked first."""
    return [
        *_difference(answer),
        *_width(answer),
        *(line for plan in answer.gates for line in _gate(answer, plan)),
        *_budget(answer),
        *_judge(answer),
        *_simulation(answer),
    ]


def _difference(answer: PowerAnswer) -> Iterator[str]:
    asked, source, question = answer.question.difference, answer.source, answer.question
    if asked is None:
        return
    head = f"to find a difference of {asked:+g} in kendall_tau between two variants:"
    found = answer.detection
    if found is None:
        limit = answer.room.better if asked > 0 else answer.room.worse
        yield f"{head} impossible, no number of comparisons is enough"
        yield (
            f"  at {source.per_run} comparisons this judge has a mean of {answer.room.tau:.3f}; "
            f"no variant differs by more than {limit:+.3f}"
        )
        return
    if found.comparisons.value is None:
        yield f"{head} no number up to {question.limit} per variant is enough"
        seen = _share(found.power, found.power_error)
        yield f"  the greatest power seen is {seen} (mean of the searches), asked is {question.power:.0%}"
        yield "  tau is about the order alone, and more comparisons move both variants towards their own;"
        yield "  more anchors, or a greater difference, can be told"
    else:
        yield f"{head} {_comparisons(answer, found.comparisons, 2)}"
        yield (
            f"  then power is {_share(found.power, found.power_error)} at the two-sided "
            f"{1 - question.confidence:.0%} level, and the mean difference {found.difference:+.3f} "
            f"(stated at {source.per_run} comparisons)"
        )
    yield from _few(found.comparisons)


def _width(answer: PowerAnswer) -> Iterator[str]:
    plan, question = answer.width, answer.question
    if plan is None:
        return
    head = f"for a {question.confidence:.0%} interval of kendall_tau no wider than {question.width:g}:"
    if plan.value is None:
        yield f"{head} no number up to {question.limit} is enough"
    else:
        yield f"{head} {_comparisons(answer, plan, 1)}"
    yield from _few(plan)


def _gate(answer: PowerAnswer, plan: GatePlan) -> Iterator[str]:
    question, odds = answer.question, plan.odds
    head = f"to decide {plan.gate} with confidence {question.confidence:g} in {question.power:.0%} of runs:"
    if plan.needed.value is None:
        yield f"{head} no number up to {question.limit} is enough, the bound lies too near this judge"
    else:
        yield f"{head} {_comparisons(answer, plan.needed, 1)}"
    yield (
        f"  at {odds.comparisons} comparisons PASS {odds.passed:.0%}, FAIL {odds.failed:.0%}, "
        f"UNDECIDED {_share(odds.undecided, odds.error)}"
    )
    yield from _few(plan.needed)


def _budget(answer: PowerAnswer) -> Iterator[str]:
    budget, question = answer.budget, answer.question
    money = "" if question.budget_usd is None else f"for ${question.budget_usd:.2f}, "
    yield f"{money}one variant with {_amount(answer, budget.one, 1)}:"
    precision, level = budget.precision, f"{question.confidence:.0%}"
    yield (
        f"  kendall_tau {precision.tau:.3f} on average, SD between runs {precision.spread:.3f}, "
        f"{level} interval about {precision.width:.2f} wide"
    )
    bounds = budget.bounds
    passed = f"passes min up to {bounds.passes_up_to:.2f}"
    failed = (
        "" if bounds.fails_from >= answer.attainable - 5e-3 else f", fails min above {bounds.fails_from:.2f}"
    )
    usually = f"usually ({question.power:.0%} of runs)"
    yield f"  a gate with confidence {question.confidence:g} {usually} {passed}{failed}"
    yield f"{money}two variants with {_amount(answer, budget.each, 2)}:"
    better, worse = (_smallest(plan) for plan in (budget.better, budget.worse))
    yield f"  smallest difference found with power {question.power:.0%}: better {better}, worse {worse}"


def _judge(answer: PowerAnswer) -> Iterator[str]:
    source, room = answer.source, answer.room
    noise = "" if math.isnan(source.noise) else f", own opinion SD {source.noise:.2f} steps"
    yield f"judge: {source.origin}"
    yield (
        f"  {len(source.grades)} anchors in {len(set(source.grades))} grades, "
        f"{source.discrimination:.2f} logits per grade step{noise}, "
        f"position bias {source.judge.eta:+.2f} logits"
    )
    yield f"  mean tau {room.tau:.3f} at {source.per_run} comparisons, attainable {answer.attainable:.3f}"
    price, basis = source.usd_per_comparison, source.price_basis
    if price is None:
        why = f" ({basis})" if basis else ""
        yield f"  no price{why}: --cost-per-comparison turns comparisons into dollars"
    else:
        yield f"  ${price:.4g} per comparison {basis}"
    yield from (f"  {note}" for note in source.notes)


def _simulation(answer: PowerAnswer) -> Iterator[str]:
    question = answer.question
    yield (
        f"simulated: {question.repetitions} searches of {question.runs} runs per step, seed {question.seed}; "
        "± is the Monte-Carlo standard error"
    )
    yield from _ASSUMPTION


def _comparisons(answer: PowerAnswer, plan: Planned, variants: int) -> str:
    number = math.ceil(plan.value or 0)
    error = "" if math.isnan(plan.error) else f" ± {plan.error:.0f}"
    return _amount(answer, number, variants, error)


def _amount(answer: PowerAnswer, number: int, variants: int, error: str = "") -> str:
    source = answer.source
    repeats = math.ceil(number / source.per_run)
    each = " each" if variants > 1 else ""
    as_runs = f"1 run of {source.per_run}" if repeats == 1 else f"{repeats} repeats of {source.per_run}"
    price = source.usd_per_comparison
    money = (
        "" if price is None else f", ${variants * number * price:.2f}{' together' if variants > 1 else ''}"
    )
    whole = "" if number % source.per_run == 0 and number else "at most " if repeats == 1 else "about "
    return f"{number}{error} comparisons{each} ({whole}{as_runs}{money})"


def _smallest(plan: Planned) -> str:
    if plan.value is None:
        return "none, whatever the variant"
    error = "" if math.isnan(plan.error) else f" ± {plan.error:.3f}"
    return f"{plan.value:+.3f}{error}"


def _few(plan: Planned) -> Iterator[str]:
    """A word if the repetitions disagree on whether any number is enough."""
    if 0 < plan.found < plan.repetitions:
        yield (
            f"  borderline: {plan.found} of {plan.repetitions} searches found a number, the others none; "
            "more --runs tell"
        )


def _share(share: float, error: float) -> str:
    return f"{share:.0%} ± {error:.1%}"
