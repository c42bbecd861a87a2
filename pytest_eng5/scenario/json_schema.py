"""The JSON Schema of scenario files, and how to find a key's schema in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

from pydantic import BaseModel

from pytest_eng5.scenario.models import ScenarioKeys

__all__ = ["allowed_keys", "model_schema", "scenario_json_schema", "schema_at", "where_key_belongs"]

Schema: TypeAlias = Mapping[str, Any]


def scenario_json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of scenario files, for editors."""
    schema = ScenarioKeys.model_json_schema()
    _tidy(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pytest-eng5 scenario",
        **{key: value for key, value in schema.items() if key != "title"},
    }


def _tidy(node: Any) -> None:
    """Drop generated titles and null defaults; let a pattern for keys forbid all other keys."""
    if isinstance(node, list):
        for item in node:
            _tidy(item)
    elif isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if node.get("default", 0) is None:
            del node["default"]
        if "patternProperties" in node:
            node["additionalProperties"] = False
        for value in node.values():
            _tidy(value)


@cache
def model_schema(model: type[BaseModel]) -> Schema:
    """Return the JSON Schema of a model of scenario keys."""
    return model.model_json_schema()


def schema_at(model: type[BaseModel], path: Sequence[str | int]) -> Schema:
    """Return the schema of the value at ``path``, null left out; empty if anything may stand there."""
    root = model_schema(model)
    found = root
    for step in path:
        found = _child(_resolved(found, root), step)
    return _resolved(found, root)


def _resolved(schema: Schema, root: Schema) -> Schema:
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    if options:
        return _resolved(options[0], root)
    if "$ref" in schema:
        found: Schema = root["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        return found
    return schema


def _child(schema: Schema, step: str | int) -> Schema:
    if isinstance(step, int):
        found = schema.get("items", {})
    else:
        others = list(schema.get("patternProperties", {}).values())
        found = schema.get("properties", {}).get(step) or (others[0] if others else {})
    return found if isinstance(found, Mapping) else {}


def allowed_keys(schema: Schema) -> list[str]:
    """Return the keys that a mapping may have, in the order of the documentation."""
    return list(schema.get("properties", {}))


def where_key_belongs(model: type[BaseModel], key: str) -> str | None:
    """Return the dotted path of the mapping that knows ``key``, if it is not the top of the model."""
    return _homes(model).get(key)


@cache
def _homes(model: type[BaseModel]) -> dict[str, str]:
    nested = [(path, name) for path, name in _all_keys(model, ()) if path]
    return {name: ".".join(path) for path, name in reversed(nested)}


def _all_keys(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    for name in allowed_keys(schema_at(model, path)):
        yield path, name
        yield from _all_keys(model, (*path, name))
