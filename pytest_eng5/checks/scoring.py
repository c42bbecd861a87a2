"""Check ``scoring``: scores, ranks and grades follow from the comparisons (contract sections 8.1 and 8.3).

The scores are derived again from the captured callbacks by :func:`pytest_eng5.alignment.fit_wins`, which
finds the same maximum as the service's ``choix`` on another road. Published scores may differ from ours by
what the service's iteration leaves open, :data:`~pytest_eng5.checks.games.SOLVER_TOLERANCE` per essay, and
by the rounding that the published numbers show.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pytest_eng5.checks.doubts import softened
from pytest_eng5.checks.drafting import about
from pytest_eng5.checks.games import Games, games_of, published_rows, rounding_of
from pytest_eng5.checks.naming import essay_name
from pytest_eng5.checks.projections import check_projections
from pytest_eng5.checks.views import distinct_results
from pytest_eng5.checks.wording import listed, plural
from pytest_eng5.contracts import EssayResultV1
from pytest_eng5.evidence import CapturedEvent, Finding, RunEvidence

__all__ = ["check_scores", "check_scoring"]

_SCORES_HINT = (
    "fit the comparisons in events/comparisons.jsonl by contract 8.1: the service left comparisons out, "
    "counted some twice, or scored with another regularisation"
)
_CENTRE_HINT = "differences between essays are right, the origin is not: the service centres over all essays"
_RANK_HINT = "the service ranks by score, students and anchors together, 1 for the best (contract 8.1)"


@dataclass(frozen=True)
class _Published:
    """A rich result beside what its comparisons give.

    Attributes:
        rows: Place and row of each scored essay.
        theta: Scores derived from the comparisons, by essay; empty if nothing was compared.
        tolerance: In logits.
        complete: Whether every essay that was compared has a row, and no row was left out.
    """

    evidence: RunEvidence
    event: CapturedEvent
    rows: Mapping[str, tuple[int, EssayResultV1]]
    theta: Mapping[str, float]
    tolerance: float
    complete: bool

    def draft(self, code: str, essay: str, key: str, text: str, hint: str) -> Finding:
        """A finding about one essay of the result."""
        field = f"/data/essay_results/{self.rows[essay][0]}/{key}"
        name = essay_name(self.evidence, essay)
        text = f"{key} of essay {name} {text}"
        return about(self.event, code, text, hint=hint, field=field, essay_ids=(essay,))


def check_scoring(evidence: RunEvidence) -> list[Finding]:
    """All findings about scores, ranks and grades."""
    return [*softened(evidence, check_scores(evidence)), *check_projections(evidence)]


def check_scores(evidence: RunEvidence) -> list[Finding]:
    """SCORE-MISMATCH, SCORE-CENTRE, RANK-MISMATCH: one rich result is what the comparisons give.

    Of results with different contents, which are reported as such, one that is right is enough.
    """
    compared = games_of(evidence)
    verdicts = [_judge(_published(evidence, event, compared)) for event in distinct_results(evidence)]
    return min(verdicts, key=len, default=[])


def _published(evidence: RunEvidence, event: CapturedEvent, compared: Games) -> _Published:
    rows = published_rows(evidence, event, dict.fromkeys(compared.essays))
    games = compared if rows.keys() <= set(compared.essays) else games_of(evidence, rows)
    scores = [row.bt_score for _, row in rows.values()]
    return _Published(
        evidence,
        event,
        rows,
        theta=games.theta() if games.played else {},
        tolerance=games.tolerance + rounding_of(scores),
        complete=len(rows) == len(games.essays) == len(event.result.essay_results),
    )


def _judge(published: _Published) -> list[Finding]:
    wrong = list(_scores(published))
    return [*(wrong or _centre(published)), *_ranks(published)]


def _scores(published: _Published) -> Iterator[Finding]:
    """SCORE-MISMATCH: differences between scores are those of the comparisons."""
    gaps = _gaps(published)
    shift = _shift(gaps)
    for essay, gap in gaps.items():
        if not abs(gap - shift) <= published.tolerance:
            score, theta = published.rows[essay][1].bt_score, published.theta[essay]
            text = f"is {score:.4f}, its comparisons give {theta:.4f}"
            yield published.draft("SCORE-MISMATCH", essay, "bt_score", text, _SCORES_HINT)


def _gaps(published: _Published) -> dict[str, float]:
    """By how much each published score exceeds ours."""
    if not published.theta:
        return {}
    return {essay: row.bt_score - published.theta[essay] for essay, (_, row) in published.rows.items()}


def _shift(gaps: Mapping[str, float]) -> float:
    """What all scores have in common: the median, which a few wrong scores do not move."""
    finite = [gap for gap in gaps.values() if math.isfinite(gap)]
    return median(finite) if finite else 0.0


def _centre(published: _Published) -> Iterator[Finding]:
    """SCORE-CENTRE: the scores of all essays have mean 0."""
    scores = [row.bt_score for _, row in published.rows.values()]
    if not scores or not (published.complete or published.theta):
        return
    off = _shift(_gaps(published)) if published.theta else math.fsum(scores) / len(scores)
    if abs(off) > published.tolerance:
        text = f"scores of {plural(len(scores), 'essay')} are centred on {off:+.4f} instead of 0"
        field = "/data/essay_results"
        yield about(published.event, "SCORE-CENTRE", text, hint=_CENTRE_HINT, field=field)


def _ranks(published: _Published) -> Iterator[Finding]:
    """RANK-MISMATCH: ranks are 1 to n, in the order of the scores; equal scores may stand in any order.

    The scores are the published ones or ours: a score that is wrong is reported as such.
    """
    ranks = {essay: row.rank for essay, (_, row) in published.rows.items()}
    scores = {essay: row.bt_score for essay, (_, row) in published.rows.items()}
    bases = [base for base in (published.theta, scores) if base]
    disorders = [_disorder(ranks, base, published.tolerance) for base in bases]
    misplaced = min(disorders, key=len, default=[])
    for essay, other in misplaced:
        name = essay_name(published.evidence, other)
        text = f"is {ranks[essay]}, before essay {name} with rank {ranks[other]} and a higher score"
        yield published.draft("RANK-MISMATCH", essay, "rank", text, _RANK_HINT)
    if not misplaced and published.complete and sorted(ranks.values()) != list(range(1, len(ranks) + 1)):
        text = (
            f"ranks of {plural(len(ranks), 'essay')} are {listed([str(r) for r in sorted(ranks.values())])}"
        )
        field = "/data/essay_results"
        yield about(published.event, "RANK-MISMATCH", text, hint=_RANK_HINT, field=field)


def _disorder(
    ranks: Mapping[str, int], scores: Mapping[str, float], tolerance: float
) -> list[tuple[str, str]]:
    """Essays that stand before one with a higher score, each with the best such one."""
    ordered: Sequence[str] = sorted(ranks, key=lambda essay: (ranks[essay], -scores[essay], essay))
    found: list[tuple[str, str]] = []
    best: str | None = None
    for essay in reversed(ordered):
        if best is not None and scores[essay] < scores[best] - tolerance:
            found.append((essay, best))
        if best is None or scores[essay] > scores[best]:
            best = essay
    return found[::-1]
