"""What the LLM provider service keeps of comparisons and simulations where its queue is in this process.

A queue in Kafka keeps itself. Draws of simulated failures count attempts in memory: after a restart a
comparison that failed before is drawn as if it were asked for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.judge import Simulation
from pytest_eng5.pipeline.provider.records import QueueRecord

__all__ = ["Journal"]


class Journal:
    """Comparisons and simulations in the state of the process.

    Args:
        database: The state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.define(
            "CREATE TABLE IF NOT EXISTS simulations (batch_id TEXT PRIMARY KEY, body TEXT NOT NULL)",
            "CREATE TABLE IF NOT EXISTS comparisons (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " correlation_id TEXT NOT NULL UNIQUE, queue_id TEXT NOT NULL, body TEXT)",
            "CREATE INDEX IF NOT EXISTS waiting_comparisons ON comparisons (number) WHERE body IS NOT NULL",
        )

    def accept(self, item: QueuedComparison) -> UUID | None:
        """Keep a comparison until it is answered.

        Returns:
            The queue id of the same comparison, accepted before; ``None`` for a new one. A caller that missed
            the answer to its request sends it again, and nobody should pay for it twice.
        """
        cursor = self._database.run(
            "INSERT OR IGNORE INTO comparisons (correlation_id, queue_id, body) VALUES (?, ?, ?)",
            *(str(item.correlation_id), str(item.queue_id), QueueRecord.of(item).model_dump_json()),
        )
        if cursor.rowcount:
            return None
        found = self._database.value(
            "SELECT queue_id FROM comparisons WHERE correlation_id = ?", str(item.correlation_id)
        )
        return UUID(found)

    def answered(self, queue_id: str) -> None:
        """Forget what was asked; only that it was stays."""
        self._database.run("UPDATE comparisons SET body = NULL WHERE queue_id = ?", queue_id)

    def forget(self) -> None:
        """Forget all comparisons without an answer."""
        self._database.run("UPDATE comparisons SET body = NULL WHERE body IS NOT NULL")

    def waiting(self) -> Iterator[QueuedComparison]:
        """The comparisons without an answer, in the order in which they came."""
        for row in self._database.rows("SELECT body FROM comparisons WHERE body IS NOT NULL ORDER BY number"):
            yield QueueRecord.model_validate_json(row["body"]).item(None)

    def register(self, batch_id: str, simulation: Simulation) -> None:
        """Keep the simulation of a batch."""
        self._database.run(
            "INSERT OR REPLACE INTO simulations VALUES (?, ?)", batch_id, simulation.model_dump_json()
        )

    def simulation(self, batch_id: str) -> Simulation | None:
        """The simulation of a batch, ``None`` if there is none."""
        found = self._database.value("SELECT body FROM simulations WHERE batch_id = ?", batch_id)
        return None if found is None else Simulation.model_validate_json(found)
