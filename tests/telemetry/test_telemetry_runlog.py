"""The log of a run: its lines, its file, many runs side by side, and what must not end a run."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import math
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pytest_eng5.telemetry import LOGGER, RunLog, current_log
from pytest_eng5.telemetry.plain import LONGEST

IDENTITY = ("scenario", "variant", "repeat", "mode", "batch_uuid", "correlation_id")


class TestLines:
    """What stands in the file."""

    def test_every_line_says_when_how_grave_what_and_whose(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        before = datetime.now(UTC)
        log.info("essays_uploaded", essays=12)
        log.warning("hydrator_timeout_marked", reason="idle_deadline")
        log.error("collector_error", detail="gone")
        found = lines(log.path)
        assert [line["level"] for line in found] == ["info", "warning", "error"]
        assert [line["event"] for line in found] == [
            *("essays_uploaded", "hydrator_timeout_marked", "collector_error")
        ]
        for line in found:
            assert list(line)[:9] == ["timestamp", "level", "event", *IDENTITY]
            assert {name: line[name] for name in IDENTITY} == log.fields
            moment = datetime.fromisoformat(line["timestamp"])
            assert before - timedelta(seconds=1) < moment < before + timedelta(seconds=30)
        assert found[0]["essays"] == 12

    def test_a_field_of_an_event_is_not_kept_for_the_next(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        log.info("essays_uploaded", essays=12)
        log.info("collector_stopped")
        assert "essays" not in lines(log.path)[1]

    def test_a_line_is_on_disk_when_the_call_returns(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        for count in range(1, 4):
            log.info("collector_stopped")
            assert len(lines(log.path)) == count

    def test_what_stood_there_before_stays(self, make_log: Any, lines: Any, tmp_path: Path) -> None:
        path = tmp_path / "log.jsonl"
        path.write_text('{"event": "old"}\n')
        make_log(path=path).info("collector_stopped")
        assert [line["event"] for line in lines(path)] == ["old", "collector_stopped"]

    def test_an_exception_is_told_with_its_traceback_in_one_line(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        try:
            raise ZeroDivisionError("planted")
        except ZeroDivisionError as error:
            log.error("runner_failed", exc_info=error)
        [line] = lines(log.path)
        assert line["exception"].startswith("Traceback")
        assert line["exception"].endswith("ZeroDivisionError: planted")

    def test_values_become_what_json_has(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        log.info(
            "x",
            path=Path("/a/b"),
            uuid=UUID(int=7),
            raw=b"\xff\x00a",
            nan=math.nan,
            infinite=-math.inf,
            some={3},
            pair=("a", 1.5),
            inner={"a": {1: None}},
            yes=True,
            lone="\ud800",
        )
        [line] = lines(log.path)
        assert line["path"] == "/a/b"
        assert line["uuid"] == str(UUID(int=7))
        assert line["raw"] == "\\xff\x00a"
        assert (line["nan"], line["infinite"]) == (None, None)
        assert (line["some"], line["pair"], line["inner"]) == ([3], ["a", 1.5], {"a": {"1": None}})
        assert (line["yes"], line["lone"]) == (True, "\ud800")

    def test_size_is_limited_in_every_direction(self, make_log: Any, lines: Any) -> None:
        cycle: dict[str, Any] = {}
        cycle["again"] = cycle
        log = make_log()
        log.info("x", long="ä" * 10 * LONGEST, cycle=cycle, wide=list(range(100_000)))
        [line] = lines(log.path)
        assert line["long"] == "ä" * LONGEST + "... (cut)"
        assert len(line["wide"]) < 1000
        assert len(log.path.read_bytes()) < 100_000

    @pytest.mark.parametrize("text", ['a\nb"}', "\x1b[31m", "\u2028", '{"event": "forged"}\n'])
    def test_no_text_can_make_a_line_of_its_own(self, make_log: Any, lines: Any, text: str) -> None:
        log = make_log()
        log.info("x", detail=text)
        [line] = lines(log.path)
        assert line["detail"] == text


class TestDetail:
    """Single events are logged only for who asks for them."""

    def test_debug_is_off_unless_the_standard_logger_wants_it(
        self, make_log: Any, lines: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = make_log()
        log.debug("collector_llm_comparison_applied", position="t[0]@1")
        assert (log.detailed, lines(log.path)) == (False, [])
        with caplog.at_level(logging.DEBUG, logger=LOGGER):
            log.debug("collector_llm_comparison_applied", position="t[0]@2")
            assert log.detailed
        log.debug("collector_llm_comparison_applied", position="t[0]@3")
        assert [line["position"] for line in lines(log.path)] == ["t[0]@2"]

    def test_info_is_in_the_file_whatever_the_standard_logger_wants(
        self, make_log: Any, lines: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = make_log()
        with caplog.at_level(logging.CRITICAL, logger=LOGGER):
            log.info("collector_stopped")
        assert len(lines(log.path)) == 1
        assert caplog.records == []

    def test_what_happens_often_is_told_first_and_last_with_its_count(
        self, make_log: Any, lines: Any
    ) -> None:
        log = make_log()
        for number in range(1000):
            log.counted("collector_late_event", position=f"t[0]@{number}")
        assert [(line["count"], line["position"]) for line in lines(log.path)] == [(1, "t[0]@0")]
        log.close()
        told = [(line["count"], line["position"]) for line in lines(log.path)]
        assert told == [(1, "t[0]@0"), (1000, "t[0]@999")]

    def test_it_is_told_again_after_some_seconds(
        self, make_log: Any, lines: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        monkeypatch.setattr("pytest_eng5.telemetry.runlog.time.monotonic", lambda: now[0])
        log = make_log()
        for second in range(12):
            now[0] = float(second)
            log.counted("collector_late_event", "warning")
        log.close()
        assert [line["count"] for line in lines(log.path)] == [1, 6, 11, 12]
        assert {line["level"] for line in lines(log.path)} == {"warning"}

    def test_what_was_told_is_not_repeated_at_the_end(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        log.counted("collector_late_event")
        log.counted("duplicate_llm_comparison_skipped")
        log.close()
        assert [line["count"] for line in lines(log.path)] == [1, 1]

    def test_every_single_one_is_told_in_detail(
        self, make_log: Any, lines: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = make_log()
        with caplog.at_level(logging.DEBUG, logger=LOGGER):
            for _ in range(5):
                log.counted("collector_late_event", "warning")
        assert [(line["level"], line["count"]) for line in lines(log.path)] == [
            ("warning", 1),
            *(("debug", count) for count in range(2, 6)),
        ]


class TestSideBySide:
    """Many runs on one loop and in threads; nobody's ids on anybody else's lines."""

    RUNS, EVENTS = 40, 25

    def test_tasks_their_children_and_their_threads_log_for_their_own_run(
        self, make_log: Any, lines: Any
    ) -> None:
        async def child(number: int, step: int) -> None:
            await asyncio.sleep(0)
            current_log().info("x", of=number, step=step)

        async def run(number: int) -> RunLog:
            log = make_log(number).make_current()
            for step in range(self.EVENTS):
                await asyncio.gather(child(number, step), asyncio.to_thread(self._in_thread, number, step))
            assert current_log() is log
            return log

        async def all_runs() -> list[RunLog]:
            return await asyncio.gather(*(run(number) for number in range(self.RUNS)))

        logs = asyncio.run(all_runs())
        for number, log in enumerate(logs):
            found = lines(log.path)
            assert len(found) == 2 * self.EVENTS
            assert {line["of"] for line in found} == {number}
            assert {line["batch_uuid"] for line in found} == {f"batch-{number}"}
            assert {line["correlation_id"] for line in found} == {f"correlation-{number}"}
            assert Counter(line["step"] for line in found) == dict.fromkeys(range(self.EVENTS), 2)

    @staticmethod
    def _in_thread(number: int, step: int) -> None:
        current_log().info("y", of=number, step=step)

    def test_what_serves_all_runs_writes_into_the_log_it_is_handed(self, make_log: Any, lines: Any) -> None:
        logs = [make_log(number) for number in range(self.RUNS)]
        mine = make_log(1000)
        with mine:
            for step in range(self.EVENTS):
                for log in logs:
                    log.info("x", step=step)
        for number, log in enumerate(logs):
            assert {line["batch_uuid"] for line in lines(log.path)} == {f"batch-{number}"}
            assert [line["step"] for line in lines(log.path)] == list(range(self.EVENTS))
        assert lines(mine.path) == []

    def test_threads_that_share_a_log_leave_whole_lines(self, make_log: Any, lines: Any) -> None:
        log = make_log()

        def write(number: int) -> None:
            for step in range(100):
                log.info("x", of=number, step=step, padding="p" * 3000)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = lines(log.path)
        assert Counter((line["of"], line["step"]) for line in found) == {
            (number, step): 1 for number in range(8) for step in range(100)
        }

    def test_a_run_within_a_run_gives_the_outer_one_back(self, make_log: Any) -> None:
        with make_log(1) as outer:
            with make_log(2) as inner:
                assert current_log() is inner
            assert current_log() is outer
        assert current_log().path is None

    def test_without_a_run_there_is_no_file_and_no_identity(
        self, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        contextvars.Context().run(
            lambda: current_log().error("run_not_performed", run="a/b/run-1", detail="no")
        )
        assert list(tmp_path.iterdir()) == []
        assert caplog.messages == ["a/b/run-1 not performed: no"]


class TestTheEnd:
    """What is final stays so, and what was written survives."""

    def test_nothing_enters_a_closed_file(
        self, make_log: Any, lines: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        log = make_log()
        log.info("collector_stopped")
        log.close()
        before = log.path.read_bytes()
        log.error("collector_error", detail="late")
        log.counted("comparison_event_skipped", "warning", position="t[0]@9")
        log.close()
        assert log.path.read_bytes() == before
        assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]

    def test_nothing_is_left_open(self, make_log: Any) -> None:
        before = set(Path("/dev/fd").iterdir())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for number in range(50):
                with make_log(number) as log:
                    log.info("collector_stopped")
            gc.collect()
        assert set(Path("/dev/fd").iterdir()) == before

    def test_a_killed_process_leaves_every_event_up_to_the_last(self, tmp_path: Path, lines: Any) -> None:
        program = (
            "import sys, os, signal, pathlib\n"
            "from pytest_eng5.telemetry import RunLog\n"
            "log = RunLog(pathlib.Path(sys.argv[1]), batch_uuid='b')\n"
            "for number in range(500): log.info('x', number=number)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        path = tmp_path / "log.jsonl"
        done = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert [line["number"] for line in lines(path)] == list(range(500))


class TestNoRunEndsBecauseOfItsLog:
    """Whatever goes wrong with logging, the caller goes on."""

    def test_a_full_disk_is_told_once(self, make_log: Any, caplog: pytest.LogCaptureFixture) -> None:
        log = make_log(path=Path("/dev/full"))
        for _ in range(3):
            log.info("collector_stopped")
        log.close()
        assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
            "the log of a run cannot be written any more: /dev/full: No space left on device"
        ]

    def test_a_place_where_no_file_can_be(
        self, make_log: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        make_log(path=tmp_path / "file" / "log.jsonl").info("collector_stopped")
        assert "cannot be written" in caplog.text

    def test_a_value_that_cannot_be_shown(self, make_log: Any, lines: Any) -> None:
        class Broken:
            def __str__(self) -> str:
                raise RuntimeError("no text")

            __repr__ = __str__

        log = make_log()
        log.info("x", value=Broken(), values=[Broken()])
        assert lines(log.path)[0]["value"] == "<Broken>"

    def test_a_field_with_a_name_that_logging_uses_itself(self, make_log: Any, lines: Any) -> None:
        log = make_log()
        log.info("x", message="m", args=(1,), name="n", timestamp="never", level="none")
        [line] = lines(log.path)
        assert (line["message"], line["args"], line["name"], line["level"]) == ("m", [1], "n", "info")
        assert line["timestamp"] != "never"

    def test_a_handler_that_raises(self, make_log: Any, lines: Any) -> None:
        class Bad(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                raise RuntimeError("somebody else's fault")

        handler, logger = Bad(), logging.getLogger(LOGGER)
        logger.addHandler(handler)
        try:
            log = make_log()
            log.error("collector_error", detail="gone")
        finally:
            logger.removeHandler(handler)
        assert len(lines(log.path)) == 1


def test_the_price_of_an_event(make_log: Any) -> None:
    """Generous bounds: what is not asked for must cost next to nothing, the rest far less than a fsync."""
    log = make_log()

    def microseconds(call: Any, times: int) -> float:
        rounds = []
        for _ in range(5):
            began = time.perf_counter()
            for _ in range(times):
                call()
            rounds.append((time.perf_counter() - began) / times * 1e6)
        return min(rounds)

    off = microseconds(lambda: log.debug("collector_llm_comparison_applied", position="t[0]@1"), 2000)
    often = microseconds(lambda: log.counted("collector_late_event", position="t[0]@1"), 2000)
    told = microseconds(lambda: log.info("collector_progress", comparisons=1, expected=2), 300)
    print(f"off {off:.2f} us, counted {often:.2f} us, told {told:.1f} us")
    assert off < 50
    assert often < 300
    assert told < 10_000


def test_lines_are_plain_ascii_json(make_log: Any) -> None:
    log = make_log()
    log.info("x", detail="räksmörgås ☃")
    raw = log.path.read_bytes()
    assert raw.isascii()
    assert json.loads(raw)["detail"] == "räksmörgås ☃"
