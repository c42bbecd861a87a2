"""Whether there are enough essays for a mode, and enough comparisons for the essays.

The old runner asked for an anchor and a student in every mode, and cut the lists of essays to the square root
of the number of comparisons without a word (contract 10.3, defects R20 and R21). Here each mode asks for what
it compares, and no essay is ever left out: a number of comparisons that would leave one out is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Shortage:
    """What there is too little of, how to fix it, and whether the run must not be started."""

    message: str
    fix: str
    refused: bool = True


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


def comparison_shortages(essays: int, comparisons: int) -> tuple[Shortage, ...]:
    """Return what a number of comparisons cannot do for a number of essays.

    With fewer than half as many comparisons as essays some are never compared: refused. With fewer than
    ``essays - 1`` they cannot all be connected, so that their scores are not on one scale: told. At most
    ``essays * (essays - 1) / 2`` pairs exist; more comparisons than that repeat pairs and are no shortage.
    """
    if essays < 2:
        return ()
    least, connecting = (essays + 1) // 2, essays - 1
    fix = f"allow at least {connecting} comparisons; a full round-robin has {essays * connecting // 2}"
    if comparisons < least:
        what = f"{comparisons} comparisons reach at most {2 * comparisons} of {essays} essays"
        return (Shortage(what, fix),)
    if comparisons < connecting:
        what = f"{comparisons} comparisons cannot connect {essays} essays: scores will not be on one scale"
        return (Shortage(what, fix, refused=False),)
    return ()
