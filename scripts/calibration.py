"""Simulate judges whose truth is known: how honest are intervals and tests? Writes docs/calibration.md.

    python scripts/calibration.py [--replicates 200] [--seed 0] [--out docs/calibration.md]

Prints progress. With 200 replicates about five minutes of one processor; the standard error of a coverage of
0.95 is then 0.015.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np

from pytest_eng5.alignment import (
    AlignmentData,
    SimulatedJudge,
    alignment_metrics,
    bootstrap_intervals,
    compare_runs,
    fit_wins,
    kendall_tau_b,
    simulated_outcomes,
    simulated_runs,
    stated_judge,
)
from pytest_eng5.alignment.figures import anchors_of, figures

OUT = Path(__file__).resolve().parent.parent / "docs" / "calibration.md"
GRADES = ("A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+")
RANKS = (0, 0, 3, 3, 5, 7, 8, 10, 11, 13, 14, 14)
QUALITIES = tuple(np.linspace(2, -2, 12).tolist())
JUDGES: Mapping[str, SimulatedJudge] = {
    "weak": stated_judge(RANKS, QUALITIES, 0.5),
    "fair": stated_judge(RANKS, QUALITIES, 1.0),
    "sharp": stated_judge(RANKS, QUALITIES, 2.0),
    "opinionated": stated_judge(RANKS, QUALITIES, 1.5, noise=0.7, seed=5),
}
BUDGETS = (66, 132, 264)
SHOWN = ("kendall_tau", "agreement", "direct_inversions", "ssr", "position_bias")
METHODS = ("chosen", "percentile", "bca")
RESAMPLES, TRUTH = 200, 3000
GATE = 0.08
ALPHA = 0.05

Table = Iterator[str]


def design(comparisons: int) -> np.ndarray:
    """Full round-robins in alternating orders, as outcomes of shape (n, n, 2): who was shown against whom."""
    outcomes = np.zeros((12, 12, 2))
    first, second = np.triu_indices(12, 1)
    rounds = comparisons // len(first)
    turned = (first + second) % 2 == 0
    ahead = np.where(turned, (rounds + 1) // 2, rounds // 2)
    outcomes[first, second, 0] = ahead
    outcomes[second, first, 0] = rounds - ahead
    return outcomes


def population(outcomes: np.ndarray) -> AlignmentData:
    """The comparisons of a table of outcomes, shape (n, n, 2)."""
    cells = np.argwhere(outcomes > 0)
    rows = np.repeat(cells, outcomes[outcomes > 0].astype(int), axis=0)
    winners, losers = rows[:, 0], rows[:, 1]
    nothing = (None,) * len(rows)
    return AlignmentData(
        ids=tuple(f"anchor-{k:02d}" for k in range(12)),
        grades=GRADES,
        grade_ranks=RANKS,
        winners=winners,
        losers=losers,
        first=np.where(rows[:, 2] == 0, winners, losers),
        confidence=np.full(len(rows), np.nan),
        justification=nothing,
        request_id=nothing,
    )


def intervals(data: AlignmentData, seed: int) -> dict[tuple[str, str], tuple[float, float] | None]:
    """Interval by method and figure, of one run."""
    chosen = alignment_metrics(data, bootstrap=RESAMPLES, seed=seed).values
    found: dict[tuple[str, str], tuple[float, float] | None] = {}
    for name in SHOWN:
        low, high = chosen[name].low, chosen[name].high
        found["chosen", name] = None if low is None or high is None else (low, high)
    anchors = anchors_of(data)
    for method in ("percentile", "bca"):
        drawn = bootstrap_intervals(anchors, data.outcomes(), RESAMPLES, seed, method=method)
        found |= {(method, name): drawn[name] for name in SHOWN}
    return found


class Cell:
    """Runs of one judge with one budget: which intervals hold the truth, and which gates stay undecided."""

    def __init__(self, judge: SimulatedJudge, budget: int, replicates: int, seed: int) -> None:
        repeats = np.concatenate(list(simulated_outcomes(design(budget), judge, TRUTH, seed + 1)))
        values = figures(anchors_of(population(repeats[0])), repeats)
        self.truth = {figure: float(np.nanmean(values[figure])) for figure in SHOWN}
        self.hits: dict[tuple[str, str], list[bool]] = {}
        self.undecided: list[bool] = []
        runs = np.concatenate(list(simulated_outcomes(design(budget), judge, replicates, seed)))
        for number, outcomes in enumerate(runs):
            self._take(intervals(population(outcomes), number))

    def _take(self, found: Mapping[tuple[str, str], tuple[float, float] | None]) -> None:
        for key, interval in found.items():
            if interval is not None:
                self.hits.setdefault(key, []).append(interval[0] <= self.truth[key[1]] <= interval[1])
        gate = found["chosen", "agreement"]
        if gate is not None:
            self.undecided.append(gate[0] < self.truth["agreement"] - GATE <= gate[1])

    def held(self, method: str, figure: str) -> float:
        """The share of intervals that hold the truth."""
        return float(np.mean(self.hits[method, figure]))


def coverage(replicates: int, seed: int) -> Table:
    """How often intervals hold the mean of repeats; the gate's verdicts on the way."""
    cells: dict[tuple[str, int], Cell] = {}
    for name, judge in JUDGES.items():
        for budget in BUDGETS:
            say(f"coverage: {name}, {budget} comparisons")
            cells[name, budget] = Cell(judge, budget, replicates, seed)
    yield "| judge | comparisons | mean tau | chosen | percentile | BCa |"
    yield "|---|---|---|---|---|---|"
    for (name, budget), cell in cells.items():
        shares = " | ".join(f"{cell.held(method, 'kendall_tau'):.3f}" for method in METHODS)
        yield f"| {name} | {budget} | {cell.truth['kendall_tau']:.3f} | {shares} |"
    yield ""
    yield "The other figures, least and greatest coverage over the same twelve cases:"
    yield ""
    yield "| figure | chosen | percentile | BCa |"
    yield "|---|---|---|---|"
    for figure in SHOWN:
        held = [[cell.held(method, figure) for cell in cells.values()] for method in METHODS]
        shares = " | ".join(f"{min(one):.3f} to {max(one):.3f}" for one in held)
        yield f"| `{figure}` | {shares} |"
    yield ""
    yield "Share of runs in which a gate on `agreement` with `confidence: 0.95` is UNDECIDED, its bound"
    yield f"{GATE} below the truth:"
    yield ""
    yield "| judge | " + " | ".join(str(budget) for budget in BUDGETS) + " |"
    yield "|---" * (len(BUDGETS) + 1) + "|"
    for name in JUDGES:
        yield (
            f"| {name} | "
            + " | ".join(f"{np.mean(cells[name, budget].undecided):.2f}" for budget in BUDGETS)
            + " |"
        )


def false_positives(replicates: int, seed: int) -> Table:
    """How often two runs of one judge are told apart at the 5 % level."""
    yield "| judge | comparisons | tau | inversions | agreement |"
    yield "|---|---|---|---|---|"
    everything: dict[str, list[bool]] = {}
    for name, judge in JUDGES.items():
        for budget in BUDGETS:
            say(f"false positives: {name}, {budget} comparisons")
            one, other = (
                np.concatenate(list(simulated_outcomes(design(budget), judge, replicates, seed + k)))
                for k in (2, 3)
            )
            rejected: dict[str, list[bool]] = {}
            for number, pair in enumerate(zip(one, other, strict=True)):
                found = compare_runs(*map(population, pair), permutations=199, resamples=0, seed=number)
                for figure, difference in found.differences.items():
                    rejected.setdefault(figure, []).append(difference.p_value <= ALPHA)
            for figure, values in rejected.items():
                everything.setdefault(figure, []).extend(values)
            shares = " | ".join(f"{np.mean(values):.3f}" for values in rejected.values())
            yield f"| {name} | {budget} | {shares} |"
    yield "| all | | " + " | ".join(f"{np.mean(v):.3f}" for v in everything.values()) + " |"


def noise_floor(seed: int) -> Table:
    """Spread of tau between runs of one unchanged judge."""
    yield "| judge | comparisons per anchor | SD of tau | two runs differ by more than 0.10 |"
    yield "|---|---|---|---|"
    for name, judge in JUDGES.items():
        for per_anchor in (4, 6, 10, 20):
            say(f"noise floor: {name}, {per_anchor} per anchor")
            runs = simulated_runs(judge, per_anchor * 6, TRUTH, seed + 4)
            tau = kendall_tau_b(np.array(RANKS), np.concatenate([fit_wins(tables) for tables in runs]))
            apart = np.mean(np.abs(tau[::2] - tau[1::2]) > 0.10)
            yield f"| {name} | {per_anchor} | {tau.std(ddof=1):.3f} | {apart:.0%} |"


def document(replicates: int, seed: int, command: str) -> str:
    """The whole page."""
    error = float(np.sqrt(0.95 * 0.05 / replicates))
    start = f"""# Calibration

How honest the intervals and tests of `pytest_eng5.alignment` are, measured on simulated judges of 12 anchors
whose truth is known. Made by

    {command}

with {replicates} runs per cell, so a coverage of 0.95 has a standard error of {error:.3f}.

The judges `weak`, `fair` and `sharp` hold the order of the grades to be right and differ in how consistently
they see it (quality from 2 to -2, times 0.5, 1 and 2 logits); `opinionated` disagrees with the grades however
often it is asked. 66, 132 and 264 comparisons are one, two and four round-robins.

## Coverage of nominal 95 % intervals

What an interval has to hold is the mean of the figure over repeats: other runs of that judge over the same
pairs. `chosen` is what reports and gates use; how each is made is in `pytest_eng5/alignment/intervals.py`.
`kendall_tau`:
"""
    tests = f"""
## False positives of the comparison of variants, at {ALPHA:.0%}

Two runs of one judge, told apart by the permutation test (199 permutations). Taus and counts take few values,
so exact tests of them reject a little less often than they may.
"""
    noise = """
## Noise floor

Runs of one unchanged judge.
"""
    lines = [start, *coverage(replicates, seed), tests, *false_positives(replicates, seed), noise]
    lines += noise_floor(seed)
    return "\n".join(lines) + "\n"


def say(what: str) -> None:
    """One line of progress."""
    print(what, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args(arguments)
    command = f"python scripts/calibration.py --replicates {chosen.replicates} --seed {chosen.seed}"
    chosen.out.write_text(document(chosen.replicates, chosen.seed, command), encoding="utf-8")
    print(chosen.out)


if __name__ == "__main__":
    main()
