"""The five example events of the contract, and ways to break them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pytest_eng5.contracts import ProcessingEvent, decode_event, validation_reasons

EXAMPLES = Path(__file__).parent / "examples"

# File name of the example -> name of the event, as the contract's section 1.1 has it.
EVENT_OF = {
    "request": "els.cj_assessment.requested",
    "comparison_result": "llm_provider.comparison_result",
    "assessment_result": "assessment.result.published",
    "completed": "cj_assessment.completed",
    "failed": "cj_assessment.failed",
}
DELETE = "<delete>"


def read_example(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return document


def put(document: Any, pointer: str, value: Any) -> None:
    """Set or delete what a simple JSON pointer names, in place."""
    *parents, last = pointer.strip("/").split("/")
    for part in parents:
        document = document[int(part)] if isinstance(document, list) else document[part]
    if value == DELETE:
        del document[last]
    else:
        document[int(last) if isinstance(document, list) else last] = value


@pytest.fixture(params=EVENT_OF)
def name(request: pytest.FixtureRequest) -> str:
    """Each example in turn."""
    return str(request.param)


@pytest.fixture
def changed() -> Callable[..., dict[str, Any]]:
    """changed(example, {pointer: value}) -> a changed copy; DELETE removes."""

    def change(example: str, changes: Mapping[str, Any] = {}) -> dict[str, Any]:
        document = copy.deepcopy(read_example(example))
        for pointer, value in changes.items():
            put(document, pointer, value)
        return document

    return change


@pytest.fixture
def decode() -> Callable[..., Any]:
    """decode(example, document) -> envelope."""
    return lambda example, document: decode_event(
        ProcessingEvent(EVENT_OF[example]), json.dumps(document).encode()
    )


@pytest.fixture
def reasons(
    changed: Callable[..., dict[str, Any]], decode: Callable[..., Any]
) -> Callable[..., list[tuple[str, str]]]:
    """reasons(example, changes) -> why the changed example is refused, empty if it is not."""

    def of(example: str, changes: Mapping[str, Any]) -> list[tuple[str, str]]:
        try:
            decode(example, changed(example, changes))
        except ValidationError as error:
            return validation_reasons(error)
        return []

    return of
