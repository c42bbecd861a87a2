"""The items of a variant: ``run``, the checks of its mode, one gate per threshold, ``expect``."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from pytest_eng5.collection.access import runtime_of
from pytest_eng5.collection.stash import FAILED_ITEM
from pytest_eng5.errors import Eng5Error, InfrastructureError
from pytest_eng5.scenario import Threshold, Variant

if TYPE_CHECKING:
    from pytest_eng5.collection.runtime import Runtime, VariantRuns
    from pytest_eng5.reports import VariantOutcome

__all__ = ["CheckFailed", "ScenarioItem", "item_plan"]

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
        runtime = runtime_of(self.config)
        try:
            outcome = runtime.outcome(self.runs)
            self._describe(outcome)
            self._require_usable(runtime, outcome)
            fault = None
        except Eng5Error as error:
            fault = str(error)
        if fault is not None:
            if self.kind != RUN and self._run_is_selected():
                pytest.skip(f"run failed: {fault.splitlines()[0]}")
            pytest.fail(fault, pytrace=False)
        if self.kind != RUN and (failed := self._pipeline_failure(runtime)) is not None:
            if self._run_is_selected():
                pytest.skip(f"run failed: {failed}")
            pytest.fail(f"run failed: {failed}", pytrace=False)

    def _stop_after_failure(self) -> None:
        """With ``fail_fast`` nothing more of a variant is judged in this process once an item failed."""
        failed = self.parent.stash.get(FAILED_ITEM, None)
        if self.variant.fail_fast and failed not in (None, self.kind):
            pytest.skip(f"fail_fast: {failed} failed")

    def _require_usable(self, runtime: Runtime, outcome: VariantOutcome) -> None:
        endings = runtime.endings(self.runs)
        expected = outcome.expected_codes or frozenset()
        for repeat, ending in enumerate(endings, start=1):
            tolerated = "PARTIAL-DATA" in expected and ending.timeout_seconds is not None
            if ending.reason.is_infrastructure and not tolerated:
                name = f"run-{repeat}: " if len(endings) > 1 else ""
                raise InfrastructureError(f"{name}{ending.reason.value}: {ending.detail}")

    def _pipeline_failure(self, runtime: Runtime) -> str | None:
        expected = self.variant.expect.findings if self.variant.expect else ()
        if "PIPELINE-FAILED" in expected:
            return None
        endings = runtime.endings(self.runs)
        return next((e.detail for e in endings if e.reason.value == "pipeline_failed"), None)

    def _run_is_selected(self) -> bool:
        return any(
            isinstance(item, ScenarioItem) and item.parent is self.parent and item.kind == RUN
            for item in self.session.items
        )

    def _judge(self) -> None:
        from pytest_eng5.collection.judging import judge_item

        runtime = runtime_of(self.config)
        try:
            judge_item(self, runtime.outcome(self.runs), self._pipeline_failure(runtime))
        except CheckFailed:
            self.parent.stash[FAILED_ITEM] = self.kind
            raise

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **more: Any) -> Any:
        """A verdict or a user's error is shown as its own words, without a traceback."""
        if not isinstance(excinfo.value, CheckFailed | Eng5Error):
            return super().repr_failure(excinfo, *args, **more)
        shown = excinfo.getrepr(style="value")
        crash = getattr(shown, "reprcrash", None)
        if crash is not None:
            path, line, _ = self.reportinfo()
            crash.path, crash.lineno = os.fspath(path), (line or 0) + 1
            crash.message = str(excinfo.value)
        return shown

    def _describe(self, outcome: VariantOutcome | None) -> None:
        """Set the item's JUnit properties, replacing those of an earlier attempt."""
        ours = dict(properties_of(self, outcome))
        self.user_properties[:] = [pair for pair in self.user_properties if pair[0] not in ours]
        self.user_properties.extend(ours.items())


def properties_of(item: ScenarioItem, outcome: VariantOutcome | None) -> Iterator[tuple[str, Any]]:
    """JUnit properties of an item; more of them once the run is over."""
    path, line, _ = item.reportinfo()
    yield "scenario", item.variant.scenario
    yield "variant", item.variant.id
    yield "mode", item.variant.mode
    yield "item", item.kind
    yield "file", _shown(Path(path), item.config.rootpath)
    yield "line", (line or 0) + 1
    yield "variant_line", item.variant.location.line
    plan = outcome.plan if outcome is not None else None
    if outcome is None or (plan is None and outcome.snapshot is None):
        return
    yield "run_dirs", ",".join(_shown(run.root, item.config.rootpath) for run in outcome.runs)
    yield "verdict", outcome.verdict.value
    if outcome.essay_counts is not None and (item.variant.mode == "execute" or not outcome.judging):
        yield from zip(("anchors", "students"), outcome.essay_counts, strict=True)
    if plan is None:
        return
    if plan.mode == "execute":
        yield "assignment_id", plan.assignment_id or "none"
        yield "grade_scale", plan.grade_scale or "none"
    yield "batch_uuid", ",".join(outcome.batch_uuids)
    yield "system_prompt_sha256", plan.system_prompt.checksum if plan.system_prompt else "default"
    yield "rubric_sha256", plan.rubric.checksum if plan.rubric else "default"
    yield "provider", ",".join(sorted({provider for provider, _ in outcome.judges})) or plan.provider
    yield "model", ",".join(sorted({model for _, model in outcome.judges})) or (plan.model or "default")
    yield "comparisons", outcome.ledger.succeeded
    yield "planned_comparisons", outcome.ledger.planned
    yield "cost_usd", outcome.cost_usd if outcome.cost_usd is not None else "unknown"
    for name, metric in outcome.metrics.items():
        yield name, "not measured" if math.isnan(metric.value) else round(metric.value, 6)


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
