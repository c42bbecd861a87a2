"""What collection and runner get: scenarios and fully merged variants, as frozen values."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pytest_eng5.contracts import Provider
from pytest_eng5.scenario.compare import Compare
from pytest_eng5.scenario.errors import Location
from pytest_eng5.scenario.faults import PlannedFault
from pytest_eng5.scenario.models import Effort, Mode, Undecided, Verbosity

__all__ = ["Expect", "Judge", "MockJudge", "Scenario", "Threshold", "Timeout", "Variant"]


@dataclass(frozen=True, slots=True)
class MockJudge:
    """The simulated judge: A wins with probability logistic(discrimination * (qA - qB) + position_bias).

    Attributes:
        discrimination: How strongly quality decides.
        position_bias: Advantage of the first essay, in logits.
        failure_rate: Share of comparisons that fail, 0 to 1.
        latency_ms: Milliseconds that a comparison takes.
        seed: Seed of the draws.
        student_grades: Table of the students' grades, for this judge only.
    """

    discrimination: float = 2.0
    position_bias: float = 0.0
    failure_rate: float = 0.0
    latency_ms: int = 0
    seed: int = 0
    student_grades: Path | None = None


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge's settings; None leaves a setting to the provider, 0.0 is a temperature like any other."""

    provider: Provider = "mock"
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    reasoning_effort: Effort | None = None
    output_verbosity: Verbosity | None = None
    mock: MockJudge = field(default_factory=MockJudge)


@dataclass(frozen=True, slots=True)
class Timeout:
    """Deadlines in seconds: ``idle`` without any event of the run, ``total`` (None: from the comparisons)."""

    idle: float = 60.0
    total: float | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """A gate on one metric; at least one of ``min`` and ``max`` is set.

    Attributes:
        metric: Name of the metric; whether it exists is the gates' knowledge.
        min: Lowest value that passes.
        max: Highest value that passes.
        confidence: Level of the interval to judge, between 0 and 1; None judges the point value.
        undecided: What it is if the interval straddles the threshold: ``fail``, as by default, or ``warn``.
        location: Place of the metric's key.
        min_location: Place of the value of ``min``.
        max_location: Place of the value of ``max``.
        confidence_location: Place of the value of ``confidence``.
    """

    metric: str
    min: float | None
    max: float | None
    confidence: float | None
    undecided: Undecided | None
    location: Location
    min_location: Location | None = None
    max_location: Location | None = None
    confidence_location: Location | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what is set, without the places."""
        values = {
            "min": self.min,
            "max": self.max,
            "confidence": self.confidence,
            "undecided": self.undecided,
        }
        return {key: value for key, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Expect:
    """A negative test: exactly these finding codes must appear."""

    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One prompt variant, merged: overrides over its own keys over the scenario's over the defaults.

    Attributes:
        scenario: Name of the scenario.
        id: Name of the variant.
        inputs_dir: Existing folder with the essays.
        comparisons_max: Comparisons per run; None for one full round-robin.
        repeats: Runs of the variant.
        budget_usd: Ceiling per run in US dollars; None for no ceiling.
        thresholds: Gates in the order of the file.
        system_prompt: Existing file, or None for the service's own prompt.
        rubric: Existing file, or None for no rubric.
        marks: Names of pytest marks.
        faults: What the reference pipeline is to do wrong.
        location: Place of the variant in the file.
    """

    scenario: str
    id: str
    mode: Mode
    inputs_dir: Path
    location: Location
    course_code: str = "ENG5"
    language: str = "en"
    judge: Judge = field(default_factory=Judge)
    comparisons_max: int | None = None
    repeats: int = 1
    timeout: Timeout = field(default_factory=Timeout)
    budget_usd: float | None = None
    thresholds: tuple[Threshold, ...] = ()
    system_prompt: Path | None = None
    rubric: Path | None = None
    marks: tuple[str, ...] = ()
    expect: Expect | None = None
    faults: tuple[PlannedFault, ...] = ()
    fail_fast: bool = False
    assignment_id: str | None = None
    course_id: str | None = None
    expected_grade_scale: str | None = None

    @property
    def expected_codes(self) -> frozenset[str] | None:
        """Finding codes that a negative test expects; ``None`` if it is none."""
        return frozenset(self.expect.findings) if self.expect else None

    def planned_comparisons(self, n_essays: int) -> int:
        """Return how many comparisons a run over ``n_essays`` essays makes."""
        if self.comparisons_max is not None:
            return self.comparisons_max
        return n_essays * (n_essays - 1) // 2

    def to_dict(self) -> dict[str, Any]:
        """Return the merged settings as JSON types, to be kept as evidence.

        Paths are relative to the scenario file, with forward slashes; texts of files are not included.
        """
        skipped = {
            "location",
            "inputs_dir",
            "judge",
            "timeout",
            "thresholds",
            "system_prompt",
            "rubric",
            "expect",
            "faults",
        }
        result = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in skipped}
        result["marks"] = list(self.marks)
        result["inputs"] = self._relative(self.inputs_dir)
        result["system_prompt"] = self._relative(self.system_prompt)
        result["rubric"] = self._relative(self.rubric)
        grades = self._relative(self.judge.mock.student_grades)
        mock = _as_dict(self.judge.mock) | {"student_grades": grades}
        result["judge"] = _as_dict(self.judge) | {"mock": mock}
        result["timeout"] = _as_dict(self.timeout)
        result["thresholds"] = {threshold.metric: threshold.to_dict() for threshold in self.thresholds}
        result["faults"] = [planned.fault.model_dump(exclude_unset=True) for planned in self.faults]
        result["expect"] = {"findings": list(self.expect.findings)} if self.expect else None
        return result

    def _relative(self, path: Path | None) -> str | None:
        if path is None:
            return None
        return Path(os.path.relpath(path, self.location.path.parent)).as_posix()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario file.

    Attributes:
        path: The file, absolute.
        name: Name in reports.
        description: What the scenario is for; empty if not given.
        mode: Mode of the scenario; a variant may have its own.
        variants: At least one, ids unique.
        content_sha256: SHA-256 of the file's bytes, hexadecimal.
        compare: Which variants are compared, if the file asks for it.
        overrides: The ``--eng5-set`` options that were applied, as given.
        unmatched_overrides: Those of them that address a variant which this file does not have.
    """

    path: Path
    name: str
    description: str
    mode: Mode
    variants: tuple[Variant, ...]
    content_sha256: str
    compare: Compare | None = None
    overrides: tuple[str, ...] = ()
    unmatched_overrides: tuple[str, ...] = ()


def _as_dict(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}
