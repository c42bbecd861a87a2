"""Where the content service keeps bytes: an interface, the store in memory, and the one in the state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from pytest_eng5.pipeline.database import Database

__all__ = ["ContentStore", "DatabaseStore", "MemoryStore", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """One content: its bytes and the content type it was sent with."""

    body: bytes
    content_type: str


class ContentStore(Protocol):
    """Keeps contents under ids of its own; equal contents get different ids."""

    async def put(self, content: Stored) -> str:
        """Keep a content; returns its id, 32 lower-case hexadecimal digits."""
        ...

    async def get(self, storage_id: str) -> Stored | None:
        """The content of an id, ``None`` if there is none."""
        ...

    async def count(self) -> int:
        """How many contents are kept."""
        ...


class MemoryStore:
    """Contents in memory; gone with the process."""

    def __init__(self) -> None:
        self._contents: dict[str, Stored] = {}

    async def put(self, content: Stored) -> str:
        """Keep a content under a random id."""
        storage_id = uuid4().hex
        self._contents[storage_id] = content
        return storage_id

    async def get(self, storage_id: str) -> Stored | None:
        """The content of an id, ``None`` if there is none."""
        return self._contents.get(storage_id)

    async def count(self) -> int:
        """How many contents are kept."""
        return len(self._contents)


class DatabaseStore:
    """Contents in the state of the process.

    Args:
        database: The state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.define(
            "CREATE TABLE IF NOT EXISTS contents (storage_id TEXT PRIMARY KEY, body BLOB NOT NULL,"
            " content_type TEXT NOT NULL)"
        )
        self._count = int(database.value("SELECT COUNT(*) FROM contents"))

    async def put(self, content: Stored) -> str:
        """Keep a content under a random id."""
        storage_id = uuid4().hex
        self._database.run(
            "INSERT INTO contents VALUES (?, ?, ?)", storage_id, content.body, content.content_type
        )
        self._count += 1
        return storage_id

    async def get(self, storage_id: str) -> Stored | None:
        """The content of an id, ``None`` if there is none."""
        found = self._database.row("SELECT body, content_type FROM contents WHERE storage_id = ?", storage_id)
        return None if found is None else Stored(found["body"], found["content_type"])

    async def count(self) -> int:
        """How many contents are kept."""
        return self._count
