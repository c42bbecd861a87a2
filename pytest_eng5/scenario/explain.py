"""What is wrong with a value, in words: from the models' errors to problems with a position."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from pytest_eng5.scenario.errors import Location, Problem, shown_text
from pytest_eng5.scenario.fields import PATTERN_WORDS
from pytest_eng5.scenario.json_schema import Schema, allowed_keys, schema_at, where_key_belongs
from pytest_eng5.scenario.nodes import MappingNode, Node, Scalar, SequenceNode, plain

__all__ = ["check", "closest", "expected"]

_MAX_EXPLAINED = 200
_KEY_ERROR = "[key]"
_YAML_1_1_FLAGS = frozenset({"yes", "no", "on", "off", "y", "n"})
_KINDS = {"string": "text", "boolean": "true or false", "array": "a list", "object": "a mapping (key: value)"}


def check(model: type[BaseModel], node: MappingNode) -> list[Problem]:
    """Return what is wrong with ``node`` as ``model``, in the order of the file; at most 200."""
    try:
        model.model_validate(plain(node))
    except ValidationError as error:
        rows = error.errors(include_url=False, include_context=False, include_input=False)
        # At one place, a misspelt key comes before the key that is missing because of it.
        rows.sort(key=lambda row: row["type"] == "missing")
        problems = [_problem(model, node, row["type"], row["loc"]) for row in rows[:_MAX_EXPLAINED]]
        return sorted(problems, key=lambda problem: (problem.location.line, problem.location.column))
    return []


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the nearest of the known words, if one is near."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def expected(schema: Schema) -> str:
    """Return what a schema asks for, such as ``a number between 0 and 2``."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    kind = schema.get("type")
    if kind in ("number", "integer"):
        return _expected_number(schema, "a whole number" if kind == "integer" else "a number")
    if "pattern" in schema:
        return PATTERN_WORDS[schema["pattern"]]
    if kind == "array" and schema.get("minItems"):
        return "a list with at least one item"
    return _KINDS.get(str(kind), "another value")


def _expected_number(schema: Schema, noun: str) -> str:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f"{noun} of at least {low:g}" if high >= 2**53 else f"{noun} between {low:g} and {high:g}"
    if above is not None and below is not None:
        return f"{noun} above {above:g} and below {below:g}"
    if low is not None:
        return f"{noun} of at least {low:g}"
    return f"{noun} above {above:g}" if above is not None else noun


def _problem(model: type[BaseModel], root: MappingNode, kind: str, loc: Sequence[str | int]) -> Problem:
    if kind == "extra_forbidden":
        return _unknown_key(model, root, loc)
    if kind == "missing":
        return _missing_key(root, loc)
    if loc and loc[-1] == _KEY_ERROR:
        return _bad_key(root, loc[:-1])
    return _bad_value(model, root, loc)


def _unknown_key(model: type[BaseModel], root: MappingNode, loc: Sequence[str | int]) -> Problem:
    key = str(loc[-1])
    keys = allowed_keys(schema_at(model, loc[:-1]))
    hint = f"keys allowed here: {', '.join(keys)}"
    near = closest(key, keys)
    home = where_key_belongs(model, key)
    if home:
        hint = f"write it under '{home}:'; {hint}"
    elif near:
        hint = f"did you mean {near!r}? {hint}"
    elif key.isdigit():
        hint = f"write a decimal point, not a comma, or remove it; {hint}"
    return Problem(_key_location(root, loc), f"unknown key {shown_text(key)!r}{_place(root, loc[:-1])}", hint)


def _missing_key(root: MappingNode, loc: Sequence[str | int]) -> Problem:
    parent = _follow(root, loc[:-1])
    where = parent.location if parent else root.location
    return Problem(where, f"the key {loc[-1]!r} is missing{_place(root, loc[:-1])}", f"add '{loc[-1]}: ...'")


def _bad_key(root: MappingNode, loc: Sequence[str | int]) -> Problem:
    message = f"{shown_text(str(loc[-1]))!r}{_place(root, loc[:-1])} is no metric name"
    return Problem(_key_location(root, loc), message, "metric names are lower-case letters, digits and '_'")


def _bad_value(model: type[BaseModel], root: MappingNode, loc: Sequence[str | int]) -> Problem:
    schema = schema_at(model, loc)
    node = _follow(root, loc)
    where = node.location if node else root.location
    limit = schema.get("maxLength")
    if limit and isinstance(node, Scalar) and len(node.text) > limit:
        message = f"{_name(root, loc)}: expected at most {limit} characters, got {len(node.text)}"
    else:
        message = f"{_name(root, loc)}: expected {expected(schema)}, got {_shown(node)}"
    return Problem(where, message, _hint(schema, node))


def _shown(node: Node | None) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list" if node.items else "an empty list"
    if node is None or node.value is None:
        return "nothing"
    text = shown_text(node.text)
    return repr(text) if isinstance(node.value, str) else text


def _hint(schema: Schema, node: Node | None) -> str | None:
    if not isinstance(node, Scalar):
        return None
    kind = schema.get("type")
    if "enum" in schema:
        near = closest(node.text, map(str, schema["enum"]))
        return f"did you mean {near!r}?" if near else None
    if kind == "boolean" and node.text.lower() in _YAML_1_1_FLAGS:
        return "write true or false"
    if kind in ("number", "integer") and isinstance(node.value, str):
        return _number_hint(node)
    if schema.get("exclusiveMaximum") == 1 and isinstance(node.value, int | float) and 1 < node.value < 100:
        return f"did you mean {node.value / 100:g}?"
    if kind == "array":
        return f"write [{shown_text(node.text)}]" if node.text else None
    return None


def _number_hint(node: Scalar) -> str | None:
    text = node.text.strip()
    if text.endswith("%") and text[:-1].strip().replace(".", "", 1).isdigit():
        return f"write {float(text[:-1]) / 100:g}"
    if node.quoted and text.replace(".", "", 1).isdigit():
        return "remove the quotes"
    if text.replace(",", "", 1).isdigit():
        return "write a decimal point, not a comma"
    return None


def _follow(root: Node, loc: Sequence[str | int]) -> Node | None:
    """Return the node at ``loc``, nulls included; None where the path leaves the tree."""
    node: Node | None = root
    for step in loc:
        if isinstance(node, MappingNode) and step in node.entries:
            node = node.entries[str(step)].node
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def _key_location(root: MappingNode, loc: Sequence[str | int]) -> Location:
    parent = _follow(root, loc[:-1])
    return parent.location_of(str(loc[-1])) if isinstance(parent, MappingNode) else root.location


def _name(root: Node, loc: Sequence[str | int]) -> str:
    """Return a dotted name such as ``variants.baseline.judge.temperature``, with ids in place of indices."""
    names: list[str] = []
    for depth, step in enumerate(loc):
        node = _follow(root, loc[: depth + 1])
        identity: Any = node.entries.get("id") if isinstance(node, MappingNode) else None
        if isinstance(step, int) and identity and isinstance(identity.node, Scalar):
            names.append(shown_text(identity.node.text))
        else:
            names.append(f"item {step + 1}" if isinstance(step, int) else shown_text(step))
    return ".".join(names) or "the file"


def _place(root: Node, loc: Sequence[str | int]) -> str:
    return f" in {_name(root, loc)!r}" if loc else ""
