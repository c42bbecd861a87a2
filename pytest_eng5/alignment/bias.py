"""Does the judge favour a position? Bias, its Wilson interval, and flips when the order is swapped."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_eng5.alignment.data import FloatArray
from pytest_eng5.alignment.intervals import wilson_interval

__all__ = ["first_rates", "flip_rate", "flip_rates", "pairs_in_both_orders", "position_bias"]


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
    return int(np.count_nonzero(_both_orders(_shown(outcomes)[1])))


def flip_rate(outcomes: FloatArray) -> float:
    """:func:`flip_rates` of one table of outcomes, shape (n, n, 2)."""
    return float(flip_rates(outcomes))


def flip_rates(outcomes: FloatArray) -> FloatArray:
    """How often the winner changes when the order is swapped, over pairs seen in both orders.

    For each such pair the probability that one comparison drawn from each order names different winners;
    their mean. With one comparison per order that is the share of pairs that flipped. A judge that tosses
    a coin flips in half of them, so read it beside :func:`position_bias`.

    Args:
        outcomes: Wins by position, shape (..., n, n, 2).

    Returns:
        Between 0 and 1, shape (...); NaN where no pair was seen in both orders.
    """
    share, both = _first_shares(outcomes)
    back = np.swapaxes(share, -1, -2)
    return _mean(share * back + (1 - share) * (1 - back), both)


def first_rates(outcomes: FloatArray) -> FloatArray:
    """P(first): how often essay A wins, over pairs seen in both orders, each order counting alike.

    (#A in the order AB + #B in the order BA) / 2n for one comparison per order. Quality cancels within each
    pair, which it does not in the share of all comparisons if orders are unbalanced.

    Args:
        outcomes: Wins by position, shape (..., n, n, 2).

    Returns:
        Between 0 and 1, 0.5 without bias, shape (...); NaN where no pair was seen in both orders.
    """
    share, both = _first_shares(outcomes)
    return _mean((share + np.swapaxes(share, -1, -2)) / 2, both)


def _first_shares(outcomes: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Share that i won as essay A against j (0 where never shown so), and pairs i < j in both orders."""
    won, shown = _shown(outcomes)
    share = np.divide(won, shown, out=np.zeros(won.shape), where=shown > 0)
    return share, _both_orders(shown)


def _both_orders(shown: FloatArray) -> npt.NDArray[np.bool_]:
    return np.triu((shown > 0) & (np.swapaxes(shown, -1, -2) > 0), 1)


def _mean(values: FloatArray, chosen: npt.NDArray[np.bool_]) -> FloatArray:
    number = np.count_nonzero(chosen, axis=(-1, -2))
    total = np.where(chosen, values, 0.0).sum(axis=(-1, -2))
    mean: FloatArray = np.divide(total, number, out=np.full(np.shape(number), np.nan), where=number > 0)
    return mean


def _shown(outcomes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Wins of i as essay A against j, and how often i was essay A against j, each (..., n, n)."""
    won = outcomes[..., 0]
    shown: FloatArray = won + np.swapaxes(outcomes[..., 1], -1, -2)
    return won, shown
