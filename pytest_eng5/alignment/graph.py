"""The comparison graph: who was compared with whom, and whether everything hangs together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pytest_eng5.alignment.data import FloatArray

__all__ = ["closes_circle", "component_means", "connected", "coverage", "reachable"]


def reachable(games: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether a path of comparisons joins i and j (every item reaches itself), shape (..., n, n).

    Args:
        games: Times i and j were compared, symmetric, shape (..., n, n).
    """
    n = games.shape[-1]
    reach = ((games > 0) | np.eye(n, dtype=bool)).astype(np.float64)
    for _ in range(max(n - 1, 1).bit_length()):
        if reach.all():
            break
        reach = (reach @ reach > 0).astype(np.float64)
    return reach > 0


def component_means(games: FloatArray) -> FloatArray:
    """The projection on constants within each connected component, shape (..., n, n)."""
    reach = reachable(games).astype(np.float64)
    means: FloatArray = reach / reach.sum(axis=-1, keepdims=True)
    return means


def connected(games: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether the comparisons join all items, shape (...); a graph without items is not connected."""
    if games.shape[-1] == 0:
        return np.zeros(games.shape[:-2], dtype=bool)
    return np.asarray(reachable(games).all(axis=(-2, -1)))


def closes_circle(games: FloatArray) -> bool:
    """Whether pairs close a circle. If they form trees, scores fit any outcome and test nothing.

    Args:
        games: Times i and j were compared, symmetric, shape (n, n).
    """
    pairs = np.count_nonzero(np.triu(games, 1))
    components = round(float(np.trace(component_means(games))))
    return bool(pairs > games.shape[-1] - components)


def coverage(games: FloatArray) -> float:
    """Share of the n(n-1)/2 pairs compared at least once; NaN with fewer than two items."""
    n = games.shape[-1]
    if n < 2:
        return float("nan")
    return float(np.count_nonzero(np.triu(games, 1)) / (n * (n - 1) / 2))
