"""The tree of a YAML document: values that still know where they stand in the file.

The tree holds what YAML 1.2 calls the core schema. Numbers and booleans keep their source text, so that an
identifier such as ``1.0`` can stay the text that was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_eng5.scenario.errors import Location

__all__ = ["Entry", "MappingNode", "Node", "Scalar", "SequenceNode", "find", "plain"]

ScalarValue: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value: what it means (``value``), what was written (``text``) and whether it was in quotes."""

    value: ScalarValue
    text: str
    location: Location
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class SequenceNode:
    """A list of nodes."""

    items: tuple[Node, ...]
    location: Location


@dataclass(frozen=True, slots=True)
class Entry:
    """One ``key: value`` of a mapping; ``location`` is that of the key."""

    location: Location
    node: Node


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping from text to nodes, in the order of the file."""

    entries: dict[str, Entry] = field(hash=False)
    location: Location

    def get(self, key: str) -> Node | None:
        """Return the value of ``key``; None if the key is absent or its value is null."""
        entry = self.entries.get(key)
        if entry is None or (isinstance(entry.node, Scalar) and entry.node.value is None):
            return None
        return entry.node

    def location_of(self, key: str) -> Location:
        """Return the place of ``key``, or of the mapping if it has no such key."""
        entry = self.entries.get(key)
        return entry.location if entry else self.location

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        return iter(self.entries.items())


Node: TypeAlias = Scalar | SequenceNode | MappingNode


def plain(node: Node) -> Any:
    """Return dicts, lists, None and `Scalar` leaves: the form that the models validate."""
    if isinstance(node, MappingNode):
        return {key: plain(entry.node) for key, entry in node}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return None if node.value is None else node


def find(node: Node, *keys: str | int) -> Node | None:
    """Follow keys and indices down the tree; None where the path ends early or at a null."""
    found: Node | None = node
    for key in keys:
        if isinstance(found, MappingNode) and isinstance(key, str):
            found = found.get(key)
        elif isinstance(found, SequenceNode) and isinstance(key, int) and key < len(found.items):
            found = found.items[key]
        else:
            return None
    return found
