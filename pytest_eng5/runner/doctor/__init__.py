"""``eng5 doctor``: everything a run will need, asked before one is started; changes nothing."""

from __future__ import annotations

from pytest_eng5.runner.doctor.diagnosis import diagnose
from pytest_eng5.runner.doctor.lines import Level, Line

__all__ = ["Level", "Line", "diagnose"]
