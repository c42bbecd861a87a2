"""What supervised processes cost, how one is known again, their log's last lines, their command line."""

from __future__ import annotations

import gc
import os
import runpy
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5 import processes
from pytest_eng5.processes import SupervisedProcess, process_identity, tail_lines

LINUX = sys.platform.startswith("linux")
linux_only = pytest.mark.skipif(not LINUX, reason="PR_SET_PDEATHSIG and /proc exist on Linux only")


def wait_until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for a state of processes that nobody can be told of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


class TestThrift:
    @linux_only
    def test_looking_and_waiting_leaks_no_descriptor(self, started):
        process = started("sleep", "60")
        process.wait(0.0)
        before = open_descriptors()
        for _ in range(50):
            process.poll()
            process.wait(0.0)
        assert open_descriptors() == before

    @linux_only
    def test_starting_and_stopping_leaks_no_descriptor(self, started):
        started("true", stdout_pipe=True).stop()
        before = open_descriptors()
        for _ in range(3):
            process = started("true", stdout_pipe=True)
            process.wait(60)
            process.stop()
        assert open_descriptors() == before

    def test_a_dropped_handle_warns_of_nothing(self, tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            process = SupervisedProcess.start(
                ["sleep", "60"], watch_pid=os.getpid(), log_path=tmp_path / "log"
            )
            record = process.record()
            del process
            gc.collect()
        assert SupervisedProcess.attach(record).stop() == 143
        os.waitpid(record["pid"], 0)

    @linux_only
    def test_the_supervisor_sleeps(self, started):
        process = started("sleep", "60")
        wait_until(psutil.Process(process.pid).children)

        def ticks(seconds: float) -> int:
            """What it spends in that time."""
            found = []
            for pause in (seconds, 0.0):
                fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
                found.append(int(fields[11]) + int(fields[12]))
                time.sleep(pause)
            return found[1] - found[0]

        wait_until(lambda: ticks(0.2) == 0)  # it has begun to wait
        assert ticks(1.0) <= 1

    def test_start_is_quick(self, started):
        since = time.monotonic()
        process = started("echo", "up", stdout_pipe=True)
        assert process.stdout is not None
        process.stdout.readline()
        assert time.monotonic() - since < 30


class TestIdentity:
    def test_stays_the_same_and_differs_between_processes(self, started):
        mine = process_identity(os.getpid())
        assert mine is not None
        assert process_identity(os.getpid()) == mine
        time.sleep(0.05)
        assert process_identity(started("sleep", "60").pid) != mine

    def test_none_for_nobody_and_for_a_zombie(self):
        process = subprocess.Popen(["true"])
        pid = process.pid
        wait_until(lambda: process_identity(pid) is None)  # ended, not yet reaped
        process.wait()
        assert process_identity(pid) is None

    @linux_only
    def test_a_name_with_spaces_and_parentheses_confuses_nobody(self, tmp_path):
        program = tmp_path / "a) Z 1 (b"
        program.symlink_to("/bin/sleep")
        process = subprocess.Popen([str(program), "60"])
        try:
            started = process_identity(process.pid)
            assert started is not None
            assert started.isdigit()
            assert int(started) >= int(process_identity(os.getpid()) or "0")
        finally:
            process.kill()
            process.wait()

    def test_the_way_of_systems_without_proc_gives_a_start_time_too(self, monkeypatch):
        monkeypatch.setattr(processes.sys, "platform", "somethingelse")
        mine = process_identity(os.getpid())
        assert mine is not None
        assert len(mine) > 10
        assert process_identity(os.getpid()) == mine
        assert process_identity(2**22 + 1) is None

    def test_waiting_without_a_descriptor_works(self, monkeypatch, started):
        def refuse(_pid: int) -> int:
            raise OSError(38, "not implemented")

        monkeypatch.setattr(processes.os, "pidfd_open", refuse, raising=False)
        process = started("sleep", "0.2")
        assert process.wait(0.05) is None
        assert process.wait(60) == 0

    def test_waiting_with_a_descriptor_of_a_kqueue(self, monkeypatch):
        """No kqueue on Linux; a stand-in shows that its descriptor is what is waited for."""
        reader, writer = os.pipe()

        class FakeQueue:
            def control(self, events: list[object], count: int) -> list[object]:
                assert events == [("kevent", os.getpid())]
                assert count == 0
                return []

            def fileno(self) -> int:
                return reader

            def close(self) -> None:
                os.close(reader)

        monkeypatch.setattr(processes.sys, "platform", "darwin")
        monkeypatch.setattr(select, "kqueue", FakeQueue, raising=False)
        monkeypatch.setattr(select, "kevent", lambda pid, **_: ("kevent", pid), raising=False)
        for name in ("KQ_FILTER_PROC", "KQ_EV_ADD", "KQ_NOTE_EXIT"):
            monkeypatch.setattr(select, name, 0, raising=False)
        end = processes._Exit(os.getpid(), None)
        assert end.fd == reader
        end.close()
        os.close(writer)
        assert end.fd is None


class TestTail:
    @given(lines=st.lists(st.text(alphabet="abcåé ", max_size=20), max_size=40), count=st.integers(0, 50))
    def test_gives_the_last_lines(self, lines, count, tmp_path_factory):
        path = tmp_path_factory.mktemp("tail") / "log"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        assert tail_lines(path, count) == (lines[-count:] if count else [])

    def test_missing_file_has_no_lines(self, tmp_path):
        assert tail_lines(tmp_path / "none", 5) == []

    def test_reads_the_end_of_a_large_file_only(self, tmp_path):
        path = tmp_path / "log"
        path.write_bytes(b"x" * 10_000_000 + b"\nlast\n")
        since = time.monotonic()
        assert tail_lines(path, 1) == ["last"]
        assert time.monotonic() - since < 5

    def test_bytes_that_are_not_text_do_no_harm(self, tmp_path):
        path = tmp_path / "log"
        path.write_bytes(b"ok\n\xff\xfe\n")
        assert tail_lines(path, 2)[0] == "ok"


class TestCommandLine:
    def test_as_a_module_it_passes_output_and_status_through(self):
        answer = subprocess.run(
            [
                *(sys.executable, "-m", "pytest_eng5.processes", "--watch", str(os.getpid())),
                *("--", "sh", "-c", "echo hello; exit 6"),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (answer.returncode, answer.stdout) == (6, "hello\n")

    def test_needs_nothing_but_the_standard_library(self):
        """The supervisor is run by its path, isolated from the package and from the user's folder."""
        answer = subprocess.run(
            [sys.executable, "-I", "-S", processes.__file__, "--watch", str(os.getpid()), "--", "true"],
            check=False,
            timeout=60,
        )
        assert answer.returncode == 0

    def test_a_module_of_the_user_with_a_name_of_the_library_does_no_harm(
        self, started, tmp_path, monkeypatch
    ):
        (tmp_path / "signal.py").write_text("raise SystemExit('not the real one')")
        monkeypatch.chdir(tmp_path)
        assert started("true").wait(60) == 0

    def test_a_signal_that_comes_when_all_is_over_leaves_no_word(self):
        """Its handler stays until the process has ended; the sockets that wake it are closed before."""
        code = (
            "import gc, os, signal\n"
            "from pytest_eng5 import processes\n"
            f"status = processes.main(['--watch', '{os.getpid()}', '--', 'sh', '-c', 'exit 6'])\n"
            "gc.collect()\n"
            "os.kill(os.getpid(), signal.SIGTERM)\n"
            "raise SystemExit(status)\n"
        )
        answer = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
        )
        assert answer.returncode == 6
        (line,) = answer.stderr.splitlines()
        assert "status 6 (ended by itself)" in line

    def test_help(self, monkeypatch, capsys):
        monkeypatch.setattr(sys, "argv", ["processes", "--help"])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(processes.__file__, run_name="__main__")
        assert end.value.code == 0
        assert "--watch PID" in capsys.readouterr().out
