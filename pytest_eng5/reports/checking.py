"""Running checks so that one that raises becomes a finding instead of an end."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_eng5.checks import checks_for, run_checks
from pytest_eng5.evidence import Finding, RunEvidence

__all__ = ["CRASHED", "checked", "crash"]

CRASHED = "CHECK-CRASHED"
QUIET_CHECKS = ("schema", "manifest")
"""What can be looked at where nothing was to be captured."""


def crash(check: str, doing: str, error: Exception) -> Finding:
    """The finding that stands for an exception.

    Args:
        check: The item that it belongs to.
        doing: What was being done, as in "the check ``costs``".
        error: What was raised.
    """
    lines = str(error).strip().splitlines()
    return Finding(
        code=CRASHED,
        severity="error",
        check=check,
        message=f"{doing} ended with {type(error).__name__}: {lines[0] if lines else 'no message'}",
        hint="; ".join(line.strip() for line in lines[1:]) or "what was captured is kept; report this error",
    )


def checked(evidence: RunEvidence, *, without: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Findings of every check of the run's mode, except those named in ``without``.

    Of a run that was refused, or that was not to be waited for, only its own files are looked at.
    """
    findings: list[Finding] = []
    reason = evidence.ending.reason if evidence.ending else None
    nothing = reason is not None and (reason.is_quiet or reason.is_refusal)
    for name in QUIET_CHECKS if nothing else checks_for(evidence.plan.mode):
        if name in without:
            continue
        try:
            findings += run_checks(evidence, [name])
        except Exception as error:  # whatever it is, the other checks still have something to say
            findings.append(crash(name, f"the check {name}", error))
    return tuple(findings)
