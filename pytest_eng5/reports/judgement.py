"""What each item of a variant says, in the words that the user reads: under pytest and in JUnit files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.checks import CHECKS, checks_for, summarise
from pytest_eng5.evidence import EndReason, Finding, RunEnding, RunFolder
from pytest_eng5.gates import Verdict
from pytest_eng5.reports.grades import grade_lines
from pytest_eng5.reports.inventory import inventory_text
from pytest_eng5.reports.noise import noise_text, repeats_hint
from pytest_eng5.reports.outcome import RunOutcome, VariantOutcome
from pytest_eng5.reports.repeats import Repeats

__all__ = [
    "EXPECT",
    "RUN",
    "Judgement",
    "infrastructure_fault",
    "item_names",
    "judge_named",
    "outcome_properties",
    "pipeline_failure",
]

RUN, EXPECT = "run", "expect"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one item says.

    Attributes:
        wrong: Why it does not pass, its first line the verdict; ``None`` if it passes.
        heading: Of the section, if there is one.
        section: What there is to know besides.
        gate: The verdict of a gate in one sentence.
        status: That verdict in one word: PASS, FAIL or UNDECIDED.
        warning: What must not be overlooked although it passes.
        noise: What stands beside it: how far single runs lie apart, and how far off the gate is.
    """

    wrong: str | None = None
    heading: str = ""
    section: str = ""
    gate: str | None = None
    status: str | None = None
    warning: str | None = None
    noise: str | None = None

    @property
    def properties(self) -> Iterator[tuple[str, str]]:
        """JUnit properties of a gate."""
        told = (("gate", self.gate), ("status", self.status), ("noise_floor", self.noise))
        return ((name, text) for name, text in told if text is not None)


def item_names(mode: str, outcome: VariantOutcome) -> Iterator[str]:
    """Names of the items of a variant, in order."""
    yield RUN
    yield from checks_for(mode)
    yield from (verdict.metric for verdict in outcome.verdicts)
    if outcome.expected_codes is not None:
        yield EXPECT


def infrastructure_fault(endings: Iterable[RunEnding], outcome: VariantOutcome) -> str | None:
    """Why no item can be judged: a run that ended for want of broker, pipeline, time or money."""
    ended, expected = list(endings), outcome.expected_codes or frozenset()
    for repeat, ending in enumerate(ended, start=1):
        tolerated = "PARTIAL-DATA" in expected and ending.timeout_seconds is not None
        if ending.reason.is_infrastructure and not tolerated:
            name = f"run-{repeat}: " if len(ended) > 1 else ""
            return f"{name}{ending.reason.value}: {ending.detail}"
    return None


def pipeline_failure(endings: Iterable[RunEnding], outcome: VariantOutcome) -> str | None:
    """Why the pipeline failed a batch, unless that is what the scenario expects."""
    if "PIPELINE-FAILED" in (outcome.expected_codes or ()):
        return None
    return next((end.detail for end in endings if end.reason is EndReason.PIPELINE_FAILED), None)


def judge_named(name: str, outcome: VariantOutcome, failure: str | None) -> Judgement:
    """What the item of this name says.

    Args:
        name: One of :func:`item_names`.
        outcome: Its variant.
        failure: What :func:`pipeline_failure` found.
    """
    if name == RUN and not outcome.judging:
        return _quiet_run(outcome)
    if name == RUN:
        return Judgement(_run(outcome, failure), "eng5 grades", _grades(outcome))
    if name in CHECKS:
        return _check(name, outcome)
    if name == EXPECT:
        return Judgement(_expectation(outcome))
    verdict = next(verdict for verdict in outcome.verdicts if verdict.metric == name)
    return _gate(verdict, outcome.repeats)


def _run(outcome: VariantOutcome, failure: str | None) -> str | None:
    if failure is not None:
        return f"PIPELINE-FAILED {failure}"
    if outcome.unfired:
        return _unfired(outcome)
    if not outcome.ledger.succeeded and outcome.expected_codes is None:
        return (
            f"FAIL run: no comparison succeeded, {outcome.ledger.planned} were planned\n"
            "  fix: the items completeness and events say what came instead; see also the pipeline's log"
        )
    return None


def _grades(outcome: VariantOutcome) -> str:
    if outcome.mode != "execute":
        return ""
    whole = [run for run in outcome.runs if run.obstacle is None]
    return "\n".join(line for run in whole for line in grade_lines(run.root))


def _quiet_run(outcome: VariantOutcome) -> Judgement:
    """A plan passes if a run could be started; a dry run if it left its artefact, which its checks judge."""
    if outcome.snapshot is not None:
        lines = ["FAIL run: the inputs cannot be used", *outcome.reasons]
        wrong = None if outcome.snapshot.valid else "\n".join(lines)
        return Judgement(wrong, "eng5 plan", "\n".join(inventory_text(outcome.snapshot)))
    folder = RunFolder(outcome.runs[0].root)
    artefact = folder.artefact(outcome.mode)
    wrong = None if artefact.exists() else f"FAIL run: no artefact was written to {artefact}"
    text = f"stub of the artefact: {artefact}\nits schema: {folder.schema}"
    return Judgement(wrong, "eng5 dry run", text)


def _check(name: str, outcome: VariantOutcome) -> Judgement:
    """What a check found, told by run where there are several."""
    expected = outcome.expected_codes or frozenset()
    by_run = [(_of_run(run, outcome), run.findings_of(name)) for run in outcome.runs]
    wrong = {
        prefix: [f for f in findings if f.severity == "error" and f.code not in expected]
        for prefix, findings in by_run
    }
    lines = [f"{prefix}{line}" for prefix, findings in wrong.items() for line in summarise(findings)]
    hints = dict.fromkeys(f"  fix: {f.hint}" for findings in wrong.values() for f in findings if f.hint)
    text = "\n".join([*lines, *list(hints)[:3]]) if lines else None
    shown = [f"{prefix}{line}" for prefix, findings in by_run for line in _lines(findings)]
    return Judgement(text, "eng5 findings", "\n".join(shown))


def _of_run(run: RunOutcome, outcome: VariantOutcome) -> str:
    """``run-2: `` before what was found in it, nothing where there is no other run."""
    return f"run-{run.repeat}: " if len(outcome.runs) > 1 else ""


def _unfired(outcome: VariantOutcome) -> str:
    """A negative test whose fault never fired proves nothing, whatever was found."""
    hint = "  fix: correct the fault's topic, selector or field; the pipeline published nothing it hits"
    return "\n".join([*(f"FAIL faults: {text}" for text in outcome.unfired), hint])


def _expectation(outcome: VariantOutcome) -> str | None:
    if outcome.unfired:
        return _unfired(outcome)
    expected, found = outcome.expected_codes or frozenset(), outcome.error_codes
    if found == expected:
        return None
    missing, extra = sorted(expected - found), sorted(found - expected)
    parts = [f"not found: {', '.join(missing)}"] if missing else []
    parts += [f"found but not expected: {', '.join(extra)}"] if extra else []
    return f"FAIL expect: {'; '.join(parts)}"


def _gate(verdict: Verdict, repeats: Repeats | None) -> Judgement:
    noise = noise_text(verdict, repeats)
    hints = (verdict.hint, repeats_hint(verdict, repeats))
    more = [f"hint: {hint}" for hint in hints if hint] + ([f"noise: {noise}"] if noise else [])
    passes = verdict.passed or verdict.tolerated
    return Judgement(
        wrong=None if passes else "\n".join([verdict.message, *(f"  {line}" for line in more)]),
        heading="eng5 gate",
        section="\n".join([verdict.message, *more]),
        gate=verdict.message,
        status=verdict.status.value,
        warning=verdict.message if verdict.tolerated else None,
        noise=noise,
    )


def _lines(findings: Iterable[Finding]) -> list[str]:
    shown = list(findings)
    lines = [
        f"{finding.severity:7} {finding.code} {finding.message}"
        + (f" [{finding.evidence}]" if finding.evidence else "")
        for finding in shown[:_SHOWN]
    ]
    rest = len(shown) - _SHOWN
    return [*lines, f"... and {rest} more in findings.json"] if rest > 0 else lines


def outcome_properties(outcome: VariantOutcome, root: Path) -> Iterator[tuple[str, object]]:
    """JUnit properties that an item has once the runs of its variant are over.

    Args:
        outcome: The variant.
        root: What paths are shown relative to.
    """
    plan = outcome.plan
    if plan is None and outcome.snapshot is None:
        return
    yield "run_dirs", ",".join(shown_below(run.root, root) for run in outcome.runs)
    yield "verdict", outcome.verdict.value
    if outcome.essay_counts is not None and (outcome.mode == "execute" or not outcome.judging):
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
    yield "repeats", len(outcome.runs)
    yield "comparisons", outcome.ledger.succeeded
    yield "planned_comparisons", outcome.ledger.planned
    yield "cost_usd", outcome.cost_usd if outcome.cost_usd is not None else "unknown"
    for name, metric in outcome.metrics.items():
        yield name, _rounded(metric.value)
    if outcome.repeats is not None and outcome.repeats.runs > 1:
        measured = {name: found for name, found in outcome.repeats.figures.items() if found.counted}
        for name, found in measured.items():
            yield f"{name}_repeats", ",".join(str(_rounded(value)) for value in found.values)
            yield f"{name}_sd", _rounded(found.spread)


def _rounded(value: float) -> float | str:
    return "not measured" if math.isnan(value) else round(value, 6)


def shown_below(path: Path, root: Path) -> str:
    """A path as it is shown: relative to the root if it lies below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
