"""Getting at the session's runtime, which is made when the first item needs it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from pytest_eng5.collection.stash import IDENTITY, OPTIONS, RUNTIME

if TYPE_CHECKING:
    from pytest_eng5.collection.runtime import Runtime

__all__ = ["runtime_of"]


def runtime_of(config: pytest.Config) -> Runtime:
    """The runtime of a session; imports the heavy rooms at the first call."""
    runtime = config.stash.get(RUNTIME, None)
    if runtime is None:
        from pytest_eng5.collection.runtime import Runtime

        report = partial(_say, config)
        runtime = config.stash[RUNTIME] = Runtime(config.stash[OPTIONS], config.stash[IDENTITY], report)
    return runtime


def _say(config: pytest.Config, line: str) -> None:
    """Show a line at once, past the capturing of output; workers have no terminal and stay silent."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(f"eng5: {line}")
