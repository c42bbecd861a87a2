"""Fixtures for tests written in Python; they share broker, pipeline and runs with the scenario items."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_eng5.collection.access import runtime_of
from pytest_eng5.errors import InfrastructureError, UsageError

if TYPE_CHECKING:
    from pytest_eng5.alignment import MetricValue
    from pytest_eng5.brokers import Broker
    from pytest_eng5.collection.runtime import Runtime, VariantRuns
    from pytest_eng5.evidence import Finding, RunEvidence
    from pytest_eng5.reports import VariantOutcome
    from pytest_eng5.runner import Campaign, PipelineUrls

__all__ = ["RunFactory", "RunResult", "eng5_broker", "eng5_campaign", "eng5_pipeline", "eng5_run"]


@dataclass(frozen=True)
class RunResult:
    """What :func:`eng5_run` returns: the evidence of a variant's runs, and everything worked out from it.

    Attributes:
        evidence: Of the first run; :attr:`all_evidence` has every repeat.
        outcome: Findings, figures, gates and the verdict over them.
    """

    evidence: RunEvidence
    all_evidence: tuple[RunEvidence, ...]
    outcome: VariantOutcome

    @property
    def metrics(self) -> dict[str, MetricValue]:
        """Every figure by name, with ``value``, ``low`` and ``high``; NaN where it was not measured."""
        return self.outcome.metrics

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the checks found."""
        return self.outcome.findings

    @property
    def verdict(self) -> str:
        """``PASS``, ``FAIL``, ``UNDECIDED`` or ``ERROR``."""
        return self.outcome.verdict.value

    @property
    def run_dir(self) -> Path:
        """Folder of the first run."""
        return self.evidence.folder.root


class RunFactory:
    """Performs a variant of a scenario file, once per session, and returns its :class:`RunResult`."""

    def __init__(self, runtime: Runtime, base: Path) -> None:
        self._runtime = runtime
        self._base = base

    def __call__(
        self, scenario: str | Path, variant: str | None = None, *, overrides: Sequence[str] = ()
    ) -> RunResult:
        """Perform the run, or wait for it if it is already under way, and read its evidence.

        Args:
            scenario: Path of a scenario file, absolute or relative to the root folder of pytest.
            variant: Id of a variant; may be left out if the file has only one.
            overrides: Like ``--eng5-set``, such as ``("judge.mock.discrimination=0",)``.

        Raises:
            UsageError: No such file or variant, or the file cannot be used.
            InfrastructureError: Broker, pipeline or a deadline ended the run.
        """
        from pytest_eng5.evidence import load_evidence

        runs = self._find(self._base / scenario, variant, tuple(overrides))
        outcome = self._runtime.outcome(runs)
        for ending in self._runtime.endings(runs):
            if ending.reason.is_infrastructure:
                raise InfrastructureError(f"{ending.reason.value}: {ending.detail}")
        evidence = tuple(load_evidence(run.root) for run in outcome.runs)
        return RunResult(evidence[0], evidence, outcome)

    async def aio(
        self, scenario: str | Path, variant: str | None = None, *, overrides: Sequence[str] = ()
    ) -> RunResult:
        """The same without blocking the event loop: ``await eng5_run.aio(...)``."""
        return await asyncio.to_thread(self, scenario, variant, overrides=overrides)

    def _find(self, path: Path, variant: str | None, overrides: tuple[str, ...]) -> VariantRuns:
        from pytest_eng5.collection.runtime import VariantRuns
        from pytest_eng5.scenario import load_scenario

        everywhere = self._runtime.options.overrides
        scenario = load_scenario(path, (*everywhere, *overrides), missing_variant_ok=True)
        ids = [item.id for item in scenario.variants]
        if variant is None and len(ids) > 1:
            raise UsageError("which variant?", where=str(path), fix=f"name one of {', '.join(ids)}")
        if stray := [text for text in scenario.unmatched_overrides if text in overrides]:
            raise UsageError(f"no variant for {stray[0]!r}", where=str(path), fix=f"use {', '.join(ids)}")
        wanted = ids[0] if variant is None else variant
        if wanted not in ids:
            raise UsageError(f"no variant {wanted!r}", where=str(path), fix=f"use one of {', '.join(ids)}")
        chosen = scenario.variants[ids.index(wanted)]
        if chosen.mode == "plan":
            fix = "use mode dry-run, or let pytest collect the scenario file"
            raise UsageError("mode plan leaves no evidence of a run", where=str(path), fix=fix)
        folder = ""
        if overrides:
            folder = f"{wanted}.{hashlib.sha256(chr(10).join(overrides).encode()).hexdigest()[:8]}"
        return VariantRuns(chosen, folder)


@pytest.fixture(scope="session")
def eng5_broker(request: pytest.FixtureRequest) -> Broker:
    """The session's Kafka broker, running; ``eng5_broker.connection.bootstrap_servers`` is its address.

    Example::

        def test_topics(eng5_broker):
            producer = Producer({"bootstrap.servers": eng5_broker.connection.bootstrap_servers})
    """
    return runtime_of(request.config).backend().broker


@pytest.fixture(scope="session")
def eng5_pipeline(request: pytest.FixtureRequest) -> PipelineUrls:
    """Addresses of the pipeline's services: ``content_url``, ``cj_url`` and ``llm_url``.

    Example::

        def test_content_service(eng5_pipeline):
            assert httpx.post(eng5_pipeline.content_url, content=b"text").status_code == 201
    """
    return runtime_of(request.config).backend().urls


@pytest.fixture(scope="session")
def eng5_campaign(request: pytest.FixtureRequest) -> Campaign:
    """The campaign that performs runs in this process: ``eng5_campaign.submit(RunSpec(variant)).result()``.

    Example::

        def test_ending(eng5_campaign):
            variant = load_scenario(Path("scenarios/anchor_align.eng5.yaml")).variants[0]
            ending = eng5_campaign.submit(RunSpec(variant, folder="by_hand")).result()
            assert ending.reason == "completed"
    """
    return runtime_of(request.config).campaign()


@pytest.fixture(scope="session")
def eng5_run(request: pytest.FixtureRequest) -> RunFactory:
    """Perform a variant of a scenario file, once per session: ``eng5_run(path, variant)``.

    Returns a result with ``evidence``, ``metrics``, ``findings`` and ``verdict``; in an ``async def`` test
    use ``await eng5_run.aio(path, variant)``.

    Example::

        def test_alignment(eng5_run):
            result = eng5_run("scenarios/anchor_align.eng5.yaml", "baseline")
            assert len(result.evidence.succeeded) == 66
            assert result.metrics["kendall_tau"].value >= 0.9
    """
    return RunFactory(runtime_of(request.config), request.config.rootpath)
