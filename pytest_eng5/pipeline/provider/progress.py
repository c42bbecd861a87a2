"""Which records of a partition are answered, and up to where all of them are."""

from __future__ import annotations

__all__ = ["Progress"]


class Progress:
    """Records are begun in the order of their offsets and finished in any order.

    What may be committed is the offset of the first record that is not finished: after a crash everything
    from there on comes again, and nothing before it.
    """

    def __init__(self) -> None:
        self._open: dict[int, None] = {}
        self._next: int | None = None

    def begin(self, offset: int) -> None:
        """A record has been taken."""
        self._open[offset] = None
        self._next = offset + 1

    def finish(self, offset: int) -> None:
        """A record has been answered, for good."""
        del self._open[offset]

    @property
    def committable(self) -> int | None:
        """The first offset that must come again after a crash; ``None`` before any record."""
        return next(iter(self._open), self._next)
