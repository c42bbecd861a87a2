"""What people read: words of events, the standard logging, lines of a terminal; and what is left alone."""

from __future__ import annotations

import ast
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

import pytest_eng5
from pytest_eng5.telemetry import EVENTS, LOGGER, narrated, words

PACKAGE = Path(pytest_eng5.__file__).parent
DOCUMENT = PACKAGE.parent / "docs" / "logs.md"

# Contract 10.8, as far as the names are those of log events.
CONTRACT = """
    runner_invocation runner_plan_inventory runner_dry_run_stub_created runner_validation_state
    runner_max_comparisons_requested runner_request_published runner_request_skipped
    runner_publish_failed runner_execution_complete runner_kafka_publish_completed
    runner_publish_skipped kafka_publish_started kafka_publish_success collector_started
    collector_timeout collector_error collector_stopped collector_completed
    collector_llm_comparison_applied collector_completion_applied collector_assessment_result_applied
    collector_llm_comparison_deserialization_failed collector_completion_deserialization_failed
    collector_assessment_result_deserialization_failed comparison_event_skipped completion_event_skipped
    assessment_result_skipped hydrator_initialized hydrator_timeout_marked completion_event_recorded
    llm_comparison_hydrated assessment_result_hydrated duplicate_llm_comparison_skipped
    artefact_manifest_updated await_completion_ignored prompt_uploaded anchor_align_test_complete
    validation_load_failed using_development_jwt_generation
"""
LOGGING = {"debug", "info", "warning", "error", "counted"}


def said(**fields: Any) -> str:
    return words({"level": "info", **fields})


class TestWords:
    """An event as one line."""

    def test_the_run_comes_first(self) -> None:
        run = {"scenario": "s", "variant": "v", "repeat": 2, "batch_uuid": "b"}
        line = said(event="essays_uploaded", essays=12, **run)
        assert line == "s/v/run-2: 12 essays uploaded"

    def test_what_is_not_known_is_a_question_mark(self) -> None:
        line = said(event="run_summary", reason="completed", kendall_tau=None)
        assert line == "completed: ?/? comparisons, tau-b ?, $?, ? errors"

    def test_counts_by_name_are_listed(self) -> None:
        line = said(
            event="runner_validation_state", valid=False, errors=3, warnings=0, codes={"A-B": 1, "C-D": 2}
        )
        assert line == "valid: False, 3 errors, 0 warnings: A-B 1, C-D 2"

    def test_an_event_without_words_is_its_name(self) -> None:
        assert said(event="something_new", x=1) == "something_new"

    def test_an_exception_is_told_by_its_last_line(self) -> None:
        line = said(event="runner_failed", detail="boom", exception="Traceback\n  x\nZeroDivisionError: 1")
        assert line == "boom (ZeroDivisionError: 1)"

    @pytest.mark.parametrize("detail", ["a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b", "a\x00b\x9bc"])
    def test_nothing_controls_the_terminal(self, detail: str) -> None:
        line = said(event="runner_failed", detail=detail)
        assert line.isprintable()
        assert line.startswith("a")

    @given(
        event=st.sampled_from(sorted(EVENTS)),
        values=st.lists(st.none() | st.text() | st.floats() | st.dictionaries(st.text(), st.integers())),
    )
    def test_every_event_can_be_told_whatever_its_fields_hold(self, event: str, values: list[Any]) -> None:
        names = re.findall(r"{(\w+)}", EVENTS[event].text)
        line = said(event=event, **dict(zip(names, values, strict=False)))
        assert line.isprintable()


@pytest.fixture
def everything_as_it_was() -> Iterator[None]:
    """Nothing of the process's logging is changed by a test."""

    def state() -> list[Any]:
        loggers = [logging.getLogger(name) for name in (None, "pytest_eng5", LOGGER, "aiokafka", "httpx")]
        found = [(log.level, list(log.handlers), list(log.filters), log.propagate) for log in loggers]
        return [*found, logging.root.manager.disable, logging.getLoggerClass(), structlog.is_configured()]

    before = state()
    yield
    assert state() == before


@pytest.mark.usefixtures("everything_as_it_was")
class TestStandardLogging:
    """Whoever listens there hears every event; nothing global is touched."""

    def test_caplog_hears_words_and_fields(self, make_log: Any, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger=LOGGER):
            make_log().info("essays_uploaded", essays=12, password="hunter2")
        [record] = caplog.records
        assert (record.name, record.levelname) == (LOGGER, "INFO")
        assert record.getMessage() == "small/v1/run-1: 12 essays uploaded"
        assert record.eng5["essays"] == 12
        assert record.eng5["password"] == "***"
        assert record.eng5["batch_uuid"] == "batch-1"

    def test_only_warnings_are_heard_unless_more_is_asked_for(
        self, make_log: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = make_log()
        log.info("essays_uploaded", essays=12)
        log.warning("hydrator_timeout_marked", reason="idle_deadline")
        assert [record.levelname for record in caplog.records] == ["WARNING"]

    def test_what_concerns_all_runs_is_told_once_elsewhere(
        self, make_log: Any, lines: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = make_log()
        log.warning("broker_away", problem="timeout")
        assert caplog.records == []
        assert len(lines(log.path)) == 1

    def test_a_configuration_of_structlog_is_neither_used_nor_changed(
        self, make_log: Any, lines: Any
    ) -> None:
        def refuse(*_: Any) -> Any:
            raise AssertionError("somebody else's processor")

        before = structlog.get_config() if structlog.is_configured() else None
        structlog.configure(processors=[refuse])
        try:
            log = make_log()
            log.info("essays_uploaded", essays=12)
            assert structlog.get_config()["processors"] == [refuse]
        finally:
            structlog.reset_defaults()
            if before is not None:  # by a test of the pipeline in the same process
                structlog.configure(**before)
        assert len(lines(log.path)) == 1


@pytest.mark.usefixtures("everything_as_it_was")
class TestTerminal:
    """The lines of ``eng5 run``."""

    def test_what_matters_is_told(self, make_log: Any, caplog: pytest.LogCaptureFixture) -> None:
        told: list[str] = []
        with narrated(told.append):
            log = make_log()
            log.info("essays_uploaded", essays=12)
            log.info("runner_request_published", position="t[0]@1")
            log.debug("collector_llm_comparison_applied", position="t[0]@2")
            log.warning("hydrator_timeout_marked", reason="idle_deadline")
        assert told == [
            "small/v1/run-1: request published at t[0]@1",
            "small/v1/run-1: evidence is partial: idle_deadline",
        ]
        assert caplog.records == [], "nobody is told twice"

    def test_everything_is_told_to_who_asks(self, make_log: Any, lines: Any) -> None:
        told: list[str] = []
        with narrated(told.append, detailed=True):
            log = make_log()
            log.info("essays_uploaded", essays=12)
            log.debug("collector_llm_comparison_applied", position="t[0]@2")
        log.info("essays_uploaded", essays=13)
        assert len(told) == 2
        assert len(lines(log.path)) == 3

    def test_a_terminal_that_is_gone_ends_no_run(self, make_log: Any, lines: Any) -> None:
        def broken(_: str) -> None:
            raise BrokenPipeError

        with narrated(broken):
            log = make_log()
            log.error("collector_error", detail="gone")
        assert len(lines(log.path)) == 1


def test_importing_everything_leaves_the_logging_of_the_process_alone() -> None:
    program = (
        "import logging\n"
        "import pytest_eng5.telemetry, pytest_eng5.capture, pytest_eng5.runner, pytest_eng5.reports\n"
        "import sys; assert 'structlog' not in sys.modules, 'collecting needs none of it'\n"
        "import structlog\n"
        "assert logging.root.handlers == [] and logging.root.level == logging.WARNING\n"
        "assert logging.getLogger('pytest_eng5.run').handlers == [] and not structlog.is_configured()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def events_in_use() -> dict[str, set[str]]:
    """Names of events by the module that logs them: texts in modules that log, which look like such names."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE).as_posix()
        if relative.startswith(("pipeline/", "telemetry/")):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        if re.search(r"log\b(\(\))?\.", path.read_text(encoding="utf-8")):
            found[relative] = texts & set(EVENTS)
            found[relative] |= {
                node.args[0].value
                for node in ast.walk(tree)
                if isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LOGGING
                and "log" in ast.unparse(node.func.value)
                and ast.unparse(node.func.value) != "_log"
                and node.args
                and isinstance(node.args[0], ast.Constant)
            }
    return found


COMPOSED = {
    f"collector_{what}_deserialization_failed"
    for what in ("llm_comparison", "completion", "assessment_result", "failure")
}


class TestNames:
    """The names of events are an interface: people filter by them."""

    def test_they_are_pinned(self, snapshot: SnapshotAssertion) -> None:
        assert sorted(EVENTS) == snapshot

    def test_every_event_is_logged_somewhere_and_nothing_else_is(self) -> None:
        used = {name for names in events_in_use().values() for name in names}
        assert used | COMPOSED == set(EVENTS)

    def test_the_old_names_are_kept_or_accounted_for(self) -> None:
        gone = DOCUMENT.read_text(encoding="utf-8").partition("## Names that are gone")[2]
        missing = [name for name in CONTRACT.split() if name not in EVENTS and f"`{name}`" not in gone]
        assert missing == []

    def test_every_event_is_documented(self) -> None:
        listed = set(re.findall(r"^\| `(\w+)` \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE))
        assert listed >= set(EVENTS)
