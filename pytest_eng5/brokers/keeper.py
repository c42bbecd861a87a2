"""The process that keeps a container of Kafka: starts it, copies its log, and takes it away at the end.

`main` runs under the supervisor of `pytest_eng5.processes`, which ends it with SIGTERM when the session is
over, however it ended. There is no moment at which a container exists without it: it makes the container
itself. Standard output is one JSON object per line for whoever waits: ``{"report": text}``, then
``{"started": {...}}`` or ``{"failed": {...}}``; the container's log goes to standard error. Should this
process be killed as well, testcontainers' reaper takes the container away, where its image is on the engine
or came along with Kafka's.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_eng5.brokers.engine import (
    client_host,
    connect,
    full_image_name,
    have_image,
    remove_container,
    unusable,
)
from pytest_eng5.brokers.errors import BrokerError
from pytest_eng5.brokers.kraft import CLIENT_PORT, WAIT_COMMAND, KafkaSpec, start_archive
from pytest_eng5.brokers.ports import LOOPBACK
from pytest_eng5.brokers.reaper import Reaper

__all__ = ["ENDED_BY_ITSELF", "REFUSED", "main"]

ENDED_BY_ITSELF = 3
"""Exit status when the container ended, or the engine was lost, although nobody asked for it."""

REFUSED = 4
"""Exit status when no container could be started; the reason has been said."""

_LABEL = "io.pytest-eng5.kafka"
_OLD_LINES = 100
_CONFLICT = 409
_LOG_SECONDS = 5.0


def _say(**message: Any) -> None:
    with contextlib.suppress(BrokenPipeError):  # whoever waited is gone; the supervisor will tell
        print(json.dumps(message), flush=True)


def _report(text: str) -> None:
    _say(report=text)


def _log(text: str) -> None:
    os.write(2, f"[eng5 keeper {os.getpid()}] {text}\n".encode())


class _Asked(BaseException):
    """SIGTERM came."""


class _Ending:
    """SIGTERM as an exception, but never between an order to the engine and its answer."""

    def __init__(self) -> None:
        self._asked = False
        self._waiting = False
        signal.signal(signal.SIGTERM, self._handle)

    def _handle(self, *_: object) -> None:
        self._asked = True
        if self._waiting:
            raise _Asked

    @contextlib.contextmanager
    def may_come(self) -> Iterator[None]:
        """Wait for something; `_Asked` is raised when the signal comes, or has come before."""
        self._waiting = True
        try:
            if self._asked:
                raise _Asked
            yield
        finally:
            self._waiting = False


class _Keeper:
    """One container, from its image to its end."""

    def __init__(self, spec: KafkaSpec, ending: _Ending) -> None:
        self._spec = spec
        self._ending = ending
        self._name = f"eng5-kafka-{spec.identity if spec.reuse else uuid.uuid4().hex[:16]}"
        self._client: Any = None
        self._reaper: Reaper | None = None
        self._found = False
        self._ended = False

    def run(self) -> int:
        """Keep the container until it ends or SIGTERM comes; the exit status."""
        try:
            with self._ending.may_come():
                self._client = connect()
                pulled = have_image(self._client, full_image_name(self._spec.image), _report)
            host = client_host(self._client)
            self._start_reaper(host, pulled)
            container = self._running(host)
            self._open_to_clients(container, host)
            return self._watch(container)
        except _Asked:
            return 0
        finally:
            self._take_away()

    # ---- start -------------------------------------------------------------------------------------------

    def _start_reaper(self, host: str | None, pulled: bool) -> None:
        if self._spec.reuse:
            return
        try:
            self._reaper = Reaper.start(self._client, host, _address(host), pull=pulled, report=_report)
        except Exception as error:  # whatever it is: this process takes the container away
            _log(f"no reaper: {error}")

    def _running(self, host: str | None) -> Any:
        """The running container: a new one, or the one that another session has left or starts right now."""
        from docker.errors import APIError

        if self._spec.reuse and (container := self._left_running()) is not None:
            return container
        try:
            return self._new(host)
        except APIError as error:
            # Names are unique on an engine: another session was faster.
            if not self._spec.reuse or error.status_code != _CONFLICT:
                self._ended = True
                raise unusable(self._spec.image, error) from error
        return self._taken_over(self._client.client.containers.get(self._name))

    def _left_running(self) -> Any:
        from docker.errors import NotFound

        try:
            container = self._client.client.containers.get(self._name)
        except NotFound:
            return None
        if container.status not in ("created", "running"):
            # It has ended; started again it would advertise the port that it had then.
            remove_container(self._client, self._name)
            return None
        return self._taken_over(container)

    def _taken_over(self, container: Any) -> Any:
        self._found = True
        container.start()  # no more than a question if it runs
        return container

    def _new(self, host: str | None) -> Any:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        if not _address(host):
            _report(
                f"the engine is elsewhere: Kafka's port is open on all addresses of {host or 'its machine'}"
            )
        testcontainers_config.ryuk_disabled = True  # ours runs, or none is wanted
        container = DockerContainer(self._spec.image).with_name(self._name)
        container.with_envs(**self._spec.environment).with_command([WAIT_COMMAND[-1]])
        container.with_kwargs(entrypoint=list(WAIT_COMMAND[:-1]), labels={_LABEL: self._spec.identity})
        ports: dict[str, Any] = container.ports  # an address with a port is the form that docker takes
        ports[f"{CLIENT_PORT}/tcp"] = (_address(host), None)
        return container.start().get_wrapped_container()

    def _open_to_clients(self, container: Any, host: str | None) -> None:
        """Put the start script in, now that the port is known, and tell the address.

        Also into a container that was found: whoever started it may have died before.
        """
        host, port = self._published(container, host)
        container.put_archive("/tmp", start_archive(host, port))
        server = f"{host}:{port}"
        _say(started={"container": container.id, "bootstrap_servers": server, "found": self._found})

    def _published(self, container: Any, host: str | None) -> tuple[str, int]:
        client = self._client
        if host is None and not client.get_connection_mode().use_mapped_port:
            return str(client.bridge_ip(container.id)), CLIENT_PORT
        return host or str(client.gateway_ip(container.id)), int(client.port(container.id, CLIENT_PORT))

    # ---- watch and end -----------------------------------------------------------------------------------

    def _watch(self, container: Any) -> int:
        import requests

        copying = threading.Thread(target=self._copy_log, args=(container,), daemon=True)
        copying.start()
        try:
            with self._ending.may_come():
                status = container.wait(timeout=None)["StatusCode"]
        except requests.RequestException as error:
            _log(f"the container engine is lost: {error}")
            return ENDED_BY_ITSELF
        copying.join(_LOG_SECONDS)
        self._ended = True
        _log(f"the container ended with status {status}{_why(container)}")
        return ENDED_BY_ITSELF

    def _copy_log(self, container: Any) -> None:
        tail: int | str = _OLD_LINES if self._found else "all"
        try:
            for chunk in container.logs(stream=True, follow=True, tail=tail):
                os.write(2, chunk)
        except Exception as error:  # a daemon thread: nobody else would tell
            _log(f"the container's log is not copied any more: {error}")

    def _take_away(self) -> None:
        """Remove the container, unless it is to be used again."""
        if self._client is not None and (self._ended or not self._spec.reuse):
            remove_container(self._client, self._name)
        if self._reaper is not None:
            self._reaper.stop()


def _address(host: str | None) -> str:
    """Where a port is published: on loopback if that is where its clients are, else everywhere."""
    return LOOPBACK if host == LOOPBACK else ""


def _why(container: Any) -> str:
    with contextlib.suppress(Exception):  # it may be gone already
        container.reload()
        if container.attrs["State"].get("OOMKilled"):
            return " (it ran out of memory)"
    return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the one argument is a `KafkaSpec` as JSON."""
    (text,) = sys.argv[1:] if argv is None else argv
    ending = _Ending()
    try:
        return _Keeper(KafkaSpec.from_json(text), ending).run()
    except BrokerError as error:
        _say(
            failed={"kind": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        )
        return REFUSED
