"""The parts of a run and the protocols that they keep: same methods, same parameters, nothing inherited."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_eng5.capture import CaptureHub, RequestPublisher
from pytest_eng5.reports import finalise_run, write_session
from pytest_eng5.runner import HANDLER_MAP, ModeHandlerProtocol
from pytest_eng5.runner.command import MODES
from pytest_eng5.runner.protocols import Capture, Hydration, Publisher, ReportGenerator, Uploader
from pytest_eng5.services import ContentClient

NOWHERE = {"bootstrap_servers": "127.0.0.1:1"}
PARTS: dict[type, Any] = {
    Uploader: lambda folder: ContentClient(httpx.AsyncClient(), "http://127.0.0.1:1/v1/content"),
    Publisher: lambda folder: RequestPublisher(NOWHERE),
    Capture: lambda folder: CaptureHub(NOWHERE, "g", folder / "stray.jsonl"),
    Hydration: lambda folder: finalise_run,
    ReportGenerator: lambda folder: write_session,
}


def declared(protocol: type) -> Iterator[str]:
    """Names of the methods that a protocol declares."""
    for name, value in vars(protocol).items():
        if inspect.isfunction(value) and (not name.startswith("_") or name == "__call__"):
            yield name


def parameters(function: Any) -> list[tuple[str, Any]]:
    """Name and kind of each parameter that a caller has to give."""
    found = inspect.signature(function).parameters.values()
    return [(p.name, p.kind) for p in found if p.name != "self" and p.default is p.empty]


@pytest.mark.parametrize("protocol", PARTS, ids=lambda protocol: protocol.__name__)
def test_each_part_keeps_its_protocol(protocol: type, tmp_path: Path) -> None:
    part = PARTS[protocol](tmp_path)
    assert isinstance(part, protocol)
    assert protocol not in type(part).__mro__
    names = list(declared(protocol))
    assert names
    for name in names:
        own, wanted = getattr(part, name), getattr(protocol, name)
        if name == "__call__":
            own = part
        assert parameters(own) == parameters(wanted), name
        assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(wanted), name


@pytest.mark.parametrize("protocol", [Uploader, Publisher, Capture], ids=lambda protocol: protocol.__name__)
def test_what_lacks_a_method_does_not_keep_it(protocol: type) -> None:
    for missing in declared(protocol):
        members = {name: lambda self: None for name in declared(protocol) if name != missing}
        part = type("Part", (), {**members, "failure": None})()
        assert not isinstance(part, protocol), missing
    assert not isinstance(object(), protocol)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_handler_of_the_written_signature(mode: str) -> None:
    handler = HANDLER_MAP[mode]()
    assert isinstance(handler, ModeHandlerProtocol)
    for name in ("execute", "perform"):
        assert parameters(getattr(handler, name)) == parameters(getattr(ModeHandlerProtocol, name))
    assert parameters(handler.execute) == [
        (name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("settings", "inventory", "paths")
    ]
    assert inspect.signature(handler.execute).return_annotation == "int"
    assert vars(handler) == {}, "a handler keeps nothing between runs"
