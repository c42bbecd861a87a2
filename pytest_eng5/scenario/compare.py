"""The block ``compare`` of a scenario: its rules, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_eng5.scenario.compare_keys import CompareKeys, UndecidedComparison
from pytest_eng5.scenario.errors import Location, Problem, shown_text
from pytest_eng5.scenario.explain import closest
from pytest_eng5.scenario.nodes import MappingNode, Node, Scalar, SequenceNode, find, plain

__all__ = ["COMPARE", "Compare", "ComparedMetric", "build_compare", "compare_problems"]

COMPARE = "compare"
"""The key; also the name of the node that holds the items, which no variant of such a file may have."""

_DEFAULT_METRIC = "kendall_tau"
_REACH = {"kendall_tau": 2.0, "agreement": 1.0}


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """A figure with the least improvement that is asked for, and where that is written."""

    name: str
    min_improvement: float
    location: Location


@dataclass(frozen=True, slots=True)
class Compare:
    """Which variants are compared with the baseline, in what.

    Attributes:
        baseline: Id of a variant.
        candidates: Ids of at least one other; p-values are corrected for all of them together.
        metrics: At least one.
        confidence: Of the intervals, between 0 and 1.
        undecided: What becomes of an item whose interval straddles the minimum.
        location: Place of the key.
    """

    baseline: str
    candidates: tuple[str, ...]
    metrics: tuple[ComparedMetric, ...]
    location: Location
    confidence: float = 0.95
    undecided: UndecidedComparison = "fail"

    @property
    def variants(self) -> tuple[str, ...]:
        """Ids of all variants whose runs are needed, the baseline first."""
        return (self.baseline, *self.candidates)


def compare_problems(root: MappingNode, ids: Sequence[str]) -> Iterator[Problem]:
    """Yield what is wrong with the block of a file whose keys are valid one by one.

    Args:
        root: The file.
        ids: Of its variants.
    """
    block = root.get(COMPARE)
    if not isinstance(block, MappingNode):
        return
    place = root.location_of(COMPARE)
    if COMPARE in ids:
        message = f"the variant id {COMPARE!r} is the name of the items of the block 'compare'"
        yield Problem(_variant_place(root, COMPARE), message, "give the variant another id")
    if len(ids) < 2:
        message = "there is nothing to compare: the file has a single variant"
        yield Problem(place, message, "add the other variant, or remove the block")
        return
    baseline = find(block, "baseline")
    yield from _unknown(baseline, ids)
    yield from _candidate_problems(block, baseline, ids)
    yield from _metric_problems(block)


def _unknown(node: Node | None, ids: Sequence[str]) -> Iterator[Problem]:
    if isinstance(node, Scalar) and node.text not in ids:
        near = closest(node.text, ids)
        known = f"variants of this file: {', '.join(ids)}"
        hint = f"did you mean {near!r}? {known}" if near else known
        yield Problem(node.location, f"there is no variant {shown_text(node.text)!r}", hint)


def _candidate_problems(block: MappingNode, baseline: Node | None, ids: Sequence[str]) -> Iterator[Problem]:
    candidates = find(block, "candidates")
    if not isinstance(candidates, SequenceNode):
        return
    if not candidates.items:
        message = "compare.candidates: expected at least one variant, got an empty list"
        yield Problem(candidates.location, message, "remove the key to compare all other variants")
    seen: set[str] = set()
    for node in candidates.items:
        yield from _unknown(node, ids)
        if not isinstance(node, Scalar):
            continue
        if isinstance(baseline, Scalar) and node.text == baseline.text:
            message = f"{node.text!r} is the baseline: it cannot be compared with itself"
            yield Problem(node.location, message, "leave it out")
        elif node.text in seen:
            yield Problem(node.location, f"{node.text!r} is named twice", "leave one out")
        seen.add(node.text)


def _metric_problems(block: MappingNode) -> Iterator[Problem]:
    for metric in _metrics(block):
        reach, value = _REACH.get(metric.name), metric.min_improvement
        if reach is None and value != int(value):
            message = f"direct_inversions counts pairs: {value:g} of a pair is no improvement"
            hint = "write compare.metrics: {direct_inversions: {min_improvement: 1}}"
            yield Problem(metric.location, message, hint)
        if reach is not None and abs(value) > reach:
            message = f"no two variants differ by {abs(value):g} in {metric.name}, {reach:g} is the most"
            yield Problem(metric.location, message, "ask for less, such as 0.02")


def _variant_place(root: MappingNode, id_: str) -> Location:
    variants = root.get("variants")
    nodes = [find(item, "id") for item in variants.items] if isinstance(variants, SequenceNode) else []
    return next(
        (node.location for node in nodes if isinstance(node, Scalar) and node.text == id_), root.location
    )


def build_compare(root: MappingNode, ids: Sequence[str]) -> Compare | None:
    """Return what the valid block of a file says, if it has one.

    Args:
        root: The file.
        ids: Of its variants, in their order.
    """
    block = root.get(COMPARE)
    if not isinstance(block, MappingNode):
        return None
    keys = CompareKeys.model_validate(plain(block))
    others = tuple(id_ for id_ in ids if id_ != keys.baseline)
    return Compare(
        baseline=keys.baseline,
        candidates=others if keys.candidates is None else tuple(keys.candidates),
        metrics=_metrics(block),
        location=root.location_of(COMPARE),
        confidence=0.95 if keys.confidence is None else keys.confidence,
        undecided=keys.undecided or "fail",
    )


def _metrics(block: MappingNode) -> tuple[ComparedMetric, ...]:
    """The figures in the order of the file; each with its own minimum or that of the block."""
    keys, nodes = CompareKeys.model_validate(plain(block)), find(block, "metrics")
    minimum, place = keys.min_improvement or 0.0, block.location_of("min_improvement")
    if not isinstance(nodes, MappingNode):
        return (ComparedMetric(_DEFAULT_METRIC, minimum, place),)
    found = []
    for name, entry in nodes:
        own = getattr(keys.metrics, name)
        if own is None:
            continue
        where = find(entry.node, "min_improvement")
        if own.min_improvement is None:
            found.append(ComparedMetric(name, minimum, entry.location))
        else:
            found.append(
                ComparedMetric(name, own.min_improvement, where.location if where else entry.location)
            )
    return tuple(found) or (ComparedMetric(_DEFAULT_METRIC, minimum, place),)
