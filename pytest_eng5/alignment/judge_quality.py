"""How good the judge is, apart from agreement with grades, and which anchors look odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from pytest_eng5.alignment.bias import first_rates
from pytest_eng5.alignment.bradley_terry import ALPHA, fit_wins
from pytest_eng5.alignment.consistency import (
    SplitHalf,
    circular_triads,
    consistence,
    decided_triads,
    split_half,
)
from pytest_eng5.alignment.data import AlignmentData, AlignmentDataError, FloatArray
from pytest_eng5.alignment.fit_statistics import FitStatistics, fit_statistics
from pytest_eng5.alignment.graph import closes_circle
from pytest_eng5.alignment.position_model import fit_with_position
from pytest_eng5.alignment.results import MetricValue, jsonable

__all__ = ["FEWEST_TO_MISFIT", "AnchorQuality", "JudgeQuality", "judge_quality"]

FEWEST_TO_MISFIT = 6
"""Anchors from which one can lie above mean + 2 SD: (n - 1)/√n SD is the most that one of n can."""

NAMES = (
    *("first_rate", "position_effect", "circular_triads", "consistence", "judge_infit", "judge_outfit"),
    *("worst_infit", "worst_outfit", "misfitting_anchors", "suspect_grades", "split_half"),
)
"""Names of the figures, in the order of reports."""

_FEWEST_MET = 2


@dataclass(frozen=True)
class AnchorQuality:
    """One anchor that was graded and compared.

    Attributes:
        id: Anchor id.
        grade: Expert grade as written.
        infit: See :mod:`.fit_statistics`.
        outfit: Likewise.
        misfit: Whether its infit stands out.
        lower_lost: Comparisons lost against anchors with a lower grade.
        lower_met: Comparisons against such anchors.
        higher_won: Comparisons won against anchors with a higher grade.
        higher_met: Comparisons against such anchors.
    """

    id: str
    grade: str
    infit: float
    outfit: float
    misfit: bool
    lower_lost: int
    lower_met: int
    higher_won: int
    higher_met: int

    @property
    def suspicion(self) -> str | None:
        """``graded too high`` if it lost most comparisons against lower grades (two at the least were made),
        ``graded too low`` if it won most against higher ones, ``None`` otherwise.

        One judge's doubt about a grade, not a proof: ask an expert.
        """
        if self.lower_met >= _FEWEST_MET and 2 * self.lower_lost > self.lower_met:
            return "graded too high"
        if self.higher_met >= _FEWEST_MET and 2 * self.higher_won > self.higher_met:
            return "graded too low"
        return None


@dataclass(frozen=True)
class JudgeQuality:
    """Figures of a judge, and of the anchors in its hands.

    Attributes:
        values: Figure by name; the names are fit to be those of gates.
        anchors: One row per graded and compared anchor, in the order of the population.
        split_half: How the halves were made.
    """

    values: Mapping[str, MetricValue]
    anchors: tuple[AnchorQuality, ...]
    split_half: SplitHalf

    @property
    def misfitting(self) -> tuple[str, ...]:
        """Ids of anchors whose infit stands out."""
        return tuple(row.id for row in self.anchors if row.misfit)

    @property
    def suspected(self) -> Mapping[str, str]:
        """Ids of anchors whose grade the judge contradicts, with how."""
        return {row.id: row.suspicion for row in self.anchors if row.suspicion is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers; an undefined number is ``None``."""
        plain: dict[str, Any] = jsonable(
            {
                "values": {name: asdict(value) for name, value in self.values.items()},
                "anchors": [asdict(row) | {"suspicion": row.suspicion} for row in self.anchors],
                "misfitting": list(self.misfitting),
                "split_half": asdict(self.split_half),
            }
        )
        return plain


def judge_quality(
    data: AlignmentData,
    *,
    splits: int = 100,
    seed: int = 0,
    confidence: float = 0.95,
    alpha: float = ALPHA,
) -> JudgeQuality:
    """Consistency, fit and position effect of the judge behind a population.

    The figures, by name: ``first_rate`` (P(first) over pairs in both orders), ``position_effect`` (η in
    logits, with its Wald interval), ``circular_triads``, ``consistence`` (Kendall's ζ), ``judge_infit``,
    ``judge_outfit``, ``worst_infit`` and ``worst_outfit`` (the greatest of any anchor),
    ``misfitting_anchors`` and ``suspect_grades`` (how many), ``split_half``. What nothing speaks to is NaN:
    triads if none is decided, fit if no comparison closes a circle, so that scores could fit any outcome,
    misfits if there are too few anchors for one to stand out, suspects if no anchor has two comparisons
    with lower grades or two with higher ones, split halves of fewer than three anchors.

    Args:
        data: Anchors and the comparisons that succeeded; only graded anchors count, as in the metrics.
        splits: Random halvings.
        seed: Of them.
        confidence: Of the interval of η.
        alpha: Regularisation of all fits.

    Raises:
        AlignmentDataError: A confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise AlignmentDataError(f"confidence={confidence}")
    scored = data.scored()
    outcomes = scored.outcomes()
    wins = outcomes.sum(axis=-1)
    fit = fit_statistics(wins, fit_wins(wins, alpha))
    rows = _rows(scored, wins, fit)
    by_id = sorted(
        range(len(rows)), key=scored.ids.__getitem__
    )  # halves must not depend on the anchors' order
    halves = split_half(wins[by_id][:, by_id], splits=splits, seed=seed, alpha=alpha)
    tested = closes_circle(wins + wins.T)
    met = any(max(row.lower_met, row.higher_met) >= _FEWEST_MET for row in rows)
    values = {
        "first_rate": float(first_rates(outcomes)),
        "circular_triads": float(circular_triads(wins)) if decided_triads(wins) else np.nan,
        "consistence": float(consistence(wins)),
        "judge_infit": fit.judge_infit if tested else np.nan,
        "judge_outfit": fit.judge_outfit if tested else np.nan,
        "worst_infit": float(np.nanmax(fit.infit)) if tested else np.nan,
        "worst_outfit": float(np.nanmax(fit.outfit)) if tested else np.nan,
        "misfitting_anchors": float(fit.misfit.sum()) if tested and len(rows) >= FEWEST_TO_MISFIT else np.nan,
        "suspect_grades": float(sum(row.suspicion is not None for row in rows)) if met else np.nan,
        "split_half": halves.reliability if len(rows) > 2 else np.nan,
    }
    found = {name: MetricValue(value) for name, value in values.items()}
    found["position_effect"] = _position_effect(outcomes, alpha, confidence)
    return JudgeQuality({name: found[name] for name in NAMES}, rows, halves)


def _position_effect(outcomes: FloatArray, alpha: float, confidence: float) -> MetricValue:
    fit = fit_with_position(outcomes, alpha)
    if np.isnan(fit.eta_standard_error):
        return MetricValue(float("nan"))
    half = float(ndtri(0.5 + confidence / 2)) * fit.eta_standard_error
    return MetricValue(fit.eta, fit.eta - half, fit.eta + half, "wald")


def _rows(scored: AlignmentData, wins: FloatArray, fit: FitStatistics) -> tuple[AnchorQuality, ...]:
    ranks = scored.ranks()
    games = wins + wins.T
    below, above = ranks[None, :] > ranks[:, None], ranks[None, :] < ranks[:, None]
    return tuple(
        AnchorQuality(
            id=scored.ids[i],
            grade=scored.grades[i] or "",
            infit=float(fit.infit[i]),
            outfit=float(fit.outfit[i]),
            misfit=bool(fit.misfit[i]),
            lower_lost=int((wins.T[i] * below[i]).sum()),
            lower_met=int((games[i] * below[i]).sum()),
            higher_won=int((wins[i] * above[i]).sum()),
            higher_met=int((games[i] * above[i]).sum()),
        )
        for i in range(scored.n_anchors)
    )
