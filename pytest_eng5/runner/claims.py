"""A run happens once per session, however many processes want it.

Each run has a claim file. Whoever takes its lock first performs the run and keeps the lock until the ending
stands in the file; everyone else waits for the lock, which the operating system releases even if the owner
dies, and reads the ending. POSIX only (``flock``).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from pytest_eng5.contracts import utc_now
from pytest_eng5.evidence import EndReason, RunEnding

__all__ = ["Claim", "Claims"]

_STARTED = b"started"


class Claim:
    """The right to perform one run; :meth:`settle` publishes its ending and gives the right up."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def abandon(self) -> None:
        """Give the right back unused."""
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def settle(self, ending: RunEnding) -> None:
        """Tell the ending to everyone who waits."""
        os.pwrite(self._descriptor, ending.model_dump_json().encode(), 0)
        os.close(self._descriptor)


class Claims:
    """The claim files of a session.

    Args:
        folder: A folder that all processes of the session share, and no other session.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, key: str) -> Claim | None:
        """Claim a run; ``None`` if it is somebody else's, or done."""
        descriptor = self._open(key)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if os.pread(descriptor, 1, 0):
            os.close(descriptor)
            return None
        os.pwrite(descriptor, _STARTED, 0)
        return Claim(descriptor)

    def wait(self, key: str) -> RunEnding | None:
        """Wait until the run that somebody else performs has ended; ``None`` if it was given back unstarted.

        An owner that died leaves no ending: the run then ended as an infrastructure fault and is not
        repeated, since its comparisons may have been paid for.
        """
        descriptor = self._open(key)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            content = os.pread(descriptor, 1 << 20, 0)
        finally:
            os.close(descriptor)
        if not content:
            return None
        if content == _STARTED:
            now = utc_now()
            detail = "the process that performed this run ended before the run did; it is not repeated"
            return RunEnding(
                reason=EndReason.INFRASTRUCTURE, detail=detail, started_at=now, ended_at=now, published=False
            )
        return RunEnding.model_validate_json(content)

    def _open(self, key: str) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        return os.open(self._folder / f"{name}.claim", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
