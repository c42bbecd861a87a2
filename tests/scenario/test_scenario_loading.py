"""A good file gives the scenario and the variants that it describes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.scenario import (
    Expect,
    Judge,
    Location,
    MockJudge,
    Timeout,
    load_scenario,
)


def test_the_example_of_the_design_loads_verbatim(workspace: Any, example: str) -> None:
    scenario = workspace.load(example)
    assert scenario.name == "anchor_align"
    assert scenario.description == "Baseline prompts against the role-model anchors"
    assert scenario.mode == "anchor-align-test"
    assert [variant.id for variant in scenario.variants] == ["baseline", "language_control"]
    assert scenario.path == workspace.root / "a.eng5.yaml"
    assert scenario.overrides == ()


def test_the_first_variant_of_the_example_has_every_setting(workspace: Any, example: str) -> None:
    variant = workspace.load(example).variants[0]
    root: Path = workspace.root
    assert variant.scenario == "anchor_align"
    assert variant.mode == "anchor-align-test"
    assert variant.inputs_dir == root / "role_models"
    assert (variant.course_code, variant.language) == ("ENG5", "en")
    assert variant.judge == Judge(
        provider="mock",
        model="simulated-judge",
        temperature=0.1,
        mock=MockJudge(discrimination=2.0, position_bias=0.0, failure_rate=0.0, latency_ms=0, seed=7),
    )
    assert (variant.comparisons_max, variant.repeats) == (66, 1)
    assert variant.timeout == Timeout(idle=30.0, total=300.0)
    assert variant.budget_usd == 0.5
    assert variant.system_prompt == root / "prompts/system/001_baseline.txt"
    assert variant.rubric == root / "prompts/rubric/001_baseline.txt"
    assert (variant.marks, variant.expect, variant.fail_fast) == ((), None, False)


def test_variants_of_the_example_differ_only_in_what_they_set(workspace: Any, example: str) -> None:
    first, second = workspace.load(example).variants
    changed = {
        field.name
        for field in dataclasses.fields(first)
        if getattr(first, field.name) != getattr(second, field.name)
    }
    assert changed == {"id", "system_prompt", "rubric", "marks", "location"}
    assert second.marks == ("slow",)


def test_thresholds_keep_order_values_and_places(workspace: Any, example: str) -> None:
    thresholds = workspace.load(example).variants[1].thresholds
    lines = example.splitlines()
    assert [(t.metric, t.min, t.max) for t in thresholds] == [
        ("kendall_tau", 0.9, None),
        ("direct_inversions", None, 1.0),
        ("zero_win_anchors", None, 1.0),
        ("upper_grade_inversions", None, 0.0),
    ]
    for threshold in thresholds:
        place = threshold.location
        assert lines[place.line - 1][place.column - 1 :].startswith(threshold.metric + ":")
        bound = threshold.min_location or threshold.max_location
        assert bound is not None
        assert bound.line == place.line
        value = lines[bound.line - 1][bound.column - 1 :].split("}")[0]
        assert float(value) == (threshold.min if threshold.min is not None else threshold.max)


def test_a_variant_is_located_at_its_first_key(workspace: Any, example: str) -> None:
    variant = workspace.load(example).variants[1]
    line = example.splitlines().index("  - id: language_control") + 1
    assert variant.location == Location(workspace.root / "a.eng5.yaml", line, 5)
    assert str(variant.location) == f"a.eng5.yaml:{line}:5"


def test_the_shortest_file_gets_the_defaults(workspace: Any, minimal: str) -> None:
    scenario = workspace.load(minimal)
    variant = scenario.variants[0]
    assert (scenario.description, scenario.mode) == ("", "anchor-align-test")
    assert variant.judge == Judge(
        provider="mock",
        model=None,
        temperature=None,
        max_tokens=None,
        reasoning_effort=None,
        output_verbosity=None,
        mock=MockJudge(2.0, 0.0, 0.0, 0, 0),
    )
    assert variant.timeout == Timeout(idle=60.0, total=None)
    assert (variant.course_code, variant.language) == ("ENG5", "en")
    assert (variant.comparisons_max, variant.repeats, variant.budget_usd) == (None, 1, None)
    assert variant.thresholds == ()
    assert (variant.system_prompt, variant.rubric) == (None, None)


def test_the_file_hash_is_that_of_its_bytes(workspace: Any, example: str) -> None:
    content = example.replace("\n", "\r\n").encode()
    assert workspace.load(content).content_sha256 == hashlib.sha256(content).hexdigest()


def test_results_are_frozen_and_hashable(workspace: Any, example: str) -> None:
    scenario = workspace.load(example)
    with pytest.raises(dataclasses.FrozenInstanceError):
        scenario.variants[0].id = "other"
    assert len({*scenario.variants, *scenario.variants}) == 2


@pytest.mark.parametrize(
    ("essays", "expected"),
    [(0, 0), (1, 0), (2, 1), (3, 3), (12, 66)],
)
def test_without_a_limit_every_pair_is_compared_once(
    workspace: Any, minimal: str, essays: int, expected: int
) -> None:
    assert workspace.load(minimal).variants[0].planned_comparisons(essays) == expected


def test_a_limit_is_the_number_of_comparisons(workspace: Any, example: str) -> None:
    variant = workspace.load(example, "comparisons.max=200").variants[0]
    assert variant.planned_comparisons(12) == 200


@pytest.mark.parametrize("written", ["0.0", "0", "-0.0"])
def test_temperature_zero_is_a_value(workspace: Any, minimal: str, written: str) -> None:
    variant = workspace.load(f"{minimal}judge: {{temperature: {written}}}\n").variants[0]
    assert variant.judge.temperature == 0
    assert variant.judge.temperature is not None
    assert variant.to_dict()["judge"]["temperature"] == 0


def test_a_variant_sets_temperature_zero_over_the_scenario(workspace: Any, example: str) -> None:
    text = example.replace("    marks: [slow]", "    judge: {temperature: 0.0}")
    first, second = workspace.load(text).variants
    assert (first.judge.temperature, second.judge.temperature) == (0.1, 0.0)


@pytest.mark.parametrize("written", ["no", "on", "1.0", "1.10", "true", "0x1f", "1e3", "2024-01-01", "007"])
def test_an_id_stays_the_text_that_was_written(workspace: Any, minimal: str, written: str) -> None:
    assert workspace.load(minimal.replace("only", written)).variants[0].id == written


def test_texts_that_look_like_numbers_stay_text(workspace: Any, minimal: str) -> None:
    text = f"{minimal}description: 3.10\nlanguage: no\njudge: {{model: 4.0}}\n"
    scenario = workspace.load(text)
    assert scenario.description == "3.10"
    assert scenario.variants[0].language == "no"
    assert scenario.variants[0].judge.model == "4.0"


def test_judge_settings_reach_the_variant(workspace: Any, minimal: str) -> None:
    variant = workspace.load(
        f"""{minimal}
judge:
  provider: openai
  model: gpt-5.1
  max_tokens: 512
  reasoning_effort: none
  output_verbosity: high
"""
    ).variants[0]
    assert variant.judge == Judge("openai", "gpt-5.1", None, 512, "none", "high")


@pytest.mark.parametrize("codes", [[], ["META-MISSING"], ["SCHEMA-1.0", "COUNT-EXTRA"]])
def test_expected_findings_are_kept(workspace: Any, minimal: str, codes: list[str]) -> None:
    text = f"{minimal}expect: {{findings: {json.dumps(codes)}}}\n"
    assert workspace.load(text).variants[0].expect == Expect(tuple(codes))


def test_fail_fast_repeats_and_a_budget_of_nothing(workspace: Any, minimal: str) -> None:
    text = f"{minimal}fail_fast: true\nrepeats: 3\nbudget: {{max_usd: 0}}\n"
    variant = workspace.load(text).variants[0]
    assert (variant.fail_fast, variant.repeats, variant.budget_usd) == (True, 3, 0.0)
    assert variant.budget_usd is not None


def test_a_mark_given_twice_counts_once(workspace: Any, minimal: str) -> None:
    assert workspace.load(f"{minimal}marks: [slow, live, slow]\n").variants[0].marks == ("slow", "live")


def test_evidence_of_a_variant_is_json_without_absolute_paths(workspace: Any, example: str) -> None:
    variant = workspace.load(example).variants[1]
    kept = json.loads(json.dumps(variant.to_dict()))
    assert str(workspace.root) not in json.dumps(kept)
    assert kept["inputs"] == "role_models"
    assert kept["system_prompt"] == "prompts/system/003_language_control.txt"
    assert kept["thresholds"]["kendall_tau"] == {"min": 0.9}
    assert kept["marks"] == ["slow"]
    assert kept["judge"]["mock"]["seed"] == 7
    assert kept["timeout"] == {"idle": 30.0, "total": 300.0}


def test_evidence_names_every_setting(workspace: Any, example: str) -> None:
    variant = workspace.load(example).variants[0]
    names = {field.name for field in dataclasses.fields(variant)} - {"location"}
    renamed = {"inputs" if name == "inputs_dir" else name for name in names}
    assert set(variant.to_dict()) == renamed


def test_evidence_shows_expected_findings_and_paths_above_the_file(workspace: Any, minimal: str) -> None:
    text = minimal.replace("inputs: role_models", "inputs: ../role_models")
    path = workspace.put("deep/b.eng5.yaml", f"{text}expect: {{findings: [EVENT-LATE]}}\n")
    kept = load_scenario(path).variants[0].to_dict()
    assert kept["inputs"] == "../role_models"
    assert kept["expect"] == {"findings": ["EVENT-LATE"]}


def test_paths_are_relative_to_the_file_not_to_the_working_directory(workspace: Any, minimal: str) -> None:
    path = workspace.put("deep/er/b.eng5.yaml", minimal.replace("role_models", "../../role_models"))
    variant = load_scenario(path.relative_to(workspace.root)).variants[0]
    assert variant.inputs_dir == workspace.root / "role_models"


def test_an_absolute_path_is_used_as_it_is(workspace: Any, minimal: str) -> None:
    text = minimal.replace("role_models", str(workspace.root / "role_models"))
    assert workspace.load(text).variants[0].inputs_dir == workspace.root / "role_models"
