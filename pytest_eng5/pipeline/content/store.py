"""Where the content service keeps bytes: an interface, and the store in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

__all__ = ["ContentStore", "MemoryStore", "Stored"]


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
