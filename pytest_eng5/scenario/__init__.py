"""Scenario files (YAML) to typed, fully merged variants; every complaint carries file, line and column."""

from __future__ import annotations

from pytest_eng5.scenario.anchors import ANCHOR_FOLDER, Anchor, has_anchors, read_anchors
from pytest_eng5.scenario.compare import Compare, ComparedMetric
from pytest_eng5.scenario.errors import AnchorError, Location, OverrideError, Problem, ScenarioError
from pytest_eng5.scenario.essays import EssayFiles, decode_essay, list_essays, read_essay
from pytest_eng5.scenario.faults import PlannedFault
from pytest_eng5.scenario.json_schema import scenario_json_schema
from pytest_eng5.scenario.loading import load_scenario
from pytest_eng5.scenario.student_grades import read_student_grades
from pytest_eng5.scenario.students import STUDENT_FOLDER, Student, read_students
from pytest_eng5.scenario.variants import Expect, Judge, MockJudge, Scenario, Threshold, Timeout, Variant

__all__ = [
    "ANCHOR_FOLDER",
    "STUDENT_FOLDER",
    "Anchor",
    "AnchorError",
    "Compare",
    "ComparedMetric",
    "EssayFiles",
    "Expect",
    "Judge",
    "Location",
    "MockJudge",
    "OverrideError",
    "PlannedFault",
    "Problem",
    "Scenario",
    "ScenarioError",
    "Student",
    "Threshold",
    "Timeout",
    "Variant",
    "decode_essay",
    "has_anchors",
    "list_essays",
    "load_scenario",
    "read_anchors",
    "read_essay",
    "read_student_grades",
    "read_students",
    "scenario_json_schema",
]
