"""Laying one level of settings over another."""

from __future__ import annotations

from dataclasses import replace

from pytest_eng5.scenario.errors import Location
from pytest_eng5.scenario.nodes import Entry, MappingNode

__all__ = ["merge", "without"]


def merge(base: MappingNode, over: MappingNode) -> MappingNode:
    """Return ``base`` with ``over`` laid over it.

    Mappings are merged key by key at every depth; lists and single values of ``over`` replace those of
    ``base``, and a null takes back what ``base`` sets. Order: keys of ``base``, then new ones. Every value
    keeps the place where it was written; a key or mapping that an option reaches into stays where it is.
    """
    entries = dict(base.entries)
    for key, entry in over:
        known = entries.get(key)
        entries[key] = _merged(known, entry) if known else entry
    return MappingNode(entries, _place(base.location, over.location))


def _merged(base: Entry, over: Entry) -> Entry:
    if isinstance(base.node, MappingNode) and isinstance(over.node, MappingNode):
        return Entry(_place(base.location, over.location), merge(base.node, over.node))
    option = over.location.option
    return Entry(replace(base.location, option=option) if option else over.location, over.node)


def _place(base: Location, over: Location) -> Location:
    return base if over.option else over


def without(node: MappingNode, keys: frozenset[str]) -> MappingNode:
    """Return the mapping without some of its keys."""
    return MappingNode({key: entry for key, entry in node if key not in keys}, node.location)
