"""Keep credentials out of the debug log of the Kafka client.

aiokafka logs every request at level DEBUG, also the one that carries the password.
"""

from __future__ import annotations

import logging

__all__ = ["hide_credentials"]

_LOGGER = "aiokafka.conn"
_SECRET = "SaslAuthenticate"


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
