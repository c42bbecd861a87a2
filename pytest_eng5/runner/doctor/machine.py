"""Questions about this machine: disk, temporary folder, loopback, Java and the embedded Kafka."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pytest_eng5.brokers.home import ROOM
from pytest_eng5.brokers.jars import home_jars, jar_folder, jars_to_fetch
from pytest_eng5.brokers.java import find_java
from pytest_eng5.brokers.lockfile import KAFKA_VERSION
from pytest_eng5.errors import InfrastructureError
from pytest_eng5.runner.doctor.lines import Level, Line, ok, warn

__all__ = ["java", "kafka_jars", "loopback", "output_folder", "temporary_folder"]

_SCARCE = 1_000_000_000
_OUTPUT = "--output-dir"


def output_folder(folder: Path) -> Iterator[Line]:
    """Whether evidence can be written, and how much."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        what = "cannot be written" if existing.is_dir() else "is not a folder"
        fix = f"allow writing there, or name another folder with {_OUTPUT}"
        yield Line(Level.FAIL, "disk", f"{existing} {what}, so that no evidence can be kept", fix)
        return
    yield _space("disk", existing, ROOM, f"for evidence in {folder}", f"name a folder with {_OUTPUT}")


def temporary_folder() -> Iterator[Line]:
    """Whether the embedded broker can keep its data."""
    folder = Path(tempfile.gettempdir())
    if not os.access(folder, os.W_OK | os.X_OK):
        fix = "allow writing there, or set TMPDIR to another folder"
        yield Line(Level.FAIL, "temporary folder", f"{folder} cannot be written", fix)
        return
    fix = "set TMPDIR to a folder"
    yield _space("temporary folder", folder, ROOM, f"for the broker's data in {folder}", fix)


def _space(what: str, folder: Path, needed: int, purpose: str, fix: str) -> Line:
    free = shutil.disk_usage(folder).free
    text = f"{_size(free)} free {purpose}"
    fix = f"free some space, or {fix} on another disk"
    if free < needed:
        return Line(Level.FAIL, what, f"only {text}, {_size(needed)} are needed", fix)
    return warn(what, f"only {text}", fix) if free < _SCARCE else ok(what, text)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def loopback() -> Iterator[Line]:
    """Whether broker and pipeline can listen on this machine.

    Raises:
        InfrastructureError: They cannot.
    """
    try:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            with socket.create_connection(listener.getsockname(), timeout=2):
                pass
    except OSError as error:
        raise InfrastructureError(
            f"nothing can listen on 127.0.0.1, where broker and pipeline would: {error.strerror or error}",
            fix="allow connections on the loopback interface, or use --kafka-bootstrap",
        ) from error
    yield ok("loopback", "a port of 127.0.0.1 can be used")


def java() -> Iterator[Line]:
    """Which Java would run Kafka.

    Raises:
        NoJava: None that is new enough.
    """
    found = find_java()
    yield ok("java", f"{found}: {found.home}")


def kafka_jars(kafka_home: Path | None) -> Iterator[Line]:
    """Whether Kafka is installed; nothing is fetched.

    Raises:
        KafkaHomeInvalid: The folder given is none.
        KafkaNotInstalled: It is not in the cache and cannot be fetched.
    """
    if kafka_home is not None:
        jars = home_jars(kafka_home)
        yield ok("kafka", f"Apache Kafka {jars.version} in {jars.origin}")
        return
    missing, folder = jars_to_fetch(), jar_folder()
    if missing:
        size = _size(sum(jar.size for jar in missing))
        text = f"Apache Kafka {KAFKA_VERSION} is not in {folder}: the first run fetches {size}"
        yield warn("kafka", text, "eng5 kafka install fetches it now, where there is a network")
        return
    yield ok("kafka", f"Apache Kafka {KAFKA_VERSION} in {folder}")
