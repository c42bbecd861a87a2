"""Keep credentials out of logs and tracebacks.

aiokafka logs every request at level DEBUG, also the one that carries the password; and pytest shows the local
variables of a traceback on request.
"""

from __future__ import annotations

import logging

__all__ = ["Secret", "hide_credentials"]

_LOGGER = "aiokafka.conn"
_SECRET = "SaslAuthenticate"


class Secret(str):
    """Text that clients use as it is, and that is not shown where somebody looks at it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def hide_credentials() -> None:
    """Have the Kafka client log that it authenticates, but not with what; harmless when repeated."""
    logger = logging.getLogger(_LOGGER)
    if _hide not in logger.filters:
        logger.addFilter(_hide)


def _hide(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(_shown(each) for each in record.args)
    return True


def _shown(value: object) -> object:
    name = type(value).__name__
    return f"{name}(...)" if name.startswith(_SECRET) else value
