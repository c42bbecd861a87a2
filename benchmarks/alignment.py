"""Bradley-Terry refits per second: ours in one batch, choix and evalica one by one.

    python benchmarks/alignment.py [--refits 10000] [--anchors 12] [--seconds 3]

Bootstrap resamples of one round-robin over so many anchors, the same for everybody, one thread each. Ours and
choix fit the same regularised model (alpha 0.01); evalica fits without regularisation and stops at its own
tolerance, so its scores are others and only its pace is comparable. Prints processor time, not wall time, so
that a busy machine does not matter; judges nothing. Needs evalica, which nothing else here does:
``pip install evalica``.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", RAYON_NUM_THREADS="1")

import choix
import numpy as np

from pytest_eng5.alignment import (
    ALPHA,
    AlignmentData,
    SimulatedJudge,
    alignment_metrics,
    fit_wins,
    resamples,
    simulated_runs,
)


def run_of(anchors: int) -> np.ndarray:
    """One simulated round-robin, times i beat j, shape (n, n)."""
    judge = SimulatedJudge(np.linspace(2, -2, anchors), np.arange(anchors))
    return next(simulated_runs(judge, anchors * (anchors - 1) // 2, 1, 0))[0]


def pace(work: Callable[[int], object], seconds: float) -> float:
    """Calls per second of processor time."""
    done, begin = 0, time.process_time()
    while time.process_time() - begin < seconds:
        work(done)
        done += 1
    return done / (time.process_time() - begin)


def ours(wins: np.ndarray, refits: int) -> float:
    """Refits per second, drawing the resamples included."""
    begin = time.process_time()
    start = fit_wins(wins)
    for tables in resamples(wins, refits, 0):
        fit_wins(tables, start=start)
    return refits / (time.process_time() - begin)


def by_choix(tables: np.ndarray, seconds: float) -> float:
    """Refits per second of ``choix.ilsr_pairwise`` with the pipeline's alpha."""
    data = [_comparisons(table) for table in tables]

    def fit(k: int) -> object:
        try:
            return choix.ilsr_pairwise(tables.shape[-1], data[k % len(data)], alpha=ALPHA, max_iter=100)
        except RuntimeError:
            return None

    return pace(fit, seconds)


def by_evalica(tables: np.ndarray, seconds: float) -> float | None:
    """Refits per second of ``evalica.bradley_terry``; ``None`` where it is not installed."""
    try:
        import evalica
        from pandas import Index
    except ImportError:
        return None
    index = Index(range(tables.shape[-1]))
    data = [[[w for w, _ in pairs], [x for _, x in pairs]] for pairs in map(_comparisons, tables)]
    won_by_x = [evalica.Winner.X] * max(len(won) for won, _ in data)

    def fit(k: int) -> object:
        won, lost = data[k % len(data)]
        return evalica.bradley_terry(won, lost, won_by_x[: len(won)], index=index)

    return pace(fit, seconds)


def _comparisons(table: np.ndarray) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(table) for _ in range(int(table[i, j]))]


def all_figures(wins: np.ndarray, resampled: int) -> float:
    """Seconds for every figure with its interval."""
    names = [f"anchor {k}" for k in range(len(wins))]
    pairs = [(names[i], names[j]) for i, j in _comparisons(wins)]
    data = AlignmentData.build(
        ids=names,
        grades=[f"grade {k // 2}" for k in range(len(names))],
        grade_ranks=[k // 2 for k in range(len(names))],
        winners=[w for w, _ in pairs],
        losers=[x for _, x in pairs],
        first=[w for w, _ in pairs],
    )
    begin = time.process_time()
    alignment_metrics(data, bootstrap=resampled)
    return time.process_time() - begin


def report(refits: int, anchors: int, seconds: float) -> Iterator[str]:
    """The lines to print."""
    wins = run_of(anchors)
    comparisons = int(wins.sum())
    yield f"{anchors} anchors, {comparisons} comparisons, {refits} resamples; processor time, one thread"
    own = ours(wins, refits)
    yield f"  ours, in one batch   {own:9.0f} refits/s   10,000 in {10_000 / own:.2f} s"
    tables = next(resamples(wins, 200, 1))
    for name, found in (("choix", by_choix(tables, seconds)), ("evalica", by_evalica(tables, seconds))):
        if found is None:
            yield f"  {name:18s} not installed"
        else:
            yield f"  {name + ', one by one':20s} {found:9.0f} refits/s   ratio {own / found:.0f}"
    yield f"  all figures with intervals, {refits} resamples: {all_figures(wins, refits):.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--refits", type=int, default=10_000)
    parser.add_argument("--anchors", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3.0)
    chosen = parser.parse_args()
    for line in report(chosen.refits, chosen.anchors, chosen.seconds):
        print(line, flush=True)


if __name__ == "__main__":
    main()
