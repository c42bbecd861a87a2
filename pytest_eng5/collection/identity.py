"""Who this process is: the controller or a worker of a session, and the session's name and shared folder."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

__all__ = ["SessionIdentity", "group_id", "identify"]

_KEY = "eng5_session"


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """Shared by all processes of one pytest session.

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
        """Plain values that a worker's :func:`identify` reads."""
        return {"name": self.name, "shared": str(self.shared), "controller_pid": self.controller_pid}

    def forget(self) -> None:
        """Remove the shared folder."""
        shutil.rmtree(self.shared, ignore_errors=True)


def identify(config: pytest.Config) -> SessionIdentity:
    """The identity of the session that ``config`` belongs to; made up in the controller."""
    sent: dict[str, Any] = getattr(config, "workerinput", {})
    if _KEY in sent:
        values = sent[_KEY]
        worker = str(sent["workerid"])
        return SessionIdentity(values["name"], Path(values["shared"]), int(values["controller_pid"]), worker)
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    return SessionIdentity(name, Path(tempfile.gettempdir()) / f"eng5-{name}-{os.getpid()}", os.getpid())


def group_id(topic_prefix: str, identity: SessionIdentity) -> str:
    """The Kafka group under which a process commits what it has captured; one per process and session."""
    return f"{topic_prefix}pytest-eng5-{identity.name}-{identity.worker}"


def send(config: pytest.Config, workerinput: dict[str, Any], identity: SessionIdentity) -> None:
    """Put the identity into what xdist gives a worker."""
    workerinput[_KEY] = identity.for_worker()
