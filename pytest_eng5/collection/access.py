"""Getting at the session's runtime, which is made when the first item needs it."""

from __future__ import annotations

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

        runtime = config.stash[RUNTIME] = Runtime(config.stash[OPTIONS], config.stash[IDENTITY])
    return runtime
