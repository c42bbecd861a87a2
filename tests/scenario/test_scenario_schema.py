"""The JSON Schema of scenario files: complete, valid, and of one mind with the loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5 import contracts
from pytest_eng5.scenario import Location, scenario_json_schema
from pytest_eng5.scenario.explain import check, expected
from pytest_eng5.scenario.json_schema import where_key_belongs
from pytest_eng5.scenario.models import Effort, GradeScaleId, ScenarioKeys, VariantKeys, Verbosity
from pytest_eng5.scenario.nodes import Entry, MappingNode, Node, Scalar, SequenceNode

SCHEMA = scenario_json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FILE = Path("x.eng5.yaml")


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every part of the schema that describes a mapping with known keys."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for value in node.values():
            yield from mappings(value)
    elif isinstance(node, list):
        for value in node:
            yield from mappings(value)


def test_the_schema_is_a_valid_draft_2020_12_schema() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_call_gives_a_schema_of_its_own() -> None:
    scenario_json_schema()["properties"].clear()
    assert scenario_json_schema() == SCHEMA


def test_every_key_is_described_and_no_other_key_is_allowed() -> None:
    found = list(mappings(SCHEMA))
    assert len(found) == 13
    for mapping in found:
        assert mapping["additionalProperties"] is False
        for name, key in mapping["properties"].items():
            assert key.get("description", "").endswith("."), name
            assert "title" not in key
            assert key.get("default", 0) is not None


def test_examples_of_keys_are_valid() -> None:
    count = 0
    for mapping in mappings(SCHEMA):
        for key in mapping["properties"].values():
            part = {"$defs": SCHEMA["$defs"], **{k: v for k, v in key.items() if k != "examples"}}
            for value in key.get("examples", ()):
                jsonschema.validate(value, part, cls=jsonschema.Draft202012Validator)
                count += 1
    assert count > 25


def test_the_example_of_the_design_is_valid(example: str) -> None:
    VALIDATOR.validate(yaml.safe_load(example))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        ((), "judge", {"modle": "x"}),
        ((), "repeats", 0),
        ((), "scenario", "Big"),
        ((), "mode", "fast"),
        ((), "timeout", {"idle": 0}),
        ((), "budget", {"max_usd": -1}),
        ((), "thresholds", {"Tau": {"min": 1}}),
        ((), "thresholds", {"kendall_tau": {"mini": 1}}),
        ((), "variants", []),
        ((), "fail_fast", "yes"),
        ((), "anything", 1),
        (("judge",), "temperature", 2.5),
        (("judge",), "provider", "azure"),
        (("judge", "mock"), "failure_rate", 2),
        (("variants", 0), "id", "A"),
        (("variants", 0), "scenario", "x"),
        (("variants", 0), "marks", ["a b"]),
    ],
)
def test_editors_see_what_the_loader_refuses(
    example: str, path: tuple[str | int, ...], key: str, value: Any
) -> None:
    document = yaml.safe_load(example)
    target = document
    for step in path:
        target = target[step]
    target[key] = value
    assert not VALIDATOR.is_valid(document)
    root = node_of(document)
    assert isinstance(root, MappingNode)
    assert check(ScenarioKeys, root)


def test_choices_are_those_of_the_contract() -> None:
    defs = SCHEMA["$defs"]
    provider = defs["JudgeKeys"]["properties"]["provider"]["anyOf"][0]["enum"]
    assert (
        set(provider)
        == set(get_args(contracts.Provider))
        == {"mock", "anthropic", "openai", "google", "openrouter"}
    )
    assert defs["CourseCode"]["enum"] == ["ENG5", "ENG6", "ENG7", "SV1", "SV2", "SV3"]
    assert set(get_args(GradeScaleId)) == set(contracts.GRADE_SCALES)
    fields = contracts.ProviderOverrides.model_fields
    assert set(get_args(Effort)) == {"none", "low", "medium", "high"}
    assert all(value in str(fields["reasoning_effort"].annotation) for value in get_args(Effort))
    assert all(value in str(fields["output_verbosity"].annotation) for value in get_args(Verbosity))


def test_everything_but_the_required_keys_may_be_null() -> None:
    for mapping in mappings(SCHEMA):
        for name, key in mapping["properties"].items():
            if name in mapping.get("required", ()):
                continue
            nullable = {"type": "null"} in key.get("anyOf", ()) or not {"type", "anyOf", "$ref"} & set(key)
            assert nullable, name
    assert SCHEMA["required"] == ["scenario", "variants"]
    assert SCHEMA["$defs"]["VariantKeys"]["required"] == ["id"]


def test_the_loader_can_put_every_schema_into_words() -> None:
    for mapping in mappings(SCHEMA):
        for key in mapping["properties"].values():
            for part in [*key.get("anyOf", [key]), key.get("items", {})]:
                if part.get("type", "null") != "null":
                    assert "another value" not in expected(part)


@pytest.mark.parametrize(
    ("key", "home"),
    [
        ("temperature", "judge"),
        ("seed", "judge.mock"),
        ("findings", "expect"),
        ("idle", "timeout"),
        ("nothing", None),
    ],
)
def test_a_key_at_the_wrong_place_is_known_elsewhere(key: str, home: str | None) -> None:
    assert where_key_belongs(ScenarioKeys, key) == where_key_belongs(VariantKeys, key) == home


def node_of(value: Any) -> Node:
    """A document as the reader would give it, every value at one place."""
    where = Location(FILE)
    if isinstance(value, dict):
        return MappingNode({key: Entry(where, node_of(item)) for key, item in value.items()}, where)
    if isinstance(value, list):
        return SequenceNode(tuple(node_of(item) for item in value), where)
    return Scalar(value, "null" if value is None else str(value), where)


LEAVES = (
    st.none() | st.booleans() | st.integers(-2, 5) | st.floats(-1, 3).filter(lambda x: not x.is_integer())
)
WORDS = st.sampled_from(
    [
        "a",
        "baseline",
        "A",
        "",
        "mock",
        "ENG5",
        "low",
        "none",
        "x" * 11,
        "x" * 101,
        "x" * 201,
        "fail",
        "META-MISSING",
    ]
)
MAPPING_NAMES = sorted({name for mapping in mappings(SCHEMA) for name in mapping["properties"]})
DOCUMENTS = st.recursive(
    LEAVES | WORDS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from([*MAPPING_NAMES, "tau"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def text_where_text_is_meant(document: Any, schema: dict[str, Any]) -> Any:
    """Numbers and booleans become text where the schema wants text, as they do for the loader."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option != {"type": "null"}]
        return text_where_text_is_meant(document, options[0])
    if schema.get("type") == "string" and isinstance(document, bool | int | float):
        return str(document)
    if isinstance(document, list):
        return [text_where_text_is_meant(item, schema.get("items", {})) for item in document]
    if isinstance(document, dict):
        others = next(iter(schema.get("patternProperties", {}).values()), {})
        known = schema.get("properties", {})
        return {key: text_where_text_is_meant(item, known.get(key, others)) for key, item in document.items()}
    return document


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(sorted(SCHEMA["properties"])),
    DOCUMENTS,
    st.sampled_from([(), ("variants", 0), ("judge",), ("judge", "mock"), ("thresholds",), ("expect",)]),
)
def test_schema_and_loader_agree_on_random_documents(
    key: str, value: Any, path: tuple[str | int, ...]
) -> None:
    document: dict[str, Any] = {
        "scenario": "x",
        "judge": {"mock": {}},
        "thresholds": {},
        "expect": {"findings": []},
        "variants": [{"id": "a"}],
    }
    target: Any = document
    for step in path:
        target = target[step]
    target[key] = value
    root = node_of(document)
    assert isinstance(root, MappingNode)
    problems = check(ScenarioKeys, root)
    assert VALIDATOR.is_valid(text_where_text_is_meant(document, SCHEMA)) == (not problems)
