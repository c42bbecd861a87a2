"""The kinds of value that keys of a scenario file take, as pydantic types.

Each type accepts a `Scalar` of the tree (or the bare value). Text keeps what was written, so that
``id: 1.0`` is the text ``1.0``; numbers and booleans are strict, so that ``"1"`` is no number.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, Strict

from pytest_eng5.scenario.nodes import Scalar

__all__ = [
    "AS_TEXT",
    "METRIC_PATTERN",
    "PATTERN_WORDS",
    "Confidence",
    "Dollars",
    "FindingCode",
    "Flag",
    "LanguageCode",
    "MarkName",
    "MetricName",
    "ModelName",
    "NotNegative",
    "Number",
    "PathText",
    "PointerText",
    "Positive",
    "ScenarioName",
    "Seconds",
    "Share",
    "Temperature",
    "Text",
    "UuidText",
    "VariantId",
]

METRIC_PATTERN: Final = r"^[a-z][a-z0-9_]*$"
_SCENARIO_PATTERN: Final = r"^[a-z][a-z0-9_]*$"
_VARIANT_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]*$"
_MARK_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_CODE_PATTERN: Final = r"^[A-Z][A-Z0-9.-]*$"
_POINTER_PATTERN: Final = r"^(/[^/]+)+$"
_UUID_PATTERN: Final = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"

_MAX_WHOLE: Final = 2**63 - 1

PATTERN_WORDS: Final = {
    METRIC_PATTERN: "a name of lower-case letters, digits and '_' that starts with a letter",
    _VARIANT_PATTERN: "an id of lower-case letters, digits, '_', '.', '-' that starts with a letter or digit",
    _MARK_PATTERN: "the name of a pytest mark (letters, digits and '_')",
    _CODE_PATTERN: "a finding code such as META-MISSING (capital letters, digits, '-' and '.')",
    _POINTER_PATTERN: "a JSON pointer from the envelope on, such as /data/winner",
    _UUID_PATTERN: "a UUID such as 0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01",
}
"""What each pattern asks for, in words."""


def text_of(value: Any) -> Any:
    """Return what was written for a scalar; anything else unchanged."""
    return value.text if isinstance(value, Scalar) else value


def value_of(value: Any) -> Any:
    """Return what a scalar means; anything else unchanged."""
    return value.value if isinstance(value, Scalar) else value


# A constraint stands before the function that unwraps a scalar: only then does the JSON Schema show it.
AS_TEXT: Final = BeforeValidator(text_of)
AS_VALUE: Final = BeforeValidator(value_of)

Text = Annotated[str, AS_TEXT]
PathText = Annotated[str, Field(min_length=1, max_length=1000), AS_TEXT]
ModelName = Annotated[str, Field(min_length=1, max_length=200), AS_TEXT]
LanguageCode = Annotated[str, Field(min_length=1, max_length=10), AS_TEXT]
ScenarioName = Annotated[str, Field(pattern=_SCENARIO_PATTERN, max_length=100), AS_TEXT]
VariantId = Annotated[str, Field(pattern=_VARIANT_PATTERN, max_length=100), AS_TEXT]
MetricName = Annotated[str, Field(pattern=METRIC_PATTERN)]
MarkName = Annotated[str, Field(pattern=_MARK_PATTERN), AS_TEXT]
FindingCode = Annotated[str, Field(pattern=_CODE_PATTERN), AS_TEXT]
PointerText = Annotated[str, Field(pattern=_POINTER_PATTERN), AS_TEXT]
UuidText = Annotated[str, Field(pattern=_UUID_PATTERN), AS_TEXT]

Flag = Annotated[bool, Strict(), AS_VALUE]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), AS_VALUE]
Temperature = Annotated[float, Strict(), Field(ge=0, le=2), AS_VALUE]
Share = Annotated[float, Strict(), Field(ge=0, le=1), AS_VALUE]
Confidence = Annotated[float, Strict(), Field(gt=0, lt=1), AS_VALUE]
Seconds = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False), AS_VALUE]
Dollars = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False), AS_VALUE]
Positive = Annotated[int, Strict(), Field(ge=1, le=_MAX_WHOLE), AS_VALUE]
NotNegative = Annotated[int, Strict(), Field(ge=0, le=_MAX_WHOLE), AS_VALUE]
