"""The state's file: durable, one process's own, and clear words when it cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_eng5.pipeline import state_path
from pytest_eng5.pipeline.content.store import DatabaseStore, Stored
from pytest_eng5.pipeline.database import Database
from pytest_eng5.pipeline.errors import PipelineError, StartupFailed
from pytest_eng5.pipeline.state_path import open_state


def filled(path: Path | None = None) -> Database:
    database = Database(path)
    database.define("CREATE TABLE IF NOT EXISTS numbers (n INTEGER PRIMARY KEY)")
    return database


def numbers(database: Database) -> list[int]:
    return [row["n"] for row in database.rows("SELECT n FROM numbers ORDER BY n")]


def test_a_transaction_is_whole_or_nothing() -> None:
    database = filled()
    with database.transaction():
        database.run("INSERT INTO numbers VALUES (?)", 1)
        database.run_many("INSERT INTO numbers VALUES (?)", [(2,), (3,)])
    with suppress(RuntimeError), database.transaction():
        database.run("INSERT INTO numbers VALUES (?)", 4)
        raise RuntimeError
    assert numbers(database) == [1, 2, 3]
    assert database.value("SELECT n FROM numbers WHERE n > 9") is None


def test_a_write_survives_the_kill_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.sqlite"
    script = (
        "import os, pathlib, signal, sys; from pytest_eng5.pipeline.database import Database\n"
        "database = Database(pathlib.Path(sys.argv[1]))\n"
        "database.define('CREATE TABLE numbers (n INTEGER PRIMARY KEY)')\n"
        "for n in range(500): database.run('INSERT INTO numbers VALUES (?)', n)\n"
        "database.run('BEGIN'); database.run('INSERT INTO numbers VALUES (1000)')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60).returncode == -9
    assert numbers(filled(path)) == list(range(500))


def test_nobody_else_reads_the_folder(tmp_path: Path) -> None:
    filled(tmp_path / "folder" / "state.sqlite")
    assert (tmp_path / "folder").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    path.write_text("this is no database, " * 100)
    with pytest.raises(StartupFailed) as caught:
        Database(path)
    assert caught.value.where == str(path)
    assert "--state" in str(caught.value.fix)
    assert path.read_text().startswith("this is no database")


def test_a_state_of_another_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StartupFailed, match="format 99"):
        Database(path)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupFailed):
        open_state(str(tmp_path / "file" / "state.sqlite"), tmp_path / "unused")


def test_a_failing_write_ends_the_pipeline_with_words() -> None:
    database = filled()
    database.run("PRAGMA query_only = ON")
    with pytest.raises(PipelineError) as caught:
        database.run("INSERT INTO numbers VALUES (1)")
    assert caught.value.fix


def test_a_state_knows_its_cluster(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    database = Database(path)
    assert [database.moves_to(name) for name in ("one", "one", "two")] == [False, False, True]
    database.close()
    assert not Database(path).moves_to("two")


def test_memory_keeps_no_file(tmp_path: Path) -> None:
    open_state("memory", tmp_path / "state.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_the_default_is_a_file_and_memory_where_there_can_be_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = tmp_path / "home" / "state.sqlite"
    assert open_state(None, default).path == default
    monkeypatch.setattr(state_path, "_writable", lambda _: False)
    assert open_state(None, default).path is None


@pytest.mark.asyncio
async def test_contents_are_counted_and_kept(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.sqlite")
    store = DatabaseStore(database)
    ids = [await store.put(Stored(body, "text/plain")) for body in (b"\x00\xff", b"same", b"same")]
    assert len(set(ids)) == 3
    database.close()
    again = DatabaseStore(Database(tmp_path / "state.sqlite"))
    assert await again.count() == 3
    assert await again.get(ids[0]) == Stored(b"\x00\xff", "text/plain")
    assert await again.get("0" * 32) is None
