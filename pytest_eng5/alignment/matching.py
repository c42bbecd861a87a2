"""Simulated judges that agree with the grades as much as wanted: as a recorded run, or by so much more.

Scores of a recorded run do not make its judge. They are too far apart (:mod:`.calibrated`), and where they
disagree with the grades that is noise and opinion in unknown parts, so a judge simulated from them disagrees
twice: by their noise and by its own. Scores at the scale at which they predict, moved towards the grades
until simulated runs have the mean tau of the recorded one, repeat it well: over several kinds of judges the
spread of tau between their runs came within a fifth of the true one.
"""

from __future__ import annotations

from math import comb

import numpy as np

from pytest_eng5.alignment.agreement import attainable_tau_b, kendall_tau_b
from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins
from pytest_eng5.alignment.calibrated import predictive_scale
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError, FloatArray, IntArray
from pytest_eng5.alignment.position_model import fit_outcomes
from pytest_eng5.alignment.simulation import SimulatedJudge, simulated_runs

__all__ = ["discordance_seen", "improved_judge", "judge_of_run", "simulated_taus"]

_BISECTIONS = 11
_STRONGEST = 16.0


def simulated_taus(judge: SimulatedJudge, comparisons: int, runs: int, seed: int) -> FloatArray:
    """tau-b of simulated runs with so many comparisons, shape (runs,); all scores equal count as 0.

    Raises:
        AlignmentDataError: An argument out of range, or anchors all of one grade.
    """
    if comparisons < 1 or runs < 2:
        raise AlignmentDataError(f"comparisons={comparisons}, runs={runs}")
    if len(set(judge.ranks.tolist())) < 2:
        raise AlignmentDataError("all anchors have one grade", fix="choose anchors of different grades")
    tables = simulated_runs(judge, comparisons, runs, seed)
    taus = np.concatenate(
        [kendall_tau_b(judge.ranks, fit_wins(table, start=judge.theta)) for table in tables]
    )
    filled: FloatArray = np.nan_to_num(taus, nan=0.0)
    return filled


def judge_of_run(
    data: AlignmentData, *, alpha: float = ALPHA, runs: int = 300, seed: int = 0
) -> SimulatedJudge:
    """The judge behind a recorded run: its scores and η as far as known, its tau on average.

    Of a run without a discordant pair it is only known that they are rare: it counts as half a one, the usual
    correction of a count of none, as otherwise the judge would be taken to be nearly perfect.

    Anchors with an unknown grade or without a comparison are left out. If all others have one grade, there is
    no tau to match.

    Args:
        data: The run.
        alpha: Regularisation of the fits.
        runs: Simulated runs per step of the matching.
        seed: Of the simulation.

    Raises:
        AlignmentDataError: There is no comparison to learn from.
    """
    scored = data.scored()
    if not scored.n_comparisons:
        raise AlignmentDataError(
            "the run has no comparison between graded anchors", fix="state assumptions instead of a run"
        )
    theta, eta = fit_outcomes(scored.outcomes(), alpha)
    wins = scored.wins()
    judge = SimulatedJudge(theta * predictive_scale(wins, alpha=alpha), scored.ranks(), float(eta))
    tau = float(kendall_tau_b(judge.ranks, fit_wins(wins, alpha)))
    if np.isnan(tau):
        return judge
    return _matched(judge, min(tau, _half_discordant(judge.ranks)), scored.n_comparisons, runs, seed)


def discordance_seen(data: AlignmentData, *, alpha: float = ALPHA) -> bool:
    """Whether the scores of a run put a pair of different grades into the wrong order.

    Args:
        data: The run; anchors with an unknown grade or without a comparison are left out.
        alpha: Regularisation of the fit.
    """
    scored = data.scored()
    ranks = scored.ranks()
    return bool(kendall_tau_b(ranks, fit_wins(scored.wins(), alpha)) <= _half_discordant(ranks))


def _half_discordant(ranks: IntArray) -> float:
    """tau-b between none and one of the pairs discordant."""
    most = attainable_tau_b(ranks)
    untied = most**2 * comb(len(ranks), 2)
    return most * (1 - 1 / untied)


def improved_judge(
    judge: SimulatedJudge, difference: float, comparisons: int, *, runs: int = 1000, seed: int = 0
) -> SimulatedJudge:
    """The judge moved towards the grades until its mean tau-b at so many comparisons is higher by that much.

    Args:
        judge: The baseline.
        difference: In mean tau-b; negative for a worse judge.
        comparisons: At which it is measured.
        runs: Simulated runs per step.
        seed: Of the simulation.

    Raises:
        AlignmentDataError: No judge is that much better or worse.
    """
    start = float(simulated_taus(judge, comparisons, runs, seed).mean())
    end = judge.towards_grades(np.copysign(_STRONGEST, difference))
    most = float(simulated_taus(end, comparisons, runs, seed).mean()) - start
    if abs(most) < abs(difference):
        raise AlignmentDataError(
            f"at {comparisons} comparisons no judge differs by {difference:+.3f} from one with a mean tau of "
            f"{start:.3f}, at most by {most:+.3f}",
            fix="ask for a smaller difference",
        )
    return _matched(judge, start + difference, comparisons, runs, seed)


def _matched(judge: SimulatedJudge, tau: float, comparisons: int, runs: int, seed: int) -> SimulatedJudge:
    """The judge moved along the grades until the mean tau of its runs is that, or as near as it comes."""
    now = float(simulated_taus(judge, comparisons, runs, seed).mean())
    low, high = (0.0, _STRONGEST) if now < tau else (-_STRONGEST, 0.0)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        mean = simulated_taus(judge.towards_grades(middle), comparisons, runs, seed).mean()
        low, high = (middle, high) if mean < tau else (low, middle)
    return judge.towards_grades((low + high) / 2)
