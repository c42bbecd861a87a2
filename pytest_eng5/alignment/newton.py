"""Damped Newton steps for many small concave maximisations at once.

The step size ln(1 + d) / d with d the reach of the Newton direction makes Newton's method converge from any
start for generalised self-concordant functions (Sun and Tran-Dinh 2019, Math. Program. 178, Theorem 2); the
log-likelihoods and regularisations of this package are of that class with constant 1 in the reach used here.
Near the maximum the step size tends to 1 and the distance left after a step is of the order of its square.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_eng5.alignment.data import FloatArray, IntArray
from pytest_eng5.errors import Eng5Error

__all__ = ["ConvergenceError", "maximise"]

Direction = Callable[[IntArray, FloatArray], FloatArray]

_STEPS = 500
_SMALL = 1e-7
"""Reach of a last step: about 1e-14 is left after it."""


class ConvergenceError(Eng5Error):
    """Newton's method ran out of steps; not expected for any finite data."""


def maximise(direction: Direction, parameters: FloatArray) -> None:
    """Move each row of ``parameters`` to its maximum, in place, dropping rows from the work as they arrive.

    Args:
        direction: From the positions of rows, shape (b,), and their parameters, shape (b, k), to their
            Newton steps, shape (b, k).
        parameters: Where to start, shape (rows, k).

    Raises:
        ConvergenceError: A row did not arrive.
    """
    open_rows: IntArray = np.arange(len(parameters))
    for _ in range(_STEPS):
        if not open_rows.size:
            return
        step = direction(open_rows, parameters[open_rows])
        reach = np.maximum(np.ptp(step, axis=-1), np.abs(step).max(axis=-1))
        damping = np.log1p(reach) / np.maximum(reach, np.finfo(float).tiny)
        parameters[open_rows] += np.where(reach > 0, damping, 0.0)[:, None] * step
        open_rows = open_rows[reach > _SMALL]
    raise ConvergenceError(f"{len(open_rows)} Bradley-Terry fits did not converge in {_STEPS} steps")
