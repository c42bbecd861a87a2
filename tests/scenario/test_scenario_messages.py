"""Wrong keys and values are reported where they stand, in words, all in one go."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.errors import Eng5Error, UsageError
from pytest_eng5.scenario import AnchorError, Location, OverrideError, Problem, ScenarioError

TOP_KEYS = (
    "scenario, description, mode, inputs, course_code, language, assignment_id, course_id, "
    "expected_grade_scale, system_prompt, rubric, judge, comparisons, repeats, timeout, budget, "
    "thresholds, marks, expect, fail_fast, faults, compare, variants"
)


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        (
            "scenario: Anchor",
            11,
            "scenario: expected a name of lower-case letters, digits and '_' that starts "
            "with a letter, got 'Anchor'",
        ),
        ("scenario: 3d", 11, "scenario: expected a name"),
        ("scenario: ''", 11, "scenario: expected a name"),
        (
            "scenario:",
            10,
            "scenario: expected a name of lower-case letters, digits and '_' that starts "
            "with a letter, got nothing",
        ),
        (f"scenario: {'a' * 101}", 11, "scenario: expected at most 100 characters, got 101"),
        ("description: [a]", 14, "description: expected text, got a list"),
        (
            "mode: anchor_align_test",
            7,
            "mode: expected one of plan, dry-run, execute, anchor-align-test, got 'anchor_align_test'",
        ),
        ("inputs: {a: b}", 9, "inputs: expected text, got a mapping"),
        ("inputs: ''", 9, "inputs: expected text, got ''"),
        ("course_code: ENG8", 14, "course_code: expected one of ENG5, ENG6, ENG7, SV1, SV2, SV3, got 'ENG8'"),
        ("language: norwegian-bokmal", 11, "language: expected at most 10 characters, got 16"),
        ("judge: mock", 8, "judge: expected a mapping (key: value), got 'mock'"),
        ("judge: [provider]", 8, "judge: expected a mapping (key: value), got a list"),
        (
            "judge: {provider: azure}",
            19,
            "judge.provider: expected one of anthropic, openai, google, openrouter, mock, got 'azure'",
        ),
        ("judge: {model: ''}", 16, "judge.model: expected text, got ''"),
        ("judge: {temperature: hot}", 22, "judge.temperature: expected a number between 0 and 2, got 'hot'"),
        ("judge: {temperature: 2.1}", 22, "judge.temperature: expected a number between 0 and 2, got 2.1"),
        ("judge: {temperature: -1}", 22, "judge.temperature: expected a number between 0 and 2, got -1"),
        ("judge: {temperature: true}", 22, "judge.temperature: expected a number between 0 and 2, got true"),
        ("judge: {temperature: .nan}", 22, "judge.temperature: expected a number between 0 and 2, got .nan"),
        ("judge: {temperature: [0]}", 22, "judge.temperature: expected a number between 0 and 2, got a list"),
        ("judge: {max_tokens: 0}", 21, "judge.max_tokens: expected a whole number of at least 1, got 0"),
        ("judge: {max_tokens: 1.5}", 21, "judge.max_tokens: expected a whole number of at least 1, got 1.5"),
        (
            "judge: {reasoning_effort: max}",
            27,
            "judge.reasoning_effort: expected one of none, low, medium, high, got 'max'",
        ),
        (
            "judge: {output_verbosity: none}",
            27,
            "judge.output_verbosity: expected one of low, medium, high, got 'none'",
        ),
        (
            "judge: {mock: {failure_rate: 1.01}}",
            30,
            "judge.mock.failure_rate: expected a number between 0 and 1, got 1.01",
        ),
        (
            "judge: {mock: {latency_ms: 0.5}}",
            28,
            "judge.mock.latency_ms: expected a whole number of at least 0, got 0.5",
        ),
        ("judge: {mock: {seed: -1}}", 22, "judge.mock.seed: expected a whole number of at least 0, got -1"),
        ("judge: {mock: {seed: 99999999999999999999}}", 22, "judge.mock.seed: expected a whole number"),
        (
            "judge: {mock: {discrimination: .inf}}",
            32,
            "judge.mock.discrimination: expected a number, got .inf",
        ),
        ("comparisons: 66", 14, "comparisons: expected a mapping (key: value), got 66"),
        ("comparisons: {max: 0}", 20, "comparisons.max: expected a whole number of at least 1, got 0"),
        ("repeats: 0", 10, "repeats: expected a whole number of at least 1, got 0"),
        ("repeats: many", 10, "repeats: expected a whole number of at least 1, got 'many'"),
        ("timeout: {idle: 0}", 17, "timeout.idle: expected a number above 0, got 0"),
        ("timeout: {total: -5}", 18, "timeout.total: expected a number above 0, got -5"),
        ("timeout: {idle: .inf}", 17, "timeout.idle: expected a number above 0, got .inf"),
        ("budget: {max_usd: -0.01}", 19, "budget.max_usd: expected a number of at least 0, got -0.01"),
        ("fail_fast: 1", 12, "fail_fast: expected true or false, got 1"),
        (
            "marks: [slow, a b]",
            15,
            "marks.item 2: expected the name of a pytest mark (letters, digits and '_'), got 'a b'",
        ),
        (
            "marks: [{a: b}]",
            9,
            "marks.item 1: expected the name of a pytest mark (letters, digits and '_'), got a mapping",
        ),
        ("expect: {}", 9, "the key 'findings' is missing in 'expect'"),
        ("expect: {findings: META-MISSING}", 20, "expect.findings: expected a list, got 'META-MISSING'"),
        (
            "expect: {findings: [meta]}",
            21,
            "expect.findings.item 1: expected a finding code such as META-MISSING "
            "(capital letters, digits, '-' and '.'), got 'meta'",
        ),
        ("thresholds: [kendall_tau]", 13, "thresholds: expected a mapping (key: value), got a list"),
        (
            "thresholds: {kendall_tau: 0.9}",
            27,
            "thresholds.kendall_tau: expected a mapping (key: value), got 0.9",
        ),
        (
            "thresholds: {kendall_tau: {min: high}}",
            33,
            "thresholds.kendall_tau.min: expected a number, got 'high'",
        ),
        ("thresholds: {Kendall: {min: 1}}", 14, "'Kendall' in 'thresholds' is no metric name"),
        ("assignment_id: 12", 16, "assignment_id: expected a UUID such as"),
        ("expected_grade_scale: swedish", 23, "expected_grade_scale: expected one of swedish_8_anchor, "),
        ("variants: []", 11, "variants: expected a list with at least one item, got an empty list"),
        ("variants: {a: b}", 11, "variants: expected a list with at least one item, got a mapping"),
        ("variants: [a]", 12, "variants.item 1: expected a mapping (key: value), got 'a'"),
        (
            "variants: [{id: Big}]",
            17,
            "variants.Big.id: expected an id of lower-case letters, digits, '_', '.', '-' "
            "that starts with a letter or digit, got 'Big'",
        ),
        ("variants: [{id: null}]", 17, "variants.null.id: expected an id"),
        ("variants: [{marks: [a]}]", 12, "the key 'id' is missing in 'variants.item 1'"),
        (
            "variants: [{id: a, judge: {temperature: x}}]",
            41,
            "variants.a.judge.temperature: expected a number",
        ),
    ],
)
def test_wrong_values_are_explained_in_words(
    workspace: Any, minimal: str, line: str, column: int, message: str
) -> None:
    key = line.split(":")[0]
    others = re.sub(rf"^{key}:.*\n( .*\n)*", "", minimal, flags=re.M)
    error = workspace.error(f"{line}\n{others}")
    assert [str(p) for p in error.problems] == [str(error.problems[0])], str(error)
    assert error.message.startswith(message)
    assert (error.line, error.column) == (1, column)
    assert str(error).startswith(f"a.eng5.yaml:1:{column}: {message}")


@pytest.mark.parametrize(
    ("line", "column", "key", "place", "hint"),
    [
        ("scenaro: x", 1, "scenaro", "", f"did you mean 'scenario'? keys allowed here: {TOP_KEYS}"),
        ("Repeats: 2", 1, "Repeats", "", "did you mean 'repeats'?"),
        ("treshold: {}", 1, "treshold", "", "did you mean 'thresholds'?"),
        ("zzz: 2", 1, "zzz", "", f"keys allowed here: {TOP_KEYS}"),
        ("temperature: 1", 1, "temperature", "", "write it under 'judge:'; keys allowed here: "),
        ("discrimination: 1", 1, "discrimination", "", "write it under 'judge.mock:'; "),
        ("max_usd: 1", 1, "max_usd", "", "write it under 'budget:'; "),
        (
            "judge: {temprature: 1}",
            9,
            "temprature",
            " in 'judge'",
            "did you mean 'temperature'? keys allowed here: "
            "provider, model, temperature, max_tokens, reasoning_effort, output_verbosity, mock",
        ),
        (
            "judge: {mock: {sede: 1}}",
            16,
            "sede",
            " in 'judge.mock'",
            "did you mean 'seed'? keys allowed here: "
            "discrimination, position_bias, failure_rate, latency_ms, seed",
        ),
        ("judge: {budget: 1}", 9, "budget", " in 'judge'", "keys allowed here: provider"),
        (
            "comparisons: {maximum: 1}",
            15,
            "maximum",
            " in 'comparisons'",
            "did you mean 'max'? keys allowed here: max",
        ),
        (
            "timeout: {idle: 1, totl: 2}",
            20,
            "totl",
            " in 'timeout'",
            "did you mean 'total'? keys allowed here: idle, total",
        ),
        (
            "timeout: {idle: 1,5}",
            19,
            "5",
            " in 'timeout'",
            "write a decimal point, not a comma, or remove it; ",
        ),
        ("budget: {usd: 1}", 10, "usd", " in 'budget'", "did you mean 'max_usd'? keys allowed here: max_usd"),
        (
            "thresholds: {a: {minimum: 1}}",
            18,
            "minimum",
            " in 'thresholds.a'",
            "did you mean 'min'? keys allowed here: min, max, confidence, undecided",
        ),
        (
            "judge: {seed: 1}",
            9,
            "seed",
            " in 'judge'",
            "write it under 'judge.mock:'; keys allowed here: provider",
        ),
        ("expect: {findings: [], codes: 1}", 24, "codes", " in 'expect'", "keys allowed here: findings"),
    ],
)
def test_unknown_keys_suggest_the_nearest(
    workspace: Any, minimal: str, line: str, column: int, key: str, place: str, hint: str
) -> None:
    error = workspace.error(f"{line}\n{minimal}")
    assert error.message == f"unknown key {key!r}{place}"
    assert (error.line, error.column) == (1, column)
    assert error.hint is not None
    assert error.hint.startswith(hint)


def test_an_unknown_key_of_a_variant_names_the_variant(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}    sytem_prompt: x\n")
    assert error.message == "unknown key 'sytem_prompt' in 'variants.only'"
    assert (error.line, error.column) == (5, 5)
    assert error.hint.startswith("did you mean 'system_prompt'? keys allowed here: id, mode, ")


@pytest.mark.parametrize("key", ["scenario", "description", "compare", "variants"])
def test_keys_of_the_file_are_unknown_in_a_variant(workspace: Any, minimal: str, key: str) -> None:
    error = workspace.error(f"{minimal}    {key}: x\n")
    assert error.message == f"unknown key {key!r} in 'variants.only'"


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("fail_fast: yes", "write true or false"),
        ("fail_fast: Off", "write true or false"),
        ("fail_fast: maybe", None),
        ("repeats: '3'", "remove the quotes"),
        ("repeats: ' 3 '", "remove the quotes"),
        ('budget: {max_usd: "0.5"}', "remove the quotes"),
        ("budget:\n  max_usd: 0,5", "write a decimal point, not a comma"),
        ("course_code: eng5", "did you mean 'ENG5'?"),
        ("mode: anchor_align_test", "did you mean 'anchor-align-test'?"),
        ("judge: {provider: OpenAI}", "did you mean 'openai'?"),
        ("judge: {reasoning_effort: xyzzy}", None),
        ("marks: slow", "write [slow]"),
    ],
)
def test_hints_say_how_to_write_the_value(workspace: Any, minimal: str, line: str, hint: str | None) -> None:
    assert workspace.error(f"{line}\n{minimal}").hint == hint


@pytest.mark.parametrize("key", ["scenario", "variants"])
def test_a_missing_key_is_named(workspace: Any, minimal: str, key: str) -> None:
    text = re.sub(rf"^{key}:.*\n( .*\n)*", "", minimal, flags=re.M)
    error = workspace.error(text)
    assert str(error) == f"a.eng5.yaml:1:1: the key '{key}' is missing\n  fix: add '{key}: ...'"


def test_missing_inputs_are_reported_once_for_all_variants(workspace: Any) -> None:
    error = workspace.error("scenario: x\nvariants: [{id: a}, {id: b}, {id: c}]\n")
    assert str(error) == (
        "a.eng5.yaml:1:1: the key 'inputs' is missing\n  fix: write 'inputs: folder', here or in each variant"
    )


def test_a_misspelt_key_leads_the_missing_one(workspace: Any, minimal: str) -> None:
    error = workspace.error(minimal.replace("scenario:", "scenaro:"))
    assert [p.message for p in error.problems] == ["unknown key 'scenaro'", "the key 'scenario' is missing"]


def test_equal_variant_ids_are_refused(workspace: Any, minimal: str) -> None:
    error = workspace.error(f"{minimal}  - id: other\n  - id: 'only'\n")
    assert error.message == "the variant id 'only' is already used in line 4, column 9"
    assert (error.line, error.column) == (6, 9)


def test_equal_ids_by_alias_are_refused(workspace: Any) -> None:
    text = "scenario: x\ninputs: role_models\nvariants:\n  - &v {id: a}\n  - *v\n"
    assert "already used" in workspace.error(text).message


def test_all_problems_of_a_file_are_reported_in_its_order(workspace: Any) -> None:
    error = workspace.error(
        """\
        scenario: Bad
        inputs: role_models
        repeats: 0
        repeats: 2
        judge: {temperature: hot, modl: x}
        compare: {to: a}
        variants:
          - id: a
            fail_fast: 3
          - id: a
        """
    )
    places = [(p.location.line, p.location.column) for p in error.problems]
    assert places == [(1, 11), (3, 10), (4, 1), (5, 22), (5, 27), (6, 10), (6, 11), (9, 16), (10, 9)]
    text = str(error)
    for line, column in places:
        assert f"\na.eng5.yaml:{line}:{column}: " in f"\n{text}"
    assert (error.line, error.column) == (1, 11)
    assert error.message == error.problems[0].message


def test_very_many_problems_are_counted_not_listed(workspace: Any, minimal: str) -> None:
    error = workspace.error(minimal + "".join(f"k{i}: 1\n" for i in range(50)))
    assert len(error.problems) == 50
    assert str(error).count("unknown key") == 20
    assert str(error).endswith("... and 30 more problems")


def test_a_position_outside_the_working_directory_is_absolute(
    workspace: Any, minimal: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    error = workspace.error(f"{minimal}x: 1\n")
    assert str(error).startswith(f"{workspace.root}/a.eng5.yaml:5:1: unknown key 'x'")


def test_odd_keys_and_values_stay_on_one_printable_line(workspace: Any, minimal: str) -> None:
    key = "k" * 500
    error = workspace.error(f'{minimal}"new\\nline": 1\n{key}: 1\nmode: "a\\nb"\nrepeats: "{"x" * 500}"\n')
    lines = [line for line in str(error).splitlines() if not line.startswith("  fix: ")]
    assert len(lines) == 4
    assert all(len(line) < 200 for line in lines)
    assert all(line.isprintable() for line in lines)


def test_errors_have_one_root_and_survive_pickling() -> None:
    problems = [
        Problem(Location(Path("a.yaml"), 3, 4), "is wrong", "mend it"),
        Problem(Location(Path("b")), "too"),
    ]
    for kind in (ScenarioError, AnchorError, OverrideError):
        error = kind(problems)
        assert isinstance(error, UsageError)
        assert isinstance(error, Eng5Error)
        assert (error.path, error.line, error.column) == (Path("a.yaml"), 3, 4)
        assert (error.message, error.hint, error.exit_code) == ("is wrong", "mend it", 2)
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind
        assert str(again) == str(error) == "a.yaml:3:4: is wrong\n  fix: mend it\nb:1:1: too"


def test_an_error_can_be_made_for_one_place() -> None:
    error = ScenarioError.at(Location(Path("a.yaml"), 2, 5), "cannot be reached", "lower it")
    assert str(error) == "a.yaml:2:5: cannot be reached\n  fix: lower it"
