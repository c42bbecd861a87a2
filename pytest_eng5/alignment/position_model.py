"""Bradley-Terry scores with a position effect: how much being essay A is worth, in logits.

    P(A wins) = σ(η + θ_A − θ_B)

(sirt ``btm``, where η is called "home"). Unlike the share of comparisons that essay A won, η needs no pair in
both orders: it asks whether the essay shown first won more often than the scores of the two explain. The
scores are regularised as in :mod:`.bradley_terry`; η by ``alpha`` imagined comparisons of two equal essays,
``alpha/2`` won by either position, so that it is finite even if one position won everything and the position
whose wins are counted does not matter.

η rests on comparisons that close a circle. If the comparisons form a tree and no pair is repeated in the
other order, any η fits equally well; its standard error is then NaN.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from pytest_eng5.alignment.bradley_terry import ALPHA, laplacian
from pytest_eng5.alignment.data import AlignmentDataError, FloatArray, IntArray
from pytest_eng5.alignment.graph import component_means
from pytest_eng5.alignment.newton import maximise

__all__ = ["PositionFit", "fit_outcomes", "fit_with_position"]

_UNIDENTIFIED = 1e-9


@dataclass(frozen=True, eq=False)
class PositionFit:
    """One fitted Bradley-Terry model with a position effect.

    Attributes:
        theta: Scores, mean 0, higher is better, in logits, shape (n,).
        standard_error: Their sum-to-zero standard errors with η estimated, shape (n,); NaN for an item
            without a comparison.
        eta: Advantage of essay A, in logits.
        eta_standard_error: Its standard error; NaN if the comparisons say nothing about it.
    """

    theta: FloatArray
    standard_error: FloatArray
    eta: float
    eta_standard_error: float


def fit_with_position(outcomes: npt.ArrayLike, alpha: float = ALPHA) -> PositionFit:
    """Fit scores and position effect to one table of outcomes.

    Args:
        outcomes: Wins by position, ``[i, j, 0]`` i beat j as essay A, ``[i, j, 1]`` as B, shape (n, n, 2).
        alpha: Regularisation, positive.

    Raises:
        AlignmentDataError: An alpha that is not positive.
    """
    table = np.asarray(outcomes, dtype=np.float64)
    theta, eta = fit_outcomes(table, alpha)
    error, eta_error = _errors(shown(table), theta, float(eta))
    return PositionFit(theta, error, float(eta), eta_error)


def fit_outcomes(
    outcomes: FloatArray, alpha: float = ALPHA, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Scores and position effects of one or many tables of outcomes.

    Args:
        outcomes: Wins by position, shape (..., n, n, 2).
        alpha: Regularisation, positive.
        start: Scores to start from, shape (n,); it changes the time needed, not the result.

    Returns:
        Scores with mean 0, shape (..., n), and η in logits, shape (...).
    """
    if not alpha > 0:
        raise AlignmentDataError(f"alpha is {alpha}", fix="use a positive regularisation, normally 0.01")
    lead, n = outcomes.shape[:-3], outcomes.shape[-2]
    if not outcomes.size:
        return np.zeros((*lead, n)), np.zeros(lead)
    batch = outcomes.reshape((-1, n, n, 2))
    parameters = np.zeros((len(batch), n + 1))
    if start is not None:
        parameters[:, :n] = start
    _newton(batch, alpha, parameters)
    theta = parameters[:, :n]
    centred: FloatArray = (theta - theta.mean(axis=-1, keepdims=True)).reshape((*lead, n))
    return centred, parameters[:, n].reshape(lead)


def shown(outcomes: FloatArray) -> FloatArray:
    """How often i was essay A against j, shape (..., n, n)."""
    counts: FloatArray = outcomes[..., 0] + np.swapaxes(outcomes[..., 1], -1, -2)
    return counts


def _newton(outcomes: FloatArray, alpha: float, parameters: FloatArray) -> None:
    scores = outcomes.sum(axis=(-1, -2))
    won_first = outcomes[..., 0].sum(axis=(-1, -2))
    first = shown(outcomes)

    def direction(rows: IntArray, now: FloatArray) -> FloatArray:
        return _direction(first[rows], scores[rows], won_first[rows], alpha, now)

    maximise(direction, parameters)


def _direction(
    first: FloatArray, scores: FloatArray, won_first: FloatArray, alpha: float, parameters: FloatArray
) -> FloatArray:
    """The Newton step for (θ, η), shape (b, n + 1)."""
    theta, eta = parameters[:, :-1], parameters[:, -1]
    n = theta.shape[-1]
    p, information = _information(first, theta, eta)
    expected = first * p
    weight = np.exp(theta)
    gain = scores - expected.sum(axis=-1) - (first - expected).sum(axis=-2) + alpha * n * (1.0 - weight)
    towards = expit(eta)
    gain_eta = won_first - expected.sum(axis=(-1, -2)) + alpha * (0.5 - towards)
    diagonal = np.arange(n)
    information[:, diagonal, diagonal] += alpha * n * weight
    information[:, n, n] += alpha * towards * (1.0 - towards)
    gradient = np.concatenate([gain, gain_eta[:, None]], axis=-1)
    step: FloatArray = np.linalg.solve(information, gradient[..., None])[..., 0]
    return step


def _information(first: FloatArray, theta: FloatArray, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """P(i wins as essay A against j), (b, n, n), and the joint information of (θ, η), (b, n+1, n+1)."""
    n = theta.shape[-1]
    p = expit(eta[:, None, None] + theta[:, :, None] - theta[:, None, :])
    weight = first * p * (1.0 - p)
    matrix = np.zeros((len(theta), n + 1, n + 1))
    matrix[:, :n, :n] = laplacian(weight + np.swapaxes(weight, -1, -2))
    matrix[:, :n, n] = matrix[:, n, :n] = weight.sum(axis=-1) - weight.sum(axis=-2)
    matrix[:, n, n] = weight.sum(axis=(-1, -2))
    return p, matrix


def _errors(first: FloatArray, theta: FloatArray, eta: float) -> tuple[FloatArray, float]:
    """Standard errors of θ (sum to zero within each connected component) and of η."""
    n = len(theta)
    games = first + first.T
    information = _information(first[None], theta[None], np.array([eta]))[1][0]
    means = component_means(games)
    covariance = np.linalg.inv(information[:n, :n] + means) - means if n else np.zeros((0, 0))
    cross = information[:n, n]
    left = information[n, n] - cross @ covariance @ cross
    known = bool(left > _UNIDENTIFIED * information[n, n])
    if known:
        covariance = covariance + np.outer(covariance @ cross, covariance @ cross) / left
    variance = np.maximum(np.diagonal(covariance), 0.0)
    error: FloatArray = np.where(games.sum(axis=-1) > 0, np.sqrt(variance), np.nan)
    return error, float(1.0 / np.sqrt(left)) if known else float("nan")
