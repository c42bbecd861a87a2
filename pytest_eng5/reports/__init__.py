"""Reports over recorded runs: pure functions over evidence, needing neither Kafka nor the judge.

:func:`finalise_run` completes a run folder, :func:`evaluate_variant` checks, measures and judges the runs of
a variant; the rest puts an outcome in words, tables and files.
"""

from __future__ import annotations

from pytest_eng5.reports.alignment_report import alignment_markdown, write_alignment_report
from pytest_eng5.reports.artefact import build_artefact
from pytest_eng5.reports.evaluate import evaluate_variant
from pytest_eng5.reports.finalise import finalise_run
from pytest_eng5.reports.grades import grade_lines
from pytest_eng5.reports.inventory import inventory_text
from pytest_eng5.reports.junit import JUnitCase, junit_xml
from pytest_eng5.reports.outcome import Outcome, RunOutcome, VariantOutcome, exit_status
from pytest_eng5.reports.population import population
from pytest_eng5.reports.scores import score_run
from pytest_eng5.reports.session import session_text, write_session
from pytest_eng5.reports.summary import Summary, summary_document, write_summary
from pytest_eng5.reports.terminal import terminal_table

__all__ = [
    "JUnitCase",
    "Outcome",
    "RunOutcome",
    "Summary",
    "VariantOutcome",
    "alignment_markdown",
    "build_artefact",
    "evaluate_variant",
    "exit_status",
    "finalise_run",
    "grade_lines",
    "inventory_text",
    "junit_xml",
    "population",
    "score_run",
    "session_text",
    "summary_document",
    "terminal_table",
    "write_alignment_report",
    "write_session",
    "write_summary",
]
