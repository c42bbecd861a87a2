"""Judges to simulate with, and runs of theirs: what repeats, noise floors and plans are computed from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from pytest_eng5.alignment.bootstrap import slices
from pytest_eng5.alignment.data import AlignmentDataError, FloatArray, IntArray
from pytest_eng5.alignment.position_model import shown

__all__ = ["SimulatedJudge", "simulated_outcomes", "simulated_runs", "stated_judge"]


@dataclass(frozen=True, eq=False)
class SimulatedJudge:
    """A judge that decides by P(A wins) = σ(η + θ_A - θ_B), each time independently.

    Attributes:
        theta: How good it holds each anchor to be, in logits, shape (n,).
        ranks: Expert grade ranks, 0 = best, shape (n,).
        eta: Advantage of essay A, in logits.
    """

    theta: FloatArray
    ranks: IntArray
    eta: float = 0.0

    def towards_grades(self, step: float) -> SimulatedJudge:
        """The same judge with ``step`` logits added per standard deviation of the grade ranks."""
        spread = self.ranks.std()
        if not spread:
            raise AlignmentDataError("all anchors have one grade", fix="choose anchors of different grades")
        return replace(self, theta=self.theta + step * (self.ranks.mean() - self.ranks) / spread)


def stated_judge(
    grade_ranks: Sequence[int],
    qualities: Sequence[float],
    discrimination: float,
    *,
    noise: float = 0.0,
    eta: float = 0.0,
    seed: int = 0,
) -> SimulatedJudge:
    """A judge from assumptions, as the simulated judge of a scenario is described.

    Args:
        grade_ranks: Expert grade ranks of the anchors, 0 = best.
        qualities: How good each anchor is, better is higher.
        discrimination: Factor on the qualities, in logits.
        noise: Standard deviation of the judge's own opinion about each anchor, in units of quality; what no
            number of comparisons removes.
        eta: Advantage of essay A, in logits.
        seed: Of that opinion.

    Raises:
        AlignmentDataError: Not one quality per anchor.
    """
    if len(grade_ranks) != len(qualities):
        raise AlignmentDataError(f"{len(grade_ranks)} grade ranks but {len(qualities)} qualities")
    opinion = np.random.default_rng(seed).normal(0.0, noise, len(qualities)) if noise else 0.0
    theta = discrimination * (np.asarray(qualities, dtype=np.float64) + opinion)
    return SimulatedJudge(theta, np.asarray(grade_ranks, dtype=np.int64), eta)


def simulated_outcomes(
    outcomes: FloatArray, judge: SimulatedJudge, count: int, seed: int
) -> Iterator[FloatArray]:
    """Yield repeats of the same comparisons, in the same orders, by this judge: shape (b, n, n, 2) each.

    Args:
        outcomes: Wins by position; only who was shown against whom is used, shape (n, n, 2).
        judge: Of n anchors.
        count: Number of repeats in all.
        seed: Of numpy's default generator.
    """
    first = shown(outcomes).astype(np.int64)
    p = expit(judge.eta + judge.theta[:, None] - judge.theta[None, :])
    generator = np.random.default_rng(seed)
    for b in slices(count if first.any() else 0, outcomes.size):
        won = generator.binomial(first, p, size=(b, *first.shape))
        table = np.empty((b, *outcomes.shape))
        table[..., 0] = won
        table[..., 1] = np.swapaxes(first - won, -1, -2)
        yield table


def simulated_runs(judge: SimulatedJudge, comparisons: int, count: int, seed: int) -> Iterator[FloatArray]:
    """Yield tables of wins, shape (b, n, n), of runs with so many comparisons each.

    Comparisons are spread evenly: as many full round-robins as fit, the rest over pairs drawn anew for each
    run. Half of a pair's comparisons are in either order, the odd one in either at random.

    Args:
        judge: Of n anchors.
        comparisons: Per run.
        count: Number of runs in all.
        seed: Of numpy's default generator.
    """
    n = len(judge.theta)
    first, second = np.triu_indices(n, 1)
    rounds, rest = divmod(comparisons, max(len(first), 1))
    difference = judge.theta[first] - judge.theta[second]
    generator = np.random.default_rng(seed)
    for b in slices(count if n > 1 and comparisons else 0, n * n):
        games = np.full((b, len(first)), rounds)
        games += generator.permuted(np.tile(np.arange(len(first)), (b, 1)), axis=1) < rest
        as_a = (games + generator.integers(0, 2, games.shape)) // 2
        won = generator.binomial(as_a, expit(judge.eta + difference))
        won += generator.binomial(games - as_a, expit(-judge.eta + difference))
        table = np.zeros((b, n, n))
        table[:, first, second] = won
        table[:, second, first] = games - won
        yield table
