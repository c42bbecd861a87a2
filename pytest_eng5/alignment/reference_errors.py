"""Standard errors relative to one item, re-derived to check a pipeline's confidence (contract section 8.1).

The pipeline inverts the information without the reference's row and column. Here the errors come from the
sum-to-zero covariance C of each connected component: Var(θi − θr) = Cii + Crr − 2 Cir in the component of
the reference, and Cii elsewhere. For conclusions about a judge use the sum-to-zero errors of
:func:`~pytest_eng5.alignment.bradley_terry.standard_errors`: these here depend on the choice of reference.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from pytest_eng5.alignment.data import AlignmentDataError, FloatArray
from pytest_eng5.alignment.graph import component_means

__all__ = ["reference_standard_errors"]

_CAP = 2.0
_NO_INFORMATION_BEYOND = 10.0
_NOTHING_COMPARED = 0.5


def reference_standard_errors(wins: npt.ArrayLike, theta: npt.ArrayLike, reference: int) -> FloatArray:
    """Capped standard errors relative to a reference item.

    Args:
        wins: Times i beat j, shape (n, n).
        theta: Scores in logits, shape (n,).
        reference: Index of the item whose error is 0.

    Returns:
        Errors in logits, at most 2.0, shape (n,); zeros for fewer than two items, 0.5 each if nothing was
        compared, 0 for an item that was not.

    Raises:
        AlignmentDataError: Shapes that do not fit, or a reference that is no item.
    """
    scores = np.asarray(theta, dtype=np.float64).reshape(-1)
    table = np.asarray(wins, dtype=np.float64)
    n = len(scores)
    if table.shape != (n, n):
        raise AlignmentDataError(f"a table of wins of shape {table.shape} does not fit {n} scores")
    if n < 2:
        return np.zeros(n)
    if not 0 <= reference < n:
        raise AlignmentDataError(f"the reference item {reference} is none of the {n} items")
    if not table.any():
        return np.full(n, _NOTHING_COMPARED)
    covariance, together = _covariance(table + table.T, scores)
    diagonal = np.diagonal(covariance)
    relative = diagonal + diagonal[reference] - 2 * covariance[reference]
    variance = np.where(together[reference], relative, diagonal)
    variance[reference] = 0.0
    return np.minimum(np.sqrt(np.maximum(variance, 0.0)), _CAP)


def _covariance(games: FloatArray, scores: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Sum-to-zero covariance of each component, (n, n), and which items share a component, (n, n)."""
    difference = np.subtract.outer(scores, scores)
    weight = games * expit(difference) * expit(-difference)
    weight[np.abs(difference) > _NO_INFORMATION_BEYOND] = 0.0
    means = component_means(weight)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    return np.linalg.inv(laplacian + means) - means, means > 0
