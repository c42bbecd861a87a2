"""What the terminal shows: one header line, and the table of variants at the end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_eng5.collection.options import Options

if TYPE_CHECKING:
    from pytest_eng5.collection.session_report import SessionReport

__all__ = ["header", "status_of", "summarise_session"]

_COLOURS = {"PASS": "green", "DONE": "green", "FAIL": "red", "ERROR": "red", "UNDECIDED": "yellow"}


def header(options: Options) -> str:
    """Broker, pipeline, judge mode, budget and output folder in one line; or what is judged again."""
    if options.rejudge is not None:
        return f"eng5: judging again {shown(options.rejudge)}, output {shown(options.output)}"
    broker = options.broker_kind
    if broker == "external":
        broker = " ".join(filter(None, (broker, _external_address(options))))
    pipeline = options.pipeline_kind
    budget = "none" if options.budget_usd is None else f"${options.budget_usd:g}"
    live = ", live" if options.live else ""
    return (
        f"eng5: broker {broker}, pipeline {pipeline}, judge {options.judge}{live}, budget {budget}, "
        f"output {shown(options.output)}"
    )


def _external_address(options: Options) -> str:
    if options.bootstrap_servers:
        return options.bootstrap_servers
    return f"of {shown(options.kafka_config)}" if options.kafka_config else ""


def shown(path: Path) -> str:
    """A path relative to the current folder if it lies below it."""
    here = Path.cwd()
    return os.fspath(path.relative_to(here)) if path.is_relative_to(here) else os.fspath(path)


def status_of(report: pytest.TestReport) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Counts what passed with a warning because it is undecided apart from what passed."""
    if not report.passed or report.when != "call":
        return None
    if ["status", "UNDECIDED"] not in [list(pair) for pair in report.user_properties]:
        return None
    return "undecided", "U", ("UNDECIDED", {"yellow": True})


def summarise_session(reporter: pytest.TerminalReporter, report: SessionReport) -> None:
    """Write the table of variants and where everything lies."""
    reporter.section("eng5 alignment" if report.judged else "eng5")
    for line in report.table:
        head, _, verdict = line.rstrip().rpartition(" ")
        colour = _COLOURS.get(verdict)
        if colour is None:
            reporter.write_line(line)
        else:
            reporter.write(f"{head} ")
            reporter.write_line(verdict, **{colour: True})
    if report.undecided:
        count = len(report.undecided)
        reporter.write_line(f"{count} {'gate is' if count == 1 else 'gates are'} undecided:", yellow=True)
    for text in report.undecided:
        reporter.write_line(f"  {text}", yellow=True)
    reporter.write_line(f"evidence and reports: {shown(report.folder)}")
