"""Who this process is: the controller or a worker of a pytest session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.sessions import SessionIdentity, new_session

__all__ = ["identify", "send"]

_KEY = "eng5_session"


def identify(config: pytest.Config) -> SessionIdentity:
    """The identity of the session that ``config`` belongs to; made up in the controller."""
    sent: dict[str, Any] = getattr(config, "workerinput", {})
    if _KEY not in sent:
        return new_session()
    values = sent[_KEY]
    worker = str(sent["workerid"])
    return SessionIdentity(values["name"], Path(values["shared"]), int(values["controller_pid"]), worker)


def send(config: pytest.Config, workerinput: dict[str, Any], identity: SessionIdentity) -> None:
    """Put the identity into what xdist gives a worker."""
    workerinput[_KEY] = identity.for_worker()
