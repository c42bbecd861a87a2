"""What scenario files may say but nothing acts on yet: the only place that knows.

Whoever implements a row deletes it; nothing else has to change.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_eng5.scenario.errors import Problem, shown_text
from pytest_eng5.scenario.nodes import Entry, MappingNode, Scalar

__all__ = ["NOT_YET", "NotYet", "unsupported"]


@dataclass(frozen=True, slots=True)
class NotYet:
    """A key (dotted path, ``*`` for any key) that is not supported yet, or only one of its values is not."""

    path: str
    value: str | None = None
    instead: str = "remove it"


NOT_YET: tuple[NotYet, ...] = (
    NotYet("thresholds.*.confidence", None, "remove it: the point value is judged"),
    NotYet("thresholds.*.undecided"),
)


def unsupported(settings: MappingNode) -> list[Problem]:
    """Return a problem for each key or value of one level of settings that is not supported yet."""
    return [
        problem
        for row in NOT_YET
        for name, entry in _matches(settings, row.path.split("."), ())
        for problem in _problems(row, name, entry)
    ]


def _matches(
    node: MappingNode, pattern: list[str], before: tuple[str, ...]
) -> list[tuple[tuple[str, ...], Entry]]:
    found: list[tuple[tuple[str, ...], Entry]] = []
    for key, entry in node:
        if pattern[0] not in ("*", key):
            continue
        if len(pattern) == 1:
            found.append(((*before, key), entry))
        elif isinstance(entry.node, MappingNode):
            found.extend(_matches(entry.node, pattern[1:], (*before, key)))
    return found


def _problems(row: NotYet, name: tuple[str, ...], entry: Entry) -> list[Problem]:
    node = entry.node
    dotted = ".".join(map(shown_text, name))
    if row.value is not None:
        hit = isinstance(node, Scalar) and node.text == row.value
        message = f"{dotted}: {row.value} is not supported yet"
        return [Problem(node.location, message, row.instead)] if hit else []
    if isinstance(node, Scalar) and node.value is None:
        return []
    return [Problem(entry.location, f"{dotted} is not supported yet", row.instead)]
