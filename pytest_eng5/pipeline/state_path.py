"""Which file keeps the state of a pipeline process."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_state_path

from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.logs import service_logger

__all__ = ["MEMORY", "default_path", "open_state"]

MEMORY = "memory"
_log = service_logger("pipeline")


def default_path(identity: Iterable[object]) -> Path:
    """A file in the user's state folder that the same pipeline finds again.

    Args:
        identity: What makes it the same: broker, topic prefix, services, ports.
    """
    digest = hashlib.sha256("\n".join(map(str, identity)).encode()).hexdigest()[:16]
    return user_state_path("pytest-eng5", appauthor=False) / f"pipeline-{digest}.sqlite"


def open_state(wanted: str | None, default: Path) -> Database:
    """Open the state.

    Args:
        wanted: A path, or ``memory``; ``None`` takes the default, and memory where that cannot be written.
        default: See `default_path`.

    Raises:
        StartupFailed: It cannot be used.
    """
    if wanted == MEMORY:
        return Database()
    if wanted is not None:
        return Database(Path(wanted).expanduser())
    if _writable(default.parent):
        _log.info("state", path=str(default))
        return Database(default)
    _log.warning(
        "state in memory only: it is lost at the end", folder=str(default.parent), fix="give --state PATH"
    )
    return Database()


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return False
    return os.access(folder, os.W_OK | os.X_OK)
