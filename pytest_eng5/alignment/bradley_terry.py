"""Bradley-Terry scores, the same estimate as the pipeline's, found by another road.

The pipeline scores with ``choix.ilsr_pairwise(n, data, alpha=0.01)`` minus its mean: a Markov chain whose
transition rates all get ``alpha``, iterated to a fixed point. Writing out the balance equations of that
fixed point (weights w = exp(theta) with mean 1) gives, for every item i with s_i wins,

    s_i - sum_j n_ij * sigma(theta_i - theta_j) + alpha * n * (1 - w_i) = 0,

which is the gradient of a penalised log-likelihood

    sum over comparisons of log sigma(theta_winner - theta_loser)
        + alpha * n * sum_i (theta_i - exp(theta_i)).

It is strictly concave, so the estimate exists and is unique for every set of comparisons: the second term
*is* the regularisation, and what gives an item that always or never won a finite theta. The maximum is found
here with Newton's method, for one population or for thousands of resamples at once; point estimate and
resamples are therefore the same estimator. The result is centred to mean 0. Choix itself stops when the L1
change of an iteration is below 1e-8 n, which leaves it within about 1e-7 of the fixed point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from pytest_eng5.alignment.data import AlignmentDataError, FloatArray
from pytest_eng5.alignment.graph import component_means
from pytest_eng5.alignment.newton import ConvergenceError, maximise

__all__ = [
    "ALPHA",
    "BradleyTerryFit",
    "ConvergenceError",
    "fit_bradley_terry",
    "fit_wins",
    "information_matrix",
    "standard_errors",
]

ALPHA = 0.01
"""Regularisation of the pipeline's fit."""


@dataclass(frozen=True, eq=False)
class BradleyTerryFit:
    """One fitted Bradley-Terry model.

    Attributes:
        theta: Scores, mean 0, higher is better, in logits, shape (n,).
        standard_error: Sum-to-zero standard errors in logits, NaN for an item without a comparison,
            shape (n,). They are comparable between items and between runs.
        wins: Times i beat j, shape (n, n).
        alpha: The regularisation used.
    """

    theta: FloatArray
    standard_error: FloatArray
    wins: FloatArray
    alpha: float


def fit_bradley_terry(
    n_items: int, winners: npt.ArrayLike, losers: npt.ArrayLike, alpha: float = ALPHA
) -> BradleyTerryFit:
    """Fit scores to comparisons; the estimate of ``choix.ilsr_pairwise`` minus its mean.

    Args:
        n_items: Number of items n; items without a comparison get a score too (from ``alpha`` alone).
        winners: Index of the winner per comparison, shape (m,).
        losers: Index of the loser per comparison, shape (m,).
        alpha: Regularisation, positive.

    Raises:
        AlignmentDataError: Indices outside 0..n-1, lengths that differ, an item compared with itself,
            or an alpha that is not positive.
    """
    won = np.asarray(winners, dtype=np.int64).reshape(-1)
    lost = np.asarray(losers, dtype=np.int64).reshape(-1)
    _check(n_items, won, lost)
    wins = np.zeros((n_items, n_items))
    np.add.at(wins, (won, lost), 1.0)
    theta = fit_wins(wins, alpha)
    return BradleyTerryFit(theta, standard_errors(wins, theta), wins, alpha)


def fit_wins(wins: FloatArray, alpha: float = ALPHA, start: FloatArray | None = None) -> FloatArray:
    """Scores for one or many tables of wins.

    Args:
        wins: Times i beat j, non-negative, zero diagonal, shape (..., n, n).
        alpha: Regularisation, positive.
        start: Where to start, shape (n,) or (..., n); it changes the time needed, not the result.

    Returns:
        Scores with mean 0, shape (..., n).
    """
    if not alpha > 0:
        raise AlignmentDataError(f"alpha is {alpha}", fix="use a positive regularisation, normally 0.01")
    if not wins.size:
        return np.zeros(wins.shape[:-1])
    batch = wins.reshape((-1, *wins.shape[-2:]))
    theta = np.zeros(batch.shape[:2]) if start is None else np.array(np.broadcast_to(start, batch.shape[:2]))
    _newton(batch, alpha * wins.shape[-1], theta)
    centred: FloatArray = (theta - theta.mean(axis=-1, keepdims=True)).reshape(wins.shape[:-1])
    return centred


def _newton(wins: FloatArray, prior: float, theta: FloatArray) -> None:
    """Move each row of ``theta`` to its maximum."""
    games = wins + np.swapaxes(wins, -1, -2)
    scores = wins.sum(axis=-1)
    maximise(lambda rows, scale: _direction(games[rows], scores[rows], prior, scale), theta)


def _direction(games: FloatArray, scores: FloatArray, prior: float, theta: FloatArray) -> FloatArray:
    """The Newton step, shape (b, n), of the penalised log-likelihood at ``theta``."""
    p = expit(theta[:, :, None] - theta[:, None, :])
    expected = games * p
    weight = np.exp(theta)
    gradient = scores - expected.sum(axis=-1) + prior * (1.0 - weight)
    curvature = laplacian(expected * (1.0 - p))
    diagonal = np.arange(theta.shape[-1])
    curvature[:, diagonal, diagonal] += prior * weight
    step: FloatArray = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    return step


def laplacian(weights: FloatArray) -> FloatArray:
    """Negative weights off the diagonal and rows that sum to 0, shape (..., n, n).

    Args:
        weights: Symmetric with a zero diagonal, shape (..., n, n).
    """
    diagonal = np.arange(weights.shape[-1])
    matrix: FloatArray = -weights
    matrix[..., diagonal, diagonal] += weights.sum(axis=-1)
    return matrix


def information_matrix(games: FloatArray, theta: FloatArray) -> FloatArray:
    """Fisher information of the Bradley-Terry likelihood, without the regularisation.

    Args:
        games: Times i and j were compared, symmetric, shape (..., n, n).
        theta: Scores, shape (..., n).

    Returns:
        The matrix with -n_ij p_ij (1 - p_ij) off the diagonal and rows that sum to 0, shape (..., n, n).
    """
    p = expit(theta[..., :, None] - theta[..., None, :])
    return laplacian(games * p * (1.0 - p))


def standard_errors(wins: FloatArray, theta: FloatArray) -> FloatArray:
    """Sum-to-zero standard errors: root of the diagonal of the pseudo-inverse of the full information.

    The information is a graph Laplacian; adding the projection J on its null space (constants within each
    connected component) makes it invertible, and pinv(I) = inv(I + J) - J. In a disconnected graph the
    errors are those within each component. An item without a comparison has none: NaN.

    Args:
        wins: Times i beat j, shape (..., n, n).
        theta: Scores, shape (..., n).

    Returns:
        Standard errors in logits, no cap, shape (..., n).
    """
    games = wins + np.swapaxes(wins, -1, -2)
    means = component_means(games)
    inverse = np.linalg.inv(information_matrix(games, theta) + means) - means
    variance = np.diagonal(inverse, axis1=-2, axis2=-1)
    compared = games.sum(axis=-1) > 0
    return np.where(compared, np.sqrt(np.maximum(variance, 0.0)), np.nan)


def _check(n_items: int, winners: npt.NDArray[np.int64], losers: npt.NDArray[np.int64]) -> None:
    if len(winners) != len(losers):
        raise AlignmentDataError(f"{len(winners)} winners but {len(losers)} losers")
    both = np.concatenate([winners, losers])
    if both.size and not (both.min() >= 0 and both.max() < n_items):
        raise AlignmentDataError(f"winners and losers must be positions 0..{n_items - 1}")
    if np.any(winners == losers):
        raise AlignmentDataError("an item is compared with itself")
