"""The temporary folder of an embedded broker: made with room to spare, swept when it was left behind."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

from pytest_eng5.brokers.cache import clear_disk_errors, require_space

__all__ = ["ROOM", "is_free", "make_home", "sweep_homes"]

_PREFIX = "eng5-kafka-"
ROOM = 100_000_000
"""Bytes that the data of a broker may need."""
_STALE_SECONDS = 3600.0


def make_home(work_dir: Path | None) -> Path:
    """A fresh folder for one broker, under ``work_dir`` or the system's temporary folder."""
    parent = _parent(work_dir)
    with clear_disk_errors(parent):
        parent.mkdir(parents=True, exist_ok=True)
        require_space(parent, ROOM, "the data of the embedded broker")
        return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))


def sweep_homes(work_dir: Path | None) -> None:
    """Remove what a broker left whose supervisor could not clean up, since it was killed too.

    Only things of this user, older than an hour, where no broker holds Kafka's own lock on the data. The lock
    is the kernel's, so it tells the truth also about a broker in another container.
    """
    for path in _parent(work_dir).glob(f"{_PREFIX}*"):
        try:
            stat = path.stat()
            if stat.st_uid == os.getuid() and time.time() - stat.st_mtime > _STALE_SECONDS:
                _sweep(path)
        except OSError:
            continue


def _sweep(path: Path) -> None:
    if path.is_dir() and is_free(path / "data"):
        shutil.rmtree(path, ignore_errors=True)
    elif path.suffix == ".log" and not path.with_suffix("").exists():
        path.unlink()


def is_free(data_dir: Path) -> bool:
    """Whether no Kafka holds its own lock on that storage."""
    lock = data_dir / ".lock"
    if not lock.exists():
        return True
    with lock.open("r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def _parent(work_dir: Path | None) -> Path:
    return (work_dir or Path(tempfile.gettempdir())).absolute()
