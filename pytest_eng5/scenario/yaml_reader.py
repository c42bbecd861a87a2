"""YAML text to a tree with positions; everything that YAML allows and a scenario must not hold is refused.

PyYAML parses the text into events. The tree is built from those rather than with ``compose()``, which keeps
the last of two equal keys, recurses without a limit, and does not count what aliases expand to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml import events as ev
from yaml.reader import ReaderError

from pytest_eng5.scenario.errors import Location, Problem, ScenarioError, shown_text
from pytest_eng5.scenario.nodes import Entry, MappingNode, Node, Scalar, SequenceNode
from pytest_eng5.scenario.scalars import resolve_scalar
from pytest_eng5.scenario.textfile import position_at

__all__ = ["MAX_DEPTH", "MAX_NODES", "parse_yaml"]

MAX_DEPTH = 24
"""How deep values may be nested."""
MAX_NODES = 20_000
"""How many values a file may hold once every alias is replaced by what it stands for."""

_UNUSABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_STR_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_NO_COLON = "could not find expected ':'"
_SYNTAX_HINTS = {
    _NO_COLON: "write a colon and a space after the key",
    "mapping values are not allowed": "check the indentation, or put a text with a colon in quotes",
    "expected <block end>": "check the indentation of this line",
    "unexpected end of stream": "close the quote",
    "expected ',' or": "close the bracket",
}
_PARSER_FAULTS = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)
"""What PyYAML lets escape for some malformed texts, such as an escape beyond the last code point."""


def parse_yaml(text: str, path: Path, option: str | None = None) -> tuple[Node | None, list[Problem]]:
    """Parse a single YAML document.

    Args:
        text: The document.
        path: The file that positions name.
        option: The ``--eng5-set`` option that holds the text, if it is not a file.

    Returns:
        The root node (None for a document without any value), and the problems that did not prevent
        building the tree: equal keys and tags.

    Raises:
        ScenarioError: The text is not YAML, holds several documents, is nested too deeply, or aliases
            itself or too much.
    """
    return _Builder(text, path, option).document()


@dataclass(frozen=True, slots=True)
class _Anchored:
    """What an anchor stands for: how many values it holds and how deep they are nested."""

    node: Node
    size: int
    height: int


def _height(node: Node) -> int:
    if isinstance(node, MappingNode):
        return max((1 + _height(entry.node) for _, entry in node), default=0)
    if isinstance(node, SequenceNode):
        return max((1 + _height(item) for item in node.items), default=0)
    return 0


class _Builder:
    """Builds one tree from the events of one text."""

    def __init__(self, text: str, path: Path, option: str | None) -> None:
        self._text = text
        self._path = path
        self._option = option
        self._events = self._parse()
        self._anchors: dict[str, _Anchored] = {}
        self._open_anchors: set[str] = set()
        self._count = 0
        self._problems: list[Problem] = []

    def document(self) -> tuple[Node | None, list[Problem]]:
        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(event, "a second document starts here", "one scenario per file")
            elif isinstance(event, ev.NodeEvent):
                root = self._node(event, 0)
        return root, self._problems

    def _parse(self) -> Iterator[ev.Event]:
        try:
            loader = yaml.SafeLoader(self._text)
            while loader.check_event():
                yield loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            raise self._syntax_error(error) from None
        except ReaderError as error:
            where = self._at(*position_at(self._text, error.position))
            code = error.character if isinstance(error.character, int) else ord(error.character)
            raise ScenarioError.at(
                where, f"the character U+{code:04X} is not allowed in YAML", "remove it"
            ) from None
        except _PARSER_FAULTS as error:
            where = self._at(loader.line + 1, loader.column + 1)
            raise ScenarioError.at(where, f"is not YAML: {error}") from error

    def _syntax_error(self, error: yaml.MarkedYAMLError) -> ScenarioError:
        what = error.problem or error.context or "not YAML"
        hint = next((hint for words, hint in _SYNTAX_HINTS.items() if words in what), None)
        mark, begun = error.problem_mark or error.context_mark, error.context_mark
        if begun and what.startswith(_NO_COLON):
            mark = begun  # the parser notices it only in the next line
        where = self._at(mark.line + 1, mark.column + 1) if mark else self._at(1, 1)
        if "'\\t'" in what:
            problem = Problem(where, "a tab cannot start a value or indent a line", "use spaces")
        elif begun and error.context and begun is not mark:
            place = f"{error.context} from line {begun.line + 1}, column {begun.column + 1}"
            problem = Problem(where, f"is not YAML: {what} ({place})", hint)
        else:
            problem = Problem(where, f"is not YAML: {what}", hint)
        return ScenarioError([*self._problems, problem])

    def _at(self, line: int, column: int) -> Location:
        return Location(self._path, line, column, self._option)

    def _where(self, event: ev.Event) -> Location:
        mark = event.start_mark
        return self._at(mark.line + 1, mark.column + 1) if mark else self._at(1, 1)

    def _error(self, event: ev.Event, message: str, hint: str | None = None) -> ScenarioError:
        return ScenarioError([*self._problems, Problem(self._where(event), message, hint)])

    def _node(self, event: ev.Event, depth: int) -> Node:
        self._not_too_deep(event, depth)
        if isinstance(event, ev.AliasEvent):
            return self._alias(event, depth)
        self._counted(event, 1)
        anchor = getattr(event, "anchor", None)
        if anchor is None:
            return self._value(event, depth)
        before = self._count - 1
        self._open_anchors.add(anchor)
        node = self._value(event, depth)
        self._open_anchors.discard(anchor)
        self._anchors[anchor] = _Anchored(node, self._count - before, _height(node))
        return node

    def _not_too_deep(self, event: ev.Event, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._error(event, f"values are nested more than {MAX_DEPTH} deep")

    def _counted(self, event: ev.Event, nodes: int) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            raise self._error(event, f"the file holds more than {MAX_NODES} values, aliases included")

    def _alias(self, event: ev.AliasEvent, depth: int) -> Node:
        name = str(event.anchor)
        shown = shown_text(name)
        if name in self._open_anchors:
            raise self._error(event, f"the alias *{shown} refers to the value that it is part of")
        if name not in self._anchors:
            raise self._error(event, f"the alias *{shown} has no anchor &{shown} before it")
        anchored = self._anchors[name]
        self._counted(event, anchored.size)
        self._not_too_deep(event, depth + anchored.height)
        return anchored.node

    def _value(self, event: ev.Event, depth: int) -> Node:
        tag = getattr(event, "tag", None)
        if tag not in _STR_TAGS:
            self._problems.append(
                Problem(self._where(event), f"the tag {shown_text(str(tag))} is not allowed", "remove it")
            )
        if isinstance(event, ev.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, ev.SequenceStartEvent):
            return self._sequence(event, depth)
        return self._mapping(event, depth)

    def _scalar(self, event: ev.ScalarEvent) -> Scalar:
        text = str(event.value)
        quoted = event.style is not None or event.tag is not None
        if _UNUSABLE.search(text):
            raise self._error(event, "the text holds a control character or half a character", "remove it")
        return Scalar(text if quoted else resolve_scalar(text), text, self._where(event), quoted)

    def _sequence(self, start: ev.Event, depth: int) -> SequenceNode:
        items: list[Node] = []
        while not isinstance(event := next(self._events), ev.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return SequenceNode(tuple(items), self._where(start))

    def _mapping(self, start: ev.Event, depth: int) -> MappingNode:
        entries: dict[str, Entry] = {}
        merged: list[MappingNode] = []
        while not isinstance(event := next(self._events), ev.MappingEndEvent):
            key = self._node(event, depth + 1)
            where = self._where(event)
            value_event = next(self._events)
            value = self._node(value_event, depth + 1)
            if not isinstance(key, Scalar):
                self._problems.append(Problem(where, "a key must be plain text, not a list or mapping"))
            elif key.text == "<<" and not key.quoted:
                merged.extend(self._merge_sources(value_event, value))
            elif key.text in entries:
                self._problems.append(self._duplicate(key.text, where, entries[key.text].location))
            else:
                entries[key.text] = Entry(where, value)
        for source in merged:
            for name, entry in source:
                entries.setdefault(name, entry)
        return MappingNode(entries, self._where(start))

    def _merge_sources(self, event: ev.Event, value: Node) -> list[MappingNode]:
        """Return what a merge key (``<<``) merges: a mapping, or several of which earlier ones win."""
        sources = value.items if isinstance(value, SequenceNode) else (value,)
        mappings = [source for source in sources if isinstance(source, MappingNode)]
        if len(mappings) != len(sources):
            what = "the merge key << takes a mapping or a list of mappings"
            self._problems.append(Problem(self._where(event), what, "write <<: *name"))
        return mappings

    def _duplicate(self, key: str, where: Location, first: Location) -> Problem:
        before = f"line {first.line}, column {first.column}"
        return Problem(
            where, f"the key {shown_text(key)!r} is already set at {before}", "remove one of the two"
        )
