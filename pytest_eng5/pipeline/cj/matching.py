"""Which pairs to compare next: coverage waves and resampling waves (contract section 7.4).

Essays are indices into the request's list throughout. Nothing here looks at ids, so that with a fixed seed
the pairs depend on the order of the essays only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

import networkx as nx

__all__ = ["MatchingWeights", "Pair", "coverage_pairs", "resampling_pairs", "unordered"]

Pair = tuple[int, int]
_JITTER = 0.001
_PROXIMITY_RANGE = 2.0


@dataclass(frozen=True, slots=True)
class MatchingWeights:
    """Weights of an edge: how much few comparisons count, and how much close θ count."""

    comparison_count: float = 1.0
    bt_proximity: float = 0.5

    def edge(self, counts: Pair, theta: tuple[float, float]) -> float:
        """Weight of an edge between two essays, without jitter (contract 7.4)."""
        rarity = 1 / (1 + counts[0]) + 1 / (1 + counts[1])
        distance = abs(theta[0] - theta[1])
        proximity = math.exp(-distance) if distance < _PROXIMITY_RANGE else 0.0
        return self.comparison_count * rarity + self.bt_proximity * proximity


def unordered(first: int, second: int) -> Pair:
    """The pair without its orientation."""
    return (first, second) if first < second else (second, first)


def coverage_pairs(
    counts: Sequence[int],
    theta: Sequence[float],
    compared: Collection[Pair],
    random: Random,
    weights: MatchingWeights,
) -> list[Pair]:
    """A wave in which every essay appears at most once and no compared pair appears again.

    Maximum-weight matching among those of maximum cardinality. With an odd number of essays the one with the
    most comparisons sits out (the first of them in the request's order), unless nothing could be paired
    without it. Best edges first, so that a wave cut to a budget keeps them.

    Args:
        counts: Comparisons of each essay so far.
        theta: θ of each essay in logits, zeros before the first fit.
        compared: Unordered pairs that are not to be drawn.
        random: Source of the jitter.
        weights: Weights of the edges.
    """
    everyone = list(range(len(counts)))
    present = everyone
    if len(everyone) % 2:
        sits_out = max(everyone, key=lambda essay: counts[essay])
        present = [essay for essay in everyone if essay != sits_out]
    return _matching(present, counts, theta, compared, random, weights) or (
        _matching(everyone, counts, theta, compared, random, weights) if present is not everyone else []
    )


def _matching(
    essays: Sequence[int],
    counts: Sequence[int],
    theta: Sequence[float],
    compared: Collection[Pair],
    random: Random,
    weights: MatchingWeights,
) -> list[Pair]:
    graph: nx.Graph[int] = nx.Graph()
    for position, i in enumerate(essays):
        for j in essays[position + 1 :]:
            if (i, j) not in compared:
                base = weights.edge((counts[i], counts[j]), (theta[i], theta[j]))
                graph.add_edge(i, j, weight=base + random.uniform(0, _JITTER))
    matched = [unordered(i, j) for i, j in nx.max_weight_matching(graph, maxcardinality=True)]
    return sorted(matched, key=lambda pair: (-graph.edges[pair]["weight"], pair))


def resampling_pairs(
    compared: Collection[Pair], counts: Sequence[int], limit: int, random: Random
) -> list[Pair]:
    """A wave that compares pairs again, those of the least compared essays first, ties at random.

    Args:
        compared: Unordered pairs compared so far.
        counts: Comparisons of each essay so far.
        limit: Most pairs wanted; for m pairs no essay appears more than max(1, ceil(2m/n)) times.
        random: Breaks ties.
    """
    wanted = min(limit, len(compared))
    cap = max(1, math.ceil(2 * wanted / len(counts))) if counts else 1
    order = sorted(sorted(compared), key=lambda pair: (counts[pair[0]] + counts[pair[1]], random.random()))
    used = [0] * len(counts)
    chosen: list[Pair] = []
    for i, j in order:
        if len(chosen) >= wanted:
            break
        if used[i] < cap and used[j] < cap:
            chosen.append((i, j))
            used[i] += 1
            used[j] += 1
    return chosen
