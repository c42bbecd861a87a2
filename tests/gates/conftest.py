"""Metrics to judge: from real comparisons, or with chosen numbers where only the wording matters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_eng5.alignment import AlignmentData, AlignmentMetrics, MetricValue, alignment_metrics

# Contract section 11, best first; written out here rather than imported.
ORDER = ("A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "E+", "E", "E-", "F+", "F")
ROLE_MODELS = ("A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+")


@dataclass(frozen=True)
class Limit:
    """A threshold as a gate sees it; deliberately not the scenario's class."""

    metric: str
    min: float | None = None
    max: float | None = None
    confidence: float | None = None
    undecided: str | None = None


def ranks_of(grades: Sequence[str | None]) -> list[int | None]:
    return [ORDER.index(grade) if grade in ORDER else None for grade in grades]


def measure(
    grades: Sequence[str | None], games: Sequence[tuple[Any, ...]], **options: Any
) -> AlignmentMetrics:
    """Games are (winner, loser) or (winner, loser, position of the winner)."""
    names = [f"a{k}" for k in range(len(grades))]
    data = AlignmentData.build(
        ids=names,
        grades=grades,
        grade_ranks=ranks_of(grades),
        winners=[names[game[0]] for game in games],
        losers=[names[game[1]] for game in games],
        first=[names[game[1] if game[2:] == ("B",) else game[0]] for game in games],
    )
    return alignment_metrics(data, **{"bootstrap": 50, **options})


def round_robin(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i + 1, n)]


@pytest.fixture(scope="session")
def limit() -> Callable[..., Limit]:
    return Limit


@pytest.fixture(scope="session")
def measured() -> Callable[..., AlignmentMetrics]:
    return measure


@pytest.fixture(scope="session")
def full_round() -> Callable[[int], list[tuple[int, int]]]:
    return round_robin


@pytest.fixture(scope="session")
def role_model_ranks() -> list[int | None]:
    return ranks_of(ROLE_MODELS)


@pytest.fixture(scope="session")
def perfect() -> AlignmentMetrics:
    """A transitive round-robin of the twelve role models, as run a259881c (contract 14.3)."""
    return measure(ROLE_MODELS, round_robin(12))


@pytest.fixture(scope="session")
def stated(perfect: AlignmentMetrics) -> Callable[..., AlignmentMetrics]:
    """The perfect run with one metric's numbers replaced."""

    def state(
        metric: str, value: float, low: float | None = None, high: float | None = None
    ) -> AlignmentMetrics:
        method = "exact" if low is None else "bootstrap"
        return replace(perfect, values={**perfect.values, metric: MetricValue(value, low, high, method)})

    return state
