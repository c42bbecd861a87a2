"""Whether there are enough comparisons for the essays; told at collection already, so nothing heavy here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Shortage", "comparison_shortages"]


@dataclass(frozen=True, slots=True)
class Shortage:
    """What there is too little of, how to fix it, and whether the run must not be started."""

    message: str
    fix: str
    refused: bool = True


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
