"""The counts of planted faults as evidence: written, read back, and told if one never fired."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_eng5.evidence import EvidenceError, FaultRecord, FaultsFile, RunFolder, read_faults, write_faults

FIRED = FaultRecord(fault="drop of result", where="f.eng5.yaml:3", seen=1, fired=1)
IDLE = FaultRecord(fault="drop of comparison_result, nth 9", where="f.eng5.yaml:4", seen=1)


def test_they_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = RunFolder(tmp_path).faults
    faults = FaultsFile(faults=(FIRED, IDLE))
    write_faults(path, faults)
    assert read_faults(path) == faults
    assert json.loads(path.read_text())["schema_version"] == "1.0.0"


def test_most_runs_have_none(tmp_path: Path) -> None:
    assert read_faults(RunFolder(tmp_path).faults) is None


def test_a_damaged_file_is_no_evidence(tmp_path: Path) -> None:
    path = RunFolder(tmp_path).faults
    path.write_text('{"faults": [{"fault": 1}]}')
    with pytest.raises(EvidenceError) as caught:
        read_faults(path)
    assert caught.value.where == str(path)


def test_a_fault_that_never_fired_is_told_with_its_place() -> None:
    assert list(FaultsFile(faults=(FIRED,)).unfired()) == []
    assert list(FaultsFile(faults=(FIRED, IDLE)).unfired()) == [
        "fault 2 never fired: drop of comparison_result, nth 9 (f.eng5.yaml:4); 1 event of its topic came by"
    ]


def test_unknown_counts_are_told_once() -> None:
    faults = FaultsFile(faults=(FIRED, IDLE), problem="the CJ service does not answer")
    assert list(faults.unfired()) == [
        "it is unknown whether the planted faults fired: the CJ service does not answer"
    ]
