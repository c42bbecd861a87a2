"""The batches under way in the state of the process, so that a restart takes them up where they were.

Written per batch: the request, then the essays; per wave: its pairs, with the state of the pair generator;
per callback: one row. Nothing is written twice. Of a batch that is over only its id remains, by which a
repeated request is known.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import datetime
from sqlite3 import Row
from typing import Any
from uuid import UUID

import orjson

from pytest_eng5.contracts import ProcessingEvent, decode_event, utc_now
from pytest_eng5.pipeline.cj.batch import Batch, Comparison, Essay
from pytest_eng5.pipeline.cj.prompts import JudgeContext
from pytest_eng5.pipeline.database import Database

__all__ = ["BatchStore"]

_FIRST, _SECOND, _ERROR, _UNSENT = "first", "second", "error", "unsent"


class BatchStore:
    """Batches in the state of the process.

    Args:
        database: The state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.define(
            "CREATE TABLE IF NOT EXISTS batches (job_id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " batch_id TEXT NOT NULL UNIQUE, running INTEGER NOT NULL DEFAULT 0, request BLOB, facts TEXT,"
            " preparation TEXT, generator TEXT, resampling_passes INTEGER NOT NULL DEFAULT 0)",
            "CREATE INDEX IF NOT EXISTS running_batches ON batches (running) WHERE running",
            "CREATE TABLE IF NOT EXISTS pairs (number INTEGER PRIMARY KEY AUTOINCREMENT,"
            " job_id INTEGER NOT NULL, correlation_id TEXT NOT NULL UNIQUE, wave INTEGER NOT NULL,"
            " first INTEGER NOT NULL, second INTEGER NOT NULL, sent INTEGER NOT NULL DEFAULT 0, outcome TEXT,"
            " provider TEXT, model TEXT, settled_at REAL)",
            "CREATE INDEX IF NOT EXISTS pairs_of_a_batch ON pairs (job_id)",
        )

    def transaction(self) -> AbstractContextManager[None]:
        """Everything written inside, or nothing."""
        return self._database.transaction()

    def claim(self, batch_id: str) -> int | None:
        """The number of a batch that is new, ``None`` for one that has been there before."""
        if self._database.row("SELECT 1 FROM batches WHERE batch_id = ?", batch_id) is not None:
            return None
        return self._database.run("INSERT INTO batches (batch_id) VALUES (?)", batch_id).lastrowid

    def accepted(self, batch: Batch, request: bytes) -> None:
        """Keep a request that will be worked on."""
        facts = {
            "budget": batch.budget,
            "started_at": batch.started_at.isoformat(),
            "trace": batch.trace,
        }
        self._database.run(
            "UPDATE batches SET running = 1, request = ?, facts = ?, generator = ? WHERE job_id = ?",
            *(request, _text(facts), _generator(batch), batch.job_id),
        )

    def prepared(self, batch: Batch) -> None:
        """Keep the essays, and what the judge is told about them."""
        preparation = {
            "grade_scale": batch.grade_scale,
            "context": asdict(batch.context),
            "essays": [asdict(essay) for essay in batch.essays],
        }
        self._database.run(
            "UPDATE batches SET preparation = ? WHERE job_id = ?", _text(preparation), batch.job_id
        )

    def submitted(self, batch: Batch, wave: Sequence[Comparison]) -> None:
        """Keep a wave, before it is sent."""
        rows = [(batch.job_id, str(c.correlation_id), batch.wave, c.first, c.second) for c in wave]
        with self.transaction():
            self._database.run_many(
                "INSERT INTO pairs (job_id, correlation_id, wave, first, second) VALUES (?, ?, ?, ?, ?)", rows
            )
            self._database.run(
                "UPDATE batches SET generator = ?, resampling_passes = ? WHERE job_id = ?",
                *(_generator(batch), batch.resampling_passes, batch.job_id),
            )

    def sent(self, comparison: Comparison) -> None:
        """A comparison was accepted by the provider service."""
        self._database.run(
            "UPDATE pairs SET sent = 1 WHERE correlation_id = ?", str(comparison.correlation_id)
        )

    def settled(self, comparison: Comparison, judge: tuple[str, str] | None) -> None:
        """Keep the outcome of a comparison.

        Args:
            comparison: It has its outcome.
            judge: Provider and model of the callback; ``None`` if the comparison could not be sent.
        """
        provider, model = judge or (None, None)
        self._database.run(
            "UPDATE pairs SET outcome = ?, provider = ?, model = ?, settled_at = ? WHERE correlation_id = ?",
            *(_outcome(comparison, judge), provider, model, time.time(), str(comparison.correlation_id)),
        )

    def ended(self, job_id: int) -> None:
        """Forget a batch, but for its id."""
        self._database.run("DELETE FROM pairs WHERE job_id = ?", job_id)
        self._database.run(
            "UPDATE batches SET running = 0, request = NULL, facts = NULL, preparation = NULL,"
            " generator = NULL WHERE job_id = ?",
            job_id,
        )

    def end_all(self) -> int:
        """Forget all batches under way, but for their ids; returns how many there were."""
        left = self._database.rows("SELECT job_id FROM batches WHERE running")
        with self.transaction():
            for row in left:
                self.ended(row["job_id"])
        return len(left)

    def running(self, seed: int | None) -> Iterator[Batch]:
        """The batches that were under way when the process ended, as they were.

        Args:
            seed: As for new batches; the kept generator goes on from where it was.
        """
        for row in self._database.rows("SELECT * FROM batches WHERE running ORDER BY job_id"):
            envelope = decode_event(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, row["request"])
            facts = orjson.loads(row["facts"])
            batch = Batch.accept(row["job_id"], row["batch_id"], envelope, facts["budget"], seed)
            batch.budget, batch.trace = facts["budget"], facts["trace"]
            batch.started_at = datetime.fromisoformat(facts["started_at"])
            batch.started -= (utc_now() - batch.started_at).total_seconds()
            batch.resampling_passes = row["resampling_passes"]
            if row["preparation"] is not None:
                self._restore(batch, orjson.loads(row["preparation"]))
            version, state, gauss = orjson.loads(row["generator"])
            batch.random.setstate((version, tuple(state), gauss))
            yield batch

    def _restore(self, batch: Batch, preparation: dict[str, Any]) -> None:
        batch.grade_scale = preparation["grade_scale"]
        batch.context = JudgeContext(**preparation["context"])
        batch.take_essays([Essay(**essay) for essay in preparation["essays"]])
        pairs = self._database.rows("SELECT * FROM pairs WHERE job_id = ? ORDER BY number", batch.job_id)
        for row in pairs:
            batch.wave = row["wave"]
            batch.enter(_comparison(row))
            batch.orientation.remember((row["first"], row["second"]))
        for row in sorted((row for row in pairs if row["outcome"]), key=lambda row: row["settled_at"]):
            comparison = batch.comparisons[UUID(row["correlation_id"])]
            winner = {_FIRST: comparison.first, _SECOND: comparison.second}.get(row["outcome"])
            judge = None if row["outcome"] == _UNSENT else (row["provider"], row["model"])
            batch.record(comparison, winner, judge)


def _comparison(row: Row) -> Comparison:
    return Comparison(
        UUID(row["correlation_id"]), row["first"], row["second"], row["wave"], sent=bool(row["sent"])
    )


def _outcome(comparison: Comparison, judge: tuple[str, str] | None) -> str:
    if comparison.winner is not None:
        return _FIRST if comparison.winner == comparison.first else _SECOND
    return _UNSENT if judge is None else _ERROR


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def _generator(batch: Batch) -> str:
    return _text(batch.random.getstate())
