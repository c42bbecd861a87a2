"""Durable files: logs that only grow, final files that are whole or not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_eng5.evidence import AppendOnlyLog, json_bytes, write_atomic, write_json


def test_a_log_keeps_its_lines_in_order(tmp_path: Path) -> None:
    with AppendOnlyLog(tmp_path / "events" / "a.jsonl") as log:
        assert [log.append(line) for line in (b"one", b"two", b"")] == [1, 2, 3]
        assert log.lines == 3
    assert (tmp_path / "events" / "a.jsonl").read_bytes() == b"one\ntwo\n\n"


def test_an_unused_log_leaves_no_file(tmp_path: Path) -> None:
    with AppendOnlyLog(tmp_path / "events" / "a.jsonl") as log:
        log.sync()
    assert list(tmp_path.iterdir()) == []


def test_a_log_never_rewrites_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"before\n")
    inode = path.stat().st_ino
    contents = []
    with AppendOnlyLog(path) as log:
        for number in range(20):
            log.append(b"line %d" % number)
            log.sync()
            contents.append(path.read_bytes())
    assert all(later.startswith(earlier) for earlier, later in pairwise(contents))
    assert contents[0] == b"before\nline 0\n"
    assert path.stat().st_ino == inode
    assert list(tmp_path.iterdir()) == [path]


def test_two_logs_on_one_file_both_append(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with AppendOnlyLog(path) as one, AppendOnlyLog(path) as two:
        for log, line in ((one, b"1"), (two, b"2"), (one, b"3")):
            log.append(line)
            log.sync()
    assert path.read_bytes() == b"1\n2\n3\n"


def test_sync_hands_the_bytes_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    seen: list[bytes] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        seen.append(path.read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    with AppendOnlyLog(path) as log:
        log.append(b"one")
        log.append(b"two")
        assert seen == []
        log.sync()
        log.sync()
        assert seen == [b"one\ntwo\n"]
        log.append(b"three")
    assert seen == [b"one\ntwo\n", b"one\ntwo\nthree\n"]


def test_what_was_synced_survives_a_killed_process(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from pytest_eng5.evidence import AppendOnlyLog
        log = AppendOnlyLog(Path(sys.argv[1]))
        for number in range(100):
            log.append(b"line %d" % number)
        log.sync()
        log.append(b"not yet")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    path = tmp_path / "a.jsonl"
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(path)], check=False, timeout=60)
    assert run.returncode == -9
    assert path.read_bytes() == b"".join(b"line %d\n" % number for number in range(100))


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    log = AppendOnlyLog(tmp_path / "a.jsonl")
    log.append(b"x")
    log.close()
    log.close()
    log.append(b"y")
    log.close()
    assert (tmp_path / "a.jsonl").read_bytes() == b"x\ny\n"


def _seconds_to_append(path: Path, lines: int) -> float:
    start = time.process_time()
    with AppendOnlyLog(path) as log:
        for _ in range(lines):
            log.append(b"x" * 300)
    return time.process_time() - start


def test_appending_is_linear(tmp_path: Path) -> None:
    # Contract 13, R2: the previous runner rewrote and re-hashed everything at each event.
    _seconds_to_append(tmp_path / "warm", 100)
    few = min(_seconds_to_append(tmp_path / f"few{k}", 5_000) for k in range(3))
    many = min(_seconds_to_append(tmp_path / f"many{k}", 50_000) for k in range(3))
    print(f"5,000 lines in {few * 1e3:.1f} ms, 50,000 in {many * 1e3:.1f} ms")
    assert many < 10 * few * 5 + 0.1


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file.json"
    write_atomic(path, b"one")
    write_atomic(path, b"two, longer")
    assert path.read_bytes() == b"two, longer"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("before", [None, b"the old file"])
def test_a_crash_before_the_rename_leaves_the_old_file(
    before: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    if before is not None:
        path.write_bytes(before)

    def crash(self: Path, target: Path) -> Path:
        assert self.read_bytes() == b"the new file", "the temporary file is complete before the rename"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"the new file")
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir()} == (
        {} if before is None else {"file.json": before}
    )


def test_the_content_is_on_disk_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def record_fsync(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def record_replace(self: Path, target: Any) -> Path:
        steps.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(Path, "replace", record_replace)
    write_atomic(tmp_path / "file.json", b"content")
    assert steps == ["fsync", "rename", "fsync"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomic(path, b"a" * 100_000)
    reader = path.open("rb")
    start = reader.read(10)
    write_atomic(path, b"b" * 100_000)
    with reader:
        assert set(start + reader.read()) == {ord("a")}
    assert set(path.read_bytes()) == {ord("b")}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )
)
def test_json_files_are_ascii_and_read_back(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "value.json"
    write_json(path, value)
    assert path.read_bytes().isascii()
    assert path.read_bytes().endswith(b"\n")
    assert json.loads(path.read_bytes()) == value


def test_the_json_form_is_fixed() -> None:
    assert json_bytes({"b": "é", "a": [1]}) == b'{\n  "b": "\\u00e9",\n  "a": [\n    1\n  ]\n}\n'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_refused_and_nothing_is_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "value.json", {"theta": value})
    assert list(tmp_path.iterdir()) == []
