"""The verdict over a variant, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_eng5.evidence import EndReason, Finding
from pytest_eng5.gates import Status, Verdict
from pytest_eng5.reports.outcome import Outcome, RunOutcome

__all__ = ["decide"]

PARTIAL = "PARTIAL-DATA"
_DEADLINES = (EndReason.IDLE_DEADLINE, EndReason.TOTAL_DEADLINE)
_OF_STATUS = {
    Status.PASS: Outcome.PASS,
    Status.FAIL: Outcome.FAIL,
    Status.UNDECIDED: Outcome.UNDECIDED,
}


def decide(
    runs: Sequence[RunOutcome],
    verdicts: Sequence[Verdict],
    expected_codes: frozenset[str] | None = None,
    not_computed: str | None = None,
) -> tuple[Outcome, tuple[str, ...]]:
    """The worst of infrastructure, findings and gates: ERROR, FAIL, UNDECIDED, PASS.

    A negative test (``expected_codes``) passes if exactly those codes were found, and its gates do too. A
    deadline is what it asks for if it expects ``PARTIAL-DATA``; every other fault of the infrastructure
    remains an ERROR. A planted fault that never fired is a FAIL: the test proves nothing then.

    Args:
        runs: All runs that there should be.
        verdicts: Of the gates.
        expected_codes: Of a negative test.
        not_computed: Why a mode that judges has no figures.

    Returns:
        The outcome and a sentence for everything that is not a PASS, worst first.
    """
    said: list[tuple[Outcome, str]] = [(Outcome.ERROR, text) for text in _obstacles(runs, expected_codes)]
    if not runs:
        said.append((Outcome.ERROR, "there is no run"))
    said += [(Outcome.FAIL, f"run-{run.repeat}: {text}") for run in runs for text in run.unfired]
    said += [(Outcome.FAIL, text) for text in _findings(runs, expected_codes)]
    if not_computed is not None and expected_codes is None:
        said.append((Outcome.FAIL, f"no figures: {not_computed}"))
    said += [(_OF_STATUS[verdict.status], verdict.message) for verdict in verdicts if not verdict.passed]
    order = list(Outcome)
    said.sort(key=lambda item: -order.index(item[0]))
    return Outcome.worst(outcome for outcome, _ in said), tuple(text for _, text in said)


def _obstacles(runs: Iterable[RunOutcome], expected: frozenset[str] | None) -> list[str]:
    wanted = expected is not None and PARTIAL in expected
    return [
        run.obstacle
        for run in runs
        if run.obstacle is not None
        and not (wanted and run.problem is None and run.ending and run.ending.reason in _DEADLINES)
    ]


def _findings(runs: Sequence[RunOutcome], expected: frozenset[str] | None) -> list[str]:
    errors = [(run, finding) for run in runs for finding in run.findings if finding.severity == "error"]
    if expected is None:
        return _by_code(errors, several=len(runs) > 1)
    found = {finding.code for _, finding in errors}
    missing, surplus = sorted(expected - found), sorted(found - expected)
    parts = [f"expected but not found: {', '.join(missing)}"] if missing else []
    parts += [f"found but not expected: {', '.join(surplus)}"] if surplus else []
    return parts


def _by_code(errors: Iterable[tuple[RunOutcome, Finding]], *, several: bool) -> list[str]:
    """The first finding of each code, after the runs that have one where there are several runs."""
    first: dict[str, str] = {}
    where: dict[str, dict[str, None]] = {}
    for run, finding in errors:
        first.setdefault(finding.code, f"{finding.code} {finding.message}")
        where.setdefault(finding.code, {})[f"run-{run.repeat}"] = None
    return [f"{', '.join(where[code])}: {text}" if several else text for code, text in first.items()]
