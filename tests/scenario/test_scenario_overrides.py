"""Options ``--eng5-set KEY=VALUE``: last wins, over everything, for all variants or for one."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.scenario import OverrideError, ScenarioError


def refused(workspace: Any, text: str, *overrides: str) -> OverrideError:
    error = workspace.error(text, *overrides)
    assert isinstance(error, OverrideError)
    return error


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("thresholds.kendall_tau.min=0.8", lambda v: v.thresholds[0].min, 0.8),
        ("judge.temperature=0.0", lambda v: v.judge.temperature, 0.0),
        ("judge.temperature=null", lambda v: v.judge.temperature, None),
        ("judge.model=gpt-5.1", lambda v: v.judge.model, "gpt-5.1"),
        ("judge.model=4.0", lambda v: v.judge.model, "4.0"),
        ("judge.mock.seed=9", lambda v: (v.judge.mock.seed, v.judge.mock.discrimination), (9, 2.0)),
        ("judge.mock={seed: 9}", lambda v: (v.judge.mock.seed, v.judge.mock.discrimination), (9, 2.0)),
        ("comparisons.max=12", lambda v: v.comparisons_max, 12),
        ("comparisons=", lambda v: v.comparisons_max, None),
        ("repeats=3", lambda v: v.repeats, 3),
        ("timeout={idle: 1, total: null}", lambda v: (v.timeout.idle, v.timeout.total), (1.0, None)),
        ("budget.max_usd=0", lambda v: v.budget_usd, 0.0),
        ("language=sv", lambda v: v.language, "sv"),
        ("marks=[a, b]", lambda v: v.marks, ("a", "b")),
        ("system_prompt=", lambda v: v.system_prompt, None),
        ("fail_fast=true", lambda v: v.fail_fast, True),
        ("expect={findings: [META-MISSING]}", lambda v: v.expect.findings, ("META-MISSING",)),
        (" judge . temperature =  1.5 ", lambda v: v.judge.temperature, 1.5),
        ("judge.model='a=b'", lambda v: v.judge.model, "a=b"),
        ("judge.model=a=b", lambda v: v.judge.model, "a=b"),
    ],
)
def test_an_option_wins_in_every_variant(
    workspace: Any, example: str, override: str, read: Any, value: Any
) -> None:
    scenario = workspace.load(example, override)
    assert [read(variant) for variant in scenario.variants] == [value, value]
    assert scenario.overrides == (override,)


def test_an_option_wins_over_what_the_variant_itself_sets(workspace: Any, minimal: str) -> None:
    text = f"repeats: 2\n{minimal}    repeats: 3\n"
    assert workspace.load(text).variants[0].repeats == 3
    assert workspace.load(text, "repeats=5").variants[0].repeats == 5


def test_the_last_option_wins(workspace: Any, example: str) -> None:
    variant = workspace.load(example, "repeats=2", "judge.temperature=1", "repeats=4").variants[0]
    assert (variant.repeats, variant.judge.temperature) == (4, 1.0)


def test_options_for_one_variant_leave_the_others(workspace: Any, example: str) -> None:
    first, second = workspace.load(example, "variants.language_control.judge.temperature=0.9").variants
    assert (first.judge.temperature, second.judge.temperature) == (0.1, 0.9)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("repeats=2", "variants.baseline.repeats=3"), [3, 2]),
        (("variants.baseline.repeats=3", "repeats=2"), [2, 2]),
    ],
)
def test_the_last_one_wins_between_all_and_one(
    workspace: Any, example: str, options: tuple[str, ...], expected: list[int]
) -> None:
    assert [v.repeats for v in workspace.load(example, *options).variants] == expected


def test_several_keys_of_one_variant_at_once(workspace: Any, example: str) -> None:
    variant = workspace.load(example, "variants.baseline={repeats: 2, marks: [x]}").variants[0]
    assert (variant.repeats, variant.marks) == (2, ("x",))


def test_ids_with_dots_are_addressed(workspace: Any, minimal: str) -> None:
    text = f"{minimal}  - id: v1\n  - id: v1.0\n  - id: v1.0.judge\n"
    scenario = workspace.load(text, "variants.v1.0.repeats=2", "variants.v1.0.judge.repeats=3")
    assert [v.repeats for v in scenario.variants] == [1, 1, 2, 3]


def test_a_new_threshold_comes_last_and_null_removes_one(workspace: Any, example: str) -> None:
    variant = workspace.load(
        example, "thresholds.coverage={min: 1}", "thresholds.zero_win_anchors=null"
    ).variants[0]
    assert [t.metric for t in variant.thresholds] == [
        "kendall_tau",
        "direct_inversions",
        "upper_grade_inversions",
        "coverage",
    ]


def test_places_of_overridden_values_name_the_option(workspace: Any, example: str) -> None:
    option = "thresholds.kendall_tau.min=0.8"
    threshold = workspace.load(example, option).variants[0].thresholds[0]
    assert str(threshold.location) == "a.eng5.yaml:18:3"
    assert str(threshold.min_location) == f"--eng5-set {option}"
    assert threshold.min_location.path == workspace.root / "a.eng5.yaml"


def test_name_description_and_mode_can_be_set(workspace: Any, example: str) -> None:
    scenario = workspace.load(example, "scenario=other", "description=a b", "mode=anchor-align-test")
    assert (scenario.name, scenario.description) == ("other", "a b")
    assert {variant.scenario for variant in scenario.variants} == {"other"}


def test_missing_inputs_can_be_given(workspace: Any) -> None:
    scenario = workspace.load("scenario: x\nvariants: [{id: a}]\n", "inputs=role_models")
    assert scenario.variants[0].inputs_dir == workspace.root / "role_models"


@pytest.mark.parametrize(
    ("override", "message", "hint"),
    [
        ("repeats", "is not KEY=VALUE", "write for example judge.temperature=0.2"),
        ("", "is not KEY=VALUE", "write for example"),
        ("=3", "is not KEY=VALUE", "write for example"),
        ("a..b=1", "the key 'a..b' has an empty part", "separate parts by one dot"),
        (".a=1", "the key '.a' has an empty part", "separate"),
        (
            "judge.temprature=1",
            "unknown key 'temprature' in 'judge'",
            "did you mean 'temperature'? keys allowed",
        ),
        ("repeat=1", "unknown key 'repeat'", "did you mean 'repeats'?"),
        ("temperature=1", "unknown key 'temperature'", "write it under 'judge:'"),
        ("judge.temperature=hot", "judge.temperature: expected a number between 0 and 2, got 'hot'", None),
        (
            "judge.temperature.x=1",
            "judge.temperature: expected a number between 0 and 2, got a mapping",
            None,
        ),
        ("marks.0=x", "marks: expected a list, got a mapping", None),
        ("judge=mock", "judge: expected a mapping (key: value), got 'mock'", None),
        ("thresholds.Tau.min=1", "'Tau' in 'thresholds' is no metric name", "metric names are"),
        ("variants=[]", "the list of variants cannot be replaced", "set one variant's key"),
        ("variants.baseline=3", "names a variant but no key of it", "write variants.<id>.<key>=..."),
        ("variants.baseline.id=new", "the id of a variant cannot be changed", "edit the file"),
        ("variants.baseline={id: new}", "the id of a variant cannot be changed", "edit the file"),
        ("variants.baseline.repeat=1", "unknown key 'repeat'", "did you mean 'repeats'?"),
        ("variants.baseline.scenario=x", "unknown key 'scenario'", "keys allowed here: id, "),
        (
            "variants.basline.repeats=1",
            "there is no variant 'basline'",
            "did you mean 'baseline'? variants of this file: baseline, language_control",
        ),
        (
            "variants.zzz.repeats=1",
            "there is no variant 'zzz'",
            "variants of this file: baseline, language_control",
        ),
        ("variants.=1", "there is no variant ''", "variants of this file"),
        (
            "description=a: b: c",
            "the value is not YAML: mapping values are not allowed here",
            "check the indentation, or put a text with a colon in quotes",
        ),
        ("judge={a", "the value is not YAML", "close the bracket"),
        ("judge.model=*x", "the value the alias *x has no anchor", "put the value in quotes"),
        ("judge={model: a, model: b}", "the key 'model' is already set", "remove one of the two"),
        ("judge.model=!!int 3", "the tag tag:yaml.org,2002:int is not allowed", "remove it"),
        ("faults=[1]", "faults is not supported yet", "remove it"),
        ("inputs=", "the key 'inputs' is missing", "write 'inputs: folder'"),
        ("inputs=role_model", "the inputs folder role_model does not exist", "did you mean role_models?"),
        ("system_prompt=prompts/system/1.txt", "the system prompt prompts/system/1.txt does not exist", None),
        (
            "thresholds.kendall_tau.max=0.1",
            "no value passes the threshold 'kendall_tau': min is above max",
            None,
        ),
        ("scenario=", "scenario: expected a name", None),
        (".".join("a" * 40) + "=1", "the key has more than 24 parts", None),
    ],
)
def test_a_wrong_option_is_named_and_explained(
    workspace: Any, example: str, override: str, message: str, hint: str | None
) -> None:
    error = refused(workspace, example, override)
    assert str(error).startswith(f"--eng5-set {override}: {message}")
    if hint is not None:
        assert error.hint is not None
        assert error.hint.startswith(hint)


def test_options_do_not_hide_problems_of_the_file(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}repeats: 0\n", "repeats=1")
    assert not isinstance(error, OverrideError)
    assert error.line == 5


def test_an_unrelated_option_is_not_blamed(workspace: Any) -> None:
    error = workspace.error("scenario: x\nvariants: [{id: a}]\n", "repeats=2")
    assert not isinstance(error, OverrideError)
    assert str(error).startswith("a.eng5.yaml:1:1: the key 'inputs' is missing")


def test_options_for_variants_of_other_files_can_be_let_through(workspace: Any, minimal: str) -> None:
    options = ("variants.elsewhere.repeats=2", "repeats=3")
    scenario = workspace.load(minimal, *options, missing_variant_ok=True)
    assert scenario.unmatched_overrides == ("variants.elsewhere.repeats=2",)
    assert scenario.variants[0].repeats == 3


def test_a_long_or_unprintable_option_is_shown_on_one_short_line(workspace: Any, minimal: str) -> None:
    error = refused(workspace, minimal, "judge.model=\x1b[31m\n" + "x" * 500)
    first = str(error).splitlines()[0]
    assert first.isprintable()
    assert len(first) < 250


def test_bytes_that_the_shell_could_not_decode_are_refused(workspace: Any, minimal: str) -> None:
    refused(workspace, minimal, "judge.model=caf\udce9")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    key=st.sampled_from(
        ["repeats", "judge.temperature", "variants.only.marks", "thresholds", "judge", "x", ""]
    )
    | st.text(max_size=12),
    value=st.text(alphabet=st.sampled_from(list("ab01.:-{}[],&*!'\"#\n ~")), max_size=15)
    | st.text(max_size=10),
)
def test_no_option_crashes(workspace: Any, minimal: str, key: str, value: str) -> None:
    with contextlib.suppress(ScenarioError):
        workspace.load(minimal, f"{key}={value}")


EDITS = {
    "repeats": st.integers(1, 9),
    "language": st.sampled_from(["en", "sv", "no"]),
    "course_code": st.sampled_from(["ENG5", "SV3"]),
    "fail_fast": st.booleans(),
    "budget": st.fixed_dictionaries({"max_usd": st.integers(0, 5)}),
    "comparisons": st.none() | st.fixed_dictionaries({"max": st.integers(1, 99)}),
    "marks": st.lists(st.sampled_from(["slow", "live"]), unique=True),
    "judge": st.dictionaries(st.just("temperature"), st.integers(0, 2)),
    "thresholds": st.dictionaries(
        st.sampled_from(["kendall_tau", "coverage"]),
        st.none() | st.fixed_dictionaries({"min": st.integers(0, 5)}),
    ),
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.data())
def test_an_option_does_what_writing_it_into_the_variant_does(
    workspace: Any, example: str, data: st.DataObject
) -> None:
    """The same key and value by both roads: as an option, and in the file at the end of the last variant."""
    key = data.draw(st.sampled_from(sorted(set(EDITS) - {"marks"})))
    value = json.dumps(data.draw(EDITS[key]))
    edited = workspace.load(f"{example}    {key}: {value}\n").variants[1]
    by_option = workspace.load(example, f"variants.language_control.{key}={value}").variants[1]
    for_all = workspace.load(example, f"{key}={value}").variants[1]
    assert by_option.to_dict() == for_all.to_dict() == edited.to_dict()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.data())
def test_a_dotted_key_does_what_the_nested_mapping_does(
    workspace: Any, example: str, data: st.DataObject
) -> None:
    key = data.draw(
        st.sampled_from(["judge.mock.seed", "timeout.idle", "comparisons.max", "judge.max_tokens"])
    )
    value = data.draw(st.integers(1, 1000))
    nested = str(value)
    first, *rest = key.split(".")
    for part in reversed(rest):
        nested = f"{{{part}: {nested}}}"
    dotted = workspace.load(example, f"{key}={value}").variants
    flow = workspace.load(example, f"{first}={nested}").variants
    assert [v.to_dict() for v in dotted] == [v.to_dict() for v in flow]
    assert dotted[0].to_dict() != workspace.load(example, f"{key}={value + 1}").variants[0].to_dict()
