"""The comparisons of a run as games between essays, from which scores and grades are derived again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_eng5.alignment import fit_wins
from pytest_eng5.checks.views import distinct, is_of_run
from pytest_eng5.contracts import EssayResultV1
from pytest_eng5.evidence import CapturedEvent, RunEvidence

__all__ = ["SOLVER_TOLERANCE", "Games", "games_of", "published_rows", "rounding_of"]

SOLVER_TOLERANCE = 1e-7
"""How far a published score may lie from the fixed point, in logits per essay.

The service's iteration stops when a pass changes all n scores together by at most 1e-8 n, after at most 100
passes (contract 8.1). With a contraction of r per pass it is then within r/(1 - r) of that change. Scores
of some ten logits can only have come that far in 100 passes if r is below 0.82, so r/(1 - r) below 5; twice
that is allowed. Our own maximum is found to 1e-10.
"""

_DECIMALS = range(2, 9)
_UNSCORED = 999


@dataclass(frozen=True, eq=False)
class Games:
    """Who beat whom, and how often.

    Attributes:
        essays: The n essays that take part, sorted.
        wins: Times i beat j, shape (n, n).
    """

    essays: tuple[str, ...]
    wins: npt.NDArray[np.float64]

    @property
    def played(self) -> bool:
        """Whether there is any game."""
        return bool(self.wins.any())

    @property
    def tolerance(self) -> float:
        """How far a score that is not rounded may lie from ours, in logits."""
        return SOLVER_TOLERANCE * len(self.essays)

    def theta(self) -> dict[str, float]:
        """Score of each essay in logits, mean 0 (contract 8.1)."""
        return dict(zip(self.essays, fit_wins(self.wins).tolist(), strict=True))


def games_of(evidence: RunEvidence, rows: Iterable[str] = ()) -> Games:
    """The games of a run between the essays that were compared and those of the result.

    Args:
        evidence: The run.
        rows: Essays that take part although they may not have been compared.
    """
    pairs = [pair for event in distinct(evidence) if (pair := _game(evidence, event)) is not None]
    essays = tuple(sorted({*rows, *(essay for pair in pairs for essay in pair)}))
    place = {essay: index for index, essay in enumerate(essays)}
    wins = np.zeros((len(essays), len(essays)))
    np.add.at(wins, ([place[won] for won, _ in pairs], [place[lost] for _, lost in pairs]), 1.0)
    return Games(essays, wins)


def _game(evidence: RunEvidence, event: CapturedEvent) -> tuple[str, str] | None:
    """Winner and loser, if the callback names two different essays of the run."""
    won, lost = event.comparison.outcome
    if won is None or lost is None or won == lost:
        return None
    return (won, lost) if is_of_run(evidence, won) and is_of_run(evidence, lost) else None


def published_rows(
    evidence: RunEvidence, event: CapturedEvent, compared: Mapping[str, object]
) -> dict[str, tuple[int, EssayResultV1]]:
    """Place and row of each essay of the run in a rich result; the first if there are several.

    An essay without a score, which the service writes as score 0 and rank 999 (contract 2.4), is left out.

    Args:
        evidence: The run.
        event: A rich result.
        compared: Essays that have a game, and therefore a score.
    """
    rows: dict[str, tuple[int, EssayResultV1]] = {}
    for index, row in enumerate(event.result.essay_results):
        unscored = row.rank == _UNSCORED and row.bt_score == 0 and row.essay_id not in compared
        if is_of_run(evidence, row.essay_id) and not unscored:
            rows.setdefault(row.essay_id, (index, row))
    return rows


def rounding_of(values: Sequence[float]) -> float:
    """Half a unit of the last decimal that published numbers have, 0 if they are not rounded.

    Numbers count as rounded if all of them have at most eight decimals.
    """
    return next((decimals for decimals in _rounded(values)), 0.0)


def _rounded(values: Sequence[float]) -> Iterator[float]:
    for decimals in _DECIMALS:
        if all(value == round(value, decimals) for value in values):
            yield 0.5 * 10.0**-decimals
