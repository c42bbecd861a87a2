"""The items of a variant: ``run``, the checks of its mode, one gate per threshold, ``expect``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_eng5.collection.access import runtime_of
from pytest_eng5.collection.stash import FAILED_ITEM, OPTIONS, SHOWN
from pytest_eng5.errors import Eng5Error
from pytest_eng5.scenario import Threshold, Variant

if TYPE_CHECKING:
    from pytest_eng5.collection.runtime import Runtime, VariantRuns
    from pytest_eng5.reports import VariantOutcome

__all__ = ["CheckFailed", "ScenarioItem", "below_root", "item_plan", "shown_as_said"]

RUN, EXPECT = "run", "expect"
CHECKS = ("events", "metadata", "completeness", "schema", "scoring", "costs", "manifest")
QUIET_CHECKS: dict[str, tuple[str, ...]] = {"plan": (), "dry-run": ("schema", "manifest")}


class CheckFailed(AssertionError):
    """A verdict that is not a pass; its text is what the user reads."""


def item_plan(variant: Variant) -> Iterator[tuple[str, Threshold | None]]:
    """Names of a variant's items, in order, with the threshold for gates."""
    yield RUN, None
    for check in QUIET_CHECKS.get(variant.mode, CHECKS):
        yield check, None
    for threshold in variant.thresholds:
        yield threshold.metric, threshold
    if variant.expect is not None:
        yield EXPECT, None


class ScenarioItem(pytest.Function):
    """One item. A function item, so that fixtures, marks, reruns and other plugins work as with any test."""

    parent: pytest.Collector
    variant: Variant
    kind: str
    threshold: Threshold | None

    @classmethod
    def make(cls, parent: pytest.Collector, variant: Variant, kind: str, threshold: Threshold | None) -> Self:
        """Create the item under its variant's node."""

        def perform() -> None:
            item._judge()

        item: Self = cls.from_parent(parent, name=kind, callobj=perform)
        item.variant, item.kind, item.threshold = variant, kind, threshold
        return item

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where the item is written: the threshold's line, else the variant's."""
        location = self.threshold.location if self.threshold else self.variant.location
        return self.path, location.line - 1, f"{self.variant.id}::{self.kind}"

    @property
    def runs(self) -> VariantRuns:
        """The runs this item is about."""
        from pytest_eng5.collection.runtime import VariantRuns

        return VariantRuns(self.variant)

    def setup(self) -> None:
        """Set up fixtures, then wait for the variant's runs.

        An infrastructure fault is an error of the ``run`` item; the others are skipped, unless nobody else
        in the session would report it.
        """
        super().setup()
        self._describe(None)
        self._stop_after_failure()
        runtime, failed = runtime_of(self.config), None
        try:
            outcome = runtime.outcome(self.runs)
            self._describe(outcome)
            self._warn_of_changes(outcome)
            fault = self._fault(runtime, outcome)
            failed = self._pipeline_failure(runtime, outcome)
        except Eng5Error as error:
            fault = str(error)
        if fault is not None:
            if self.kind != RUN and self._run_is_selected():
                pytest.skip(f"run failed: {fault.splitlines()[0]}")
            self._show_logs(runtime)
            pytest.fail(fault, pytrace=False)
        if self.kind != RUN and failed is not None:
            if self._run_is_selected():
                pytest.skip(f"run failed: {failed}")
            pytest.fail(f"run failed: {failed}", pytrace=False)

    def _stop_after_failure(self) -> None:
        """With ``fail_fast`` nothing more of a variant is judged in this process once an item failed."""
        failed = self.parent.stash.get(FAILED_ITEM, None)
        if self.variant.fail_fast and failed not in (None, self.kind):
            pytest.skip(f"fail_fast: {failed} failed")

    def _warn_of_changes(self, outcome: VariantOutcome) -> None:
        """Say once what recorded runs were not made with, although the scenario file says so now."""
        if self.kind == RUN and self.config.stash[OPTIONS].rejudge is not None:
            from pytest_eng5.collection.recorded import differences

            for text in differences(self.runs, outcome):
                self.warn(pytest.PytestWarning(f"{self.variant.scenario} / {self.variant.id}: {text}"))

    def _fault(self, runtime: Runtime, outcome: VariantOutcome) -> str | None:
        from pytest_eng5.reports.judgement import infrastructure_fault

        return infrastructure_fault(runtime.endings(self.runs), outcome)

    def _pipeline_failure(self, runtime: Runtime, outcome: VariantOutcome) -> str | None:
        from pytest_eng5.reports.judgement import pipeline_failure

        return pipeline_failure(runtime.endings(self.runs), outcome)

    def _run_is_selected(self) -> bool:
        return any(
            isinstance(item, ScenarioItem) and item.parent is self.parent and item.kind == RUN
            for item in self.session.items
        )

    def _judge(self) -> None:
        from pytest_eng5.collection.judging import judge_item

        runtime = runtime_of(self.config)
        try:
            outcome = runtime.outcome(self.runs)
            judge_item(self, outcome, self._pipeline_failure(runtime, outcome))
        except CheckFailed:
            self.parent.stash[FAILED_ITEM] = self.kind
            if self.kind == RUN:
                self._show_logs(runtime)
            raise

    def _show_logs(self, runtime: Runtime) -> None:
        """Say once in a report section where the logs of the runs lie, those that exist."""
        logs = [spec.paths(runtime.evidence).run.log for spec in self.runs.specs]
        found = [str(log) for log in logs if log.exists()]
        if found and not self.stash.get(SHOWN, False):
            self.stash[SHOWN] = True
            self.add_report_section("call", "eng5 log", "\n".join(found))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """A verdict or a user's error is shown as its own words, without a traceback."""
        shown = shown_as_said(self, excinfo)
        return super().repr_failure(excinfo, *args, **more) if shown is None else shown

    def _describe(self, outcome: VariantOutcome | None) -> None:
        """Set the item's JUnit properties, replacing those of an earlier attempt."""
        ours = dict(properties_of(self, outcome))
        self.user_properties[:] = [pair for pair in self.user_properties if pair[0] not in ours]
        self.user_properties.extend(ours.items())


def shown_as_said(item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """A verdict or a user's error in its own words, at the item's line; ``None`` for anything else."""
    if not isinstance(excinfo.value, CheckFailed | Eng5Error):
        return None
    shown = excinfo.getrepr(style="value")
    crash = getattr(shown, "reprcrash", None)
    if crash is not None:
        path, line, _ = item.reportinfo()
        crash.path, crash.lineno = os.fspath(path), (line or 0) + 1
        crash.message = str(excinfo.value)
    return shown


def properties_of(item: ScenarioItem, outcome: VariantOutcome | None) -> Iterator[tuple[str, Any]]:
    """JUnit properties of an item; more of them once the run is over."""
    path, line, _ = item.reportinfo()
    yield "scenario", item.variant.scenario
    yield "variant", item.variant.id
    yield "mode", item.variant.mode
    yield "item", item.kind
    yield "file", below_root(item, path)
    yield "line", (line or 0) + 1
    yield "variant_line", item.variant.location.line
    if outcome is not None:
        from pytest_eng5.reports.judgement import outcome_properties

        yield from outcome_properties(outcome, item.config.rootpath)


def below_root(item: pytest.Item, place: os.PathLike[str] | str) -> str:
    """A path as properties show it: relative to pytest's root folder if it lies below."""
    path, root = Path(place), item.config.rootpath
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
