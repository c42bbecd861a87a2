"""The small parts: places, nodes, words for types, rules, and what the room offers and may import."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_eng5.scenario as room
from pytest_eng5.scenario import Location, Problem
from pytest_eng5.scenario.errors import shown_path, shown_text
from pytest_eng5.scenario.explain import closest, expected
from pytest_eng5.scenario.nodes import Entry, MappingNode, Scalar, SequenceNode, find, plain
from pytest_eng5.scenario.rules import rule_problems
from pytest_eng5.scenario.yaml_reader import parse_yaml

FILE = Path("x.eng5.yaml")


def mapping(text: str) -> MappingNode:
    node, problems = parse_yaml(text, FILE)
    assert isinstance(node, MappingNode)
    assert problems == []
    return node


def test_the_room_offers_these_names() -> None:
    assert set(room.__all__) == {
        "ANCHOR_FOLDER",
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
        "STUDENT_FOLDER",
        "ScenarioError",
        "Student",
        "Threshold",
        "Timeout",
        "Variant",
        "decode_essay",
        "list_essays",
        "load_scenario",
        "read_anchors",
        "read_essay",
        "read_student_grades",
        "has_anchors",
        "read_students",
        "scenario_json_schema",
    }
    assert all(hasattr(room, name) for name in room.__all__)


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_the_room_imports_only_what_it_may() -> None:
    allowed = ("pytest_eng5.scenario", "pytest_eng5.contracts", "pytest_eng5.errors")
    for path in Path(room.__file__).parent.glob("*.py"):
        for name in imported_modules(path):
            if name.startswith("pytest_eng5"):
                assert name.startswith(allowed), f"{path.name} imports {name}"
            assert not name.startswith(("pytest.", "_pytest", "numpy", "aiokafka", "httpx")), path.name


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("plain", 60, "plain"),
        ("åäö 😀", 60, "åäö 😀"),
        ("a\nb", 60, "a\\nb"),
        ("\x1b[31m", 60, "\\x1b[31m"),
        ("x" * 60, 60, "x" * 60),
        ("x" * 61, 60, "x" * 57 + "..."),
        ("caf\udce9", 60, "caf\\udce9"),
        ("", 60, ""),
    ],
)
def test_text_is_shown_on_one_short_printable_line(text: str, limit: int, shown: str) -> None:
    assert shown_text(text, limit) == shown


@given(st.text(max_size=100) | st.text(alphabet=st.characters(), max_size=100), st.integers(4, 80))
def test_shown_text_is_always_printable_and_never_longer(text: str, limit: int) -> None:
    shown = shown_text(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    shown.encode()


def test_paths_below_the_working_directory_are_relative(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown_path(tmp_path / "a" / "b.yaml") == "a/b.yaml"
    assert shown_path(tmp_path.parent / "c.yaml") == f"{tmp_path.parent}/c.yaml"
    assert shown_path(Path("d.yaml")) == "d.yaml"


def test_a_location_shows_its_file_or_its_option() -> None:
    assert str(Location(FILE, 3, 7)) == "x.eng5.yaml:3:7"
    assert str(Location(FILE)) == "x.eng5.yaml:1:1"
    assert str(Location(FILE, 3, 7, "repeats=2")) == "--eng5-set repeats=2"
    assert Location(FILE, 3, 7) == Location(FILE, 3, 7) != Location(FILE, 3, 8)


def test_a_problem_shows_its_fix_on_a_line_of_its_own() -> None:
    assert str(Problem(Location(FILE), "is wrong")) == "x.eng5.yaml:1:1: is wrong"
    assert str(Problem(Location(FILE), "is wrong", "mend it")) == "x.eng5.yaml:1:1: is wrong\n  fix: mend it"


def test_a_null_is_like_an_absent_key_but_has_a_place() -> None:
    node = mapping("a: 1\nb: null\n")
    assert isinstance(node.get("a"), Scalar)
    assert node.get("b") is None
    assert node.get("c") is None
    assert node.location_of("b").line == 2
    assert node.location_of("c") == node.location


def test_paths_through_a_tree() -> None:
    node = mapping("a: {b: [x, {c: y}], d: null}\n")
    leaf = find(node, "a", "b", 1, "c")
    assert isinstance(leaf, Scalar)
    assert leaf.text == "y"
    for path in [
        ("z",),
        ("a", "b", 2),
        ("a", 0),
        ("a", "b", "c"),
        ("a", "d"),
        ("a", "d", "e"),
        ("a", "b", 0, 0),
    ]:
        assert find(node, *path) is None
    assert find(node) is node


def test_the_plain_form_keeps_scalars_and_drops_places() -> None:
    where = Location(FILE)
    one = Scalar(1, "1", where)
    nothing = Scalar(None, "~", where)
    tree = MappingNode({"a": Entry(where, SequenceNode((one, nothing), where))}, where)
    assert plain(tree) == {"a": [one, None]}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number"}, "a number"),
        ({"type": "number", "minimum": 0, "maximum": 2}, "a number between 0 and 2"),
        ({"type": "number", "minimum": 0.5}, "a number of at least 0.5"),
        ({"type": "number", "exclusiveMinimum": 0}, "a number above 0"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "a number above 0 and below 1"),
        ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, "a whole number of at least 1"),
        ({"type": "integer", "minimum": 1, "maximum": 9}, "a whole number between 1 and 9"),
        ({"type": "boolean"}, "true or false"),
        ({"type": "string"}, "text"),
        ({"type": "string", "enum": ["a", "b"]}, "one of a, b"),
        ({"type": "array"}, "a list"),
        ({"type": "array", "minItems": 1}, "a list with at least one item"),
        ({"type": "object"}, "a mapping (key: value)"),
        ({}, "another value"),
    ],
)
def test_types_in_words(schema: dict[str, Any], words: str) -> None:
    assert expected(schema) == words


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("temprature", ["temperature", "model"], "temperature"),
        ("OPENAI", ["openai", "openrouter"], "openai"),
        ("eng5", ["ENG5", "SV1"], "ENG5"),
        ("zzz", ["temperature"], None),
        ("", ["a"], None),
        ("a", [], None),
    ],
)
def test_the_nearest_word(word: str, known: list[str], near: str | None) -> None:
    assert closest(word, known) == near


def messages(text: str, mode: str = "anchor-align-test") -> list[str]:
    return [problem.message for problem in rule_problems(mapping(text), mode, Location(FILE))]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("inputs: x\n", 0),
        ("thresholds: {a: {min: 1}}\n", 1),
        ("inputs: x\nthresholds: {a: {min: 1}, b: {max: 0}, c: {min: 0, max: 0}}\n", 0),
        ("inputs: x\nthresholds: {a: {min: 0.1, max: 0.0}}\n", 1),
        ("inputs: x\nthresholds: {a: {}, b: {}, c: null}\n", 2),
        ("inputs: null\nthresholds: null\n", 1),
    ],
)
def test_rules_over_several_keys(text: str, count: int) -> None:
    assert len(messages(text)) == count


def test_rules_of_modes() -> None:
    keys = "assignment_id: a\ncourse_id: b\nexpected_grade_scale: c\n"
    assert messages(f"inputs: x\n{keys}", "execute") == []
    assert len(messages(f"inputs: x\n{keys}", "plan")) == 3
    assert messages("inputs: x\n", "execute") == []
    assert messages("inputs: x\nassignment_id: a\n", "execute") == ["an assignment needs the key 'course_id'"]
    assert messages("inputs: x\nexpected_grade_scale: c\n", "execute") == [
        "'expected_grade_scale' is that of an assignment, and there is none"
    ]
    assert messages("inputs: x\nthresholds: {a: {min: 1}, b: null}\n", "execute") == [
        "without an assignment there are no anchors to judge 'a' by"
    ]
