"""The rendered prompts of a run, as far as they could be had: what its prompt hashes are derived from again.

One JSON object a line: ``storage_id`` under which the pipeline keeps the prompt, and its ``text``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from pytest_eng5.evidence.files import write_atomic
from pytest_eng5.evidence.records import EvidenceError

__all__ = ["read_prompts", "write_prompts"]


def write_prompts(path: Path, prompts: Iterable[tuple[str, str]]) -> None:
    """Write (storage id, text) pairs atomically."""
    lines = (orjson.dumps({"storage_id": storage, "text": text}) + b"\n" for storage, text in prompts)
    write_atomic(path, b"".join(lines))


def read_prompts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (storage id, text) pairs; none if the run kept no prompts.

    Raises:
        EvidenceError: The file is damaged.
    """
    if not path.exists():
        return
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = orjson.loads(line)
                yield str(row["storage_id"]), str(row["text"])
            except (ValueError, KeyError, TypeError) as error:
                where = f"{path.name}:{number}"
                raise EvidenceError("not a line of kept prompts", where=where, fix="run again") from error
