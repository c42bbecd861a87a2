"""How many independent, equally uncertain comparisons a share is worth: its effective number.

A share of comparisons is no binomial share. Its comparisons differ in how certain they are, which makes the
share less variable than a coin's (Poisson's binomial distribution: the variance is the sum of p(1 - p)), and
repeats of one pair may be no news, which makes it more variable. Wilson's interval with the number that gives
the right variance in place of the number of comparisons, as for shares from surveys (Korn and Graubard 1998,
Survey Methodology 24), is right for both. The probabilities are those of the judge's scores at the scale at
which they predict (:mod:`.calibrated`).
"""

from __future__ import annotations

import numpy as np
from scipy.special import bdtrc, expit

from pytest_eng5.alignment.data import FloatArray, IntArray

__all__ = ["PairModel", "effective_number", "effective_number_of_values", "repeat_effect"]

_LEAST = 1e-9


class PairModel:
    """The comparisons of a run by pair, and how likely they end how, according to the judge's scores.

    Attributes:
        better: Position of the better-graded anchor of each compared pair, shape (P,); the first of equals.
        worse: Position of the other.
        decidable: Whether their grades differ.
        games: Comparisons of the pair.
        p: Probability that the better one wins a comparison.
        repeat_effect: See :func:`repeat_effect`.
    """

    def __init__(self, wins: FloatArray, theta: FloatArray, ranks: IntArray, *, repeats_count: bool) -> None:
        i, j = np.nonzero(np.triu(wins + wins.T, 1))
        turned = ranks[j] < ranks[i]
        self.better: IntArray = np.where(turned, j, i)
        self.worse: IntArray = np.where(turned, i, j)
        self.decidable = ranks[self.better] != ranks[self.worse]
        won = wins[self.better, self.worse]
        self.games: FloatArray = won + wins[self.worse, self.better]
        self.p: FloatArray = expit(theta[self.better] - theta[self.worse])
        self.repeat_effect = 1.0 if repeats_count else repeat_effect(won, self.games, self.p)

    def comparisons(self, *, decidable: bool) -> float:
        """Effective number of the share that the better grade won, of all comparisons or the decidable ones.

        In a share of all, comparisons between equal grades are certain.
        """
        chosen = self.decidable if decidable else np.ones(len(self.games), dtype=bool)
        p = np.where(self.decidable, self.p, 1.0)[chosen]
        return effective_number(p, self.games[chosen]) / self.repeat_effect

    def first_places(self) -> float:
        """Effective number of the share that essay A won."""
        total, spread = float(self.games.sum()), float(np.sum(self.games * self.p * (1 - self.p)))
        number = total**2 / 4 / spread if spread > _LEAST else total
        return number / self.repeat_effect

    def inverted_pairs(self, among: np.ndarray[tuple[int], np.dtype[np.bool_]] | None = None) -> float:
        """Effective number of decidable pairs for the share in which the worse grade won at least once."""
        return effective_number(1 - self.p**self.games, self._pairs(among))

    def majority_pairs(self) -> float:
        """The same for the share in which it won more often than not."""
        lost = bdtrc(self.games // 2, self.games.astype(np.int64), 1 - self.p)
        return effective_number(np.asarray(lost, dtype=np.float64), self._pairs(None))

    def _pairs(self, among: np.ndarray[tuple[int], np.dtype[np.bool_]] | None) -> FloatArray:
        chosen = self.decidable if among is None else self.decidable & among[self.better]
        weight: FloatArray = np.asarray(chosen, dtype=np.float64)
        return weight


def effective_number(p: FloatArray, weight: FloatArray) -> float:
    """The n for which a binomial share of the same mean has the variance of this one.

    Args:
        p: Probability of each kind of event, shape (k,).
        weight: How many there are of each.

    Returns:
        At least the sum of the weights; that sum where nothing is uncertain.
    """
    total = float(weight.sum())
    if not total:
        return 0.0
    mean = float(np.sum(weight * p)) / total
    spread = float(np.sum(weight * p * (1 - p))) / total
    return total * mean * (1 - mean) / spread if spread > _LEAST else total


def effective_number_of_values(values: FloatArray, least: float, greatest: float) -> float:
    """The n for which a binomial share has the mean and variance of these values; NaN if they do not vary.

    Args:
        values: Such as correlations of simulated runs, shape (b,).
        least: What a share of 0 stands for.
        greatest: What a share of 1 stands for.
    """
    shares = (values[~np.isnan(values)] - least) / (greatest - least)
    if shares.size < 2 or shares.var() <= 0:
        return float("nan")
    return float(shares.mean() * (1 - shares.mean()) / shares.var())


def repeat_effect(won: FloatArray, games: FloatArray, p: FloatArray) -> float:
    """By how much repeats of pairs that are no news inflate variances (design effect, Kish 1965).

    1 + (mean number of repeats - 1) · ρ, with ρ the correlation of repeats: the variation within pairs that
    there is falls short by the share ρ of what there would be if they were independent.

    Args:
        won: Wins of one side, shape (P,).
        games: Comparisons, shape (P,).
        p: Probability that this side wins.

    Returns:
        From 1 (no pair repeats, or repeats are independent) to the mean number of repeats (all alike).
    """
    often = games > 1
    expected = float(np.sum((games * p * (1 - p))[often]))
    if expected <= _LEAST:
        return 1.0
    within = won * (games - won) / np.maximum(games - 1, 1)
    rho = min(max(1.0 - float(np.sum(within[often])) / expected, 0.0), 1.0)
    size = float(np.sum(games**2) / np.sum(games))
    return 1.0 + (size - 1.0) * rho
