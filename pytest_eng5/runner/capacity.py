"""Whether there are enough essays for a mode, and enough comparisons for the essays.

The old runner asked for an anchor and a student in every mode, and cut the lists of essays to the square root
of the number of comparisons without a word (contract 10.3, defects R20 and R21). Here each mode asks for what
it compares, and no essay is ever left out: a number of comparisons that would leave one out is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_eng5.scenario.shortages import Shortage, comparison_shortages

__all__ = ["REGISTER", "Capacity", "Shortage", "comparison_shortages", "essay_shortages"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many essays there are.

    Attributes:
        anchors: Anchors of the inputs folder; in mode ``execute`` those that the CJ service holds for the
            assignment.
        students: Students' essays of the inputs folder.
    """

    anchors: int
    students: int

    def compared(self, mode: str) -> int:
        """Number of essays that a mode compares with each other."""
        return self.anchors if mode == "anchor-align-test" else self.anchors + self.students


_ANCHORS = "put anchor essays into anchors/"
_STUDENTS = "put the students' essays into students/"
REGISTER = "register the assignment's anchors: eng5 register-anchors"


def essay_shortages(mode: str, capacity: Capacity) -> tuple[Shortage, ...]:
    """Return what a mode has too few essays of; nothing if it can run.

    ``plan`` takes any folder with an essay; ``dry-run`` writes an artefact, whose schema wants an anchor and
    a student; ``execute`` needs a student and an anchor; ``anchor-align-test`` needs two anchors only.

    Raises:
        ValueError: There is no such mode.
    """
    if mode not in ("plan", "dry-run", "execute", "anchor-align-test"):
        raise ValueError(f"unknown mode {mode!r}")
    return tuple(_essay_shortages(mode, capacity))


def _essay_shortages(mode: str, capacity: Capacity) -> Iterator[Shortage]:
    if mode == "plan":
        if not capacity.anchors and not capacity.students:
            yield Shortage("the inputs folder holds no essays", f"{_ANCHORS}, or {_STUDENTS}")
        return
    if mode == "anchor-align-test":
        if capacity.anchors < 2:
            held = "one anchor" if capacity.anchors else "no anchors"
            yield Shortage(f"the inputs folder holds {held}; a comparison needs 2", _ANCHORS)
        return
    if not capacity.students:
        yield Shortage("the inputs folder holds no students' essays", _STUDENTS)
    if not capacity.anchors and mode == "execute":
        yield Shortage("the assignment has no anchors in the CJ service", REGISTER)
    elif not capacity.anchors:
        yield Shortage("the inputs folder holds no anchors", _ANCHORS)
