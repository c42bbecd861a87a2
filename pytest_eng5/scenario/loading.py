"""Loading a scenario file: read, check, merge, override, resolve."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_eng5.scenario.building import DEFAULT_MODE, build_variant
from pytest_eng5.scenario.compare import build_compare, compare_problems
from pytest_eng5.scenario.errors import Location, OverrideError, Problem, ScenarioError, shown_text
from pytest_eng5.scenario.explain import check
from pytest_eng5.scenario.files import NamedFiles
from pytest_eng5.scenario.merging import merge, without
from pytest_eng5.scenario.models import ScenarioKeys, VariantKeys
from pytest_eng5.scenario.nodes import MappingNode, Scalar, SequenceNode, find, plain
from pytest_eng5.scenario.overrides import Override, parse_override, unmatched_error
from pytest_eng5.scenario.rules import rule_problems
from pytest_eng5.scenario.textfile import decode_text, read_bytes
from pytest_eng5.scenario.variants import Scenario, Variant
from pytest_eng5.scenario.yaml_reader import parse_yaml

__all__ = ["MAX_SCENARIO_BYTES", "load_scenario"]

MAX_SCENARIO_BYTES = 256 * 1024
"""Size limit of a scenario file in bytes."""

_FILE_KEYS = frozenset({"scenario", "description", "compare", "variants"})


def load_scenario(path: Path, overrides: Sequence[str] = (), *, missing_variant_ok: bool = False) -> Scenario:
    """Load one scenario file with every variant fully merged.

    Args:
        path: The YAML file.
        overrides: Texts ``KEY=VALUE`` of ``--eng5-set``, in order; the last one wins.
        missing_variant_ok: Accept options for variants that this file does not have (they are listed in
            `Scenario.unmatched_overrides`), for a caller who loads several files with the same options.

    Raises:
        ScenarioError: The file, or one that it names, cannot be used; holds all problems found.
        OverrideError: An option cannot be applied. It is a `ScenarioError` too.
    """
    path = path.absolute()
    content = read_bytes(path, MAX_SCENARIO_BYTES)
    root = _checked_root(path, decode_text(path, content))
    ids = _variant_ids(root)
    parsed = [parse_override(text, path, ids) for text in overrides]
    unmatched = [override for override in parsed if not override.matched]
    if unmatched and not missing_variant_ok:
        raise unmatched_error(unmatched[0], path, ids)
    root = _with_overrides(root, parsed)
    _refuse(compare_problems(root, ids))
    keys = ScenarioKeys.model_validate(plain(root))
    return Scenario(
        path=path,
        name=keys.scenario,
        description=keys.description or "",
        mode=keys.mode or DEFAULT_MODE,
        variants=_variants(keys.scenario, root, parsed),
        compare=build_compare(root, ids),
        content_sha256=hashlib.sha256(content).hexdigest(),
        overrides=tuple(overrides),
        unmatched_overrides=tuple(override.text for override in unmatched),
    )


def _refuse(problems: Iterable[Problem]) -> None:
    """Raise the problems, each once, if there are any."""
    unique = tuple(dict.fromkeys(problems))
    if unique:
        raise (OverrideError if unique[0].location.option else ScenarioError)(unique)


def _checked_root(path: Path, text: str) -> MappingNode:
    root, problems = parse_yaml(text, path)
    if root is None:
        raise ScenarioError.at(Location(path), "the file is empty", "a scenario starts with 'scenario: name'")
    if not isinstance(root, MappingNode):
        message = "a scenario file is a mapping of keys to values"
        raise ScenarioError.at(root.location, message, "start with 'scenario: name'")
    problems = [*problems, *check(ScenarioKeys, root), *_equal_ids(root)]
    _refuse(sorted(problems, key=lambda problem: (problem.location.line, problem.location.column)))
    return root


def _variant_nodes(root: MappingNode) -> list[MappingNode]:
    variants = root.get("variants")
    items = variants.items if isinstance(variants, SequenceNode) else ()
    return [item for item in items if isinstance(item, MappingNode)]


def _variant_ids(root: MappingNode) -> list[str]:
    nodes = [find(variant, "id") for variant in _variant_nodes(root)]
    return [node.text for node in nodes if isinstance(node, Scalar)]


def _equal_ids(root: MappingNode) -> list[Problem]:
    problems: list[Problem] = []
    seen: dict[str, Location] = {}
    for variant in _variant_nodes(root):
        node = find(variant, "id")
        if not isinstance(node, Scalar):
            continue
        first = seen.get(node.text)
        if first is None:
            seen[node.text] = node.location
        else:
            place = f"line {first.line}, column {first.column}"
            message = f"the variant id {shown_text(node.text)!r} is already used in {place}"
            problems.append(Problem(node.location, message, "give each variant an id of its own"))
    return problems


def _with_overrides(root: MappingNode, overrides: Sequence[Override]) -> MappingNode:
    """Lay the options that concern all variants over the scenario's own level."""
    for override in overrides:
        if override.matched and override.variant is None:
            root = merge(root, override.tree)
    _refuse(check(ScenarioKeys, root))
    return root


def _variants(scenario: str, root: MappingNode, overrides: Sequence[Override]) -> tuple[Variant, ...]:
    nodes = _variant_nodes(root)
    merged = [_merged(without(root, _FILE_KEYS), node, overrides) for node in nodes]
    _refuse(problem for settings in merged for problem in check(VariantKeys, settings))
    _refuse(problem for settings in merged for problem in _rules(root, settings))
    files = NamedFiles(root.location.path.parent)
    variants = tuple(
        build_variant(scenario, settings, node.location, files)
        for settings, node in zip(merged, nodes, strict=True)
    )
    _refuse(files.problems)
    return variants


def _merged(base: MappingNode, variant: MappingNode, overrides: Sequence[Override]) -> MappingNode:
    settings = merge(base, variant)
    identity = find(variant, "id")
    for override in overrides:
        if isinstance(identity, Scalar) and override.applies_to(identity.text):
            tree = without(override.tree, _FILE_KEYS) if override.variant is None else override.tree
            settings = merge(settings, tree)
    return settings


def _rules(root: MappingNode, settings: MappingNode) -> Iterable[Problem]:
    mode = find(settings, "mode")
    return rule_problems(settings, mode.text if isinstance(mode, Scalar) else DEFAULT_MODE, root.location)
