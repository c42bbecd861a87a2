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

__all__ = ["Unit", "leave_one_out", "resamples", "simulated_wins"]

Unit = Literal["pairs", "comparisons"]

_CELLS = 4_000_000
"""Numbers held at once per array; resamples are worked off in slices of that size."""


def resamples(table: FloatArray, count: int, seed: int, unit: Unit = "pairs") -> Iterator[FloatArray]:
    """Yield resampled tables in slices of shape (b, *table.shape), ``count`` resamples in all.

    Args:
        table: Times i beat j, shape (n, n), or by position, shape (n, n, 2). With unit ``pairs`` both give
            the same resamples.
        count: Number of resamples.
        seed: Of numpy's default generator; equal seeds give equal resamples, whatever the event order.
        unit: What is drawn with replacement.

    Raises:
        AlignmentDataError: No such unit.
    """
    _check_unit(unit)
    cells = np.nonzero(table)
    amounts = table[cells]
    pair = _pair_of_cell(cells)
    generator = np.random.default_rng(seed)
    for b in slices(count if amounts.size else 0, table.size):
        if unit == "pairs":
            n = int(pair.max()) + 1
            drawn = generator.multinomial(n, np.full(n, 1.0 / n), size=b)[:, pair] * amounts
        else:
            drawn = generator.multinomial(int(amounts.sum()), amounts / amounts.sum(), size=b).astype(float)
        resampled = np.zeros((b, *table.shape))
        np.moveaxis(resampled, 0, -1)[cells] = drawn.T
        yield resampled


def leave_one_out(table: FloatArray, unit: Unit = "pairs") -> tuple[FloatArray, IntArray]:
    """The tables without one unit each, and how many units are alike: the jackknife.

    Args:
        table: As in :func:`resamples`.
        unit: What is left out.

    Returns:
        Tables of shape (k, *table.shape), and the number of units that leave that table, shape (k,).
    """
    _check_unit(unit)
    cells = np.nonzero(table)
    amounts = table[cells]
    pair = _pair_of_cell(cells) if unit == "pairs" else np.arange(amounts.size)
    k = int(pair.max()) + 1 if pair.size else 0
    tables = np.repeat(table[None], k, axis=0)
    left = np.zeros(amounts.size) if unit == "pairs" else amounts - 1
    tables[(pair, *cells)] = left
    alike = np.ones(k, dtype=np.int64) if unit == "pairs" else amounts.astype(np.int64)
    return tables, alike


def simulated_wins(wins: FloatArray, theta: FloatArray, count: int, seed: int) -> Iterator[FloatArray]:
    """Yield tables of wins as in :func:`resamples`, of the same comparisons judged by the fitted model."""
    first, second = np.nonzero(np.triu(wins + wins.T, 1))
    games = (wins + wins.T)[first, second].astype(np.int64)
    generator = np.random.default_rng(seed)
    for b in slices(count if games.size else 0, wins.size):
        won = generator.binomial(games, expit(theta[first] - theta[second]), size=(b, games.size))
        table = np.zeros((b, *wins.shape))
        table[:, first, second] = won
        table[:, second, first] = games - won
        yield table


def slices(count: int, numbers: int) -> Iterator[int]:
    """Sizes of the slices in which ``count`` arrays of so many numbers are worked off."""
    size = max(1, _CELLS // max(numbers, 1))
    for begin in range(0, count, size):
        yield min(size, count - begin)


def _check_unit(unit: Unit) -> None:
    if unit not in ("pairs", "comparisons"):
        raise AlignmentDataError(f"resampling unit {unit!r}", fix="use 'pairs' or 'comparisons'")


def _pair_of_cell(cells: tuple[IntArray, ...]) -> IntArray:
    """The number of the unordered pair that each cell of a table belongs to."""
    winner, loser = cells[0], cells[1]
    both = np.stack([np.minimum(winner, loser), np.maximum(winner, loser)])
    if not winner.size:
        return np.empty(0, dtype=np.int64)
    number: IntArray = np.unique(both, axis=1, return_inverse=True)[1].reshape(-1)
    return number
