"""The embedded broker: a real Apache Kafka as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_eng5.brokers.aot import StartupCache, Training
from pytest_eng5.brokers.data import LOCKED, data_in_use, kept_data
from pytest_eng5.brokers.errors import (
    OTHER_WAYS,
    BrokerError,
    BrokerNotReady,
    BrokerStopped,
    DiskFull,
    PortInUse,
)
from pytest_eng5.brokers.freeze import signal_command
from pytest_eng5.brokers.home import make_home, sweep_homes
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars, home_jars
from pytest_eng5.brokers.java import Java, find_java
from pytest_eng5.brokers.logs import LOG_LINES_READ, begin_log, telling_lines
from pytest_eng5.brokers.model import BrokerCapabilities, BrokerConnection, BrokerKind, BrokerOptions
from pytest_eng5.brokers.ports import LOOPBACK, hold_port, reserve_ports
from pytest_eng5.brokers.probe import load_client, round_trip, run_blocking
from pytest_eng5.brokers.secured import Insider, check_security, probe_options, secured_properties
from pytest_eng5.brokers.server import (
    check_overrides,
    format_storage,
    java_command,
    java_environment,
    server_properties,
    write_properties,
)
from pytest_eng5.processes import SupervisedProcess

__all__ = ["EmbeddedBroker"]

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_ORPHAN_SECONDS = 3.0  # nobody reads the data of an orphan: a clean end has no value
_TRAINING_SECONDS = 60.0
_ATTEMPTS = 3
_LOOK_SECONDS = 0.02
_PORT_TAKEN = re.compile(r"Address already in use|BindException|Socket server failed to bind")
_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")


class EmbeddedBroker:
    """One KRaft node on free loopback ports; its data is gone when it stops, unless it has a ``data_dir``.

    ``start`` fetches what is missing, see `pytest_eng5.brokers.jars`. The process ends when the watched
    process does, and from any process by ``attach(broker.record()).stop()``. Its log is appended to.
    """

    kind: BrokerKind = "embedded"

    def __init__(self, options: BrokerOptions) -> None:
        check_overrides(options.properties)
        if options.security is not None:
            check_security(options.security)
        self._options = options
        self._process: SupervisedProcess | None = None
        self._connection: BrokerConnection | None = None
        self._training: Training | None = None
        self._runtime: tuple[Java, KafkaJars] | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._restarting = False
        self._stopped = False
        self.version = ""
        self.home: Path | None = None
        self.jars_folder: Path | None = None
        self.log_path: Path | None = options.log_path

    @classmethod
    def attach(cls, record: Mapping[str, Any], options: BrokerOptions | None = None) -> EmbeddedBroker:
        """The broker started by another process, from its record.

        A record holds no secrets, so for a secured broker ``options`` must have its security.
        """
        kept = record.get("data_dir")
        security = options.security if options else None
        broker = cls(BrokerOptions(kind="embedded", data_dir=Path(kept) if kept else None, security=security))
        broker._process = SupervisedProcess.attach(record["process"])
        if record.get("secured") and security is None:
            raise BrokerError("the broker is secured", fix="attach it with the options that it has")
        broker._connection = broker._connect(int(record["bootstrap_servers"].rpartition(":")[2]))
        broker._training = Training(**record["training"]) if record["training"] else None
        broker.version = record["version"]
        broker.home = Path(record["home"])
        broker.log_path = Path(record["process"]["log_path"])
        return broker

    @property
    def capabilities(self) -> BrokerCapabilities:
        """All that Kafka can do; a restart by hand keeps the records only in a folder of the user's."""
        return BrokerCapabilities(
            create_topics=True,
            delete_topics=True,
            tls=True,
            sasl=True,
            durable_restart=self._options.data_dir is not None,
        )

    @property
    def connection(self) -> BrokerConnection:
        """How to reach it."""
        if self._connection is None:
            raise BrokerError("the embedded broker has not been started")
        return self._connection

    @property
    def trains(self) -> bool:
        """Whether this run writes the start-up cache of later ones, so that `stop` takes some seconds."""
        return self._training is not None

    def start(self) -> BrokerConnection:
        """Start Kafka and return once a record went through it (about a second when all is prepared)."""
        if self._connection is not None and not self._stopped:
            return self._connection
        java = find_java(self._options.java_home)
        jars = self._jars()
        self.version = jars.version
        self.jars_folder = jars.class_path[0].parent
        self._runtime = (java, jars)
        cache = StartupCache.of(java, jars)
        try:
            return self._start_on_free_ports(java, jars, cache)
        except BrokerStopped:
            if not cache.ready:
                raise
        # A start-up cache that went bad is the one cause that a start without it cures.
        connection = self._start_on_free_ports(java, jars, None)
        cache.discard()
        return connection

    def _start_on_free_ports(
        self, java: Java, jars: KafkaJars, cache: StartupCache | None
    ) -> BrokerConnection:
        for _ in range(_ATTEMPTS - 1):
            try:
                return self._start_once(java, jars, cache)
            except PortInUse:
                if self._options.port is not None:
                    raise
        return self._start_once(java, jars, cache)

    def _jars(self) -> KafkaJars:
        home = self._options.kafka_home
        return home_jars(home) if home is not None else fetched_jars(self._options.report)

    def _start_once(self, java: Java, jars: KafkaJars, cache: StartupCache | None) -> BrokerConnection:
        sweep_homes(self._options.work_dir)
        home = make_home(self._options.work_dir)
        self.home = home
        self.log_path = self._options.log_path or _default_log(home)
        self._stopped = False
        with self._nothing_left_of_a_failure(), self._storage(java, jars), self._ports() as ports:
            return self._run(java, jars, ports, cache)

    @contextlib.contextmanager
    def _nothing_left_of_a_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._training is not None:
                self._training.drop()  # a start that failed teaches nothing
                self._training = None
            self.stop()
            if self.home is not None:
                shutil.rmtree(self.home, ignore_errors=True)
            self._connection = None
            raise

    @contextlib.contextmanager
    def _storage(self, java: Java, jars: KafkaJars) -> Iterator[None]:
        """``data`` in the home, formatted: a folder of its own, or a link to the user's folder."""
        assert self.home is not None
        if self._options.data_dir is None:
            format_storage(java, jars, self.home / "data")
            yield
            return
        with kept_data(self._options.data_dir, java, jars) as folder:
            (self.home / "data").symlink_to(folder)
            yield

    def _run(
        self, java: Java, jars: KafkaJars, ports: list[int], cache: StartupCache | None
    ) -> BrokerConnection:
        """Start Kafka in the home and return once a record went through it."""
        assert self.home is not None
        security, insider = self._options.security, Insider()
        secured = secured_properties(security, insider, *ports) if security else {}
        properties = server_properties("data", ports[0], ports[1], {**secured, **self._options.properties})
        write_properties(self.home / "server.properties", properties)
        flags = self._cache_flags(cache) if cache else ()
        self._process = self._launch(java, jars, flags)
        self._connection = self._connect(ports[0])
        self._wait_until_ready(ports, insider)
        return self._connection

    def _connect(self, port: int) -> BrokerConnection:
        security = self._options.security
        options = security.client_options() if security else {}
        return BrokerConnection(f"{LOOPBACK}:{port}", options)

    def connection_of(self, user: str | None) -> BrokerConnection:
        """How one of the users of its `ServerSecurity` reaches it; None is a client without a name."""
        security = self._options.security
        if security is None:
            raise BrokerError("the embedded broker is not secured: it has no users")
        return BrokerConnection(self.connection.bootstrap_servers, security.client_options(user))

    @contextlib.contextmanager
    def _ports(self, fixed: int | None = None) -> Iterator[list[int]]:
        """For clients, for the controller, and if secured for itself; held until the block ends."""
        fixed = fixed or self._options.port
        count = 3 if self._options.security else 2
        if fixed is None:
            with reserve_ports(count) as ports:
                yield ports
            return
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(hold_port(fixed))
            except OSError:
                raise _port_in_use("the port is in use", f"{LOOPBACK}:{fixed}") from None
            yield [fixed, *stack.enter_context(reserve_ports(count - 1))]

    def _cache_flags(self, cache: StartupCache) -> tuple[str, ...]:
        if cache.ready:
            return cache.use_flags()
        planned = cache.training()
        if planned is None:
            return ()
        self._training, flags = planned
        return flags

    def _launch(self, java: Java, jars: KafkaJars, flags: tuple[str, ...]) -> SupervisedProcess:
        assert self.home is not None
        assert self.log_path is not None
        # Temporary files (native compression libraries) and crash reports go where the data goes.
        extra = [*flags, f"-Djava.io.tmpdir={self.home}", "-XX:+ErrorFileToStderr"]
        begin_log(self.log_path, self._log_mark())
        return SupervisedProcess.start(
            java_command(java, jars, ["kafka.Kafka", "server.properties"], extra),
            watch_pid=self._options.watch_pid or os.getpid(),
            log_path=self.log_path,
            env=java_environment(),
            cwd=self.home,
            cleanup_dir=self.home,
            grace=_STOP_SECONDS if self._options.data_dir else _ORPHAN_SECONDS,
            stop_grace=_TRAINING_SECONDS if self._training else _STOP_SECONDS,
        )

    def _wait_until_ready(self, ports: list[int], insider: Insider) -> None:
        deadline = time.monotonic() + (self._options.start_timeout or _START_SECONDS)
        process = self._process
        assert process is not None
        load_client()
        why = BrokerNotReady("Kafka opened no port in time")
        # The waits end at once when Kafka does; there is no event to wait for when it opens its port.
        while process.wait(_LOOK_SECONDS) is None and (left := deadline - time.monotonic()) > 0:
            if _accepts(ports[0]):
                try:
                    run_blocking(_while_alive(process, self._prepare(ports, insider, left)))
                    return
                except BrokerNotReady as error:  # perhaps it was not Kafka that answered
                    why = error
                except asyncio.CancelledError:
                    break
        if process.poll() is not None:
            raise self._died_at_start()
        raise BrokerNotReady(f"{why.what}; its log ends:\n{self._log_end()}", fix=why.fix)

    async def _prepare(self, ports: list[int], insider: Insider, left: float) -> None:
        """Create users and rules if there are any, then pass a record through."""
        security = self._options.security
        if security is None:
            await round_trip(self.connection, left)
            return
        from pytest_eng5.brokers.grants import grant

        await grant(insider.connection(ports[2]), security, left)
        await round_trip(BrokerConnection(self.connection.bootstrap_servers, probe_options(security)), left)

    def _died_at_start(self) -> BrokerError:
        log = self._log_end()
        where = str(self.log_path)
        if _PORT_TAKEN.search(log):
            return _port_in_use(f"another process took the port; the log ends:\n{log}", where)
        if self._options.data_dir is not None and LOCKED.search(log):
            return data_in_use(self._options.data_dir)
        if _NO_SPACE.search(log):
            return DiskFull(f"Kafka found no space for its data; the log ends:\n{log}", where=where)
        return BrokerStopped(f"Kafka ended while starting; its log ends:\n{log}", where=where, fix=OTHER_WAYS)

    def _log_mark(self) -> str:
        return f"[eng5] Apache Kafka {self.version} starts in {self.home}"

    def _log_end(self) -> str:
        lines = self._process.tail(LOG_LINES_READ) if self._process else []
        return telling_lines(lines, self._log_mark())

    def stop(self) -> None:
        """End Kafka and remove its data, unless it lies in a ``data_dir``.

        Harmless when repeated, and from any process that has the record.
        """
        if self._process is None or self._stopped:
            return
        discarded = self._options.data_dir is None and self._training is None
        self._end(self._process, kill=discarded)  # a clean end writes to disk what nobody reads
        self._stopped = True
        if self.home is not None and self.log_path == _default_log(self.home):
            self.log_path.unlink(missing_ok=True)

    def _end(self, process: SupervisedProcess, *, keep: bool = False, kill: bool = False) -> None:
        if self._training is not None:
            self._options.report("preparing the start-up cache of later sessions (once, some seconds)")
        process.stop(_TRAINING_SECONDS if self._training else _STOP_SECONDS, keep=keep, kill=kill)
        if self._training is not None:
            self._training.keep()
            self._training = None

    def restart(self, *, down: float = 0.0, crash: bool = False) -> BrokerConnection:
        """Stop Kafka and start it again: same address, topics, records, offsets and security.

        A fault of a cluster for tests; nobody is told by `on_exit` or `failure` meanwhile. It blocks: inside
        a running loop use ``await asyncio.to_thread(broker.restart)``.

        Args:
            down: Seconds between the end of the old process and the start of the new one.
            crash: Kill the old process (SIGKILL) instead of asking it to end. The new one then waits until
                the old one's session is over: the server property ``broker.session.timeout.ms``, 9 seconds.

        Raises:
            BrokerError: It does not run, was started by another process, or does not come up again.
        """
        process, (java, jars) = self._running_here()
        port = int(self.connection.bootstrap_servers.rpartition(":")[2])
        self._restarting = True
        try:
            with self._nothing_left_of_a_failure():
                self._end(process, keep=True, kill=crash)
                with self._ports(port) as ports:
                    time.sleep(down)
                    self._run(java, jars, ports, StartupCache.of(java, jars))
        finally:
            self._restarting = False
        for callback in self._callbacks:
            self._tell_at_the_end(callback)
        return self.connection

    def _running_here(self) -> tuple[SupervisedProcess, tuple[Java, KafkaJars]]:
        if self._process is None or self._stopped:
            raise BrokerError("only a broker that runs can be restarted")
        if self._runtime is None:
            raise BrokerError("a broker can be restarted only by the process that started it")
        if (failure := self.failure()) is not None:
            raise BrokerStopped(failure)
        return self._process, self._runtime

    def pause(self) -> None:
        """Freeze Kafka: its port accepts connections and nobody answers (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused Kafka go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        if self._process is None or self._process.poll() is not None:
            raise BrokerError("the embedded broker does not run")
        signal_command(self._process.pid, number)

    def failure(self) -> str | None:
        """None while the process runs or after `stop`, else the last lines of its log."""
        if self._process is None:
            return "the embedded broker has not been started"
        if self._restarting or self._stopped or (status := self._process.poll()) is None:
            return None
        return f"Kafka ended with status {status}; its log ({self.log_path}) ends:\n{self._log_end()}"

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call ``callback()`` from a daemon thread when the process has ended, asked to or not."""
        if self._process is None:
            raise BrokerError("the embedded broker has not been started")
        self._callbacks.append(callback)
        self._tell_at_the_end(callback)

    def _tell_at_the_end(self, callback: Callable[[], None]) -> None:
        process = self._process
        assert process is not None

        def tell(_status: int) -> None:
            if self._process is process and not self._restarting:
                callback()

        process.on_exit(tell)

    def describe(self) -> str:
        """One line for a report header."""
        words = ["embedded Apache Kafka", self.version]
        if self._options.security is not None:
            words += ["with", self._options.security.protocol, self._options.security.mechanism or ""]
        if self._connection is not None:
            words.append(f"at {self._connection.bootstrap_servers}")
        return " ".join(word for word in words if word)

    def record(self) -> dict[str, Any]:
        """Plain JSON for `attach`."""
        if self._process is None:
            raise BrokerError("the embedded broker has not been started")
        return {
            "kind": self.kind,
            "bootstrap_servers": self.connection.bootstrap_servers,
            "version": self.version,
            "home": str(self.home),
            "secured": self._options.security is not None,
            "data_dir": str(self._options.data_dir) if self._options.data_dir else None,
            "process": dict(self._process.record()),
            "training": asdict(self._training) if self._training else None,
        }


def _default_log(home: Path) -> Path:
    """Beside the data and not in it, so that it can be read when Kafka has died and its data is gone."""
    return home.with_name(home.name + ".log")


async def _while_alive(process: SupervisedProcess, work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or be cancelled as soon as the process has ended."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)

    def cancel(_status: int) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the work was done long ago
            loop.call_soon_threadsafe(task.cancel)

    process.on_exit(cancel)
    await task


def _accepts(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((LOOPBACK, port)) == 0


def _port_in_use(what: str, where: str) -> PortInUse:
    return PortInUse(what, where=where, fix="choose another port, or none to get a free one")
