"""The log of one run: bound fields, a file that only grows, and the standard library's logging for the rest.

A run log is current in the task that began it and in everything that task awaits or hands to a thread, so
that runs side by side never mix; what serves all runs, such as the capture hub, is handed the log itself.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar, Token
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_eng5.telemetry.narration import LOGGER, tell
from pytest_eng5.telemetry.plain import plain
from pytest_eng5.telemetry.redaction import SECRETS, Secrets

__all__ = ["RunLog", "current_log"]

_ALIKE_SECONDS = 5.0
_standard = logging.getLogger(LOGGER)


class RunLog:
    """Logs the events of one run; never raises, for no run shall end because of its log.

    A line is written with one call and unbuffered: it is on disk, as far as the operating system goes, when
    the method returns, and stays there if the process is killed. Once closed, the file is final (the manifest
    knows its hash); later events go to the standard logging alone. All methods may be called in any thread.

    Args:
        path: The file; ``None`` for what belongs to no run.
        secrets: What must not be shown.
        fields: On every line, such as ``correlation_id`` and ``batch_uuid``; readable as an attribute.
    """

    def __init__(self, path: Path | None = None, *, secrets: Secrets = SECRETS, **fields: Any) -> None:
        self.path = path
        self.fields = fields
        self._secrets = secrets
        self._lock = threading.Lock()
        self._alike: dict[str, _Alike] = {}
        self._file: int | None = None
        self._token: Token[RunLog] | None = None
        self._logger = _wrapped(self._cleaned, self._write, fields)
        if path is not None:
            self._open(path)

    @property
    def detailed(self) -> bool:
        """Whether single events are logged: the standard logger asks for ``DEBUG``."""
        return _standard.isEnabledFor(logging.DEBUG)

    def debug(self, event: str, **fields: Any) -> None:
        """Log what happens once per event; nothing at all unless :attr:`detailed`."""
        if _standard.isEnabledFor(logging.DEBUG):
            self._log("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Log what happens once or a few times per run."""
        self._log("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Log what may explain a bad end."""
        self._log("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Log why there is no verdict; ``exc_info`` adds the traceback."""
        self._log("error", event, fields)

    def counted(self, event: str, level: str = "info", **fields: Any) -> None:
        """Log what may happen very often: the first time at once, then at most every five seconds.

        ``count`` tells how often it happened until then. The last of what was not told is told at the end; at
        level ``DEBUG`` every single one is.
        """
        now = time.monotonic()
        with self._lock:
            alike = self._alike.setdefault(event, _Alike(level))
            due, fields["count"] = alike.happened(now, fields), alike.count + 1
            alike.count += 1
        if due:
            getattr(self, level)(event, **fields)
        else:
            self.debug(event, **fields)

    def make_current(self) -> Self:
        """Make this the log of the running task and of all that comes from it."""
        self._token = _current.set(self)
        return self

    def tell_counts(self) -> None:
        """Tell what was only counted until now."""
        with self._lock:
            untold = [(event, alike) for event, alike in self._alike.items() if alike.untold]
            for _, alike in untold:
                alike.untold = False
        for event, alike in untold:
            getattr(self, alike.level)(event, **alike.fields)

    def close(self) -> None:
        """Tell what was only counted, make the file durable and final. May be repeated."""
        self.tell_counts()
        with self._lock:
            descriptor, self._file = self._file, None
            if descriptor is not None:
                _sync_and_close(descriptor)

    def __enter__(self) -> Self:
        return self.make_current()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            self._failed(error)

    def _log(self, level: str, event: str, fields: dict[str, Any]) -> None:
        try:
            getattr(self._logger, level)(event, **fields)
        except Exception as error:  # as of a field that cannot even be shown
            _standard.warning("an event %s cannot be logged: %s", event, type(error).__name__)

    def _cleaned(self, _: Any, __: str, event: MutableMapping[str, Any]) -> tuple[Any, ...]:
        """The last processor: plain values without secrets, in an order that people can read."""
        first = {name: event.pop(name) for name in ("timestamp", "level", "event")}
        rest = {name: plain(value, name, secrets=self._secrets) for name, value in event.items()}
        return ({**first, **rest},), {}

    def _write(self, fields: dict[str, Any]) -> None:
        try:
            line = (json.dumps(fields, allow_nan=False) + "\n").encode()
            with self._lock:
                if self._file is not None:
                    _write_all(self._file, line)
        except OSError as error:
            self._failed(error)
        tell(fields)

    def _failed(self, error: OSError) -> None:
        """Go on without the file; the evidence does not depend on it."""
        with self._lock:
            descriptor, self._file = self._file, None
            if descriptor is not None:
                os.close(descriptor)
        _standard.warning("the log of a run cannot be written any more: %s: %s", self.path, error.strerror)


class _Sink:
    """What structlog hands finished events to, whatever their level."""

    def __init__(self, write: Callable[[dict[str, Any]], None]) -> None:
        self.debug = self.info = self.warning = self.error = write


def _wrapped(clean: Any, write: Callable[[dict[str, Any]], None], fields: dict[str, Any]) -> Any:
    """A structlog logger with settings of its own, whatever the process configured for others."""
    import structlog  # takes a tenth of a second, and collecting needs none of it

    return structlog.wrap_logger(
        _Sink(write),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            clean,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        context_class=dict,
        cache_logger_on_first_use=False,
        **fields,
    )


class _Alike:
    """How often one kind of event happened, and when it was told last."""

    def __init__(self, level: str) -> None:
        self.level = level
        self.count = 0
        self.untold = False
        self.fields: dict[str, Any] = {}
        self._next = 0.0

    def happened(self, now: float, fields: dict[str, Any]) -> bool:
        """Whether it is to be told now."""
        due = now >= self._next
        if due:
            self._next = now + _ALIKE_SECONDS
        self.untold, self.fields = not due, fields
        return due


def _write_all(descriptor: int, line: bytes) -> None:
    """Write a line; more than one call is needed only where the disk is nearly full."""
    written = os.write(descriptor, line)
    while written < len(line):
        written += os.write(descriptor, line[written:])


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


_current: ContextVar[RunLog] = ContextVar("eng5_run_log")


def current_log() -> RunLog:
    """The log of the run that the caller works for; one without a file if there is none."""
    return _current.get(None) or _nobodys()


@cache
def _nobodys() -> RunLog:
    return RunLog()
