"""Child processes that outlive nobody.

A broker or a pipeline started for a test session must be gone when the session is gone: also after
``kill -9`` of pytest, which runs no clean-up code. So every long-lived child runs under a tiny supervisor
(this file, executed as a script) that sits in a session of its own, where Ctrl-C at the terminal does not
reach it, and that
* starts the command in yet another session and asks Linux to kill it should the supervisor itself be killed
  (``PR_SET_PDEATHSIG``; other systems have nothing like it),
* waits, without polling, for one of three things: the watched process is gone, the command has ended, or a
  SIGTERM came. Linux: ``pidfd_open``; macOS and BSD: ``kqueue``; elsewhere, and where a sandbox forbids
  ``pidfd_open``, it looks twice a second,
* ends the command's whole process group with SIGTERM, and with SIGKILL after a grace (a second SIGTERM
  shortens the grace to nothing), removes the clean-up folder, and leaves one line about it in the log.
  SIGUSR1 instead lets the folder stay for another start, SIGUSR2 does so too and kills at once.

A process id can be given away again; together with the start time of the process it cannot. Both the watched
process and a supervised process attached from elsewhere are identified by the pair.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypedDict

__all__ = ["ProcessRecord", "SupervisedProcess", "process_identity", "tail_lines"]

_PR_SET_PDEATHSIG = 1
_POLL_SECONDS = 0.5
_TAIL_BYTES = 65_536
_ENDING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_HEARD = (*_ENDING, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP)
_KILLED = 128 + signal.SIGKILL
_MARK = "[eng5 supervisor {pid}] "


class ProcessRecord(TypedDict):
    """What another process needs to watch or stop a supervised process; plain JSON."""

    pid: int
    identity: str
    log_path: str
    cleanup_dir: str | None


def process_identity(pid: int) -> str | None:
    """The start time of a living process as the system prints it, or None when there is no such process.

    A zombie counts as gone: it has ended and only waits to be reaped by its parent.
    """
    if sys.platform.startswith("linux"):
        return _linux_identity(pid)
    answer = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _linux_identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command name is in parentheses and may hold spaces and parentheses: count from the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else fields[19]


def _gone(pid: int, identity: str | None) -> bool:
    """Whether that process has ended, or its id belongs to another process by now."""
    now = process_identity(pid)
    return now is None or (identity is not None and now != identity)


class _Exit:
    """The end of a process as something to wait for; ``fd``, if any, becomes readable then."""

    def __init__(self, pid: int, identity: str | None) -> None:
        self.pid = pid
        self.identity = identity
        self._kqueue: Any = None
        try:
            self.fd = self._open()
        except OSError:  # a sandbox that forbids it, or the process is gone already
            self.fd = None

    def _open(self) -> int | None:
        if sys.platform.startswith("linux"):
            return os.pidfd_open(self.pid)
        if not hasattr(select, "kqueue"):
            return None
        event = select.kevent(
            self.pid, filter=select.KQ_FILTER_PROC, flags=select.KQ_EV_ADD, fflags=select.KQ_NOTE_EXIT
        )
        self._kqueue = select.kqueue()
        self._kqueue.control([event], 0)
        return int(self._kqueue.fileno())

    def gone(self) -> bool:
        return _gone(self.pid, self.identity)

    def wait(self, timeout: float | None) -> bool:
        """Wait until the process is gone, at most ``timeout`` seconds; True when it is."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            if self.fd is not None:
                selector.register(self.fd, selectors.EVENT_READ)
            while not self.gone():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                if self.fd is None:
                    left = _POLL_SECONDS if left is None else min(left, _POLL_SECONDS)
                selector.select(left)
        return True

    def close(self) -> None:
        if self._kqueue is not None:
            self._kqueue.close()
        elif self.fd is not None:
            os.close(self.fd)
        self.fd = self._kqueue = None


def tail_lines(path: Path, count: int) -> list[str]:
    """The last ``count`` lines of a text file, [] when it is missing; reads at most its last 64 KiB."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return text.splitlines()[-count:] if count > 0 else []


class SupervisedProcess:
    """A command running under its supervisor, seen from the process that started it or from any other.

    Make one with `start` or `attach`. ``pid`` is the supervisor's: it lives exactly as long as the command.
    ``stdout`` is the command's standard output as text when `start` was asked for a pipe, else None.
    """

    def __init__(self, record: ProcessRecord, *, owned: bool = False, stdout: IO[str] | None = None) -> None:
        self.pid = record["pid"]
        self.log_path = Path(record["log_path"])
        self.stdout = stdout
        self._record = record
        self._owned = owned
        self._status: int | None = None
        self._reaping = threading.Lock()

    @classmethod
    def start(
        cls,
        cmd: Sequence[str | os.PathLike[str]],
        *,
        watch_pid: int,
        log_path: Path,
        env: Mapping[str, str] | None = None,
        stdout_pipe: bool = False,
        cleanup_dir: Path | None = None,
        cwd: Path | None = None,
        grace: float = 10.0,
        stop_grace: float | None = None,
    ) -> SupervisedProcess:
        """Start ``cmd``, to be ended when process ``watch_pid`` is gone.

        Args:
            cmd: Program and arguments.
            watch_pid: The process whose end ends the command; usually the pytest controller.
            log_path: File to which standard error, and standard output unless piped, are appended.
            env: Environment of the command; default is that of this process.
            stdout_pipe: Keep the command's standard output readable here, as ``stdout``.
            cleanup_dir: Folder to remove, with all it holds, after the command has ended.
            cwd: Working folder of the command; default is that of this process.
            grace: Seconds between SIGTERM and SIGKILL when the watched process is gone.
            stop_grace: The same for an end that was asked for; default ``grace``.

        Raises:
            InfrastructureError: The program does not exist, or the system refuses another process.
        """
        words = [os.fspath(word) for word in cmd]
        environment = dict(os.environ if env is None else env)
        _require_program(words[0], environment)
        log_path = log_path.absolute()
        arguments = [sys.executable, "-I", str(Path(__file__).absolute()), "--watch", str(watch_pid)]
        arguments += ["--watch-identity", process_identity(watch_pid) or "gone", "--grace", str(grace)]
        arguments += ["--stop-grace", str(grace if stop_grace is None else stop_grace)]
        arguments += ["--cleanup", str(cleanup_dir.absolute())] if cleanup_dir else []
        arguments += ["--cwd", str(cwd.absolute())] if cwd else []
        pid, stdout = _spawn([*arguments, "--", *words], environment, log_path, stdout_pipe)
        record = ProcessRecord(
            pid=pid,
            identity=process_identity(pid) or "gone",
            log_path=str(log_path),
            cleanup_dir=str(cleanup_dir.absolute()) if cleanup_dir else None,
        )
        return cls(record, owned=True, stdout=stdout)

    @classmethod
    def attach(cls, record: Mapping[str, Any]) -> SupervisedProcess:
        """The same process, seen from another one, by what `record` returned where it was started."""
        return cls(
            ProcessRecord(
                pid=int(record["pid"]),
                identity=str(record["identity"]),
                log_path=str(record["log_path"]),
                cleanup_dir=record.get("cleanup_dir"),
            )
        )

    def record(self) -> ProcessRecord:
        """Plain JSON from which `attach` makes a handle in any process of this machine."""
        return self._record.copy()

    def poll(self) -> int | None:
        """None while the command runs, else its exit status as a shell tells it: 128 + n after signal n.

        Where the supervisor itself was killed nobody knows the status; it is reported as 137 (SIGKILL).
        """
        if self._status is None and self._is_gone():
            with self._reaping:
                if self._status is None:
                    self._status = self._reap()
        return self._status

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the command's end, at most ``timeout`` seconds; its status, or None if it still runs."""
        if self._status is None:
            with contextlib.closing(_Exit(self.pid, self._record["identity"])) as end:
                end.wait(timeout)
        return self.poll()

    def stop(self, grace: float = 10.0, *, keep: bool = False, kill: bool = False) -> int | None:
        """End the command (SIGTERM, SIGKILL after ``grace`` seconds) and tell its status; may be repeated.

        ``keep`` lets the clean-up folder stay for another start; ``kill`` means SIGKILL at once.
        """
        first = signal.SIGUSR2 if kill else signal.SIGUSR1 if keep else signal.SIGTERM
        for number, patience in (
            (first, grace),
            (signal.SIGTERM, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            if self.poll() is not None:
                break
            self._signal(number)
            self.wait(patience)
        if self._record["cleanup_dir"] and not keep and self.poll() is not None:
            shutil.rmtree(self._record["cleanup_dir"], ignore_errors=True)
        if self.stdout is not None:
            self.stdout.close()
        return self.poll()

    def tail(self, count: int = 20) -> list[str]:
        """The last lines of the command's log."""
        return tail_lines(self.log_path, count)

    def on_exit(self, callback: Callable[[int], None]) -> None:
        """Call ``callback(status)`` once, from a daemon thread, when the command has ended."""

        def watch() -> None:
            status = self.wait()
            callback(_KILLED if status is None else status)

        threading.Thread(target=watch, name=f"eng5-watch-{self.pid}", daemon=True).start()

    def _is_gone(self) -> bool:
        return _gone(self.pid, self._record["identity"])

    def _signal(self, number: int) -> None:
        if not self._is_gone():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _reap(self) -> int:
        if self._owned:
            with contextlib.suppress(ChildProcessError):
                _, status = os.waitpid(self.pid, 0)
                return _shell_status(os.waitstatus_to_exitcode(status))
        return _logged_status(self.log_path, self.pid)


def _shell_status(code: int) -> int:
    return code if code >= 0 else 128 - code


def _require_program(name: str, environment: Mapping[str, str]) -> None:
    if shutil.which(name, path=environment.get("PATH")) is None:
        # Imported here because the supervisor runs this file by its path, outside the package.
        from pytest_eng5.errors import InfrastructureError

        raise InfrastructureError("the program to start does not exist or is not executable", where=name)


def _spawn(
    arguments: list[str], environment: Mapping[str, str], log_path: Path, stdout_pipe: bool
) -> tuple[int, IO[str] | None]:
    """Start the supervisor in a session of its own; its process id, and the piped output if asked for."""
    log = _open_log(log_path)
    null = os.open(os.devnull, os.O_RDONLY)
    read_end, write_end = os.pipe() if stdout_pipe else (-1, log)
    try:
        # posix_spawn and not Popen: a handle that is dropped while the process runs is normal here (a worker
        # of xdist leaves, the controller goes on), and Popen would warn about it.
        pid = os.posix_spawn(
            arguments[0],
            arguments,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, write_end, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=_HEARD,  # a signal that comes early waits until the supervisor listens
        )
    finally:
        for descriptor in {log, null, write_end}:
            os.close(descriptor)
    return pid, open(read_end, encoding="utf-8", errors="replace") if stdout_pipe else None  # noqa: PTH123


def _open_log(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError as error:
        from pytest_eng5.errors import InfrastructureError

        raise InfrastructureError(f"the log cannot be written: {error.strerror}", where=str(path)) from error


def _logged_status(log_path: Path, supervisor: int) -> int:
    mark = _MARK.format(pid=supervisor) + "status "
    for line in reversed(tail_lines(log_path, 50)):
        if line.startswith(mark):
            return int(line[len(mark) :].split()[0])
    return _KILLED


# ---- the supervisor itself -------------------------------------------------------------------------------


class _Supervisor:
    """Runs one command; see the module's docstring."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.child: subprocess.Popen[bytes] | None = None
        self.why = "ended by itself"
        self.asked: int | None = None
        self._wake, self._waker = socket.socketpair()
        for end in (self._wake, self._waker):
            end.setblocking(False)

    def run(self) -> int:
        self._listen_for_signals()
        watched = _Exit(self.arguments.watch, self.arguments.watch_identity)
        try:
            status = 128 + signal.SIGTERM if watched.gone() else self._run_command(watched)
        finally:
            signal.set_wakeup_fd(-1)  # else a signal that still comes is written to a closed socket
            kept = self.asked in (signal.SIGUSR1, signal.SIGUSR2) and not watched.gone()
            if self.arguments.cleanup and not kept:
                shutil.rmtree(self.arguments.cleanup, ignore_errors=True)
        self.say(f"status {status} ({self.why})")
        return status

    def _run_command(self, watched: _Exit) -> int:
        try:
            self.child = subprocess.Popen(
                self.arguments.command,
                stdin=subprocess.DEVNULL,
                cwd=self.arguments.cwd,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),
            )
        except OSError as error:
            self.why = f"cannot be started: {error}"
            return 127
        os.dup2(2, 1)  # a piped standard output is the command's alone, so that its reader sees the end of it
        self._wait_for_reason(watched)
        return self._end(watched)

    def _listen_for_signals(self) -> None:
        # Handlers rather than SIG_IGN, because an ignored signal stays ignored in the command.
        for number in _HEARD:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)

    def _wait_for_reason(self, watched: _Exit) -> None:
        while not self._ended():
            self._wait(watched, None)
            self.asked = next((number for number in self._signals() if number in _ENDING), None)
            if self.asked is not None:
                self.why = signal.Signals(self.asked).name
                return
            if watched.gone():
                self.why = f"process {self.arguments.watch} is gone"
                return

    def _end(self, watched: _Exit) -> int:
        child = self.child
        assert child is not None
        since = time.monotonic()
        self._signal_group(signal.SIGKILL if self.asked == signal.SIGUSR2 else signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # a command that was stopped hears nothing else
        while not self._ended():
            grace = self.arguments.grace if watched.gone() else self.arguments.stop_grace
            left = since + grace - time.monotonic()
            if left <= 0:
                self.why += ", SIGKILL after the grace"
                break
            self._wait(watched, left)
            if signal.SIGTERM in self._signals():
                self.why += " twice, SIGKILL"
                break
        # Also after a clean end: what the command has started and left behind must not stay.
        self._signal_group(signal.SIGKILL)
        return _shell_status(child.wait())

    def _wait(self, watched: _Exit, timeout: float | None) -> None:
        """Sleep until a signal comes, the command ends (SIGCHLD), or the watched process is gone."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            if not watched.gone():
                if watched.fd is not None:
                    selector.register(watched.fd, selectors.EVENT_READ)
                else:
                    timeout = _POLL_SECONDS if timeout is None else min(timeout, _POLL_SECONDS)
            selector.select(timeout)

    def _signals(self) -> bytes:
        try:
            return self._wake.recv(4096)
        except BlockingIOError:
            return b""

    def _ended(self) -> bool:
        return self.child is None or self.child.poll() is not None

    def _signal_group(self, number: int) -> None:
        assert self.child is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child.pid, number)

    def say(self, text: str) -> None:
        os.write(2, (_MARK.format(pid=os.getpid()) + text + "\n").encode())


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """A function for the command's process, before exec: be killed when the supervisor is (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(127)

    return before_exec


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pytest_eng5.processes", description="Run a command.")
    parser.add_argument("--watch", type=int, required=True, metavar="PID", help="end when this one is gone")
    parser.add_argument("--watch-identity", default=None, help="start time of the watched process")
    parser.add_argument("--cwd", default=None, metavar="DIR", help="working folder of the command")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds from SIGTERM to SIGKILL")
    parser.add_argument("--stop-grace", type=float, default=10.0, help="the same after a SIGTERM to this")
    parser.add_argument("--cleanup", default=None, metavar="DIR", help="folder to remove at the end")
    parser.add_argument("command", nargs="+", help="the command, after --")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the supervisor process."""
    return _Supervisor(_parse(argv)).run()


if __name__ == "__main__":
    sys.exit(main())
