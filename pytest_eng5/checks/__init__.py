"""Checks: pure functions from recorded evidence to findings.

:func:`run_checks` runs them, :data:`CODES` lists every code with its rule, :func:`summarise` puts findings in
one line per code, :func:`ledger` counts what was planned against what came back. Redeliveries, lateness and
any order across topics are legal on the wire and never an error here.
"""

from __future__ import annotations

from pytest_eng5.checks.ledger import Ledger, ledger
from pytest_eng5.checks.registry import CODES, CodeInfo
from pytest_eng5.checks.running import CHECKS, Check, UnknownCheckError, checks_for, run_checks
from pytest_eng5.checks.wording import summarise

__all__ = [
    "CHECKS",
    "CODES",
    "Check",
    "CodeInfo",
    "Ledger",
    "UnknownCheckError",
    "checks_for",
    "ledger",
    "run_checks",
    "summarise",
]
