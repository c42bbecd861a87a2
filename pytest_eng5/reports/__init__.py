"""Reports over recorded runs: pure functions over evidence, needing neither Kafka nor the judge.

:func:`finalise_run` completes a run folder, :func:`evaluate_variant` checks, measures and judges the runs of
a variant; the rest puts an outcome in words, tables and files.
"""

from __future__ import annotations

from pytest_eng5.reports.artefact import build_artefact
from pytest_eng5.reports.evaluate import evaluate_variant
from pytest_eng5.reports.finalise import finalise_run
from pytest_eng5.reports.outcome import Ledger, Outcome, RunOutcome, VariantOutcome
from pytest_eng5.reports.population import population
from pytest_eng5.reports.scores import score_run

__all__ = [
    "Ledger",
    "Outcome",
    "RunOutcome",
    "VariantOutcome",
    "build_artefact",
    "evaluate_variant",
    "finalise_run",
    "population",
    "score_run",
]
