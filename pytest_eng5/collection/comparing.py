"""The items of a block ``compare``: one per candidate and figure, over the runs of all compared variants.

Node ids: ``file::compare::<candidate>::<figure>``. P-values are corrected for all candidates of the block, so
that each item needs all their runs, whichever items are selected: a verdict does not depend on ``-k``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_eng5.collection.access import runtime_of
from pytest_eng5.collection.items import CheckFailed, ScenarioItem, below_root, shown_as_said
from pytest_eng5.collection.stash import COMPARISONS, SHOWN
from pytest_eng5.errors import Eng5Error
from pytest_eng5.scenario import Compare, ComparedMetric, Scenario, Variant
from pytest_eng5.scenario.compare import COMPARE

if TYPE_CHECKING:
    from pytest_eng5.collection.runtime import Runtime, VariantRuns
    from pytest_eng5.reports import VariantOutcome
    from pytest_eng5.reports.comparison_model import ComparedCandidate, Comparison, ImprovementRecord

__all__ = ["CompareItem", "CompareNode", "UndecidedComparison"]


class UndecidedComparison(pytest.PytestWarning):
    """A comparison of variants decided nothing, and the scenario asks for a warning then."""


class CompareNode(pytest.Collector):
    """The block: a node per candidate."""

    def __init__(self, *, scenario: Scenario, compare: Compare, **more: Any) -> None:
        super().__init__(**more)
        self.scenario, self.compare = scenario, compare

    @classmethod
    def make(cls, parent: pytest.Collector, scenario: Scenario, compare: Compare) -> Self:
        """Create the node below its file."""
        node: Self = cls.from_parent(parent, name=COMPARE, scenario=scenario, compare=compare)
        return node

    def collect(self) -> Iterator[pytest.Collector]:
        """Yield a node per candidate."""
        for candidate in self.compare.candidates:
            node: CandidateNode = CandidateNode.from_parent(self, name=candidate, of=self)
            yield node


class CandidateNode(pytest.Collector):
    """One candidate: an item per figure, with the marks of every variant whose run it needs."""

    def __init__(self, *, of: CompareNode, **more: Any) -> None:
        super().__init__(**more)
        self.of = of
        for variant in _variants(of):
            for mark in variant.marks:
                self.add_marker(mark)

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the items in the order of the file."""
        for metric in self.of.compare.metrics:
            yield CompareItem.make(self, metric)


def _variants(node: CompareNode) -> list[Variant]:
    known = {variant.id: variant for variant in node.scenario.variants}
    return [known[id_] for id_ in node.compare.variants]


class CompareItem(pytest.Function):
    """Is one candidate better than the baseline in one figure?"""

    parent: CandidateNode
    metric: ComparedMetric

    @classmethod
    def make(cls, parent: CandidateNode, metric: ComparedMetric) -> Self:
        """Create the item under its candidate's node."""

        def perform() -> None:
            item._judge()

        item: Self = cls.from_parent(parent, name=metric.name, callobj=perform)
        item.metric = metric
        return item

    @property
    def compare(self) -> Compare:
        """The block."""
        return self.parent.of.compare

    @property
    def candidate(self) -> str:
        """Id of the variant that is compared."""
        return self.parent.name

    @cached_property
    def runs(self) -> tuple[VariantRuns, ...]:
        """The runs of all variants of the block, the baseline's first."""
        from pytest_eng5.collection.runtime import VariantRuns

        return tuple(map(VariantRuns, _variants(self.parent.of)))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where the minimum is written, else the block."""
        return self.path, self.metric.location.line - 1, f"{COMPARE}::{self.candidate}::{self.name}"

    def setup(self) -> None:
        """Set up fixtures, then wait for the runs of all variants.

        If a run of the baseline or the candidate failed the item is skipped, unless no other item of the
        session would report that.
        """
        super().setup()
        self._describe(None)
        try:
            comparison = self._comparison()
        except Eng5Error as error:
            self._give_up(str(error), self.runs)
        found = comparison.of(self.candidate)
        self._describe(found)
        if found.problem is not None and found.run_failed:
            mine = [runs for runs in self.runs if runs.variant.id in (comparison.baseline, self.candidate)]
            self._give_up(found.problem, mine)

    def _give_up(self, reason: str, runs: Any) -> None:
        reported = all(self._run_is_selected(one) for one in runs)
        text = f"run failed: {reason}"
        if reported:
            pytest.skip(text.splitlines()[0])
        pytest.fail(text, pytrace=False)

    def _run_is_selected(self, runs: VariantRuns) -> bool:
        return any(
            isinstance(item, ScenarioItem) and item.kind == "run" and item.runs.key == runs.key
            for item in self.session.items
        )

    def _comparison(self) -> Comparison:
        """The comparison of all candidates, made once in this process and written at once."""
        made = self.config.stash.setdefault(COMPARISONS, {})
        name = self.parent.of.scenario.name
        if name not in made:
            from pytest_eng5.reports.comparison import compare_outcomes
            from pytest_eng5.reports.comparison_report import write_comparison_report

            runtime = runtime_of(self.config)
            outcomes = {runs.variant.id: self._outcome(runtime, runs) for runs in self.runs}
            made[name] = compare_outcomes(name, self.compare, outcomes)
            write_comparison_report(runtime.session, made[name])
        return made[name]

    def _outcome(self, runtime: Runtime, runs: VariantRuns) -> VariantOutcome | str:
        try:
            return runtime.outcome(runs)
        except Eng5Error as error:
            if runtime.options.rejudge is None:
                raise  # broker or pipeline could not be started
            return str(error).splitlines()[0]

    def _judge(self) -> None:
        from pytest_eng5.reports.comparison_text import candidate_text

        comparison = self._comparison()
        found = comparison.of(self.candidate)
        if found.problem is not None:
            pair = f"{self.candidate} not compared with {comparison.baseline}"
            raise CheckFailed(f"FAIL {self.name} of {pair}: {found.problem}")
        verdict = next(verdict for verdict in found.verdicts if verdict.metric == self.name)
        if not self.stash.get(SHOWN, False):
            self.stash[SHOWN] = True
            lines = [verdict.message, *_hint(verdict), *candidate_text(comparison, found)]
            self.add_report_section("call", "eng5 comparison", "\n".join(lines))
        if verdict.status == "PASS":
            return
        text = "\n".join([verdict.message, *(f"  {line}" for line in _hint(verdict))])
        if verdict.status == "UNDECIDED" and comparison.undecided == "warn":
            try:
                self.warn(UndecidedComparison(text))
            except UndecidedComparison as error:  # warnings are errors in this session
                raise CheckFailed(str(error)) from None
            return
        raise CheckFailed(text)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """A verdict or a user's error is shown as its own words, without a traceback."""
        shown = shown_as_said(self, excinfo)
        return super().repr_failure(excinfo, *args, **more) if shown is None else shown

    def _describe(self, found: ComparedCandidate | None) -> None:
        """Set the item's JUnit properties, replacing those of an earlier attempt."""
        ours = dict(self._properties(found))
        self.user_properties[:] = [pair for pair in self.user_properties if pair[0] not in ours]
        self.user_properties.extend(ours.items())

    def _properties(self, found: ComparedCandidate | None) -> Iterator[tuple[str, Any]]:
        path, line, _ = self.reportinfo()
        yield "scenario", self.parent.of.scenario.name
        yield "variant", self.candidate
        yield "baseline", self.compare.baseline
        yield "item", COMPARE
        yield "metric", self.name
        yield "file", below_root(self, path)
        yield "line", (line or 0) + 1
        if found is not None:
            from pytest_eng5.reports.comparison_junit import comparison_properties

            yield from comparison_properties(found, self.name)


def _hint(verdict: ImprovementRecord) -> list[str]:
    return [] if verdict.hint is None else [f"hint: {verdict.hint}"]
