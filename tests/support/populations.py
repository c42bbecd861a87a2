"""Populations of comparisons for the tests of figures, and the figures as plain numbers."""

from __future__ import annotations

import random

from pytest_eng5.alignment import AlignmentMetrics


def points(metrics: AlignmentMetrics) -> dict[str, float]:
    """Figures by name, without their intervals."""
    return {name: value.value for name, value in metrics.values.items()}


def upsets(n: int, seed: int, share: float) -> list[tuple[int, int, str]]:
    """A round-robin in which the earlier anchor usually wins, in random positions."""
    rng = random.Random(seed)
    return [
        (*((j, i) if rng.random() < share else (i, j)), rng.choice("AB"))
        for i in range(n)
        for j in range(i + 1, n)
    ]
