"""YAML to nodes: positions, and everything that a scenario file must not hold."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.scenario import ScenarioError
from pytest_eng5.scenario.nodes import MappingNode, Node, Scalar, SequenceNode, find, plain
from pytest_eng5.scenario.yaml_reader import MAX_DEPTH, MAX_NODES, parse_yaml

FILE = Path("x.eng5.yaml")


def parsed(text: str) -> Node:
    """Parse a text that has nothing wrong."""
    node, problems = parse_yaml(text, FILE)
    assert problems == []
    assert node is not None
    return node


def refused(text: str) -> ScenarioError:
    """Parse a text that cannot be made a tree."""
    with pytest.raises(ScenarioError) as caught:
        parse_yaml(text, FILE)
    return caught.value


def complaints(text: str) -> list[tuple[int, int, str]]:
    """Parse a text whose tree can be made, with problems: line, column and message of each."""
    _, problems = parse_yaml(text, FILE)
    return [(p.location.line, p.location.column, p.message) for p in problems]


def simple(node: Any) -> Any:
    """The values without their places."""
    if isinstance(node, Node):
        node = plain(node)
    if isinstance(node, dict):
        return {key: simple(value) for key, value in node.items()}
    if isinstance(node, list):
        return [simple(item) for item in node]
    return node.value if isinstance(node, Scalar) else node


def scalars(node: Node) -> list[Scalar]:
    """All single values of a tree."""
    if isinstance(node, Scalar):
        return [node]
    children = [entry.node for _, entry in node] if isinstance(node, MappingNode) else list(node.items)
    return [leaf for child in children for leaf in scalars(child)]


def test_block_and_flow_styles_mean_the_same() -> None:
    block = parsed("a:\n  b: 1\n  c:\n    - x\n    - 2.5\n")
    flow = parsed("{a: {b: 1, c: [x, 2.5]}}")
    assert simple(block) == simple(flow) == {"a": {"b": 1, "c": ["x", 2.5]}}


def test_positions_of_keys_and_values() -> None:
    root = parsed("a:\n  bc: 1\n  d: [x,  'y']\n")
    assert isinstance(root, MappingNode)
    inner = find(root, "a")
    assert isinstance(inner, MappingNode)
    assert (inner.entries["bc"].location.line, inner.entries["bc"].location.column) == (2, 3)
    assert (inner.entries["bc"].node.location.line, inner.entries["bc"].node.location.column) == (2, 7)
    second = find(root, "a", "d", 1)
    assert second is not None
    assert (second.location.line, second.location.column) == (3, 11)


def test_columns_count_characters_not_bytes() -> None:
    root = parsed("{åäö😀: é, b: x}")
    assert isinstance(root, MappingNode)
    assert root.entries["b"].location.column == 11


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_every_kind_count_once(end: str) -> None:
    root = parsed(end.join(["a: 1", "", "b: 2", "c: x"]))
    assert isinstance(root, MappingNode)
    assert [entry.location.line for _, entry in root] == [1, 3, 4]
    assert simple(root) == {"a": 1, "b": 2, "c": "x"}


@given(
    st.recursive(
        st.sampled_from(["x", "no", "1.0", "'q'", '"two words"', "true"]),
        lambda inner: (
            st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
            | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(
                lambda items: "{" + ", ".join(f"{key}: {value}" for key, value in items.items()) + "}"
            )
        ),
        max_leaves=10,
    )
)
def test_every_scalar_is_found_again_at_its_position(text: str) -> None:
    for leaf in scalars(parsed(text)):
        rest = text[leaf.location.column - 1 :]
        assert rest.startswith(leaf.text) or rest[1:].startswith(leaf.text)


JSON_TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


def printable(tree: Any) -> bool:
    """Whether YAML may hold every character of a tree, and no key is a merge key."""
    text = json.dumps(tree, ensure_ascii=False)
    escapes = ("\\u", "\\b", "\\f", "\x85", "\x7f")
    return not yaml.reader.Reader.NON_PRINTABLE.search(text) and not any(code in text for code in escapes)


@given(JSON_TREES.filter(printable))
def test_json_is_yaml(tree: Any) -> None:
    text = json.dumps(tree, ensure_ascii=False)
    node, problems = parse_yaml(text, FILE)
    assert problems == []
    assert simple(node) == tree


@pytest.mark.parametrize("text", ["", "   \n", "# only a comment\n", "\n\n"])
def test_a_text_without_a_value_is_nothing(text: str) -> None:
    assert parse_yaml(text, FILE) == (None, [])


def test_an_explicit_single_document_is_fine() -> None:
    assert simple(parsed("%YAML 1.2\n---\na: 1\n...\n")) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: 1\n...\n---\nb: 2\n", 3, 1, "second document"),
        ("a:\n\tb: 1\n", 2, 1, "a tab cannot"),
        ("a: [1, 2\nb: 3\n", 2, 2, "is not YAML"),
        ("a: b: c\n", 1, 5, "mapping values are not allowed here"),
        ("a: 'open\n", 2, 1, "unexpected end"),
        ("a: {b: 1\n", 2, 1, "is not YAML"),
        ("a: *b\n", 1, 4, "the alias *b has no anchor &b before it"),
        ("a: &a [1, *a]\n", 1, 11, "the alias *a refers to the value that it is part of"),
        ("&a {x: {y: *a}}\n", 1, 12, "refers to the value that it is part of"),
        ("a: @x\n", 1, 4, "is not YAML"),
        ("a: x\n b: y\n", 2, 3, "is not YAML"),
        ('a: "\\q"\n', 1, 6, "unknown escape"),
        ("a: \x07\n", 1, 4, "U+0007 is not allowed"),
        ("é: \U0001f600\n\x00", 2, 1, "U+0000 is not allowed"),
        ('a: "\\0"\n', 1, 4, "control character"),
        ('a: "x\\e[31m"\n', 1, 4, "control character"),
        ('a: "\\ud83d"\n', 1, 4, "control character"),
        ('"\\x7f": 1\n', 1, 1, "control character"),
        ('a: "\\Uffffffff"\n', 1, 7, "is not YAML"),
        ('a: "\\U00110000"\n', 1, 7, "is not YAML"),
        ("%YAML 2.0\n---\na: 1\n", 1, 1, "is not YAML"),
        ("%TAG ! x\n%TAG ! y\n---\na: 1\n", 2, 1, "is not YAML"),
        ("!u!x a\n", 1, 1, "is not YAML"),
    ],
)
def test_what_is_not_yaml_is_refused_where_it_stands(text: str, line: int, column: int, words: str) -> None:
    error = refused(text)
    assert words in error.message
    assert (error.line, error.column) == (line, column), str(error)


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "the key 'a' is already set at line 1, column 1"),
        ("x: {a: 1, 'a': 2}\n", 1, 11, "the key 'a' is already set at line 1, column 5"),
        ("1: a\n'1': b\n", 2, 1, "the key '1' is already set at line 1, column 1"),
        ("? [a]\n: b\n", 1, 3, "a key must be plain text, not a list or mapping"),
        ("? {a: b}\n: b\n", 1, 3, "a key must be plain text, not a list or mapping"),
        ("a: !!int 3\n", 1, 4, "the tag tag:yaml.org,2002:int is not allowed"),
        ("a: !mine {b: 1}\n", 1, 4, "the tag !mine is not allowed"),
        ("!!python/object/apply:os.system [ls]\n", 1, 1, "tag:yaml.org,2002:python/object/apply:os.system"),
        ("<<: 3\n", 1, 5, "the merge key << takes a mapping or a list of mappings"),
        ("<<: [{a: 1}, 3]\n", 1, 5, "the merge key << takes a mapping or a list of mappings"),
    ],
)
def test_what_yaml_allows_but_a_scenario_must_not_hold(
    text: str, line: int, column: int, message: str
) -> None:
    ((found_line, found_column, found),) = complaints(text)
    assert message in found
    assert (found_line, found_column) == (line, column)


def test_all_equal_keys_are_reported() -> None:
    assert [line for line, _, _ in complaints("a: 1\na: 2\na: 3\nb: {c: 1, c: 2}\n")] == [2, 3, 4]


def test_text_tags_are_harmless() -> None:
    assert simple(parsed("a: !!str 1.0\nb: ! 2\n")) == {"a": "1.0", "b": "2"}


def test_an_alias_stands_for_its_value() -> None:
    assert simple(parsed("a: &x {b: [1]}\nc: *x\n")) == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_an_anchor_may_be_set_again() -> None:
    assert simple(parsed("a: &x 1\nb: *x\nc: &x 2\nd: *x\n")) == {"a": 1, "b": 1, "c": 2, "d": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n", {"q": 3, "p": 1}),
        ("a: &x {p: 1, q: 2}\nb: {q: 3, <<: *x}\n", {"q": 3, "p": 1}),
        ("a: &x {p: 1}\nb: {<<: [*x, {p: 5, r: 6}]}\n", {"p": 1, "r": 6}),
        ("a: &x {p: {k: 1}}\nb: {<<: *x, p: {m: 2}}\n", {"p": {"m": 2}}),
        ("b: {'<<': 3}\n", {"<<": 3}),
    ],
)
def test_merge_keys_fill_in_what_is_not_written(text: str, expected: Any) -> None:
    root = simple(parsed(text))
    assert root["b"] == expected


@pytest.mark.parametrize(
    "text",
    ["a: &x {p: 1, q: [2]}\nb:\n  <<: *x\n  r: 3\n", "a: &x {p: 1}\nc: &y {s: 1}\nb: {<<: [*x, *y], p: 9}\n"],
)
def test_merge_keys_mean_what_they_mean_to_pyyaml(text: str) -> None:
    assert simple(parsed(text)) == yaml.safe_load(text)


def bomb(levels: int, width: int) -> str:
    """Levels of lists that each alias the one before several times: width ** levels values."""
    lines = [f"a0: &a0 [{', '.join('x' * width)}]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


def test_aliases_that_multiply_are_refused_at_once() -> None:
    start = time.perf_counter()
    error = refused(bomb(20, 10))
    assert time.perf_counter() - start < 20
    assert f"more than {MAX_NODES} values" in error.message
    assert error.line == 5


@pytest.mark.parametrize(("items", "fits"), [(MAX_NODES // 2 - 2, True), (MAX_NODES // 2 - 1, False)])
def test_values_are_counted_exactly_with_what_aliases_stand_for(items: int, fits: bool) -> None:
    """The outer list, a list of items, and the same list again by alias: 2 * (items + 1) + 1 values."""
    text = f"[&a [{','.join('x' * items)}], *a]"
    if fits:
        parsed(text)
    else:
        assert "more than" in refused(text).message


def test_merge_keys_that_multiply_are_refused() -> None:
    lines = ["m0: &m0 {" + ", ".join(f"k{i}: {i}" for i in range(50)) + "}"]
    for level in range(1, 12):
        lines.append(f"m{level}: &m{level} {{a: *m{level - 1}, b: *m{level - 1}, c: *m{level - 1}}}")
    assert "more than" in refused("\n".join(lines)).message


def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    """Each level aliases the one before inside brackets; no level alone is deep."""
    lines = ["a0: &a0 [[[[[x]]]]]"]
    lines += [f"a{level}: &a{level} [[[[[*a{level - 1}]]]]]" for level in range(1, 400)]
    error = refused("\n".join(lines))
    assert f"nested more than {MAX_DEPTH} deep" in error.message
    assert error.line == 5


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "a:\n"])
def test_deep_nesting_is_refused_without_recursion(opening: str) -> None:
    indented = "".join(f"{' ' * depth}a:\n" for depth in range(300))
    text = indented if opening == "a:\n" else opening * 20_000
    assert f"nested more than {MAX_DEPTH} deep" in refused(text).message


def test_the_deepest_nesting_allowed_is_read() -> None:
    depth = MAX_DEPTH + 1  # the outermost list is not nested in anything
    assert isinstance(parsed("[" * depth + "]" * depth), SequenceNode)
    assert "nested" in refused("[" * (depth + 1) + "]" * (depth + 1)).message


@pytest.mark.parametrize("fatal", ["b: *none\n", "b: [1\n"])
def test_problems_found_before_a_fatal_one_are_not_lost(fatal: str) -> None:
    error = refused(f"a: 1\na: 2\n{fatal}")
    assert len(error.problems) == 2
    assert error.line == 2


@given(st.text(alphabet=st.sampled_from(list("ab:-?[]{},&*!|>'\"%@#`<= \n\t0.~")), max_size=60))
def test_random_punctuation_gives_a_tree_or_one_clear_error(text: str) -> None:
    lines = text.replace("\r", "\n").split("\n")
    node: Node | None = None
    try:
        node, problems = parse_yaml(text, FILE)
    except ScenarioError as error:
        problems = list(error.problems)
    for problem in problems:
        assert 1 <= problem.location.line <= len(lines) + 1
        assert problem.location.column >= 1
    if node is not None:
        assert 1 <= node.location.line <= len(lines)


@given(st.text(alphabet=st.sampled_from(list("ab:-[]{},'\"# \n01.~")), max_size=40))
def test_what_pyyaml_accepts_is_accepted_and_has_the_same_shape(text: str) -> None:
    try:
        expected = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, TypeError):
        return
    node, problems = parse_yaml(text, FILE)
    if problems or node is None:
        return
    assert shape(node) == shape_of_value(expected)


def shape(node: Node) -> Any:
    if isinstance(node, MappingNode):
        return {key: shape(entry.node) for key, entry in node}
    if isinstance(node, SequenceNode):
        return [shape(item) for item in node.items]
    return node.text


def shape_of_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape_of_value(item) for key, item in value.items()}
    return [shape_of_value(item) for item in value] if isinstance(value, list) else value
