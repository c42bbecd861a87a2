"""How far the fitted scores can be trusted: the scale at which they predict comparisons left out.

Scores fitted to few comparisons are too far apart: they explain the very comparisons that made them. A judge
simulated from them is more consistent than the judge was, and everything derived from such a simulation is
too narrow. The cure is a factor for the scores, found by cross-validation: every comparison is predicted by
the scores of all others, and the factor is the one that makes these predictions likeliest (a logistic
regression through the origin). With 12 anchors and one round-robin it is about 0.3 to 0.7 for an ordinary
judge; it tends to 1 as comparisons grow.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins
from pytest_eng5.alignment.data import FloatArray

__all__ = ["calibrated_scores", "predictive_scale"]

_LARGEST = 1.25
_MOST = 400
"""Results left out at most, evenly spaced: a factor needs no more, and refits of many anchors take long."""


def predictive_scale(wins: FloatArray, theta: FloatArray | None = None, alpha: float = ALPHA) -> float:
    """The factor by which scores must be multiplied to predict comparisons that they have not seen.

    Args:
        wins: Times i beat j, shape (n, n).
        theta: Scores of all comparisons, shape (n,); only where the fits start.
        alpha: Regularisation of the fits.

    Returns:
        Between 0 (no comparison can be predicted from the others) and 1.25.
    """
    winner, loser = np.nonzero(wins)
    if not winner.size:
        return 0.0
    chosen = np.unique(np.linspace(0, winner.size - 1, min(winner.size, _MOST)).astype(np.int64))
    winner, loser = winner[chosen], loser[chosen]
    alike = wins[winner, loser]
    rows = np.arange(len(chosen))
    tables = np.repeat(wins[None], len(chosen), axis=0)
    tables[rows, winner, loser] -= 1.0
    scores = fit_wins(tables, alpha, theta)
    difference = scores[rows, winner] - scores[rows, loser]

    def loss(scale: float) -> float:
        return float(np.sum(alike * np.logaddexp(0.0, -scale * difference)))

    best = minimize_scalar(loss, bounds=(0.0, _LARGEST), method="bounded", options={"xatol": 1e-4})
    return float(best.x)


def calibrated_scores(wins: FloatArray, theta: FloatArray, alpha: float = ALPHA) -> FloatArray:
    """Scores at the scale at which they predict; for simulations, never for reports.

    Args:
        wins: Times i beat j, shape (n, n).
        theta: Their fitted scores, shape (n,).
        alpha: Regularisation of the fits.
    """
    scores: FloatArray = theta * predictive_scale(wins, theta, alpha)
    return scores
