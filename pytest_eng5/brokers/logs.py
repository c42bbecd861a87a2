"""The log of Kafka: where one start begins in it, and which of its lines tell something."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pytest_eng5.brokers.errors import BrokerError

__all__ = ["LOG_LINES_READ", "begin_log", "telling_lines"]

LOG_LINES_READ = 400
"""Lines of the end of a log that are looked through."""

_LINES_SHOWN = 20
_NOISE = re.compile(
    r"\s+at [\w.$/<>]+\(|\s+\.\.\. \d+ more|.*AOT ?(Cache|Configuration|cache)|Picked up JAVA_TOOL_OPTIONS"
)


def begin_log(path: Path, mark: str) -> None:
    """Append one line with ``mark`` to the log; its folder is made.

    A log is appended to and never emptied: the one of a start that failed is still there after the next.

    Raises:
        BrokerError: The file cannot be written.
    """
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as log:
            log.write(f"{now} {mark}\n")
    except OSError as error:
        raise BrokerError(
            f"the log of Kafka cannot be written: {error.strerror}",
            where=str(path),
            fix="name another file (--eng5-kafka-log FILE), or allow writing there",
        ) from error


def telling_lines(lines: Sequence[str], mark: str) -> str:
    """The last lines that tell something, each with a margin.

    No stack frames, nothing about the start-up cache, and nothing of earlier starts: what comes before the
    last line with ``mark`` is not of this one.
    """
    begin = max((at + 1 for at, line in enumerate(lines) if line.endswith(mark)), default=0)
    telling = [line for line in lines[begin:] if not _NOISE.match(line)][-_LINES_SHOWN:]
    return "\n".join(f"  | {line}" for line in telling) or "  | (empty)"
