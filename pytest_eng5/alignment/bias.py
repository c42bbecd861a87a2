"""Does the judge favour a position? Bias, its Wilson interval, and flips when the order is swapped."""

from __future__ import annotations

import numpy as np

from pytest_eng5.alignment.data import FloatArray
from pytest_eng5.alignment.intervals import wilson_interval

__all__ = ["flip_rate", "pairs_in_both_orders", "position_bias"]


def position_bias(outcomes: FloatArray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Share of comparisons won by essay A minus one half, with its Wilson interval.

    Args:
        outcomes: Wins by position, ``[i, j, 0]`` as essay A and ``[i, j, 1]`` as essay B, shape (n, n, 2).
        confidence: Of the interval, which takes comparisons as independent.

    Returns:
        Bias from -0.5 (B always) to 0.5 (A always), low, high; bias NaN without comparisons.
    """
    won_by_a, total = float(outcomes[..., 0].sum()), float(outcomes.sum())
    low, high = wilson_interval(won_by_a, total, confidence)
    share = won_by_a / total if total else float("nan")
    return share - 0.5, low - 0.5, high - 0.5


def pairs_in_both_orders(outcomes: FloatArray) -> int:
    """Number of unordered pairs seen in both orders."""
    _, shown = _shown(outcomes)
    return int(np.count_nonzero(np.triu((shown > 0) & (shown.T > 0), 1)))


def flip_rate(outcomes: FloatArray) -> float:
    """How often the winner changes when the order is swapped, over pairs seen in both orders.

    For each such pair the probability that one comparison drawn from each order names different winners;
    their mean. With one comparison per order that is the share of pairs that flipped. A judge that tosses
    a coin flips in half of them, so read it beside :func:`position_bias`.

    Args:
        outcomes: Wins by position, shape (n, n, 2).

    Returns:
        Between 0 and 1; NaN if no pair was seen in both orders.
    """
    won, shown = _shown(outcomes)
    i, j = np.nonzero(np.triu((shown > 0) & (shown.T > 0), 1))
    if not i.size:
        return float("nan")
    forward, back = won[i, j] / shown[i, j], won[j, i] / shown[j, i]
    return float(np.mean(forward * back + (1 - forward) * (1 - back)))


def _shown(outcomes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Wins of i shown first against j, and how often i was shown first against j, each (n, n)."""
    won = outcomes[..., 0]
    shown: FloatArray = won + outcomes[..., 1].T
    return won, shown
