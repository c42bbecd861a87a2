"""Scenario, variant and nulls: which value wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.scenario import Location
from pytest_eng5.scenario.merging import merge
from pytest_eng5.scenario.nodes import Entry, MappingNode, Node, Scalar, SequenceNode, plain

BASE = """\
scenario: merged
inputs: role_models
judge:
  provider: openai
  model: gpt-5.1
  temperature: 0.7
  mock: {discrimination: 3.0, seed: 5}
comparisons: {max: 10}
timeout: {idle: 5, total: 50}
budget: {max_usd: 2}
system_prompt: prompts/system/001_baseline.txt
marks: [slow, live]
thresholds:
  kendall_tau: {min: 0.5, max: 0.9}
  direct_inversions: {max: 3}
expect: {findings: [META-MISSING]}
fail_fast: true
variants:
  - id: plain
  - id: other
"""


def other(workspace: Any, *lines: str) -> Any:
    """The second variant, with more keys of its own."""
    return workspace.load(BASE + "".join(f"    {line}\n" for line in lines)).variants[1]


def test_a_variant_inherits_everything(workspace: Any) -> None:
    first, second = workspace.load(BASE).variants
    assert first.to_dict() | {"id": "other"} == second.to_dict()
    assert second.judge.model == "gpt-5.1"


def test_one_key_of_the_judge_leaves_the_others(workspace: Any) -> None:
    judge = other(workspace, "judge: {temperature: 0.0}").judge
    assert (judge.provider, judge.model, judge.temperature) == ("openai", "gpt-5.1", 0.0)
    assert (judge.mock.discrimination, judge.mock.seed) == (3.0, 5)


def test_one_key_of_the_mock_judge_leaves_the_others(workspace: Any) -> None:
    judge = other(workspace, "judge: {mock: {seed: 6}}").judge
    assert (judge.mock.discrimination, judge.mock.seed, judge.temperature) == (3.0, 6, 0.7)


def test_one_deadline_leaves_the_other(workspace: Any) -> None:
    timeout = other(workspace, "timeout: {idle: 7}").timeout
    assert (timeout.idle, timeout.total) == (7.0, 50.0)


def test_thresholds_are_merged_per_metric_and_bound(workspace: Any) -> None:
    variant = other(workspace, "thresholds: {kendall_tau: {min: 0.6}, coverage: {min: 1}}")
    assert [(t.metric, t.min, t.max) for t in variant.thresholds] == [
        ("kendall_tau", 0.6, 0.9),
        ("direct_inversions", None, 3.0),
        ("coverage", 1.0, None),
    ]


def test_places_of_a_merged_threshold_are_where_each_part_was_written(workspace: Any) -> None:
    threshold = other(workspace, "thresholds: {kendall_tau: {min: 0.6}}").thresholds[0]
    lines = BASE.splitlines()
    assert threshold.location.line == len(lines) + 1
    assert threshold.min_location.line == len(lines) + 1
    assert threshold.max_location.line == lines.index("  kendall_tau: {min: 0.5, max: 0.9}") + 1


def test_null_removes_a_threshold(workspace: Any) -> None:
    variant = other(workspace, "thresholds: {kendall_tau: null}")
    assert [t.metric for t in variant.thresholds] == ["direct_inversions"]


def test_null_removes_a_bound(workspace: Any) -> None:
    threshold = other(workspace, "thresholds: {kendall_tau: {max: ~}}").thresholds[0]
    assert (threshold.min, threshold.max, threshold.max_location) == (0.5, None, None)


def test_null_removes_all_thresholds(workspace: Any) -> None:
    assert other(workspace, "thresholds:").thresholds == ()


@pytest.mark.parametrize(
    ("line", "name", "default"),
    [
        ("system_prompt: null", "system_prompt", None),
        ("budget: null", "budget_usd", None),
        ("budget: {max_usd: null}", "budget_usd", None),
        ("comparisons:", "comparisons_max", None),
        ("marks: ~", "marks", ()),
        ("expect: null", "expect", None),
        ("fail_fast: null", "fail_fast", False),
    ],
)
def test_null_takes_back_what_the_scenario_sets(workspace: Any, line: str, name: str, default: Any) -> None:
    assert getattr(other(workspace, line), name) == default


def test_null_resets_the_whole_judge(workspace: Any) -> None:
    judge = other(workspace, "judge: null").judge
    assert (judge.provider, judge.model, judge.temperature, judge.mock.seed) == ("mock", None, None, 0)


def test_a_list_is_replaced_not_extended(workspace: Any) -> None:
    assert other(workspace, "marks: [nightly]").marks == ("nightly",)
    assert other(workspace, "expect: {findings: [COUNT-EXTRA]}").expect.findings == ("COUNT-EXTRA",)


def test_a_variant_may_have_inputs_of_its_own(workspace: Any) -> None:
    for name in ("x_A", "y_B"):
        workspace.put(f"more/anchors/{name}.txt", "text")
    variant = other(workspace, "inputs: more", "course_code: SV1", "language: sv", "repeats: 4")
    assert variant.inputs_dir == workspace.root / "more"
    assert (variant.course_code, variant.language, variant.repeats) == ("SV1", "sv", 4)


def test_inputs_may_stand_in_the_variants_alone(workspace: Any) -> None:
    scenario = workspace.load("scenario: x\nvariants:\n  - {id: a, inputs: role_models}\n")
    assert scenario.variants[0].inputs_dir.name == "role_models"


TREES = st.recursive(
    st.none() | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
)
MAPPINGS = st.dictionaries(st.sampled_from("abcd"), TREES, max_size=4)
FILE = Path("x.eng5.yaml")


def node_of(value: Any, line: int, option: str | None = None) -> Node:
    where = Location(FILE, line, 1, option)
    if isinstance(value, dict):
        return MappingNode({k: Entry(where, node_of(v, line, option)) for k, v in value.items()}, where)
    if isinstance(value, list):
        return SequenceNode(tuple(node_of(item, line, option) for item in value), where)
    return Scalar(value, "" if value is None else str(value), where)


def values_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: values_of(v) for k, v in value.items()}
    if isinstance(value, list):
        return [values_of(item) for item in value]
    return value.value if isinstance(value, Scalar) else value


def deep_update(base: Any, over: Any) -> Any:
    """The rule in its shortest form, as an oracle."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return base | {
        key: deep_update(base[key], value) if key in base else value for key, value in over.items()
    }


def merged_nodes(base: Any, over: Any, option: str | None = None) -> MappingNode:
    first, second = node_of(base, 1), node_of(over, 2, option)
    assert isinstance(first, MappingNode)
    assert isinstance(second, MappingNode)
    return merge(first, second)


@given(MAPPINGS, MAPPINGS)
def test_merging_is_a_deep_update(base: Any, over: Any) -> None:
    merged = values_of(plain(merged_nodes(base, over)))
    assert merged == deep_update(base, over)
    assert list(merged) == list(base) + [key for key in over if key not in base]


@given(MAPPINGS, MAPPINGS, MAPPINGS)
def test_merging_does_not_change_what_it_merges(base: Any, over: Any, more: Any) -> None:
    first = node_of(base, 1)
    assert isinstance(first, MappingNode)
    second, third = node_of(over, 2), node_of(more, 3)
    assert isinstance(second, MappingNode)
    assert isinstance(third, MappingNode)
    merge(merge(first, second), third)
    assert values_of(plain(first)) == base
    assert values_of(plain(second)) == over


@given(MAPPINGS, MAPPINGS)
def test_every_leaf_keeps_the_place_where_it_was_written(base: Any, over: Any) -> None:
    def check(node: Node, low: Any, high: Any) -> None:
        if isinstance(node, MappingNode) and isinstance(low, dict) and isinstance(high, dict):
            for key, entry in node:
                check(entry.node, low.get(key, ...), high.get(key, ...))
        else:
            assert node.location.line == (1 if high is ... else 2)

    check(merged_nodes(base, over), base, over)


@given(MAPPINGS, MAPPINGS)
def test_an_option_leaves_keys_that_it_only_reaches_through_where_they_are(base: Any, over: Any) -> None:
    def check(node: MappingNode, low: Any, high: Any) -> None:
        for key, entry in node:
            if key not in high:
                assert entry.location == Location(FILE, 1, 1)
            elif key not in low:
                assert entry.location == Location(FILE, 2, 1, "o")
            elif isinstance(low[key], dict) and isinstance(high[key], dict):
                assert entry.location == Location(FILE, 1, 1)
                assert isinstance(entry.node, MappingNode)
                check(entry.node, low[key], high[key])
            else:
                assert entry.location == Location(FILE, 1, 1, "o")

    check(merged_nodes(base, over, "o"), base, over)
