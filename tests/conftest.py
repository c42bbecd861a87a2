"""Settings that all tests share."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import Phase, settings

from pytest_eng5.processes import SupervisedProcess

if TYPE_CHECKING:
    from pytest_eng5.brokers import EmbeddedBroker

# Examples run beside a Kafka and other workers: how long one takes says nothing. And a run tries what the
# one before tried; `--hypothesis-profile explore` looks for what nobody has tried yet.
settings.register_profile("project", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
# A mutant is killed by the first example that fails: no smaller one is looked for, and none comes by chance.
settings.register_profile(
    "mutation",
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("project")

# A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests that send it would
# then test nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def _light_heap() -> None:
    """Spare the garbage collector what earlier modules left: it would look through that again and again."""
    gc.collect()
    gc.freeze()


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


@contextmanager
def embedded(folder: Path) -> Iterator[EmbeddedBroker]:
    """A broker that runs while it is used."""
    from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker  # not for tests that need none

    log = folder / "kafka.log"
    broker = EmbeddedBroker(
        BrokerOptions(kind="embedded", work_dir=folder, log_path=log, watch_pid=os.getpid())
    )
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """The broker of all tests that do it no harm and have topics of their own on it."""
    with embedded(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="module")
def module_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker that the tests of one module may harm."""
    with embedded(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
