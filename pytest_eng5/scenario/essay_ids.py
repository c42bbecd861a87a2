"""Ids that essays may have beside each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_eng5.contracts import sanitize_identifier
from pytest_eng5.scenario.errors import Location, Problem, shown_text

__all__ = ["EssayId", "equal_ids"]


@dataclass(frozen=True, slots=True)
class EssayId:
    """An id, the name of the file that has it, and where the id is written."""

    text: str
    file_name: str
    location: Location


def equal_ids(role: str, ids: Iterable[EssayId]) -> list[Problem]:
    """Return a problem for each id that another essay has already, as it stands or once normalised.

    Ids lose case, signs and punctuation when they are normalised: ``E+1`` and ``E-1`` become one.

    Args:
        role: What the essays are, for messages: ``anchor`` or ``student``.
    """
    groups: defaultdict[str, list[EssayId]] = defaultdict(list)
    for found in ids:
        groups[sanitize_identifier(found.text)].append(found)
    return [_equal(role, key, group[0], other) for key, group in groups.items() for other in group[1:]]


def _equal(role: str, key: str, first: EssayId, other: EssayId) -> Problem:
    mine, theirs = shown_text(other.text), shown_text(first.text)
    if other.text == first.text:
        message = f"the {role} id {mine!r} is already used by {first.file_name}"
    else:
        message = f"the {role} ids {theirs!r} and {mine!r} are both {shown_text(key)!r} once normalised"
    return Problem(other.location, message, f"give each {role} an id that differs in letters or digits")
