"""The one error root of the project, and the two kinds that decide an exit code.

Every error a user can meet says *where* it happened, *what* is wrong and *how to fix it*.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["Eng5Error", "InfrastructureError", "UsageError"]


class Eng5Error(Exception):
    """Root of all errors raised by pytest-eng5.

    Args:
        what: What is wrong, one sentence without a final full stop.
        where: The file, position, option, topic or address concerned, if there is one.
        fix: What the user can do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  fix: {self.fix}" if self.fix else head


class UsageError(Eng5Error):
    """The user asked for something that cannot be done as written (exit code 2)."""

    exit_code: ClassVar[int] = 2


class InfrastructureError(Eng5Error):
    """Broker, pipeline, network, disk, time or money ran out (exit code 4): no verdict was reached."""

    exit_code: ClassVar[int] = 4
