"""From the merged settings of a variant to a frozen `Variant`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pytest_eng5.scenario.errors import Location
from pytest_eng5.scenario.faults import planned_faults
from pytest_eng5.scenario.files import NamedFiles
from pytest_eng5.scenario.models import JudgeKeys, Mode, ThresholdKeys, VariantKeys
from pytest_eng5.scenario.nodes import MappingNode, Scalar, find, plain
from pytest_eng5.scenario.variants import Expect, Judge, MockJudge, Threshold, Timeout, Variant

__all__ = ["DEFAULT_MODE", "build_variant"]

DEFAULT_MODE: Mode = "anchor-align-test"


def build_variant(scenario: str, settings: MappingNode, location: Location, files: NamedFiles) -> Variant:
    """Return the variant that valid, merged ``settings`` describe; ``files`` notes unusable paths."""
    keys = VariantKeys.model_validate(plain(settings))
    return Variant(
        scenario=scenario,
        id=keys.id,
        location=location,
        mode=keys.mode or DEFAULT_MODE,
        inputs_dir=files.inputs_dir(_scalar(settings, "inputs"), keys.mode or DEFAULT_MODE),
        judge=_judge(keys.judge, _student_grades(settings, files)),
        timeout=Timeout(**_given(keys.timeout)),
        comparisons_max=keys.comparisons.max if keys.comparisons else None,
        budget_usd=keys.budget.max_usd if keys.budget else None,
        thresholds=_thresholds(settings, keys),
        system_prompt=_text_file(settings, "system_prompt", "the system prompt", files),
        rubric=_text_file(settings, "rubric", "the rubric", files),
        marks=tuple(dict.fromkeys(keys.marks or ())),
        expect=Expect(tuple(keys.expect.findings)) if keys.expect else None,
        faults=planned_faults(settings),
        **_simple(keys),
    )


def _given(keys: BaseModel | None) -> dict[str, Any]:
    """Return the values that are set; 0 and 0.0 are values."""
    if keys is None:
        return {}
    return {name: value for name in type(keys).model_fields if (value := getattr(keys, name)) is not None}


def _simple(keys: VariantKeys) -> dict[str, Any]:
    """Return the settings that a variant holds under the key's own name and type."""
    names = ("language", "repeats", "fail_fast", "assignment_id", "course_id", "expected_grade_scale")
    given = _given(keys)
    simple = {name: given[name] for name in names if name in given}
    return simple | ({"course_code": keys.course_code.value} if keys.course_code else {})


def _judge(keys: JudgeKeys | None, student_grades: Path | None) -> Judge:
    given, mock = _given(keys), _given(keys.mock if keys else None)
    given.pop("mock", None)
    return Judge(**given, mock=MockJudge(**(mock | {"student_grades": student_grades})))


def _student_grades(settings: MappingNode, files: NamedFiles) -> Path | None:
    node = find(settings, "judge", "mock", "student_grades")
    return files.student_grades(node) if isinstance(node, Scalar) and node.value is not None else None


def _thresholds(settings: MappingNode, keys: VariantKeys) -> tuple[Threshold, ...]:
    thresholds = settings.get("thresholds")
    if not isinstance(thresholds, MappingNode):
        return ()
    given = keys.thresholds or {}
    return tuple(_threshold(metric, key, thresholds) for metric, key in given.items() if key is not None)


def _threshold(metric: str, keys: ThresholdKeys, nodes: MappingNode) -> Threshold:
    return Threshold(
        metric=metric,
        min=keys.min,
        max=keys.max,
        confidence=keys.confidence,
        undecided=keys.undecided,
        location=nodes.location_of(metric),
        min_location=_location(nodes, metric, "min"),
        max_location=_location(nodes, metric, "max"),
        confidence_location=_location(nodes, metric, "confidence"),
    )


def _location(nodes: MappingNode, *path: str) -> Location | None:
    node = find(nodes, *path)
    return node.location if node else None


def _scalar(settings: MappingNode, key: str) -> Scalar:
    node = settings.get(key)
    assert isinstance(node, Scalar)
    return node


def _text_file(settings: MappingNode, key: str, what: str, files: NamedFiles) -> Any:
    return files.text_file(_scalar(settings, key), what) if settings.get(key) else None
