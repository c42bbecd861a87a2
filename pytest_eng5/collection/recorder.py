"""Collects the reports of scenario items in the process that reports the session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

__all__ = ["ItemRecord", "Recorder"]


@dataclass
class ItemRecord:
    """The last attempt of one item.

    Attributes:
        outcome: ``passed``, ``failed``, ``error`` or ``skipped``.
        message: First line of what went wrong.
        seconds: Duration of all phases.
    """

    nodeid: str
    outcome: str = "passed"
    message: str = ""
    details: str = ""
    seconds: float = 0.0
    properties: dict[str, Any] = field(default_factory=dict)
    sections: list[tuple[str, str]] = field(default_factory=list)

    @property
    def is_comparison(self) -> bool:
        """Whether it compares variants, so that it belongs to no single one."""
        return "baseline" in self.properties


class Recorder:
    """Turns phase reports into one record per item; the same with and without xdist."""

    def __init__(self) -> None:
        self._records: dict[str, ItemRecord] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a phase report; those of other tests are ignored."""
        properties = dict(report.user_properties)
        if not {"scenario", "variant", "item"} <= properties.keys():
            return
        record = self._records.get(report.nodeid)
        if record is None or report.when == "setup":
            record = self._records[report.nodeid] = ItemRecord(report.nodeid)
        record.seconds += report.duration
        record.properties = properties
        if report.when == "call":
            record.sections = [(name, text) for name, text in report.sections if "eng5" in name]
        if report.skipped:
            record.outcome, record.message = "skipped", _reason(report)
        elif report.outcome != "passed":
            record.outcome = "failed" if report.when == "call" else "error"
            record.details = report.longreprtext
            record.message = record.details.splitlines()[0] if record.details else ""

    def comparisons(self) -> dict[str, list[ItemRecord]]:
        """Records of comparisons by scenario, in the order in which they came."""
        grouped: dict[str, list[ItemRecord]] = {}
        for record in self._records.values():
            if record.is_comparison:
                grouped.setdefault(str(record.properties["scenario"]), []).append(record)
        return grouped

    def by_variant(self) -> dict[tuple[str, str], list[ItemRecord]]:
        """Records of all other items by (scenario, variant), in the order in which they came."""
        grouped: dict[tuple[str, str], list[ItemRecord]] = {}
        for record in self._records.values():
            if record.is_comparison:
                continue
            key = (str(record.properties["scenario"]), str(record.properties["variant"]))
            grouped.setdefault(key, []).append(record)
        return grouped


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr or "")
