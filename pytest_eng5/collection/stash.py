"""Typed keys of what the plugin keeps on pytest's objects; all state goes through them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_eng5.collection.options import Options
    from pytest_eng5.collection.recorder import Recorder
    from pytest_eng5.collection.runtime import Runtime
    from pytest_eng5.collection.session_report import SessionReport
    from pytest_eng5.reports.comparison_model import Comparison
    from pytest_eng5.scenario import Scenario
    from pytest_eng5.sessions import SessionIdentity

__all__ = [
    "COMPARISONS",
    "FAILED_ITEM",
    "IDENTITY",
    "OPTIONS",
    "RECORDER",
    "REPORT",
    "RUNTIME",
    "SCENARIOS",
    "SHOWN",
]

COMPARISONS: pytest.StashKey[dict[str, Comparison]] = pytest.StashKey()
OPTIONS: pytest.StashKey[Options] = pytest.StashKey()
IDENTITY: pytest.StashKey[SessionIdentity] = pytest.StashKey()
RUNTIME: pytest.StashKey[Runtime] = pytest.StashKey()
SHOWN: pytest.StashKey[bool] = pytest.StashKey()
FAILED_ITEM: pytest.StashKey[str] = pytest.StashKey()
SCENARIOS: pytest.StashKey[dict[Path, Scenario]] = pytest.StashKey()
RECORDER: pytest.StashKey[Recorder] = pytest.StashKey()
REPORT: pytest.StashKey[SessionReport | None] = pytest.StashKey()
