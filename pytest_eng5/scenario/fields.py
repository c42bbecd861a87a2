"""The kinds of value that keys of a scenario file take, as pydantic types.

Each type accepts a `Scalar` of the tree (or the bare value). Text keeps what was written, so that
``id: 1.0`` is the text ``1.0``; numbers and booleans are strict, so that ``"1"`` is no number.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, Strict

from pytest_eng5.scenario.nodes import Scalar

__all__ = [
    "METRIC_PATTERN",
    "PATTERN_WORDS",
    "FindingCode",
    "Flag",
    "MarkName",
    "MetricName",
    "Number",
    "PathText",
    "ScenarioName",
    "Text",
    "UuidText",
    "VariantId",
    "Whole",
    "text_of",
]

METRIC_PATTERN: Final = r"^[a-z][a-z0-9_]*$"
_SCENARIO_PATTERN: Final = r"^[a-z][a-z0-9_]*$"
_VARIANT_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]*$"
_MARK_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_CODE_PATTERN: Final = r"^[A-Z][A-Z0-9.-]*$"
_UUID_PATTERN: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

PATTERN_WORDS: Final = {
    METRIC_PATTERN: "a name of lower-case letters, digits and '_' that starts with a letter",
    _VARIANT_PATTERN: "an id of lower-case letters, digits, '_', '.', '-' that starts with a letter or digit",
    _MARK_PATTERN: "the name of a pytest mark (letters, digits and '_')",
    _CODE_PATTERN: "a finding code such as META-MISSING (capital letters, digits, '-' and '.')",
    _UUID_PATTERN: "a UUID such as 0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01",
}
"""What each pattern asks for, in words."""


def text_of(value: Any) -> Any:
    """Return what was written for a scalar; anything else unchanged."""
    return value.text if isinstance(value, Scalar) else value


def _value_of(value: Any) -> Any:
    return value.value if isinstance(value, Scalar) else value


Text = Annotated[str, BeforeValidator(text_of)]
PathText = Annotated[str, BeforeValidator(text_of), Field(min_length=1, max_length=1000)]
Number = Annotated[float, Strict(), BeforeValidator(_value_of), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict(), BeforeValidator(_value_of)]
Flag = Annotated[bool, Strict(), BeforeValidator(_value_of)]

ScenarioName = Annotated[Text, Field(pattern=_SCENARIO_PATTERN, max_length=100)]
VariantId = Annotated[Text, Field(pattern=_VARIANT_PATTERN, max_length=100)]
MetricName = Annotated[str, Field(pattern=METRIC_PATTERN)]
MarkName = Annotated[Text, Field(pattern=_MARK_PATTERN)]
FindingCode = Annotated[Text, Field(pattern=_CODE_PATTERN)]
UuidText = Annotated[Text, Field(pattern=_UUID_PATTERN)]
