"""From whatever an event carries to plain JSON values of limited size, without secrets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any

from pytest_eng5.kafka_config.redaction import Secret
from pytest_eng5.telemetry.redaction import HIDDEN, SECRETS, Secrets, hides

__all__ = ["LONGEST", "plain"]

LONGEST = 4000
"""Characters of the longest text in a log; what is longer is cut and says so."""

_LOOKED_AT = 16 * LONGEST
_DEEPEST = 6
_WIDEST = 200


def plain(value: Any, name: str = "", *, secrets: Secrets = SECRETS, depth: int = 0) -> Any:
    """A value as JSON has it: text, number, boolean, null, list or object with text keys.

    Args:
        value: Anything; what JSON does not know becomes its text, and numbers that are not finite null.
        name: What it stands under; decides with its content whether it is shown.
        secrets: What must not be shown.
    """
    if isinstance(value, Mapping | list | tuple | Set):
        return _container(value, name, secrets, depth)
    if isinstance(value, Secret) or hides(name, value):
        return HIDDEN
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _number(value, secrets)
    return _short(secrets.clean(_text(value)[:_LOOKED_AT]))


def _container(value: Any, name: str, secrets: Secrets, depth: int) -> Any:
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        pairs = list(value.items())[:_WIDEST]
        return {
            _short(secrets.clean(_text(key))): plain(
                inner, _inherited(name, _text(key)), secrets=secrets, depth=depth + 1
            )
            for key, inner in pairs
        }
    return [plain(inner, name, secrets=secrets, depth=depth + 1) for inner in list(value)[:_WIDEST]]


def _inherited(name: str, key: str) -> str:
    """What lies below a secret name is secret itself, whatever its own name."""
    return f"{key}_{name}" if hides(name, "") else key


def _number(value: float, secrets: Secrets) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return HIDDEN if secrets.holds(value) else value


def _text(value: object) -> str:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    try:
        return str(value)
    except Exception:  # a broken __str__ must not end a run
        return f"<{type(value).__name__}>"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... (cut)"
