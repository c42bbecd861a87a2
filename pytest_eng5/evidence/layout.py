"""Where everything of a session and of a run lies (design section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["RunFolder", "Stream", "VariantFolder"]


class Stream(StrEnum):
    """The event logs of a run."""

    COMPARISONS = "comparisons"
    ASSESSMENT_RESULTS = "assessment_results"
    COMPLETIONS = "completions"
    FAILURES = "failures"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one run; nothing is created by asking for a path."""

    root: Path

    @property
    def plan(self) -> Path:
        """What was going to be run: written before anything is published."""
        return self.root / "plan.json"

    @property
    def inventory(self) -> Path:
        """The snapshot of mode ``plan``, whose folder holds no plan of a run."""
        return self.root / "inventory.json"

    @property
    def assignment(self) -> Path:
        """The assignment as it was when the request was published; of mode ``execute`` only."""
        return self.root / "assignment.json"

    @property
    def request(self) -> Path:
        """The published request, byte for byte."""
        return self.root / "requests" / "els_cj_assessment_request.json"

    @property
    def events(self) -> Path:
        """Folder of the event logs."""
        return self.root / "events"

    def stream(self, stream: Stream) -> Path:
        """The event log of one stream."""
        return self.events / f"{stream.value}.jsonl"

    @property
    def log(self) -> Path:
        """What happened, one JSON object per line; closed before the manifest is made."""
        return self.root / "log.jsonl"

    def artefact(self, mode: str) -> Path:
        """The artefact of a mode."""
        return self.root / f"assessment_run.{mode}.json"

    @property
    def prompts(self) -> Path:
        """The rendered prompts, as far as they could be had."""
        return self.root / "prompts.jsonl"

    @property
    def schema(self) -> Path:
        """The JSON Schema that the artefact was written against."""
        return self.root / "schemas" / "assessment_run.schema.json"

    @property
    def findings(self) -> Path:
        """What the checks found."""
        return self.root / "findings.json"

    @property
    def faults(self) -> Path:
        """The faults that were planted, and how often they fired."""
        return self.root / "faults.json"

    @property
    def manifest(self) -> Path:
        """SHA-256 and size of every other file."""
        return self.root / "manifest.json"


@dataclass(frozen=True, slots=True)
class VariantFolder:
    """Paths of a variant: its runs and the reports over them."""

    root: Path

    def run(self, repeat: int) -> RunFolder:
        """The folder of the ``repeat``-th run, counted from 1."""
        return RunFolder(self.root / f"run-{repeat}")

    def report(self, suffix: str) -> Path:
        """The alignment report with a file suffix: ``json``, ``md`` or ``html``."""
        return self.root / f"alignment_report.{suffix}"
