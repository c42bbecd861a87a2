"""The cache folder: where it lies, a lock against other sessions, whether there is room in it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from pytest_eng5.brokers.errors import BrokerError, DiskFull

__all__ = ["CACHE_VARIABLE", "cache_root", "clear_disk_errors", "exclusive", "require_space"]

CACHE_VARIABLE = "ENG5_CACHE_DIR"


def cache_root() -> Path:
    """The folder for all that is fetched once: ``ENG5_CACHE_DIR``, else the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("pytest-eng5")


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against every other process of this machine that uses this function.

    The lock is the kernel's (``flock``): it vanishes with its holder, so a killed session blocks nobody.
    """
    with clear_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("w")
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse with `DiskFull` when the disk of ``folder`` has fewer than ``needed`` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(
            f"{purpose} needs {needed / 1e6:.0f} MB, only {free / 1e6:.0f} MB are free",
            where=str(folder),
            fix=_space_fix(),
        )


@contextlib.contextmanager
def clear_disk_errors(folder: Path) -> Iterator[None]:
    """Turn "no space left" inside the block into `DiskFull`, other refusals into `BrokerError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull("no space left on the device", where=str(folder), fix=_space_fix()) from error
        raise BrokerError(
            f"the folder cannot be written: {error}",
            where=str(folder),
            fix=f"allow writing there, or {_ELSEWHERE}",
        ) from error


_ELSEWHERE = f"move the cache ({CACHE_VARIABLE}) and the temporary folder (TMPDIR) elsewhere"


def _space_fix() -> str:
    return f"free some space, or {_ELSEWHERE}"
