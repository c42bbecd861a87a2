"""Two variants over the same pairs: dealing their comparisons anew."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_eng5.alignment.data import FloatArray, IntArray

__all__ = ["PairCounts", "deal", "pair_counts", "resampled_pairs"]


@dataclass(frozen=True, eq=False)
class PairCounts:
    """Results of two variants on the P pairs that both judged; n anchors, each in at least one pair.

    Attributes:
        n: Number of anchors.
        first: Position of one anchor of each pair, shape (P,).
        second: Position of the other.
        won: Comparisons that the first one won, by variant, shape (2, P).
        games: Comparisons, by variant, shape (2, P).
    """

    n: int
    first: IntArray
    second: IntArray
    won: IntArray
    games: IntArray

    @property
    def differing(self) -> int:
        """Pairs of which the first anchor won different shares, however often either variant judged them."""
        return int(np.count_nonzero(self.won[0] * self.games[1] != self.won[1] * self.games[0]))

    def tables(self, won: FloatArray | IntArray, games: FloatArray | IntArray) -> FloatArray:
        """Tables of wins, shape (..., n, n), of results of shape (..., P)."""
        table = np.zeros((*won.shape[:-1], self.n, self.n))
        table[..., self.first, self.second] = won
        table[..., self.second, self.first] = games - won
        return table


def pair_counts(one: FloatArray, other: FloatArray) -> tuple[PairCounts, IntArray]:
    """The common pairs of two tables of wins, shape (n, n) each, and the positions of the anchors in them."""
    games = np.stack([one + one.T, other + other.T])
    common = (games[0] > 0) & (games[1] > 0)
    kept: IntArray = np.flatnonzero(common.any(axis=0))
    common, games = common[np.ix_(kept, kept)], games[:, kept][:, :, kept]
    wins = np.stack([one, other])[:, kept][:, :, kept]
    first, second = np.nonzero(np.triu(common, 1))
    counts = PairCounts(
        n=len(kept),
        first=first,
        second=second,
        won=wins[:, first, second].astype(np.int64),
        games=games[:, first, second].astype(np.int64),
    )
    return counts, kept


def deal(pairs: PairCounts, count: int, seed: int) -> tuple[IntArray, bool]:
    """Deal the comparisons of every pair to the two variants anew.

    Pairs with as many comparisons of either variant change sides as a whole or not; of the others the results
    are dealt out at random, each variant keeping its number of comparisons.

    Args:
        pairs: The results.
        count: Random deals. If there are no more different ones than that, and only whole pairs change sides,
            all of them are returned instead, the original among them.
        seed: Of numpy's default generator.

    Returns:
        Wins of the first anchor, shape (b, 2, P), and whether these are all deals there are.
    """
    even = pairs.games[0] == pairs.games[1]
    open_pairs = np.flatnonzero(pairs.won[0] != pairs.won[1])
    if even.all() and 2 ** min(len(open_pairs), 62) <= count:
        every = np.arange(2 ** len(open_pairs))
        sides = np.zeros((len(every), len(even)), dtype=bool)
        sides[:, open_pairs] = (every[:, None] >> np.arange(len(open_pairs))) & 1
        return _swapped(pairs, sides), True
    generator = np.random.default_rng(seed)
    dealt = _swapped(pairs, generator.random((count, len(even))) < 0.5)
    odd = np.flatnonzero(~even)
    if odd.size:
        together = pairs.won[:, odd].sum(axis=0)
        lost = pairs.games[:, odd].sum(axis=0) - together
        own = generator.hypergeometric(together, lost, pairs.games[0, odd], size=(count, len(odd)))
        dealt[:, 0, odd], dealt[:, 1, odd] = own, together - own
    return dealt, False


def resampled_pairs(pairs: PairCounts, count: int, seed: int) -> IntArray:
    """How often each pair is drawn, for both variants together, in each resample, shape (count, P)."""
    total = len(pairs.first)
    if not total:
        return np.zeros((0, 0), dtype=np.int64)
    drawn: IntArray = np.random.default_rng(seed).multinomial(total, np.full(total, 1 / total), size=count)
    return drawn


def _swapped(pairs: PairCounts, sides: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> IntArray:
    swapped: IntArray = np.where(sides[:, None], pairs.won[::-1], pairs.won)
    return swapped
