"""Planted faults: which a run was to have, and how often each of them fired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from pytest_eng5.evidence.files import write_json
from pytest_eng5.evidence.records import EvidenceError

__all__ = ["FaultRecord", "FaultsFile", "read_faults", "write_faults"]


class FaultRecord(BaseModel):
    """One fault of the plan.

    Attributes:
        fault: What it does, in words.
        where: Its place in the scenario file.
        seen: Events of its topic that the pipeline published.
        fired: How many of them it hit.
    """

    model_config = ConfigDict(frozen=True)

    fault: str
    where: str
    seen: int = 0
    fired: int = 0


class FaultsFile(BaseModel):
    """The shape of ``faults.json``.

    Attributes:
        problem: Why it is unknown how often the faults fired.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: str = "1.0.0"
    faults: tuple[FaultRecord, ...]
    problem: str | None = None

    def unfired(self) -> Iterator[str]:
        """A sentence for every fault that did not show: a negative test with one of them proves nothing."""
        if self.problem is not None:
            yield f"it is unknown whether the planted faults fired: {self.problem}"
            return
        for number, record in enumerate(self.faults, start=1):
            if not record.fired:
                seen = f"{record.seen} event{'' if record.seen == 1 else 's'} of its topic came by"
                yield f"fault {number} never fired: {record.fault} ({record.where}); {seen}"


def write_faults(path: Path, faults: FaultsFile) -> None:
    """Write ``faults.json`` atomically."""
    write_json(path, faults.model_dump(mode="json", exclude_none=True))


def read_faults(path: Path) -> FaultsFile | None:
    """Read ``faults.json``; ``None`` if no faults were planted.

    Raises:
        EvidenceError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        return FaultsFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        where, fix = str(path), "run the scenario again"
        raise EvidenceError(f"no readable counts of faults: {error}", where=where, fix=fix) from error
