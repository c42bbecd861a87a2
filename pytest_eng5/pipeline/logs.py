"""JSON logs on standard error or in a file; never essay text, never prompt text.

Field names follow contract section 12.3. Records of libraries (aiokafka, uvicorn) go through the same
formatter, so that the file is JSON from the first line to the last.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import structlog

__all__ = ["configure_logging", "service_logger"]

_QUIET = ("httpx", "httpcore", "asyncio", "uvicorn", "uvicorn.error", "uvicorn.access", "aiokafka")


def configure_logging(log_file: Path | None, level: str = "INFO") -> None:
    """Send all records of this process to ``log_file`` (appended) or to standard error."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler: logging.Handler
    handler = (
        logging.FileHandler(log_file, encoding="utf-8") if log_file else logging.StreamHandler(sys.stderr)
    )
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def service_logger(service: str) -> structlog.stdlib.BoundLogger:
    """A logger whose records carry ``service.name``."""
    # Lazy: binding here would fix the configuration of the moment of import.
    name = f"pytest_eng5.pipeline.{service}"
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name, **{"service.name": service})
    return logger
