"""Laying one level of settings over another."""

from __future__ import annotations

from pytest_eng5.scenario.nodes import Entry, MappingNode, Node

__all__ = ["merge", "without"]


def merge(base: MappingNode, over: MappingNode) -> MappingNode:
    """Return ``base`` with ``over`` laid over it.

    Mappings are merged key by key at every depth; lists and single values of ``over`` replace those of
    ``base``, and a null takes back what ``base`` sets. Order: keys of ``base``, then new ones. Every value
    keeps the place where it was written.
    """
    entries = dict(base.entries)
    for key, entry in over:
        known = entries.get(key)
        entries[key] = entry if known is None else Entry(entry.location, _merged(known.node, entry.node))
    return MappingNode(entries, over.location)


def _merged(base: Node, over: Node) -> Node:
    if isinstance(base, MappingNode) and isinstance(over, MappingNode):
        return merge(base, over)
    return over


def without(node: MappingNode, keys: frozenset[str]) -> MappingNode:
    """Return the mapping without some of its keys."""
    return MappingNode({key: entry for key, entry in node if key not in keys}, node.location)
