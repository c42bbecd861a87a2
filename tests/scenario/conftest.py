"""A folder with everything that the scenario of the design names, and short ways to load variations of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from pytest_eng5.scenario import Scenario, ScenarioError, load_scenario

DESIGN_EXAMPLE = """\
# yaml-language-server: $schema=../schemas/scenario.schema.json
scenario: anchor_align                 # [a-z][a-z0-9_]*, the name in reports
description: Baseline prompts against the role-model anchors
mode: anchor-align-test                # plan | dry-run | execute | anchor-align-test
inputs: role_models                    # folder, relative to this file
course_code: ENG5                      # contract 2.1
language: en
judge:                                 # becomes LLMConfigOverrides; every key may be set again per variant
  provider: mock                       # mock | anthropic | openai | google | openrouter
  model: simulated-judge
  temperature: 0.1
  mock: {discrimination: 2.0, position_bias: 0.0, failure_rate: 0.0, latency_ms: 0, seed: 7}
comparisons: {max: 66}                 # default n(n-1)/2, one full round-robin
repeats: 1
timeout: {idle: 30, total: 300}        # seconds
budget: {max_usd: 0.50}
thresholds:                            # every key becomes one item; may be overridden per variant
  kendall_tau: {min: 0.90}
  direct_inversions: {max: 1}
  zero_win_anchors: {max: 1}          # one round-robin without inversions always leaves one (section 9)
  upper_grade_inversions: {max: 0}
variants:
  - id: baseline                       # [a-z0-9][a-z0-9_.-]*, unique in the file
    system_prompt: prompts/system/001_baseline.txt
    rubric: prompts/rubric/001_baseline.txt
  - id: language_control
    system_prompt: prompts/system/003_language_control.txt
    rubric: prompts/rubric/003_language_control.txt
    marks: [slow]
"""

MINIMAL = """\
scenario: small
inputs: role_models
variants:
  - id: only
"""

GRADES = ("A", "A", "B", "B", "C+", "C-", "D+", "D-", "E+", "E-", "F+", "F+")


class Workspace:
    """A folder with inputs and prompts in which scenario files are written and loaded."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("001_baseline", "003_language_control"):
            self.put(f"prompts/system/{name}.txt", f"You compare two essays ({name}).\n")
            self.put(f"prompts/rubric/{name}.txt", f"Weigh language first ({name}).\n")
        for number, grade in enumerate(GRADES, 1):
            self.put(f"role_models/anchors/essay_{number:02}_{grade}.txt", f"Essay number {number}.\n")

    def put(self, name: str, content: str | bytes) -> Path:
        """Write a file, with the folders it needs."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def load(self, content: str | bytes, *overrides: str, missing_variant_ok: bool = False) -> Scenario:
        """Load a scenario file with this content."""
        text = dedent(content) if isinstance(content, str) else content
        path = self.put("a.eng5.yaml", text)
        return load_scenario(path, overrides, missing_variant_ok=missing_variant_ok)

    def error(self, content: str | bytes, *overrides: str) -> ScenarioError:
        """Load a scenario file that must be refused; return the error."""
        with pytest.raises(ScenarioError) as caught:
            self.load(content, *overrides)
        return caught.value


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that is the working directory, so that messages show relative paths."""
    monkeypatch.chdir(tmp_path)
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def example() -> str:
    """The scenario file of the design, verbatim."""
    return DESIGN_EXAMPLE


@pytest.fixture(scope="session")
def minimal() -> str:
    """The shortest scenario file: one variant, everything else by default."""
    return MINIMAL


@pytest.fixture(scope="session")
def new_workspace() -> Callable[[Path], Workspace]:
    """The class, for property tests that need one folder for many examples."""
    return Workspace
