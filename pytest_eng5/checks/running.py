"""The checks by name, which of them a mode has, and running them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pytest_eng5.checks.completeness import check_completeness
from pytest_eng5.checks.costs import check_costs
from pytest_eng5.checks.events import check_events
from pytest_eng5.checks.manifest import check_manifest
from pytest_eng5.checks.metadata import check_metadata
from pytest_eng5.checks.schema import check_schema
from pytest_eng5.checks.scoring import check_scoring
from pytest_eng5.errors import UsageError
from pytest_eng5.evidence import Finding, RunEvidence, uncollected

__all__ = ["CHECKS", "Check", "UnknownCheckError", "checks_for", "run_checks"]

Check = Callable[[RunEvidence], list[Finding]]
"""A pure function of recorded evidence."""

CHECKS: Mapping[str, Check] = {
    "events": check_events,
    "metadata": check_metadata,
    "completeness": check_completeness,
    "schema": check_schema,
    "scoring": check_scoring,
    "costs": check_costs,
    "manifest": check_manifest,
}
"""Every check by the name of its item, in the order of items."""

_WITHOUT_EVENTS = ("schema", "manifest")
_BY_MODE: Mapping[str, tuple[str, ...]] = {"plan": (), "dry-run": _WITHOUT_EVENTS}


class UnknownCheckError(UsageError):
    """A check was asked for that does not exist."""


def checks_for(mode: str) -> tuple[str, ...]:
    """Names of the checks of a mode: none for ``plan``, all for every mode that publishes a request."""
    return _BY_MODE.get(mode, tuple(CHECKS))


def run_checks(evidence: RunEvidence, names: Iterable[str] | None = None) -> tuple[Finding, ...]:
    """Run checks over one run, in the order of items.

    Args:
        evidence: What was recorded.
        names: Checks to run; by default those of the run's mode.

    Raises:
        UnknownCheckError: A name is no check.
    """
    wanted = checks_for(evidence.plan.mode) if names is None else tuple(names)
    unknown = [name for name in wanted if name not in CHECKS]
    if unknown:
        raise UnknownCheckError(f"unknown check {unknown[0]!r}", fix=f"known: {', '.join(CHECKS)}")
    with uncollected():
        return tuple(found for name, check in CHECKS.items() if name in wanted for found in check(evidence))
