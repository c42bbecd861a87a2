"""A session: its name, its folder, and the private folder its processes share. Standard library only."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_eng5.errors import InfrastructureError

__all__ = ["SessionIdentity", "group_id", "new_session", "open_session_folder"]


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """Shared by all processes of one session.

    Attributes:
        name: Name of the session's folder, such as ``20260301T090000Z-1f3a``.
        shared: Private folder in which the processes of the session agree on who does what.
        controller_pid: Broker and pipeline end when this process does.
        worker: ``gw0`` and so on under xdist, else ``main``.
    """

    name: str
    shared: Path
    controller_pid: int
    worker: str = "main"

    @property
    def is_controller(self) -> bool:
        """Whether this process reports the session and ends broker and pipeline."""
        return self.worker == "main"

    def for_worker(self) -> dict[str, Any]:
        """Plain values from which a worker makes its own identity."""
        return {"name": self.name, "shared": str(self.shared), "controller_pid": self.controller_pid}

    def forget(self) -> None:
        """Remove the shared folder."""
        shutil.rmtree(self.shared, ignore_errors=True)


def new_session() -> SessionIdentity:
    """A session of which this process is the controller; nothing is written."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return SessionIdentity(name, Path(tempfile.gettempdir()) / f"eng5-{name}-{os.getpid()}", os.getpid())


def group_id(topic_prefix: str, identity: SessionIdentity) -> str:
    """The Kafka group under which a process commits what it has captured; one per process and session."""
    return f"{topic_prefix}pytest-eng5-{identity.name}-{identity.worker}"


def open_session_folder(output: Path, name: str) -> Path:
    """Make the folder of a session, and let ``latest`` point to it; harmless when repeated.

    Raises:
        InfrastructureError: It cannot be made.
    """
    session = output / name
    try:
        session.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"no folder for evidence can be made here: {error.strerror}",
            where=str(output),
            fix="name another folder with --eng5-output",
        ) from error
    latest = output / "latest"
    temporary = output / f".latest-{os.getpid()}"
    with contextlib.suppress(OSError):
        temporary.symlink_to(name, target_is_directory=True)
        temporary.replace(latest)
    with contextlib.suppress(OSError):
        ignore = output / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
    return session
