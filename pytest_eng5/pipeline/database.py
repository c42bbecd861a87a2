"""The state of a pipeline process in one SQLite file, so that it survives a restart.

One connection, used from the event loop: in write-ahead mode a write takes tens of microseconds, which is
less than handing it to a thread would. Every statement outside `transaction` is durable against the end of
the process once it returns; a power failure may take back the last ones, never tear one apart. The file
belongs to one process at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_eng5.pipeline.errors import PipelineError, StartupFailed

__all__ = ["Database"]

_VERSION = 1
_LOCK_SECONDS = 3.0


class Database:
    """A connection to the state.

    Args:
        path: The file, made with its folder if it is missing; ``None`` keeps everything in memory.

    Raises:
        StartupFailed: The file cannot be used, or another process uses it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path, timeout=_LOCK_SECONDS, isolation_level=None
            )
            self._prepare()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _prepare(self) -> None:
        self._connection.row_factory = sqlite3.Row
        if self.path is not None:
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("BEGIN IMMEDIATE")  # takes the lock now rather than at the first write
        found = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if found not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"it has the format {found}, this release has {_VERSION}")
        self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self._connection.execute("CREATE TABLE IF NOT EXISTS cluster (id TEXT NOT NULL)")
        self._connection.execute("COMMIT")

    def _unusable(self, error: Exception) -> StartupFailed:
        locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        return StartupFailed(
            "another pipeline uses this state" if locked else f"the state cannot be used: {error}",
            where=str(self.path),
            fix="give another file with --state PATH, or --state memory to keep nothing",
        )

    def moves_to(self, cluster_id: str) -> bool:
        """Note which Kafka cluster the state belongs to.

        Returns:
            Whether it belonged to another one until now.
        """
        before = self.value("SELECT id FROM cluster")
        if before == cluster_id:
            return False
        with self.transaction():
            self.run("DELETE FROM cluster")
            self.run("INSERT INTO cluster VALUES (?)", cluster_id)
        return before is not None

    def define(self, *statements: str) -> None:
        """Create tables and indices that are missing."""
        for statement in statements:
            self.run(statement)

    def run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        """Execute one statement.

        Raises:
            PipelineError: The state cannot be read or written.
        """
        try:
            return self._connection.execute(statement, values)
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def run_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for many rows, within a `transaction`."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def rows(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.run(statement, *values).fetchall()

    def row(self, statement: str, *values: Any) -> sqlite3.Row | None:
        """The first row of a query, ``None`` if there is none."""
        found: sqlite3.Row | None = self.run(statement, *values).fetchone()
        return found

    def value(self, statement: str, *values: Any) -> Any:
        """The first column of the first row, ``None`` if there is none."""
        found = self.row(statement, *values)
        return None if found is None else found[0]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements inside, or none of them; nothing is awaited in between."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def close(self) -> None:
        """Give the file free."""
        self._connection.close()

    def _failed(self, error: sqlite3.Error) -> PipelineError:
        return PipelineError(
            f"the state cannot be kept: {error}",
            where=str(self.path or "memory"),
            fix="look for a full disk; start the pipeline again, or with --state memory",
        )
