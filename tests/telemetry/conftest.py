"""Run logs in a folder of the test's own, read back with nothing but json."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.telemetry import RunLog, Secrets

Lines = Callable[[Path], list[dict[str, Any]]]
MakeLog = Callable[..., RunLog]


@pytest.fixture
def lines() -> Lines:
    """Reads a log; every line must be JSON as the standard has it."""

    def read(path: Path) -> list[dict[str, Any]]:
        content = path.read_text(encoding="ascii")
        assert not content or content.endswith("\n")
        return [json.loads(line, parse_constant=pytest.fail) for line in content.splitlines()]

    return read


@pytest.fixture
def secrets() -> Secrets:
    """Nothing is known to be secret yet."""
    return Secrets()


@pytest.fixture
def make_log(tmp_path: Path, secrets: Secrets) -> Iterator[MakeLog]:
    """Makes logs of runs that are closed at the end."""
    made: list[RunLog] = []

    def make(number: int = 1, path: Path | None = None, **more: Any) -> RunLog:
        fields = {
            "scenario": "small",
            "variant": f"v{number}",
            "repeat": 1,
            "mode": "anchor-align-test",
            "batch_uuid": f"batch-{number}",
            "correlation_id": f"correlation-{number}",
        }
        log = RunLog(path or tmp_path / f"run-{number}" / "log.jsonl", secrets=secrets, **fields | more)
        made.append(log)
        return log

    yield make
    for log in made:
        log.close()
