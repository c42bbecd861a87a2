"""A folder in which an embedded broker keeps its records over stop and start."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_eng5.brokers.cache import clear_disk_errors, exclusive, require_space
from pytest_eng5.brokers.errors import BrokerError
from pytest_eng5.brokers.home import is_free
from pytest_eng5.brokers.jars import KafkaJars
from pytest_eng5.brokers.java import Java
from pytest_eng5.brokers.server import format_storage

__all__ = ["LOCKED", "data_in_use", "kept_data"]

LOCKED = re.compile(r"Failed to acquire lock on file \.lock")
"""What Kafka says when another Kafka has the folder."""

_NOTE = "eng5-kafka.json"
_META = "meta.properties"
# What may be there without records: locks, and what a formatting that was cut short leaves.
_NO_RECORDS = {"lock", ".lock", "bootstrap.checkpoint"}
_ROOM = 100_000_000
_FIX = "choose another data folder; one that is missing or empty is prepared for use"


@contextlib.contextmanager
def kept_data(folder: Path, java: Java, jars: KafkaJars) -> Iterator[Path]:
    """The folder, formatted if it was empty, held against other starts while the block runs.

    Kafka itself locks it as soon as it runs, so the block need only last until then.

    Raises:
        BrokerError: The folder cannot be written, a broker uses it, it was formatted by another Kafka (or a
            newer one), or it holds something else.
    """
    folder = folder.expanduser().absolute()
    _require_writable(folder)
    with exclusive(folder):
        if not _is_free(folder):
            raise data_in_use(folder)
        if (folder / _META).exists():
            _require_ours(folder, jars)
        else:
            _format(folder, java, jars)
        yield folder


def data_in_use(folder: Path) -> BrokerError:
    """The error of a folder that a running broker has."""
    return BrokerError(
        "another broker uses this data folder",
        where=str(folder),
        fix="stop that broker, or choose another data folder",
    )


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").open("a").close()
    except OSError as error:
        raise _unwritable(folder, error) from error
    require_space(folder, _ROOM, "the data of the embedded broker")


def _is_free(folder: Path) -> bool:
    try:
        return is_free(folder)
    except OSError as error:  # it belongs to another user
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> BrokerError:
    return BrokerError(f"the data folder cannot be written: {error.strerror}", where=str(folder), fix=_FIX)


def _format(folder: Path, java: Java, jars: KafkaJars) -> None:
    others = sorted({path.name for path in folder.iterdir()} - _NO_RECORDS - {_NOTE})
    if others:
        raise BrokerError(
            f"the folder is not empty and holds no records of Kafka: {', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}",
            where=str(folder),
            fix=_FIX,
        )
    with clear_disk_errors(folder):
        # The note comes first: a folder with ids and without a note is not ours.
        note = {"kafka": jars.version}
        (folder / _NOTE).write_text(json.dumps(note) + "\n", encoding="utf-8")
        format_storage(java, jars, folder)


def _require_ours(folder: Path, jars: KafkaJars) -> None:
    try:
        formatted = str(json.loads((folder / _NOTE).read_text(encoding="utf-8"))["kafka"])
    except FileNotFoundError:
        raise BrokerError(
            "the data folder belongs to another Kafka cluster", where=str(folder), fix=_FIX
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokerError(
            f"the note about the data folder cannot be read: {error}", where=str(folder / _NOTE), fix=_FIX
        ) from error
    if _numbers(formatted) > _numbers(jars.version):
        raise BrokerError(
            f"the data folder was made by Apache Kafka {formatted}, which is newer than {jars.version}",
            where=str(folder),
            fix=f"use Apache Kafka {formatted} (--eng5-kafka-home DIR), or choose another data folder",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
