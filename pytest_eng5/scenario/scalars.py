"""The meaning of an unquoted YAML scalar under the core schema of YAML 1.2 (section 10.3.2).

YAML 1.1, which PyYAML resolves, reads ``no`` and ``on`` as booleans, ``1:30`` as a number and ``1e3`` as
text. Here ``no`` is the text that it looks like.
"""

from __future__ import annotations

import re

__all__ = ["resolve_scalar"]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

_MAX_NUMBER_LENGTH = 40
"""Longer runs of digits are no number that any key takes; Python refuses to convert very long ones."""


def resolve_scalar(text: str) -> str | int | float | bool | None:
    """Return what the unquoted scalar ``text`` means: null, a boolean, a number or the text itself."""
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if len(text) > _MAX_NUMBER_LENGTH or not text.isascii():
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text
