"""How many comparisons: the questions of ``eng5 power``, their answers, and these as plain values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pytest_eng5.alignment import (
    Batches,
    DecidableBounds,
    Detection,
    GateOdds,
    Planned,
    Precision,
    Room,
    attainable_tau_b,
    decidable_bounds,
    gate_odds,
    plan_detection,
    plan_gate,
    plan_width,
    precision_of,
    room_for_difference,
    smallest_difference,
)
from pytest_eng5.errors import UsageError
from pytest_eng5.reports.power_inputs import PlannedGate, PlanningJudge

__all__ = [
    "Budget",
    "GatePlan",
    "PowerAnswer",
    "PowerQuestion",
    "answer_power",
    "budget_of",
    "power_document",
]

_EDGE = 0.005
"""How near to what no variant can exceed a difference is as good as beyond it."""

Stage = Callable[[str, int, int], None]
"""Called with what is being worked out, steps done and steps in all."""


@dataclass(frozen=True)
class PowerQuestion:
    """What is asked.

    Attributes:
        difference: In mean tau-b between two variants, at one run each; ``None`` if that is not asked.
        width: Of the interval of tau-b; ``None`` if not asked.
        gates: Whose decision is asked for.
        comparisons: Of one variant, at which precision is asked; default one run.
        budget_usd: Money instead of comparisons.
        power: Probability of finding what there is.
        confidence: Of intervals; 1 minus the level of the test.
        limit: Most comparisons of a variant to consider.
        runs: Simulated runs per step of a search and repetition.
        repetitions: Of every search.
        seed: Of all simulations.
    """

    difference: float | None = None
    width: float | None = None
    gates: tuple[PlannedGate, ...] = ()
    comparisons: int | None = None
    budget_usd: float | None = None
    power: float = 0.8
    confidence: float = 0.95
    limit: int = 5000
    runs: int = 200
    repetitions: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Budget:
    """What can be had at a given number of comparisons.

    Attributes:
        one: Comparisons if a single variant is run.
        each: Comparisons of each of two variants.
        precision: Of a single one.
        better: Smallest difference upwards that two variants show.
        worse: Smallest downwards.
        bounds: Which minimum of tau a gate can decide for a single variant.
    """

    one: int
    each: int
    precision: Precision
    better: Planned
    worse: Planned
    bounds: DecidableBounds


@dataclass(frozen=True)
class GatePlan:
    """A gate at the comparisons asked for, and the comparisons that usually decide it."""

    gate: PlannedGate
    odds: GateOdds
    needed: Planned


@dataclass(frozen=True)
class PowerAnswer:
    """Everything that was worked out.

    Attributes:
        source: Whose power it is.
        question: As asked.
        room: How good a variant could be at one run.
        attainable: Greatest tau-b that the grades allow.
        budget: What one run, or what was asked for, can show.
        detection: Comparisons for the difference; ``None`` if not asked or if no variant differs by so much.
        width: Comparisons for the width, if asked.
        gates: One per gate.
    """

    source: PlanningJudge
    question: PowerQuestion
    room: Room
    attainable: float
    budget: Budget
    detection: Detection | None = None
    width: Planned | None = None
    gates: tuple[GatePlan, ...] = field(default=())

    @property
    def beyond(self) -> bool:
        """Whether a difference is asked for that no variant can have."""
        asked = self.question.difference
        return asked is not None and not self.room.worse + _EDGE < asked < self.room.better - _EDGE


def answer_power(source: PlanningJudge, question: PowerQuestion, stage: Stage | None = None) -> PowerAnswer:
    """Answer by simulation.

    Args:
        source: Whose power.
        question: What is asked.
        stage: Told how far the work is.

    Raises:
        UsageError: A question that makes no sense, or a budget without a price.
    """
    _check(question)
    judge, batches = source.judge, Batches(question.repetitions, question.runs, question.seed, question.limit)
    one, each = budget_of(source, question)

    def watched(what: str) -> Batches:
        return batches if stage is None else replace(batches, progress=partial(stage, what))

    room = room_for_difference(judge, source.per_run, batches)
    answer = PowerAnswer(
        source=source,
        question=question,
        room=room,
        attainable=attainable_tau_b(judge.ranks),
        budget=_budget(source, question, one, each, watched("smallest difference")),
    )
    detection = width = None
    if question.difference is not None and not answer.beyond:
        detection = plan_detection(
            judge,
            question.difference,
            source.per_run,
            watched("comparisons for the difference"),
            power=question.power,
            level=1 - question.confidence,
        )
    if question.width is not None:
        width = plan_width(judge, question.width, watched("width"), confidence=question.confidence)
    gates = tuple(_gate(source, question, gate, one, watched(str(gate))) for gate in question.gates)
    return replace(answer, detection=detection, width=width, gates=gates)


def budget_of(source: PlanningJudge, question: PowerQuestion) -> tuple[int, int]:
    """Comparisons of a single variant, and of each of two, for the comparisons or the money asked for.

    Raises:
        UsageError: Money without a price, or too little for a run that joins all anchors.
    """
    least = len(source.grades) - 1
    if question.budget_usd is None:
        number = question.comparisons or max(source.per_run, least)
        if number < least:
            raise UsageError(
                f"{number} comparisons cannot join {least + 1} anchors",
                where="--comparisons",
                fix=f"use at least {least}",
            )
        return number, number
    price = source.usd_per_comparison
    if price is None:
        why = f" ({source.price_basis})" if source.price_basis else ""
        fix = "give the price with --cost-per-comparison, such as 0.002"
        raise UsageError(f"there is no price of a comparison{why}", where="--budget-usd", fix=fix)
    one, each = (int(question.budget_usd / share / price + 1e-9) for share in (1, 2))
    if each < least:
        fix = f"two variants over {least + 1} anchors need at least ${2 * least * price:.2f}"
        raise UsageError(f"it buys {one} comparisons", where="--budget-usd", fix=fix)
    return one, each


def _check(question: PowerQuestion) -> None:
    for name, value in (("--power", question.power), ("--confidence", question.confidence)):
        if not 0.5 <= value < 1:
            raise UsageError(f"{value:g} is not possible", where=name, fix="use 0.5 or more, below 1")
    if question.comparisons is not None and question.budget_usd is not None:
        fix = "give one of them"
        raise UsageError("comparisons and money are two ways to say the same", where="--budget-usd", fix=fix)
    if question.difference is not None and not 0 < abs(question.difference) < 2:
        fix = "use a difference of taus such as 0.05, negative for a worse variant"
        raise UsageError(f"{question.difference:g} is no difference to find", where="--difference", fix=fix)
    if question.width is not None and not 0 < question.width <= 2:
        raise UsageError(f"no interval has a width of {question.width:g}", where="--width", fix="try 0.2")


def _budget(source: PlanningJudge, question: PowerQuestion, one: int, each: int, batches: Batches) -> Budget:
    judge, level = source.judge, 1 - question.confidence
    smallest = partial(smallest_difference, judge, each, batches, power=question.power, level=level)
    return Budget(
        one=one,
        each=each,
        precision=precision_of(judge, one, batches, confidence=question.confidence),
        better=smallest(),
        worse=smallest(worse=True),
        bounds=decidable_bounds(
            judge,
            "kendall_tau",
            one,
            power=question.power,
            confidence=question.confidence,
            runs=_all_runs(question),
            seed=question.seed,
        ),
    )


def _gate(
    source: PlanningJudge, question: PowerQuestion, gate: PlannedGate, one: int, batches: Batches
) -> GatePlan:
    low = -math.inf if gate.min is None else gate.min
    high = math.inf if gate.max is None else gate.max
    odds = gate_odds(
        source.judge,
        gate.metric,
        low,
        high,
        one,
        confidence=question.confidence,
        runs=_all_runs(question),
        seed=question.seed,
    )
    needed = plan_gate(
        source.judge, gate.metric, low, high, batches, power=question.power, confidence=question.confidence
    )
    return GatePlan(gate, odds, needed)


def _all_runs(question: PowerQuestion) -> int:
    return question.runs * question.repetitions


def power_document(answer: PowerAnswer) -> dict[str, Any]:
    """The answer as plain values for ``--json``; a number that does not exist is ``None``."""
    source, question, budget = answer.source, answer.question, answer.budget
    price = source.usd_per_comparison
    return {
        "schema_version": "1.0",
        "judge": {
            "origin": source.origin,
            "anchors": len(source.grades),
            "grades": list(source.grades),
            "discrimination": _number(source.discrimination),
            "noise": _number(source.noise),
            "position_bias": source.judge.eta,
            "kendall_tau": answer.room.tau,
            "attainable": answer.attainable,
            "comparisons_per_run": source.per_run,
            "usd_per_comparison": price,
            "price_basis": source.price_basis or None,
        },
        "budget": {
            "comparisons": budget.one,
            "usd": _cost(budget.one, price),
            "comparisons_each_of_two": budget.each,
            "interval_width": budget.precision.width,
            "spread_between_runs": budget.precision.spread,
            "smallest_improvement": _planned(budget.better),
            "smallest_worsening": _planned(budget.worse),
            "gate_passes_up_to": budget.bounds.passes_up_to,
            "gate_fails_from": budget.bounds.fails_from,
        },
        "difference": _difference(answer),
        "width": None if answer.width is None else {"asked": question.width, **_needed(answer.width, source)},
        "gates": [_gate_values(plan, source) for plan in answer.gates],
        "simulation": {
            "power": question.power,
            "confidence": question.confidence,
            "limit": question.limit,
            "runs": question.runs,
            "repetitions": question.repetitions,
            "seed": question.seed,
        },
    }


def _difference(answer: PowerAnswer) -> Mapping[str, Any] | None:
    asked, found = answer.question.difference, answer.detection
    if asked is None:
        return None
    known = {"asked": asked, "possible": not answer.beyond}
    if found is None:
        limits = {"greatest_improvement": answer.room.better, "greatest_worsening": answer.room.worse}
        return {**known, "comparisons": None, **limits}
    return {
        **known,
        **_needed(found.comparisons, answer.source, variants=2),
        "power": found.power,
        "power_error": found.power_error,
        "difference_then": found.difference,
    }


def _needed(plan: Planned, source: PlanningJudge, variants: int = 1) -> dict[str, Any]:
    number = None if plan.value is None else math.ceil(plan.value)
    return {
        "comparisons": number,
        "monte_carlo_error": _number(plan.error),
        "repeats": None if number is None else math.ceil(number / source.per_run),
        "usd": None if number is None else _cost(variants * number, source.usd_per_comparison),
        "variants": variants,
    }


def _planned(plan: Planned) -> dict[str, Any]:
    return {"value": plan.value, "monte_carlo_error": _number(plan.error) if plan.value is not None else None}


def _gate_values(plan: GatePlan, source: PlanningJudge) -> dict[str, Any]:
    odds = plan.odds
    shares = {"passed": odds.passed, "failed": odds.failed, "undecided": odds.undecided}
    return {
        "gate": str(plan.gate),
        "at": {"comparisons": odds.comparisons, **shares, "monte_carlo_error": odds.error},
        "to_decide": _needed(plan.needed, source),
    }


def _cost(comparisons: int, price: float | None) -> float | None:
    return None if price is None else comparisons * price


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
