"""What one run is, and the surroundings it runs in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_eng5.capture import Deadlines
from pytest_eng5.evidence import RunEnding, RunFolder, VariantFolder
from pytest_eng5.runner.operating import Operator
from pytest_eng5.scenario import Variant

__all__ = [
    "OFFLINE",
    "OFFLINE_MODES",
    "Environment",
    "RunSpec",
    "RunnerPaths",
    "RunnerSettings",
    "deadlines_for",
]

_BASE_SECONDS = 120.0
_SECONDS_PER_COMPARISON = 5.0


@dataclass(frozen=True, slots=True)
class Environment:
    """The pipeline under test and how to reach it.

    Attributes:
        client_arguments: Keyword arguments of every Kafka client; may hold secrets, so they are not shown.
        reference_pipeline: Whether the pipeline is ours, with a simulated judge.
        live: Whether runs that can cost money are allowed.
        operator: Who provides assignments on a pipeline of ours; ``None`` on any other, where they are only
            looked at.
    """

    client_arguments: Mapping[str, Any] = field(repr=False)
    content_url: str
    llm_url: str | None = None
    cj_url: str | None = None
    topic_prefix: str = ""
    reference_pipeline: bool = True
    live: bool = False
    operator: Operator | None = None


OFFLINE_MODES = frozenset({"plan", "dry-run"})
"""Modes that reach no broker and no service."""

OFFLINE = Environment(client_arguments={}, content_url="", reference_pipeline=False)
"""The surroundings of a run in such a mode."""


@dataclass(frozen=True, slots=True)
class RunnerPaths:
    """Where a run writes."""

    session: Path
    variant: VariantFolder
    run: RunFolder


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run to be performed: a variant and which of its repeats, counted from 1.

    ``folder`` names the variant's folder; it differs from the variant's id only when a Python test overrides
    keys, so that each combination has evidence of its own. ``planned_mode`` is the mode that a plan is made
    for, if that is another than the variant's.
    """

    variant: Variant
    repeat: int = 1
    folder: str = ""
    planned_mode: str | None = None

    @property
    def offline(self) -> bool:
        """Whether the run needs neither broker nor pipeline."""
        return self.variant.mode in OFFLINE_MODES

    @property
    def key(self) -> str:
        """Identity within a session: scenario, variant folder, repeat."""
        return f"{self.variant.scenario}/{self.folder or self.variant.id}/run-{self.repeat}"

    def paths(self, session: Path) -> RunnerPaths:
        """The run's paths below a session folder."""
        variant = VariantFolder(session / self.variant.scenario / (self.folder or self.variant.id))
        return RunnerPaths(session, variant, variant.run(self.repeat))


@dataclass(slots=True)
class RunnerSettings:
    """Everything a mode needs to know about a run besides its inputs and paths.

    ``finalise`` is called in a worker thread with the run folder and the ending when the logs are closed; it
    writes artefact, findings and manifest. ``batch_label`` is for humans only; by default it names scenario,
    variant and repeat.

    Attributes:
        assignment_id: What the request is bound to; ``None`` for the GUEST flow. A mode that is GUEST by
            nature sets it to ``None`` while it composes its request, and restores it.
        await_completion: Wait for the end of the batch; else the run ends once its request is published.
        publish: Publish the request; else the run ends once it is composed, and needs no Kafka.
        force_reupload: Upload every text, even if it is remembered where it is.
        batching_mode: Hint for the CJ service, as it stands.
    """

    spec: RunSpec
    environment: Environment
    finalise: Callable[[Path, RunEnding], None]
    budget_usd: float | None = None
    session_budget_usd: float | None = None
    user_id: str = "pytest-eng5"
    org_id: str | None = None
    assignment_id: str | None = None
    batch_label: str | None = None
    await_completion: bool = True
    publish: bool = True
    force_reupload: bool = False
    batching_mode: str | None = None


def deadlines_for(variant: Variant, planned: int) -> Deadlines:
    """The deadlines of a run; an unset total grows with the number of comparisons."""
    total = variant.timeout.total
    if total is None:
        total = _BASE_SECONDS + _SECONDS_PER_COMPARISON * planned
    return Deadlines(idle=variant.timeout.idle, total=total)
