"""``eng5 power`` from its flags to what it prints."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from pytest_eng5.errors import UsageError
from pytest_eng5.reports.power import PowerQuestion, answer_power, power_document
from pytest_eng5.reports.power_inputs import (
    PlanningJudge,
    StatedJudge,
    gates_of,
    grades_of,
    recorded_judge,
    stated,
)
from pytest_eng5.reports.power_text import power_lines

__all__ = ["PowerFlags", "Progress", "plan_power"]

_DEFAULT_DIFFERENCE = 0.05
_OFTEN, _SELDOM = 0.2, 10.0
"""Seconds between words of progress on a terminal, and elsewhere."""

_OF_STATED = ("anchors", "grades", "discrimination", "position_bias", "noise", "tau")


@dataclass(frozen=True, kw_only=True)
class PowerFlags:
    """The flags as given; what is ``None`` was not."""

    run: Path | None = None
    scenario: Path | None = None
    variant: str | None = None
    anchors: int | None = None
    grades: str | None = None
    discrimination: float | None = None
    position_bias: float | None = None
    noise: float | None = None
    tau: float | None = None
    per_run: int | None = None
    cost_per_comparison: float | None = None
    difference: float | None = None
    width: float | None = None
    gate: list[str] = field(default_factory=list)
    comparisons: int | None = None
    budget_usd: float | None = None
    power: float = 0.8
    confidence: float = 0.95
    limit: int = 5000
    runs: int = 200
    seed: int = 0
    json_: bool = False

    def given(self, names: tuple[str, ...]) -> list[str]:
        """Those of the named flags that were given, as written."""
        return [f"--{name.replace('_', '-')}" for name in names if getattr(self, name) is not None]


class Progress:
    """How far the work is: one line that is overwritten on a terminal, elsewhere a line now and then."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock, self._terminal = stream, clock, stream.isatty()
        self._told = clock()
        self._width = 0

    def __call__(self, what: str, done: int, steps: int) -> None:
        """Tell it, unless it was told a moment ago."""
        now = self._clock()
        if now - self._told < (_OFTEN if self._terminal else _SELDOM):
            return
        self._told = now
        line = f"{what}: {min(done / max(steps, 1), 1):.0%}"
        if self._terminal:
            self._write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._write(line + "\n")

    def close(self) -> None:
        """Take the line off the terminal."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def plan_power(flags: PowerFlags, assumed: Any | None, report: Callable[[str], None]) -> None:
    """Answer what was asked and report it, progress on standard error.

    Args:
        flags: As given.
        assumed: Grades, discrimination, position_bias, per_run and origin of a scenario's variant; ``None``
            without a scenario.
        report: Called with each line of the answer.

    Raises:
        UsageError: Flags that do not fit together or make no sense.
    """
    source = _source(flags, assumed)
    question = _question(flags, source)
    progress = Progress(sys.stderr)
    try:
        answer = answer_power(source, question, progress)
    finally:
        progress.close()
    lines = [json.dumps(power_document(answer), indent=2)] if flags.json_ else power_lines(answer)
    for line in lines:
        report(line)


def _source(flags: PowerFlags, assumed: Any | None) -> PlanningJudge:
    if flags.variant is not None and flags.scenario is None:
        fix = "give --scenario, or name the folder of the run with --run"
        raise UsageError("a variant of what?", where="--variant", fix=fix)
    if flags.run is None:
        return stated(_stated(flags, assumed), flags.cost_per_comparison, seed=flags.seed)
    if wrong := flags.given((*_OF_STATED, "scenario")):
        fix = "leave them out, or leave out --run"
        raise UsageError(f"the run says that, not {', '.join(wrong)}", where="--run", fix=fix)
    return recorded_judge(flags.run, flags.cost_per_comparison, per_run=flags.per_run, seed=flags.seed)


def _stated(flags: PowerFlags, assumed: Any | None) -> StatedJudge:
    """What is given goes before the scenario, and that before the usual."""
    if assumed is None:
        grades = grades_of(flags.grades, flags.anchors)
        said: dict[str, Any] = {}
    else:
        if wrong := flags.given(("anchors", "grades")):
            fix = "leave them out, or leave out --scenario"
            raise UsageError(f"the scenario says that, not {', '.join(wrong)}", where="--scenario", fix=fix)
        grades = grades_of(",".join(assumed.grades), None)
        said = {
            name: getattr(assumed, name) for name in ("discrimination", "position_bias", "per_run", "origin")
        }
        said["noise"] = 0.0
    named = ("discrimination", "position_bias", "noise", "tau", "per_run")
    given = {name: value for name in named if (value := getattr(flags, name)) is not None}
    return StatedJudge(grades, **{**said, **given})


def _question(flags: PowerFlags, source: PlanningJudge) -> PowerQuestion:
    difference, gates = flags.difference, gates_of(flags.gate, source.grades)
    asked = (flags.difference, flags.width, flags.comparisons, flags.budget_usd)
    if all(one is None for one in asked) and not gates:
        difference = _DEFAULT_DIFFERENCE
    return PowerQuestion(
        difference=difference,
        width=flags.width,
        gates=gates,
        comparisons=flags.comparisons,
        budget_usd=flags.budget_usd,
        power=flags.power,
        confidence=flags.confidence,
        limit=flags.limit,
        runs=flags.runs,
        seed=flags.seed,
    )
