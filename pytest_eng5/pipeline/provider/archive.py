"""Keeps the exact prompts that went to the judge, so that their hashes can be derived again."""

from __future__ import annotations

from pytest_eng5.pipeline.content.store import ContentStore, Stored

__all__ = ["PromptArchive"]


class PromptArchive:
    """Keeps prompts where the content service finds them.

    The store is shared with the content service of the same process: a second HTTP request for every
    comparison would cost as much as the comparison.

    Args:
        store: The content service's store; ``None`` to keep nothing.
    """

    def __init__(self, store: ContentStore | None) -> None:
        self._store = store

    async def keep(self, prompt: str) -> str | None:
        """Storage id of the prompt's UTF-8 bytes; ``None`` when nothing is kept."""
        if self._store is None:
            return None
        return await self._store.put(Stored(prompt.encode(), "text/plain; charset=utf-8"))
