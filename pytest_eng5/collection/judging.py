"""What each kind of item asserts, in the words that the user reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pytest_eng5.checks import summarise
from pytest_eng5.collection.items import CHECKS, EXPECT, RUN, CheckFailed, ScenarioItem
from pytest_eng5.collection.stash import SHOWN
from pytest_eng5.evidence import Finding, RunFolder
from pytest_eng5.reports import VariantOutcome, grade_lines, inventory_text

if TYPE_CHECKING:
    from pytest_eng5.gates import Verdict

__all__ = ["judge_item"]

_SHOWN = 20


def judge_item(item: ScenarioItem, outcome: VariantOutcome, pipeline_failure: str | None) -> None:
    """Pass, fail or skip an item by the outcome of its variant.

    Raises:
        CheckFailed: The item's verdict is not a pass.
    """
    if item.kind == RUN and not outcome.judging:
        _judge_quiet_run(item, outcome)
    elif item.kind == RUN:
        _show_grades(item, outcome)
        _judge_run(outcome, pipeline_failure)
    elif item.kind in CHECKS:
        _judge_check(item, outcome)
    elif item.kind == EXPECT:
        _judge_expectation(outcome)
    else:
        _judge_gate(item, outcome)


def _judge_run(outcome: VariantOutcome, pipeline_failure: str | None) -> None:
    if pipeline_failure is not None:
        raise CheckFailed(f"PIPELINE-FAILED {pipeline_failure}")
    if not outcome.ledger.succeeded and outcome.expected_codes is None:
        raise CheckFailed(
            f"FAIL run: no comparison succeeded, {outcome.ledger.planned} were planned\n"
            "  fix: the items completeness and events say what came instead; see also the pipeline's log"
        )


def _show_grades(item: ScenarioItem, outcome: VariantOutcome) -> None:
    if outcome.mode == "execute":
        whole = [run for run in outcome.runs if run.obstacle is None]
        lines = [line for run in whole for line in grade_lines(run.root)]
        _show(item, "eng5 grades", "\n".join(lines))


def _judge_quiet_run(item: ScenarioItem, outcome: VariantOutcome) -> None:
    """A plan passes if a run could be started; a dry run if it left its artefact, which its checks judge."""
    if outcome.snapshot is not None:
        _show(item, "eng5 plan", "\n".join(inventory_text(outcome.snapshot)))
        if not outcome.snapshot.valid:
            raise CheckFailed("\n".join(["FAIL run: the inputs cannot be used", *outcome.reasons]))
        return
    folder = RunFolder(outcome.runs[0].root)
    artefact = folder.artefact(outcome.mode)
    _show(item, "eng5 dry run", f"stub of the artefact: {artefact}\nits schema: {folder.schema}")
    if not artefact.exists():
        raise CheckFailed(f"FAIL run: no artefact was written to {artefact}")


def _judge_check(item: ScenarioItem, outcome: VariantOutcome) -> None:
    findings = [finding for run in outcome.runs for finding in run.findings_of(item.kind)]
    expected = outcome.expected_codes or frozenset()
    wrong = [f for f in findings if f.severity == "error" and f.code not in expected]
    if findings:
        _show(item, "eng5 findings", "\n".join(_lines(findings)))
    if wrong:
        hints = dict.fromkeys(f"  fix: {f.hint}" for f in wrong if f.hint)
        raise CheckFailed("\n".join([*summarise(wrong), *list(hints)[:3]]))


def _judge_expectation(outcome: VariantOutcome) -> None:
    expected, found = outcome.expected_codes or frozenset(), outcome.error_codes
    if found == expected:
        return
    missing, extra = sorted(expected - found), sorted(found - expected)
    parts = [f"not found: {', '.join(missing)}"] if missing else []
    parts += [f"found but not expected: {', '.join(extra)}"] if extra else []
    raise CheckFailed(f"FAIL expect: {'; '.join(parts)}")


def _judge_gate(item: ScenarioItem, outcome: VariantOutcome) -> None:
    verdict = next(v for v in outcome.verdicts if v.metric == item.kind)
    if _show(item, "eng5 gate", _gate_text(verdict)):
        item.user_properties.append(("gate", verdict.message))
    if not verdict.passed:
        lines = [verdict.message] + ([f"  hint: {verdict.hint}"] if verdict.hint else [])
        raise CheckFailed("\n".join(lines))


def _show(item: ScenarioItem, title: str, text: str) -> bool:
    """Add a report section once, however often the item is rerun; whether it was added now."""
    if item.stash.get(SHOWN, False):
        return False
    item.stash[SHOWN] = True
    item.add_report_section("call", title, text)
    return True


def _gate_text(verdict: Verdict) -> str:
    return verdict.message if verdict.hint is None else f"{verdict.message}\nhint: {verdict.hint}"


def _lines(findings: Iterable[Finding]) -> list[str]:
    shown = list(findings)
    lines = [
        f"{finding.severity:7} {finding.code} {finding.message}"
        + (f" [{finding.evidence}]" if finding.evidence else "")
        for finding in shown[:_SHOWN]
    ]
    rest = len(shown) - _SHOWN
    return [*lines, f"... and {rest} more in findings.json"] if rest > 0 else lines
