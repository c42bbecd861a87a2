"""Options ``--eng5-set KEY=VALUE``: parsed to small trees that are laid over the settings of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_eng5.scenario.errors import Location, OverrideError, ScenarioError, shown_text
from pytest_eng5.scenario.explain import closest
from pytest_eng5.scenario.nodes import Entry, MappingNode, Node, Scalar
from pytest_eng5.scenario.yaml_reader import MAX_DEPTH, parse_yaml

__all__ = ["Override", "parse_override", "unmatched_error"]

_VARIANTS = "variants"


@dataclass(frozen=True, slots=True)
class Override:
    """One option: its text, the variant that it addresses (None: all) and what it sets.

    ``matched`` is False if the file has no such variant; ``tree`` is then empty.
    """

    text: str
    variant: str | None
    tree: MappingNode
    matched: bool = True

    def applies_to(self, variant_id: str) -> bool:
        """Whether the option sets something in this variant."""
        return self.matched and self.variant in (None, variant_id)


def parse_override(text: str, path: Path, variant_ids: Sequence[str]) -> Override:
    """Parse ``KEY=VALUE``: a dotted key (``variants.<id>.`` first for one variant) and a YAML value.

    Raises:
        OverrideError: No key, no ``=``, or the value is not YAML. Whether the key exists is checked with
            the merged settings.
    """
    where = Location(path, option=_shown(text))
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise OverrideError.at(where, "is not KEY=VALUE", "write for example judge.temperature=0.2")
    node = _value(value, path, where)
    if key == _VARIANTS:
        hint = f"set one variant's key: {_VARIANTS}.<id>.<key>=..., or the key itself for all variants"
        raise OverrideError.at(where, "the list of variants cannot be replaced", hint)
    if not key.startswith(f"{_VARIANTS}."):
        return Override(text, None, _tree(key, node, where))
    return _variant_override(text, key.removeprefix(f"{_VARIANTS}."), node, where, variant_ids)


def _shown(text: str) -> str:
    return shown_text(text, 100)


def _value(value: str, path: Path, where: Location) -> Node:
    try:
        node, problems = parse_yaml(value, path, where.option)
    except ScenarioError as error:
        hint = error.hint or "put the value in quotes of its own"
        raise OverrideError.at(where, f"the value {error.message}", hint) from None
    if problems:
        raise OverrideError(problems)
    return Scalar(None, "", where) if node is None else node


def _variant_override(
    text: str, rest: str, node: Node, where: Location, variant_ids: Sequence[str]
) -> Override:
    # Ids may hold dots: the longest id that fits is the one that is meant.
    fitting = [known for known in variant_ids if rest == known or rest.startswith(f"{known}.")]
    if not fitting:
        return Override(text, rest.partition(".")[0], MappingNode({}, where), matched=False)
    variant = max(fitting, key=len)
    tree = _tree(rest[len(variant) + 1 :], node, where)
    if "id" in tree.entries:
        raise OverrideError.at(where, "the id of a variant cannot be changed", "edit the file")
    return Override(text, variant, tree)


def _tree(key: str, node: Node, where: Location) -> MappingNode:
    parts = [part.strip() for part in key.split(".")] if key else []
    if "" in parts:
        raise OverrideError.at(
            where, f"the key {shown_text(key)!r} has an empty part", "separate parts by one dot"
        )
    if len(parts) > MAX_DEPTH:
        raise OverrideError.at(where, f"the key has more than {MAX_DEPTH} parts")
    for part in reversed(parts):
        node = MappingNode({part: Entry(where, node)}, where)
    if not isinstance(node, MappingNode):
        raise OverrideError.at(where, "names a variant but no key of it", "write variants.<id>.<key>=...")
    return node


def unmatched_error(override: Override, path: Path, variant_ids: Sequence[str]) -> OverrideError:
    """Return the error for an option that addresses a variant which the file does not have."""
    near = closest(override.variant or "", variant_ids)
    hint = f"variants of this file: {', '.join(variant_ids)}"
    return OverrideError.at(
        Location(path, option=_shown(override.text)),
        f"there is no variant {shown_text(override.variant or '')!r}",
        f"did you mean {near!r}? {hint}" if near else hint,
    )
