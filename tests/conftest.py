"""Settings that all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pytest_eng5.processes import SupervisedProcess

# Examples run beside a Kafka and other workers: how long one takes says nothing.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that send it would
# then test nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., SupervisedProcess]]:
    """Start supervised processes that are stopped at the end, whatever the test does."""
    running: list[SupervisedProcess] = []

    def start(*cmd: str, **options: object) -> SupervisedProcess:
        arguments: dict[str, object] = {"watch_pid": os.getpid(), "log_path": tmp_path / "log.txt", **options}
        process = SupervisedProcess.start(cmd, **arguments)  # type: ignore[arg-type]
        running.append(process)
        return process

    yield start
    for process in running:
        process.stop(grace=1.0)
