"""Resampling of comparisons, and repeats of them under the fitted model.

A resample draws, with replacement, as many *pairs* as were compared, each with all its comparisons: repeats
of one pair are not independent, and drawing them one by one would make an interval shrink for asking the
same question again. With one comparison per pair, as in a single round-robin, it is the ordinary bootstrap
over comparisons; ``unit="comparisons"`` asks for that in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.special import expit

from pytest_eng5.alignment.data import AlignmentDataError, FloatArray, IntArray

__all__ = ["Unit", "resamples", "simulated_wins"]

Unit = Literal["pairs", "comparisons"]

_CELLS = 4_000_000
"""Numbers held at once per array; resamples are worked off in slices of that size."""


def resamples(wins: FloatArray, count: int, seed: int, unit: Unit = "pairs") -> Iterator[FloatArray]:
    """Yield resampled tables of wins in slices of shape (b, n, n), ``count`` resamples in all.

    Args:
        wins: Times i beat j, shape (n, n).
        count: Number of resamples.
        seed: Of numpy's default generator; equal seeds give equal resamples, whatever the event order.
        unit: What is drawn with replacement.
    """
    if unit not in ("pairs", "comparisons"):
        raise AlignmentDataError(f"resampling unit {unit!r}", fix="use 'pairs' or 'comparisons'")
    winner, loser = np.nonzero(wins)
    amounts = wins[winner, loser]
    generator = np.random.default_rng(seed)
    for b in _slices(count if amounts.size else 0, wins.size):
        if unit == "pairs":
            drawn = _draw_pairs(generator, winner, loser, amounts, b)
        else:
            drawn = generator.multinomial(int(amounts.sum()), amounts / amounts.sum(), size=b).astype(float)
        table = np.zeros((b, *wins.shape))
        table[:, winner, loser] = drawn
        yield table


def simulated_wins(wins: FloatArray, theta: FloatArray, count: int, seed: int) -> Iterator[FloatArray]:
    """Yield tables of wins as in :func:`resamples`, of the same comparisons judged by the fitted model."""
    first, second = np.nonzero(np.triu(wins + wins.T, 1))
    games = (wins + wins.T)[first, second].astype(np.int64)
    generator = np.random.default_rng(seed)
    for b in _slices(count if games.size else 0, wins.size):
        won = generator.binomial(games, expit(theta[first] - theta[second]), size=(b, games.size))
        table = np.zeros((b, *wins.shape))
        table[:, first, second] = won
        table[:, second, first] = games - won
        yield table


def _slices(count: int, numbers: int) -> Iterator[int]:
    size = max(1, _CELLS // max(numbers, 1))
    for begin in range(0, count, size):
        yield min(size, count - begin)


def _draw_pairs(
    generator: np.random.Generator, winner: IntArray, loser: IntArray, amounts: FloatArray, b: int
) -> FloatArray:
    low, high = np.minimum(winner, loser), np.maximum(winner, loser)
    pairs, pair_of_cell = np.unique(np.stack([low, high]), axis=1, return_inverse=True)
    n = pairs.shape[1]
    times = generator.multinomial(n, np.full(n, 1.0 / n), size=b)
    drawn: FloatArray = times[:, pair_of_cell.reshape(-1)] * amounts
    return drawn
