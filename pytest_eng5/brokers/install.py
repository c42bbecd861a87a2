"""By hand: fetch and prepare everything once (`install`), keep a broker up (`serve`)."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from pytest_eng5.brokers.aot import StartupCache
from pytest_eng5.brokers.cache import cache_root
from pytest_eng5.brokers.embedded import EmbeddedBroker
from pytest_eng5.brokers.errors import BrokerStopped
from pytest_eng5.brokers.jars import fetched_jars, home_jars
from pytest_eng5.brokers.java import Java, find_java
from pytest_eng5.brokers.model import BrokerOptions
from pytest_eng5.brokers.probe import DEFAULT_PARTITIONS, ensure_topics, run_blocking

__all__ = ["Installation", "install", "serve"]


@dataclass(frozen=True)
class Installation:
    """What `install` has made ready, and where it lies.

    Args:
        version: Of Apache Kafka.
        java: The runtime that will run it.
        jars: Folder of the jars.
        jar_count: How many there are.
        verified: Whether the SHA-256 of every jar was checked just now.
        cache: Folder of all that was fetched or derived; removing it undoes the installation.
        startup_cache: The runtime's start-up cache, or None where it could not be written.
        ready_seconds: How long a start took, from nothing to a record that went through.
    """

    version: str
    java: Java
    jars: Path
    jar_count: int
    verified: bool
    cache: Path
    startup_cache: Path | None
    ready_seconds: float

    def lines(self) -> list[str]:
        """For people."""
        checked = "SHA-256 checked" if self.verified else "unchanged since their SHA-256 was checked"
        return [
            f"Apache Kafka {self.version}: {self.jar_count} jars in {self.jars} ({checked})",
            f"{self.java}: {self.java.home}",
            f"start-up cache: {self.startup_cache or 'none (the folder cannot be written or is too full)'}",
            f"cache folder: {self.cache}",
            f"a broker is ready in {self.ready_seconds:.1f} s",
        ]


def install(
    *,
    verify: bool = False,
    kafka_home: Path | None = None,
    java_home: Path | None = None,
    report: Callable[[str], None] = print,
) -> Installation:
    """Fetch what is missing, check it, start a broker once to prepare the start-up cache and once to time it.

    Args:
        verify: Check the SHA-256 of every jar, not only of what has changed. The jars of ``kafka_home`` have
            no sums on record.
        kafka_home: Prepare this unpacked Apache Kafka instead.
        java_home: With this Java runtime.
        report: Told what happens, line by line.

    Raises:
        BrokerError: One of its subclasses says what is in the way and how to get around it.
    """
    java = find_java(java_home)
    jars = home_jars(kafka_home) if kafka_home else fetched_jars(report, verify=verify)
    options = BrokerOptions(kind="embedded", kafka_home=kafka_home, java_home=java_home, report=report)
    startup = StartupCache.of(java, jars)
    if not startup.ready:
        report("starting a broker to prepare the start-up cache")
        _start_and_stop(options)
    seconds = _start_and_stop(options)
    return Installation(
        version=jars.version,
        java=java,
        jars=jars.class_path[0].parent,
        jar_count=len(jars.class_path),
        verified=verify and kafka_home is None,
        cache=cache_root(),
        startup_cache=startup.path if startup.ready else None,
        ready_seconds=seconds,
    )


def _start_and_stop(options: BrokerOptions) -> float:
    broker = EmbeddedBroker(options)
    since = time.monotonic()
    broker.start()
    seconds = time.monotonic() - since
    broker.stop()
    return seconds


def serve(
    options: BrokerOptions,
    *,
    topics: Sequence[str] = (),
    partitions: int = DEFAULT_PARTITIONS,
    report: Callable[[str], None] = print,
) -> None:
    """Keep an embedded broker up until Ctrl-C or SIGTERM; call it in the main thread.

    Args:
        options: As for `create_broker`; ``port`` fixes the port, ``data_dir`` keeps the records.
        topics: Topics to create; with a ``data_dir`` those that are there already stay as they are.
        partitions: Of each topic that is created.
        report: Told the address, the folders, and how to stop it, line by line.

    Raises:
        BrokerStopped: Kafka ended by itself.
    """
    broker = EmbeddedBroker(replace(options, kind="embedded", report=report))
    over = threading.Event()
    connection = broker.start()  # an impatient Ctrl-C still interrupts this
    try:
        with _on_signals(over):
            if topics:
                run_blocking(ensure_topics(connection, topics, partitions=partitions, may_create=True))
            broker.on_exit(over.set)
            for line in _where(broker, topics, options.data_dir):
                report(line)
            over.wait()
            failure = broker.failure()
    finally:
        broker.stop()
    if failure is not None:
        raise BrokerStopped(failure, where=connection.bootstrap_servers)
    kept = options.data_dir
    report("stopped; its data is removed" if kept is None else f"stopped; its records stay in {kept}")


def _where(broker: EmbeddedBroker, topics: Sequence[str], data_dir: Path | None) -> list[str]:
    data = f"{broker.home} (removed at the end)" if data_dir is None else f"{data_dir} (kept)"
    return [
        broker.describe(),
        f"bootstrap servers: {broker.connection.bootstrap_servers}",
        f"log:  {broker.log_path}",
        f"data: {data}",
        f"jars: {broker.jars_folder}",
        *([f"topics: {', '.join(topics)}"] if topics else []),
        f"use it: --eng5-broker external --eng5-bootstrap-servers {broker.connection.bootstrap_servers}",
        "Ctrl-C stops it",
    ]


@contextlib.contextmanager
def _on_signals(over: threading.Event) -> Iterator[None]:
    """Set ``over`` instead of dying from SIGINT or SIGTERM."""

    def note(_number: int, _frame: FrameType | None) -> None:
        over.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
