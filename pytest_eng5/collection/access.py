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
        options = config.stash[OPTIONS]
        kind = _live() if options.rejudge is None else _recorded()
        runtime = config.stash[RUNTIME] = kind(options, config.stash[IDENTITY], partial(_say, config))
    return runtime


def _live() -> type[Runtime]:
    from pytest_eng5.collection.runtime import Runtime

    return Runtime


def _recorded() -> type[Runtime]:
    from pytest_eng5.collection.recorded import RecordedRuntime

    return RecordedRuntime


def _say(config: pytest.Config, line: str) -> None:
    """Show a line at once, past the capturing of output; workers have no terminal and stay silent."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.ensure_newline()
        reporter.write_line(f"eng5: {line}")
