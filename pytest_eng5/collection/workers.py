"""Hooks of pytest-xdist; registered only where xdist is installed."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_eng5.collection.identity import send
from pytest_eng5.collection.stash import IDENTITY

__all__ = ["WorkerHooks"]


class WorkerHooks:
    """Tells every worker which session it belongs to."""

    @pytest.hookimpl
    def pytest_configure_node(self, node: Any) -> None:
        """Called by the controller before a worker starts."""
        send(node.config, node.workerinput, node.config.stash[IDENTITY])
