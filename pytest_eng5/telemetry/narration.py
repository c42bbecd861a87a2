"""Run events in the standard library's logging, and in lines for a terminal."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_eng5.telemetry.events import EVENTS, words

__all__ = ["LOGGER", "narrated", "tell"]

LOGGER = "pytest_eng5.run"
"""Name of the standard logger of all runs. Its records carry the event's fields as attribute ``eng5``."""

_LEVELS = {name.lower(): value for name, value in logging.getLevelNamesMapping().items()}
_logger = logging.getLogger(LOGGER)


def tell(fields: Mapping[str, Any]) -> None:
    """Hand an event to the standard logging, in words; whoever listens there decides what is shown."""
    level, event = _LEVELS[fields["level"]], EVENTS.get(fields["event"])
    if (event is None or not event.file_only) and _logger.isEnabledFor(level):
        with contextlib.suppress(Exception):  # a handler of somebody else's must not end a run
            _logger.log(level, "%s", words(fields), extra={"eng5": dict(fields)})


class _Lines(logging.Handler):
    """Passes on what is worth a line on a terminal."""

    def __init__(self, line: Callable[[str], None], everything: bool) -> None:
        super().__init__(logging.DEBUG)
        self._line = line
        self._everything = everything

    def emit(self, record: logging.LogRecord) -> None:
        event = EVENTS.get(getattr(record, "eng5", {}).get("event", ""))
        if self._everything or record.levelno >= logging.WARNING or (event is not None and event.told):
            self._line(record.getMessage())


@contextlib.contextmanager
def narrated(line: Callable[[str], None], *, detailed: bool = False) -> Iterator[None]:
    """Have every run of the process tell its events, in lines without a newline, while this lasts.

    Only the logger ``pytest_eng5.run`` is touched, and left as it was.

    Args:
        line: Told each line, in any thread.
        detailed: Tell single events as well, instead of what matters.
    """
    handler, level, propagate = _Lines(line, detailed), _logger.level, _logger.propagate
    _logger.addHandler(handler)
    _logger.setLevel(logging.DEBUG if detailed else logging.INFO)
    _logger.propagate = False
    try:
        yield
    finally:
        _logger.removeHandler(handler)
        _logger.setLevel(level)
        _logger.propagate = propagate
