"""From a file to values by key: TOML or YAML, sections as dots, environment references replaced.

The messages of the two parsers may quote what stands in the file, so only the place is taken from them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pytest_eng5.errors import UsageError
from pytest_eng5.kafka_config.settings import KEYS, SECTIONS, Settings, advice_for, typed

__all__ = ["read_settings"]

_EXAMPLE = 'security_protocol = "SASL_SSL", then sections [ssl] and [sasl]'
_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|(?P<broken>\{))")
_DEPTH = 5


def read_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings that a file gives.

    Raises:
        UsageError: The file cannot be read or parsed, a key is unknown or given twice, a value has the wrong
            type, or an environment variable is missing.
    """
    nothing = Settings(path, {})
    values: dict[str, str | bool] = {}
    for key, value in _flat(nothing, _parse(path)):
        if key not in KEYS:
            raise nothing.error(repr(key), "is not a key of this file", fix=advice_for(key))
        if key in values:
            raise nothing.error(key, "is given twice", fix="keep one of them")
        read = typed(key, value, nothing)
        values[key] = _resolved(read, key, nothing, environ) if isinstance(read, str) else read
    return Settings(path, values)


def _parse(path: Path) -> dict[Any, Any]:
    parse = {".toml": _parse_toml, ".yaml": _parse_yaml, ".yml": _parse_yaml}.get(path.suffix.lower())
    if parse is None:
        raise UsageError(
            "the name of a file with Kafka settings must end in .toml, .yaml or .yml",
            where=str(path),
            fix="rename the file; a .properties file of a Java client has to be rewritten",
        )
    found = parse(_text(path), path)
    if not isinstance(found, dict):
        raise UsageError(
            "the file holds no keys with values", where=str(path), fix=f"write, as TOML: {_EXAMPLE}"
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("the file is not UTF-8", where=str(path), fix="save it as UTF-8 text") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a possible name of a file"
        raise UsageError(
            f"the file with Kafka settings cannot be read: {reason}",
            where=str(path),
            fix="check the path given with --eng5-kafka-config and the permissions of the file",
        ) from None


def _parse_toml(text: str, path: Path) -> Any:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = re.search(r"\(at (?:line (\d+), column (\d+)|(end of document))\)$", str(error))
        at = place and (place[3] or f"line {place[1]}, column {place[2]}")
    raise _unparsable(path, "TOML", at)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML's own would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            if (key.tag, key.value if isinstance(key.value, str) else "") in seen:
                raise yaml.MarkedYAMLError(problem_mark=key.start_mark)
            if isinstance(key.value, str):
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def _parse_yaml(text: str, path: Path) -> Any:
    at = None
    try:
        found = yaml.load(text, _Loader)
        return {} if found is None else found
    except yaml.MarkedYAMLError as error:
        if mark := error.problem_mark or error.context_mark:
            at = f"line {mark.line + 1}, column {mark.column + 1}"
    except (yaml.YAMLError, ValueError, RecursionError):
        pass
    raise _unparsable(path, "YAML", at)


def _unparsable(path: Path, language: str, at: str | None) -> UsageError:
    return UsageError(
        f"not valid {language}{f' at {at}' if at else ''}",
        where=str(path),
        fix="look for missing quotes, for a key that is given twice and for a bad escape in a text; "
        "the text itself is not shown, since it may be secret",
    )


def _flat(
    settings: Settings, table: dict[Any, Any], above: str = "", depth: int = 1
) -> Iterator[tuple[str, Any]]:
    """Keys with dots and their values; a dot in a key is the same as a section."""
    for name, value in table.items():
        if not isinstance(name, str):
            raise settings.error(
                f"a key {f'in {above} ' if above else ''}", "is not text", fix="use words as keys"
            )
        key = f"{above}.{name}" if above else name
        if isinstance(value, dict) and depth < _DEPTH:
            yield from _flat(settings, value, key, depth + 1)
        elif not (value is None and key in SECTIONS):
            yield key, value


def _resolved(text: str, key: str, settings: Settings, environ: Mapping[str, str]) -> str:
    """Replace ``${NAME}`` by the environment's value, once, and ``$$`` by one dollar sign.

    Raises:
        UsageError: Naming the variable that is not set, or a reference that is not well formed.
    """

    def replace(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["broken"]:
            raise settings.error(
                key,
                "holds a reference to the environment that is not of the form ${NAME}",
                fix="close the brace and use letters, digits and _ in the name; a dollar sign itself is $$",
            )
        if (value := environ.get(found["name"])) is None:
            raise settings.error(
                key,
                f"refers to the environment variable {found['name']}, which is not set",
                fix=f"export {found['name']} before the start; a dollar sign itself is written $$",
            )
        return value

    return _REFERENCE.sub(replace, text)
