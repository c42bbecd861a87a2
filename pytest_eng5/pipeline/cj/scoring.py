"""Bradley-Terry scores as the production service computes them, with ``choix`` (contract section 8.1)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from pytest_eng5.pipeline.cj.matching import Pair
from pytest_eng5.pipeline.errors import ServiceError

__all__ = ["bradley_terry", "load_choix", "max_score_change", "ranking"]

_ALPHA = 0.01


def load_choix() -> ModuleType:
    """The module ``choix``, imported on first use: it brings ``scipy.stats``, half of the start-up time.

    It solves for the stationary distribution of a Markov chain, whose generator is singular as it should be;
    scipy warns of that when rounding leaves an exact zero.
    """
    import choix

    warnings.filterwarnings("ignore", message="Diagonal number .* is exactly zero")
    module: ModuleType = choix
    return module


def bradley_terry(essays: int, outcomes: Sequence[Pair]) -> NDArray[np.float64]:
    """θ of each essay in logits, mean 0.

    Args:
        essays: Number of essays.
        outcomes: One (winner, loser) per comparison that has a winner.

    Raises:
        ServiceError: ``CJ_INSUFFICIENT_COMPARISONS`` without outcomes, ``CJ_SCORE_CONVERGENCE_FAILED`` when
            the iteration does not settle.
    """
    if not outcomes:
        raise ServiceError("CJ_INSUFFICIENT_COMPARISONS", "no comparison has a winner")
    choix = load_choix()
    try:
        theta = np.asarray(choix.ilsr_pairwise(essays, list(outcomes), alpha=_ALPHA), dtype=np.float64)
    except RuntimeError as error:
        raise ServiceError(
            "CJ_SCORE_CONVERGENCE_FAILED", f"Bradley-Terry scores did not settle: {error}", essays=essays
        ) from error
    centred: NDArray[np.float64] = theta - theta.mean()
    return centred


def max_score_change(theta: NDArray[np.float64], before: NDArray[np.float64] | None) -> float | None:
    """Largest absolute change of any θ since the wave before; ``None`` when there was none."""
    return None if before is None else float(np.max(np.abs(theta - before)))


def ranking(theta: Sequence[float]) -> list[int]:
    """Indices of the essays, best first; ties keep the request's order."""
    return sorted(range(len(theta)), key=lambda essay: -theta[essay])
