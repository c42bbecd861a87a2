"""Which essay of a pair is shown as Essay A: ``fair_complement`` (contract section 7.4)."""

from __future__ import annotations

from random import Random

from pytest_eng5.pipeline.cj.matching import Pair, unordered

__all__ = ["Orientation"]


class Orientation:
    """Remembers how often each essay stood first and second, and which orders of a pair were shown.

    Args:
        essays: Number of essays.
        random: Source of the coin flips.
    """

    def __init__(self, essays: int, random: Random) -> None:
        self._skew = [0] * essays
        self._shown: set[Pair] = set()
        self._random = random

    def skew(self, essay: int) -> int:
        """Times as Essay A minus times as Essay B."""
        return self._skew[essay]

    def coverage(self, pair: Pair) -> Pair:
        """Order a pair of a coverage wave and remember it."""
        return self.remember(self._fair(pair))

    def resampling(self, pair: Pair) -> Pair:
        """Order a pair that is compared again: the other way round if only one order was shown."""
        forward, backward = unordered(*pair), unordered(*pair)[::-1]
        if (forward in self._shown) != (backward in self._shown):
            return self.remember(backward if forward in self._shown else forward)
        return self.coverage(pair)

    def _fair(self, pair: Pair) -> Pair:
        i, j = pair
        skew_i, skew_j = self._skew[i], self._skew[j]
        if skew_i < 0 < skew_j:
            return i, j
        if skew_j < 0 < skew_i:
            return j, i
        as_is = abs(skew_i + 1) + abs(skew_j - 1)
        swapped = abs(skew_i - 1) + abs(skew_j + 1)
        if as_is != swapped:
            return (i, j) if as_is < swapped else (j, i)
        return (i, j) if self._random.random() < 0.5 else (j, i)

    def remember(self, ordered: Pair) -> Pair:
        """Count a pair as shown in this order; returns it."""
        self._skew[ordered[0]] += 1
        self._skew[ordered[1]] -= 1
        self._shown.add(ordered)
        return ordered
