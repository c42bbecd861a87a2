"""The pytest hooks of pytest-eng5; nothing but hooks lives here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_eng5.collection.fixtures import eng5_broker, eng5_campaign, eng5_pipeline, eng5_run
from pytest_eng5.collection.identity import identify
from pytest_eng5.collection.options import add_options, resolve_options
from pytest_eng5.collection.recorder import Recorder
from pytest_eng5.collection.stash import IDENTITY, OPTIONS, RECORDER, REPORT, RUNTIME
from pytest_eng5.collection.terminal import header, status_of, summarise_session
from pytest_eng5.errors import Eng5Error

if TYPE_CHECKING:
    from pytest_eng5.collection.files import ScenarioFile

__all__ = ["eng5_broker", "eng5_campaign", "eng5_pipeline", "eng5_run"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register options and ini keys."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Resolve the options and name the session; nothing is started or written."""
    config.stash[OPTIONS] = resolve_options(config)
    config.stash[IDENTITY] = identify(config)
    config.stash[RECORDER] = Recorder()
    if config.pluginmanager.has_plugin("xdist"):
        from pytest_eng5.collection.workers import WorkerHooks

        config.pluginmanager.register(WorkerHooks(), "eng5-xdist")


def pytest_report_header(config: pytest.Config) -> str:
    """One line that says what would be used."""
    return header(config.stash[OPTIONS])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> ScenarioFile | None:
    """Collect scenario files."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    from pytest_eng5.collection.files import ScenarioFile, is_scenario_file

    named = parent.session.isinitpath(file_path)
    if not is_scenario_file(file_path, parent.config, named=named):
        return None
    scenario_file: ScenarioFile = ScenarioFile.from_parent(parent, path=file_path)
    return scenario_file


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Declare the runs of all selected items, so that they start together."""
    from pytest_eng5.collection.selection import declare_runs, refuse, refuse_unmatched

    try:
        refuse_unmatched(session)
        if not session.config.option.collectonly:
            declare_runs(session)
    except Eng5Error as error:
        refuse(session, error)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Record the reports of scenario items where the session is reported."""
    config = session.config
    if config.stash[IDENTITY].is_controller:
        config.pluginmanager.register(config.stash[RECORDER], "eng5-recorder")


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    """End the runs of this process; in the controller, report the session and end broker and pipeline."""
    config = session.config
    runtime = config.stash.get(RUNTIME, None)
    stopped = (
        exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
        or bool(session.shouldstop or session.shouldfail)
        or sys.exception() is not None  # a second Ctrl-C while the first is reported leaves no exit status
    )
    try:
        if runtime is not None:
            runtime.close(cancel=stopped)
        yield
    finally:
        if config.stash[IDENTITY].is_controller:
            from pytest_eng5.collection.selection import finish_session

            config.stash[REPORT] = finish_session(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what is left when the session could not finish, as after a second Ctrl-C."""
    runtime = config.stash.get(RUNTIME, None)
    if runtime is not None:
        runtime.abandon()


def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport,
) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
    """Count gates that are undecided and only warn of it apart from those that passed."""
    return status_of(report) if isinstance(report, pytest.TestReport) else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the table of variants."""
    report = config.stash.get(REPORT, None)
    if report is not None:
        summarise_session(terminalreporter, report)
