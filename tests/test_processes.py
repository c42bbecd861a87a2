"""The supervisor, tried on real processes: whatever dies first, nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_eng5 import processes
from pytest_eng5.errors import InfrastructureError
from pytest_eng5.processes import SupervisedProcess

LINUX = sys.platform.startswith("linux")
linux_only = pytest.mark.skipif(not LINUX, reason="PR_SET_PDEATHSIG and /proc exist on Linux only")


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> bool:
    """Whether the condition becomes true in time; for states of processes nobody can wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def ps(pid: int) -> str | None:
    """State of a process by an independent witness, None when it is gone or a zombie."""
    answer = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state = answer.stdout.strip()
    return None if not state or state.startswith("Z") else state


def children(pid: int) -> list[int]:
    answer = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(word) for word in answer.stdout.split()]


def only_child(pid: int) -> int:
    assert eventually(lambda: len(children(pid)) == 1)
    return children(pid)[0]


class TestOutput:
    def test_standard_error_and_output_go_to_the_log(self, started, tmp_path):
        process = started("sh", "-c", "echo out; echo err >&2")
        assert process.wait(60) == 0
        assert (tmp_path / "log.txt").read_text().splitlines()[:2] == ["out", "err"]

    def test_piped_output_is_readable_and_ends_with_the_command(self, started, tmp_path):
        process = started("sh", "-c", "echo ready; echo noise >&2", stdout_pipe=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.read() == ""
        process.wait(60)
        log = (tmp_path / "log.txt").read_text()
        assert "noise" in log
        assert "ready" not in log

    def test_pipe_ends_when_the_command_closes_it_though_it_goes_on(self, started):
        process = started("sh", "-c", "echo once; exec >&-; sleep 60", stdout_pipe=True)
        assert process.stdout is not None
        assert process.stdout.read() == "once\n"
        assert process.poll() is None

    def test_log_is_appended_to(self, started, tmp_path):
        (tmp_path / "log.txt").write_text("before\n")
        started("echo", "after").wait(60)
        assert (tmp_path / "log.txt").read_text().splitlines()[:2] == ["before", "after"]

    def test_folder_of_the_log_is_made(self, started, tmp_path):
        process = started("echo", "x", log_path=tmp_path / "a" / "b" / "log")
        process.wait(60)
        assert process.tail(2)[0] == "x"

    def test_environment_and_working_folder(self, started, tmp_path):
        (tmp_path / "here").mkdir()
        process = started(
            "/bin/sh",
            "-c",
            "echo $ENG5_X; pwd",
            env={"ENG5_X": "yes", "PATH": "/bin:/usr/bin"},
            cwd=tmp_path / "here",
        )
        process.wait(60)
        assert process.tail(3)[:2] == ["yes", str(tmp_path / "here")]

    def test_standard_input_is_empty(self, started):
        assert started("cat").wait(60) == 0

    def test_stop_and_death_are_told_in_the_log(self, started):
        process = started("sleep", "60")
        process.stop()
        assert process.tail(1) == [f"[eng5 supervisor {process.pid}] status 143 (SIGTERM)"]


class TestStatus:
    @pytest.mark.parametrize("code", [0, 1, 3, 127, 255])
    def test_exit_status_is_the_commands(self, started, code):
        process = started("sh", "-c", f"exit {code}")
        assert process.wait(60) == code
        assert process.poll() == code

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
    def test_death_by_signal_is_told_as_a_shell_tells_it(self, started, number):
        process = started("sh", "-c", f"kill -{int(number)} $$")
        assert process.wait(60) == 128 + number

    def test_running_has_no_status(self, started):
        process = started("sleep", "60")
        assert process.poll() is None
        since = time.monotonic()
        assert process.wait(0.2) is None
        assert 0.15 < time.monotonic() - since < 30

    def test_missing_program_is_an_error_that_names_it(self, tmp_path):
        with pytest.raises(InfrastructureError, match="no-such-program"):
            SupervisedProcess.start(["/no-such-program"], watch_pid=os.getpid(), log_path=tmp_path / "log")

    def test_program_is_looked_up_in_the_path_of_the_command(self, tmp_path):
        with pytest.raises(InfrastructureError, match="sleep"):
            SupervisedProcess.start(
                ["sleep", "1"], watch_pid=os.getpid(), log_path=tmp_path / "log", env={"PATH": str(tmp_path)}
            )

    def test_log_that_cannot_be_written_is_an_error_that_names_it(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InfrastructureError, match="the log cannot be written") as caught:
            SupervisedProcess.start(["true"], watch_pid=os.getpid(), log_path=tmp_path / "file" / "log")
        assert caught.value.where == str(tmp_path / "file" / "log")

    def test_program_that_cannot_be_executed(self, started, tmp_path):
        script = tmp_path / "broken"
        script.write_bytes(b"\x7fELF nonsense")
        script.chmod(0o755)
        process = started(str(script))
        assert process.wait(60) == 127
        assert "cannot be started" in process.tail(1)[0]

    def test_no_zombie_is_left(self, started):
        process = started("true")
        process.wait(60)
        answer = subprocess.run(["ps", "-p", str(process.pid)], capture_output=True, check=False)
        assert answer.returncode != 0


class TestStop:
    def test_sigterm_is_passed_on(self, started):
        process = started("sh", "-c", "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done")
        assert eventually(lambda: "up" in process.tail())
        assert process.stop() == 5
        assert "bye" in process.tail()

    def test_a_command_that_ignores_sigterm_is_killed_after_the_grace(self, started):
        process = started("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done", grace=60.0)
        assert eventually(lambda: "up" in process.tail())
        since = time.monotonic()
        assert process.stop(grace=0.5) == 137
        assert 0.4 < time.monotonic() - since < 30
        assert "SIGKILL" in process.tail(1)[0]

    def test_the_supervisor_has_a_grace_of_its_own(self, started):
        process = started("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done", stop_grace=0.3)
        assert eventually(lambda: "up" in process.tail())
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 137

    def test_the_whole_group_goes(self, started):
        process = started("sh", "-c", "sleep 61 & sleep 62 & wait")
        shell = only_child(process.pid)
        assert eventually(lambda: len(children(shell)) == 2)
        sleepers = children(shell)
        process.stop()
        assert eventually(lambda: [ps(pid) for pid in [shell, *sleepers]] == [None, None, None])

    def test_what_a_finished_command_left_in_its_group_goes_too(self, started, tmp_path):
        process = started("sh", "-c", f"sleep 63 & echo $! > {tmp_path}/pid; exit 0")
        assert process.wait(60) == 0
        left = int((tmp_path / "pid").read_text())
        assert eventually(lambda: ps(left) is None)  # killed, but it dies when it gets the processor

    def test_stopping_twice_and_after_the_end_is_harmless(self, started):
        process = started("sh", "-c", "exit 4")
        process.wait(60)
        assert process.stop() == 4
        assert process.stop() == 4

    def test_folder_is_removed_at_a_stop(self, started, tmp_path):
        folder = tmp_path / "data"
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("x")
        process = started("sleep", "60", cleanup_dir=folder)
        process.stop()
        assert not folder.exists()

    def test_folder_is_removed_at_the_commands_own_end(self, started, tmp_path):
        folder = tmp_path / "data"
        folder.mkdir()
        started("true", cleanup_dir=folder).wait(60)
        assert not folder.exists()

    @pytest.mark.parametrize("kill", [False, True])
    def test_folder_stays_for_another_start(self, started, tmp_path, kill):
        folder = tmp_path / "data"
        folder.mkdir()
        ending = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"
        process = started("sh", "-c", ending, cleanup_dir=folder)
        assert eventually(lambda: "up" in process.tail())
        assert process.stop(keep=True, kill=kill) == (137 if kill else 5)
        assert folder.exists()
        started("sleep", "60", cleanup_dir=folder).stop()
        assert not folder.exists()

    def test_killed_at_once_its_folder_goes_too(self, started, tmp_path):
        folder = tmp_path / "data"
        folder.mkdir()
        ending = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"
        process = started("sh", "-c", ending, cleanup_dir=folder)
        assert eventually(lambda: "up" in process.tail())
        assert process.stop(kill=True) == 137
        assert not folder.exists()

    def test_a_command_asleep_wakes_up_to_end(self, started):
        process = started("sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")
        assert eventually(lambda: "up" in process.tail())
        os.kill(only_child(process.pid), signal.SIGSTOP)
        assert process.stop() == 5

    def test_folder_goes_with_the_watched_process_though_it_was_to_stay(self, started, tmp_path):
        folder = tmp_path / "data"
        folder.mkdir()
        ending = "trap '' TERM; echo up; while :; do sleep 0.05; done"
        with subprocess.Popen(["sleep", "60"]) as watched:
            options = {"watch_pid": watched.pid, "cleanup_dir": folder, "stop_grace": 30.0, "grace": 0.3}
            process = started("sh", "-c", ending, **options)
            assert eventually(lambda: "up" in process.tail())
            os.kill(process.pid, signal.SIGUSR1)
            time.sleep(0.2)
            watched.kill()
        assert process.wait(60) == 137
        assert not folder.exists()


class TestWatching:
    """The end of the watched process ends the command, by whatever way it comes."""

    HOLDER = """
        import json, os, sys, time
        from pathlib import Path
        from pytest_eng5.processes import SupervisedProcess
        folder = Path(sys.argv[1])
        (folder / "data").mkdir()
        process = SupervisedProcess.start(
            sys.argv[2:],
            watch_pid=os.getpid(),
            log_path=folder / "log.txt",
            cleanup_dir=folder / "data",
            grace=1.0,
        )
        print(json.dumps(process.record()), flush=True)
        time.sleep(600)
    """

    @pytest.fixture
    def holder(self, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], SupervisedProcess]]:
        """A process of its own, in a group of its own, that holds a sleeping command."""
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(self.HOLDER), str(tmp_path), "sleep", "600"],
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        assert process.stdout is not None
        held = SupervisedProcess.attach(json.loads(process.stdout.readline()))
        yield process, held
        process.kill()
        process.wait()
        process.stdout.close()
        held.stop(grace=1.0)

    def test_kill_9_of_the_watched_process_ends_everything(self, holder, tmp_path):
        process, held = holder
        sleeper = only_child(held.pid)
        assert (tmp_path / "data").exists()
        process.send_signal(signal.SIGKILL)
        since = time.monotonic()
        assert held.wait(60) == 143
        assert time.monotonic() - since < 30
        assert eventually(lambda: ps(sleeper) is None)
        assert eventually(lambda: ps(held.pid) is None)
        assert not (tmp_path / "data").exists()
        assert f"process {process.pid} is gone" in held.tail(1)[0]

    def test_ordinary_end_of_the_watched_process_too(self, holder):
        process, held = holder
        process.send_signal(signal.SIGTERM)
        assert held.wait(60) == 143

    def test_ctrl_c_at_the_terminal_reaches_neither_supervisor_nor_command(self, holder):
        process, held = holder
        sleeper = only_child(held.pid)
        groups = {os.getpgid(pid) for pid in (process.pid, held.pid, sleeper)}
        sessions = {os.getsid(pid) for pid in (process.pid, held.pid, sleeper)}
        assert len(groups) == len(sessions) == 3
        os.kill(held.pid, signal.SIGINT)
        os.kill(held.pid, signal.SIGHUP)
        assert held.wait(0.3) is None
        os.killpg(process.pid, signal.SIGINT)  # what the terminal does; Python ends by KeyboardInterrupt
        process.wait(60)
        assert held.wait(60) == 143

    @linux_only
    def test_kill_9_of_the_supervisor_leaves_no_orphan(self, holder):
        _, held = holder
        sleeper = only_child(held.pid)
        os.kill(held.pid, signal.SIGKILL)
        assert eventually(lambda: ps(sleeper) is None)
        assert held.wait(60) == 137

    def test_stop_removes_the_folder_that_a_killed_supervisor_left(self, holder, tmp_path):
        _, held = holder
        os.kill(held.pid, signal.SIGKILL)
        held.wait(60)
        assert (tmp_path / "data").exists()
        held.stop()
        assert not (tmp_path / "data").exists()

    def test_a_command_that_clings_to_life_is_killed_after_the_grace(self, tmp_path):
        script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
        code = textwrap.dedent(self.HOLDER)
        with subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), "sh", "-c", script], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            held = SupervisedProcess.attach(json.loads(process.stdout.readline()))
            assert eventually(lambda: "up" in held.tail())
            process.kill()
        since = time.monotonic()
        assert held.wait(60) == 137
        assert 0.8 < time.monotonic() - since < 30

    def test_an_end_asked_for_is_cut_short_when_the_watched_process_goes(self, tmp_path):
        gone = subprocess.Popen(["sleep", "600"])
        script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
        held = SupervisedProcess.start(
            ["sh", "-c", script], watch_pid=gone.pid, log_path=tmp_path / "log", grace=0.3, stop_grace=600.0
        )
        assert eventually(lambda: "up" in held.tail())
        os.kill(held.pid, signal.SIGTERM)
        assert held.wait(0.6) is None
        gone.kill()
        gone.wait()
        assert held.wait(60) == 137

    def test_watched_process_gone_before_the_start(self, started, tmp_path):
        gone = subprocess.Popen(["true"])
        gone.wait()
        process = started("touch", str(tmp_path / "ran"), watch_pid=gone.pid)
        assert process.wait(60) == 143
        assert not (tmp_path / "ran").exists()

    def test_another_process_with_the_watched_id_does_not_count(self, tmp_path):
        answer = subprocess.run(
            [
                *(sys.executable, processes.__file__, "--watch", str(os.getpid()), "--watch-identity", "1"),
                *("--", "touch", str(tmp_path / "ran")),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert answer.returncode == 143
        assert not (tmp_path / "ran").exists()

    def test_where_pidfd_is_forbidden_it_looks_now_and_then(self, tmp_path):
        code = (
            "import os, sys\n"
            "def refuse(*_): raise PermissionError(1, 'forbidden by the sandbox')\n"
            "os.pidfd_open = refuse\n"
            "from pytest_eng5 import processes\n"
            "sys.exit(processes.main(sys.argv[1:]))\n"
        )
        watched = subprocess.Popen(["sleep", "600"])
        with subprocess.Popen(
            [sys.executable, "-c", code, "--watch", str(watched.pid), "--grace", "1", "--", "sleep", "600"],
            stderr=subprocess.PIPE,
            text=True,
        ) as supervisor:
            sleeper = only_child(supervisor.pid)
            watched.kill()
            watched.wait()
            assert supervisor.wait(60) == 143
            assert eventually(lambda: ps(sleeper) is None)


class TestFromElsewhere:
    def start_elsewhere(self, tmp_path: Path, *cmd: str) -> SupervisedProcess:
        """Start the command in a process that ends at once, to live as long as this one."""
        code = textwrap.dedent(
            """
            import json, sys
            from pathlib import Path
            from pytest_eng5.processes import SupervisedProcess
            watched, log, *cmd = sys.argv[1:]
            process = SupervisedProcess.start(cmd, watch_pid=int(watched), log_path=Path(log))
            print(json.dumps(process.record()))
            """
        )
        answer = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(os.getpid()), str(tmp_path / "log"), *cmd],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert answer.stderr == ""
        return SupervisedProcess.attach(json.loads(answer.stdout))

    def test_outlives_its_starter_and_can_be_stopped_by_another(self, tmp_path):
        process = self.start_elsewhere(tmp_path, "sleep", "600")
        assert process.poll() is None
        assert process.wait(0.2) is None
        assert process.stop() == 143

    def test_status_is_known_to_another(self, tmp_path):
        process = self.start_elsewhere(tmp_path, "sh", "-c", "sleep 0.2; exit 9")
        assert process.wait(60) == 9

    def test_end_is_told_to_another(self, tmp_path):
        process = self.start_elsewhere(tmp_path, "sleep", "0.3")
        told = threading.Event()
        statuses: list[int] = []

        def callback(status: int) -> None:
            statuses.append(status)
            told.set()

        process.on_exit(callback)
        assert told.wait(60)
        assert statuses == [0]

    def test_an_id_given_away_again_is_not_touched(self, started, tmp_path):
        innocent = started("sleep", "600")
        record = {**innocent.record(), "identity": "1"}
        stranger = SupervisedProcess.attach(record)
        assert stranger.poll() is not None
        stranger.stop()
        assert innocent.poll() is None

    def test_record_is_plain_json(self, started, tmp_path):
        process = started("sleep", "60", cleanup_dir=tmp_path / "data")
        record = json.loads(json.dumps(process.record()))
        assert record == process.record()
        assert record["cleanup_dir"] == str(tmp_path / "data")
        assert SupervisedProcess.attach(record).record() == record

    def test_two_supervisors_in_one_log_keep_their_statuses_apart(self, started):
        first, second = started("sh", "-c", "exit 3"), started("sh", "-c", "exit 4")
        records = first.record(), second.record()
        assert first.wait(60) == 3
        assert second.wait(60) == 4
        assert [SupervisedProcess.attach(record).poll() for record in records] == [3, 4]
