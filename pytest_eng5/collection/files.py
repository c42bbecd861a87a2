"""Scenario files as pytest collectors: file, variant, items."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.collection.comparing import CompareNode
from pytest_eng5.collection.items import ScenarioItem, item_plan
from pytest_eng5.collection.stash import OPTIONS, SCENARIOS
from pytest_eng5.contracts import grade_rank
from pytest_eng5.errors import Eng5Error
from pytest_eng5.gates import contradictions, never_certain, unreachable
from pytest_eng5.scenario import (
    Anchor,
    Problem,
    Scenario,
    ScenarioError,
    Variant,
    has_anchors,
    load_scenario,
    read_anchors,
)
from pytest_eng5.scenario.compared_variants import more_than_prompts, refuse_incomparable
from pytest_eng5.scenario.shortages import comparison_shortages

__all__ = ["ScenarioFile", "VariantNode", "is_scenario_file"]


def is_scenario_file(path: Path, config: pytest.Config, *, named: bool) -> bool:
    """Whether to collect a file: it matches ``eng5_files``, or is YAML named on the command line."""
    patterns = config.getini("eng5_files")
    if any(fnmatch(path.name, pattern) or path.match(pattern) for pattern in patterns):
        return True
    return named and path.suffix in (".yaml", ".yml")


class TooFewComparisons(pytest.PytestWarning):
    """The comparisons of a variant cannot connect its essays, so that scores are not on one scale."""


class MoreThanPrompts(pytest.PytestWarning):
    """Variants that are compared differ in more than their prompts."""


class ScenarioFile(pytest.File):
    """One scenario file; collecting it reads YAML, essays and prompts, and nothing else."""

    def collect(self) -> Iterator[VariantNode | CompareNode]:
        """Yield a node per variant, and one for their comparison.

        Raises:
            CollectError: The file cannot be used; the message starts with ``file:line:col``.
        """
        overrides = self.config.stash[OPTIONS].overrides
        try:
            scenario = load_scenario(self.path, overrides, missing_variant_ok=True)
            refuse_unreachable(scenario)
            refuse_incomparable(scenario)
            remarks = short_of_comparisons(scenario)
        except Eng5Error as error:
            raise self.CollectError(str(error)) from None
        for remark in remarks:
            self.warn(TooFewComparisons(remark))
        for remark in more_than_prompts(scenario):
            self.warn(MoreThanPrompts(remark))
        self.config.stash.setdefault(SCENARIOS, {})[self.path] = scenario
        for variant in scenario.variants:
            node: VariantNode = VariantNode.from_parent(self, name=variant.id, variant=variant)
            yield node
        if scenario.compare is not None:
            yield CompareNode.make(self, scenario, scenario.compare)


class VariantNode(pytest.Collector):
    """One variant: its run, the checks of its mode, a gate per threshold."""

    def __init__(self, *, variant: Variant, **more: Any) -> None:
        super().__init__(**more)
        self.variant = variant
        for mark in variant.marks:
            try:
                self.add_marker(mark)
            except (pytest.fail.Exception, ValueError) as error:
                raise self.CollectError(f"{variant.location}: mark {mark!r}: {error}") from None

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the items of the variant in the order in which they are read."""
        for kind, threshold in item_plan(self.variant):
            yield ScenarioItem.make(self, self.variant, kind, threshold)


def refuse_unreachable(scenario: Scenario) -> None:
    """Refuse thresholds that no data could satisfy, at their place in the file.

    Raises:
        ScenarioError: One problem per such threshold, over all variants.
        AnchorError: The anchors cannot be used.
    """
    problems: dict[str, Problem] = {}
    anchors: dict[Path, tuple[Anchor, ...]] = {}
    for variant in (variant for variant in scenario.variants if variant.thresholds):
        if variant.mode == "execute" and not has_anchors(variant.inputs_dir):
            continue  # they are with the CJ service
        if variant.inputs_dir not in anchors:
            anchors[variant.inputs_dir] = read_anchors(variant.inputs_dir)
        ranks = [grade_rank(anchor.grade) for anchor in anchors[variant.inputs_dir]]
        for threshold in variant.thresholds:
            if reason := unreachable(threshold, ranks):
                place = threshold.min_location or threshold.max_location or threshold.location
                problems.setdefault(f"{place}{reason}", Problem(place, reason))
        planned = variant.planned_comparisons(len(ranks)) * variant.repeats
        for threshold in variant.thresholds:
            if reason := never_certain(threshold, ranks, planned):
                place = threshold.confidence_location or threshold.location
                problems.setdefault(f"{place}{reason}", Problem(place, reason))
        for found in contradictions(variant.thresholds, ranks, planned):
            place = next(t.location for t in variant.thresholds if t.metric == found.metrics[0])
            problems.setdefault(f"{place}{found}", Problem(place, str(found)))
    if problems:
        raise ScenarioError(list(problems.values()))


def short_of_comparisons(scenario: Scenario) -> list[str]:
    """What is worth a warning about the number of comparisons of each variant.

    Raises:
        ScenarioError: So few that essays would never be compared, over all variants.
        AnchorError: The anchors cannot be used.
    """
    problems: list[Problem] = []
    remarks: list[Problem] = []
    for variant in scenario.variants:
        if variant.mode != "anchor-align-test" or variant.comparisons_max is None:
            continue
        essays = len(read_anchors(variant.inputs_dir))
        for short in comparison_shortages(essays, variant.comparisons_max):
            problem = Problem(variant.location, f"{variant.id}: {short.message}", short.fix)
            (problems if short.refused else remarks).append(problem)
    if problems:
        raise ScenarioError(problems)
    return list(map(str, remarks))
