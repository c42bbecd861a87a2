"""The population that every alignment figure is computed from: anchors, their grades, the comparisons.

Grades come in as strings with an integer rank each (0 = best). The ranks are the caller's, so that this
room needs no table of grade scales; a rank of ``None`` means that the grade is unknown. An unknown grade
never becomes a rank: :meth:`AlignmentData.select` removes such anchors together with their comparisons.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_eng5.errors import UsageError

__all__ = ["AlignmentData", "AlignmentDataError", "FloatArray", "IntArray"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class AlignmentDataError(UsageError):
    """The anchors or comparisons handed over contradict each other or themselves."""


def _frozen(values: npt.ArrayLike, dtype: type[Any]) -> npt.NDArray[Any]:
    array = np.array(values, dtype=dtype)
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class AlignmentData:
    """Anchors and the comparisons made between them; arrays are read-only.

    Attributes:
        ids: One unique id per anchor, length n.
        grades: The grade as written by the expert, ``None`` where there is none, length n.
        grade_ranks: Its rank, 0 = best, equal for equal grades, ``None`` where unknown, length n.
        winners: Index of the anchor that won, per comparison, shape (m,).
        losers: Index of the anchor that lost, shape (m,).
        first: Index of the anchor shown first (essay A); one of the two, shape (m,).
        confidence: The judge's confidence, NaN where it gave none, shape (m,).
        justification: The judge's reason or ``None``, length m.
        request_id: What identifies the comparison in the evidence, or ``None``, length m.
    """

    ids: tuple[str, ...]
    grades: tuple[str | None, ...]
    grade_ranks: tuple[int | None, ...]
    winners: IntArray
    losers: IntArray
    first: IntArray
    confidence: FloatArray
    justification: tuple[str | None, ...]
    request_id: tuple[str | None, ...]

    def __post_init__(self) -> None:
        for name in ("winners", "losers", "first"):
            object.__setattr__(self, name, _frozen(getattr(self, name), np.int64))
        object.__setattr__(self, "confidence", _frozen(self.confidence, np.float64))
        _check_anchors(self.ids, self.grades, self.grade_ranks)
        _check_comparisons(self)

    @classmethod
    def build(
        cls,
        *,
        ids: Sequence[str],
        grades: Sequence[str | None],
        grade_ranks: Sequence[int | None],
        winners: Sequence[str],
        losers: Sequence[str],
        first: Sequence[str],
        confidence: Sequence[float | None] | None = None,
        justification: Sequence[str | None] | None = None,
        request_id: Sequence[str | None] | None = None,
    ) -> AlignmentData:
        """Build the population from plain sequences in which comparisons name anchors by id.

        Args:
            ids: Anchor ids; any order, which no figure depends on.
            grades: Grade per anchor, or ``None``.
            grade_ranks: Rank per anchor, 0 = best, or ``None`` for an unknown grade.
            winners: Id of the winner per comparison.
            losers: Id of the loser per comparison.
            first: Id of the anchor that was essay A.
            confidence: Per comparison; omitted means none was given.
            justification: Per comparison; omitted means none was given.
            request_id: Per comparison; omitted means none is known.

        Raises:
            AlignmentDataError: Lengths differ, an id is not an anchor, an anchor meets itself, or
                grades and ranks contradict each other.
        """
        ids, grades, grade_ranks = tuple(ids), tuple(grades), tuple(grade_ranks)
        _check_anchors(ids, grades, grade_ranks)
        index = {anchor: position for position, anchor in enumerate(ids)}
        m = len(winners)
        nothing: list[None] = [None] * m
        scores = nothing if confidence is None else confidence
        return cls(
            ids=ids,
            grades=grades,
            grade_ranks=grade_ranks,
            winners=_indices("winner", winners, index),
            losers=_indices("loser", losers, index),
            first=_indices("first", first, index),
            confidence=np.array([np.nan if c is None else float(c) for c in scores], dtype=np.float64),
            justification=tuple(nothing if justification is None else justification),
            request_id=tuple(nothing if request_id is None else request_id),
        )

    @property
    def n_anchors(self) -> int:
        """Number of anchors, whether or not their grade is known."""
        return len(self.ids)

    @property
    def n_comparisons(self) -> int:
        """Number of comparisons."""
        return len(self.winners)

    def ranks(self) -> IntArray:
        """Grade ranks as an array, shape (n,).

        Raises:
            AlignmentDataError: A grade is unknown; call :meth:`select` first.
        """
        unknown = [i for i, rank in zip(self.ids, self.grade_ranks, strict=True) if rank is None]
        if unknown:
            raise AlignmentDataError(
                f"the grade of {', '.join(unknown)} is unknown", fix="leave these anchors out, or grade them"
            )
        return np.array(self.grade_ranks, dtype=np.int64)

    def outcomes(self) -> FloatArray:
        """Count of outcomes by position, shape (n, n, 2).

        ``[i, j, 0]`` is how often i beat j as essay A, ``[i, j, 1]`` how often as essay B.
        """
        table = np.zeros((self.n_anchors, self.n_anchors, 2))
        np.add.at(table, (self.winners, self.losers, (self.first != self.winners).astype(np.int64)), 1.0)
        return table

    def wins(self) -> FloatArray:
        """Number of times i beat j, shape (n, n)."""
        table: FloatArray = self.outcomes().sum(axis=-1)
        return table

    def select(self, keep: Iterable[int]) -> AlignmentData:
        """The same population with only the anchors at these positions and the comparisons between them."""
        positions = sorted(set(keep))
        new = np.full(self.n_anchors, -1, dtype=np.int64)
        new[positions] = np.arange(len(positions))
        inside = (new[self.winners] >= 0) & (new[self.losers] >= 0)
        rows = np.flatnonzero(inside)
        return AlignmentData(
            ids=tuple(self.ids[p] for p in positions),
            grades=tuple(self.grades[p] for p in positions),
            grade_ranks=tuple(self.grade_ranks[p] for p in positions),
            winners=new[self.winners[rows]],
            losers=new[self.losers[rows]],
            first=new[self.first[rows]],
            confidence=self.confidence[rows],
            justification=tuple(self.justification[r] for r in rows),
            request_id=tuple(self.request_id[r] for r in rows),
        )

    def graded(self) -> AlignmentData:
        """The same population without anchors whose grade is unknown."""
        return self.select(i for i, rank in enumerate(self.grade_ranks) if rank is not None)

    def scored(self) -> AlignmentData:
        """The same population with only the anchors that are graded and were compared with such a one."""
        graded = self.graded()
        wins = graded.wins()
        return graded.select(int(i) for i in np.flatnonzero((wins + wins.T).sum(axis=-1) > 0))

    def ordered_as(self, ids: Sequence[str]) -> AlignmentData:
        """The same population with only these anchors, in this order.

        Raises:
            AlignmentDataError: One of them is not in the population.
        """
        missing = [anchor for anchor in ids if anchor not in self.ids]
        if missing:
            raise AlignmentDataError(f"there is no anchor {', '.join(missing)}")
        chosen = self.select(self.ids.index(anchor) for anchor in ids)
        new = np.array([list(ids).index(anchor) for anchor in chosen.ids], dtype=np.int64)
        old = [chosen.ids.index(anchor) for anchor in ids]
        return replace(
            chosen,
            ids=tuple(ids),
            grades=tuple(chosen.grades[k] for k in old),
            grade_ranks=tuple(chosen.grade_ranks[k] for k in old),
            winners=new[chosen.winners],
            losers=new[chosen.losers],
            first=new[chosen.first],
        )


def _indices(role: str, names: Sequence[str], index: dict[str, int]) -> IntArray:
    for row, name in enumerate(names):
        if name not in index:
            raise AlignmentDataError(
                f"comparison {row} has {role} {name!r}, which is not among the {len(index)} anchors",
                fix="pass only comparisons between anchors",
            )
    return np.array([index[name] for name in names], dtype=np.int64)


def _check_anchors(
    ids: tuple[str, ...], grades: tuple[str | None, ...], ranks: tuple[int | None, ...]
) -> None:
    if not len(ids) == len(grades) == len(ranks):
        raise AlignmentDataError(
            f"{len(ids)} ids, {len(grades)} grades and {len(ranks)} grade ranks do not belong together",
            fix="pass one grade and one rank per anchor, None where unknown",
        )
    seen: set[str] = set()
    for anchor in ids:
        if anchor in seen:
            raise AlignmentDataError(f"anchor id {anchor!r} appears twice", fix="make anchor ids unique")
        seen.add(anchor)
    _check_ranks(ids, grades, ranks)


def _check_ranks(ids: tuple[str, ...], grades: tuple[str | None, ...], ranks: tuple[int | None, ...]) -> None:
    by_grade: dict[str, int | None] = {}
    by_rank: dict[int, str] = {}
    for anchor, grade, rank in zip(ids, grades, ranks, strict=True):
        if rank is not None and (grade is None or rank < 0):
            raise AlignmentDataError(
                f"anchor {anchor!r} has grade {grade!r} and grade rank {rank}",
                fix="a known grade has a rank from 0 (best) upwards, an unknown grade has none",
            )
        if grade is None:
            continue
        name = grade.strip().upper()
        if by_grade.setdefault(name, rank) != rank:
            raise AlignmentDataError(f"grade {grade!r} has ranks {by_grade[name]} and {rank}")
        if rank is not None and by_rank.setdefault(rank, name) != name:
            raise AlignmentDataError(
                f"grades {by_rank[rank]!r} and {grade!r} share rank {rank}",
                fix="do not mix grade scales in one set of anchors",
            )
    if len({name.isdigit() for name in by_rank.values()}) > 1:
        raise AlignmentDataError(
            f"letters and digits are mixed in the grades {', '.join(sorted(by_rank.values()))}",
            fix="do not mix grade scales in one set of anchors",
        )


def _check_comparisons(data: AlignmentData) -> None:
    columns = ("losers", "first", "confidence", "justification", "request_id")
    for name in columns:
        if len(getattr(data, name)) != data.n_comparisons:
            raise AlignmentDataError(
                f"{data.n_comparisons} winners but {len(getattr(data, name))} {name}",
                fix="pass one entry per comparison",
            )
    for name in ("winners", "losers"):
        column = getattr(data, name)
        if column.size and not (column.min() >= 0 and column.max() < data.n_anchors):
            raise AlignmentDataError(f"{name} must be positions 0..{data.n_anchors - 1}")
    _check_rows(data)


def _check_rows(data: AlignmentData) -> None:
    itself = np.flatnonzero(data.winners == data.losers)
    if itself.size:
        anchor = data.ids[data.winners[itself[0]]]
        raise AlignmentDataError(f"comparison {itself[0]} compares {anchor!r} with itself")
    outsider = np.flatnonzero((data.first != data.winners) & (data.first != data.losers))
    if outsider.size:
        raise AlignmentDataError(
            f"comparison {outsider[0]} names an essay A that is neither its winner nor its loser"
        )
