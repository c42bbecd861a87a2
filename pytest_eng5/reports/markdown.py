"""Putting text that nobody vouches for into Markdown: judges' reasons, ids, prompts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["code", "fenced", "inline", "one_line", "shortened", "table"]

_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u00a0\u2028\u2029]+")
_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_START = re.compile(r"^(?:[#+=>-]|\d+[.)](?=\s|$))")
_LINK = re.compile(r":(?=//)|(?<=www)\.|@(?=[a-z])", re.IGNORECASE)


def one_line(text: str) -> str:
    """The text without line breaks, control characters and invisible direction marks."""
    return _BREAKS.sub(" ", _INVISIBLE.sub("", text)).strip()


def shortened(text: str, limit: int = 50) -> str:
    """At most ``limit`` characters of the text on one line, with ``...`` if some were cut off."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[:limit].rstrip()}..."


def inline(text: str) -> str:
    """The text as plain words: no markup, no HTML, no link, no break out of a table cell."""
    escaped = _SPECIAL.sub(lambda found: f"\\{found[0]}", one_line(text))
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;")
    escaped = _LINK.sub(lambda found: f"&#{ord(found[0])};", escaped)
    return _START.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", escaped)


def code(text: str) -> str:
    """The text as a code span; backticks and pipes, which could end it, are replaced by ``'`` and ``/``."""
    return f"`{one_line(text).replace('`', chr(39)).replace('|', '/') or ' '}`"


def fenced(text: str) -> list[str]:
    """The text verbatim in a fence that is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", text.removesuffix("\n"), fence]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """A table of cells that are safe already.

    Args:
        head: Column headings.
        rows: One cell per column.
        right: Indices of the columns to align right.
    """
    rule = ["---:" if column in right else "---" for column in range(len(head))]
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]
