"""Scenario files (YAML) to typed, fully merged variants; every complaint carries file, line and column."""

from __future__ import annotations

from pytest_eng5.scenario.anchors import Anchor, read_anchors
from pytest_eng5.scenario.errors import AnchorError, Location, OverrideError, Problem, ScenarioError
from pytest_eng5.scenario.json_schema import scenario_json_schema
from pytest_eng5.scenario.loading import load_scenario
from pytest_eng5.scenario.variants import Expect, Judge, MockJudge, Scenario, Threshold, Timeout, Variant

__all__ = [
    "Anchor",
    "AnchorError",
    "Expect",
    "Judge",
    "Location",
    "MockJudge",
    "OverrideError",
    "Problem",
    "Scenario",
    "ScenarioError",
    "Threshold",
    "Timeout",
    "Variant",
    "load_scenario",
    "read_anchors",
    "scenario_json_schema",
]
