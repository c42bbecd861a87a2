"""The folder that keeps a broker's records: what it is like decides; nothing is started."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from pytest_eng5.brokers import BrokerError, DiskFull
from pytest_eng5.brokers.data import kept_data
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars
from pytest_eng5.brokers.java import find_java


class TestDataFolder:
    @pytest.fixture
    def jars(self, prepared) -> KafkaJars:
        return fetched_jars(print)

    def look(self, folder: Path, jars: KafkaJars) -> Path:
        with kept_data(folder, find_java(), jars) as found:
            return found

    @pytest.fixture
    def formatted(self, tmp_path, jars) -> Path:
        return self.look(tmp_path / "data", jars)

    def content(self, folder: Path) -> set[str] | None:
        return {path.name for path in folder.iterdir()} - {"lock"} if folder.is_dir() else None

    def refused(self, folder: Path, jars: KafkaJars, what: str) -> BrokerError:
        before = self.content(folder)
        with pytest.raises(BrokerError, match=what) as caught:
            self.look(folder, jars)
        assert self.content(folder) == before
        assert caught.value.fix
        return caught.value

    def test_of_another_user(self, formatted, jars, monkeypatch):
        def refuse(_: Path) -> bool:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pytest_eng5.brokers.data.is_free", refuse)
        self.refused(formatted, jars, "the data folder cannot be written: Permission denied")

    def test_is_made_and_formatted_once(self, formatted, jars):
        ids = (formatted / "meta.properties").read_bytes()
        assert self.look(formatted, jars) == formatted
        assert (formatted / "meta.properties").read_bytes() == ids

    def test_cut_short_while_formatting_is_done_again(self, formatted, jars):
        (formatted / "meta.properties").unlink()
        self.look(formatted, jars)
        assert (formatted / "meta.properties").exists()

    def test_of_another_cluster(self, formatted, jars):
        (formatted / "eng5-kafka.json").unlink()
        assert "choose another" in str(self.refused(formatted, jars, "belongs to another Kafka cluster").fix)

    def test_of_a_newer_kafka(self, formatted, jars):
        (formatted / "eng5-kafka.json").write_text('{"kafka": "4.10.0"}')
        self.refused(formatted, jars, r"made by Apache Kafka 4\.10\.0, which is newer than 4\.3\.0")

    def test_of_an_older_kafka_is_fine(self, formatted, jars):
        (formatted / "eng5-kafka.json").write_text('{"kafka": "4.1.1"}')
        self.look(formatted, jars)

    @pytest.mark.parametrize("note", ["", "{}", "[]", "null", "\xff"])
    def test_with_a_broken_note(self, formatted, jars, note):
        (formatted / "eng5-kafka.json").write_bytes(note.encode("latin-1"))
        self.refused(formatted, jars, "the note about the data folder cannot be read")

    def test_with_other_things_in_it(self, tmp_path, jars):
        for name in "abcd":
            (tmp_path / name).touch()
        error = self.refused(tmp_path, jars, r"not empty and holds no records of Kafka: a, b, c, \.\.\.")
        assert error.where == str(tmp_path)

    def test_that_is_a_file(self, tmp_path, jars):
        (tmp_path / "file").touch()
        self.refused(tmp_path / "file", jars, "the data folder cannot be written: File exists")
        self.refused(tmp_path / "file" / "sub", jars, "the data folder cannot be written: Not a directory")

    def test_too_little_space(self, tmp_path, jars, monkeypatch):
        usage = shutil._ntuple_diskusage(10**9, 10**9, 10**6)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(DiskFull, match="the data of the embedded broker"):
            self.look(tmp_path / "data", jars)

    def test_is_formatted_by_one_of_two_at_once(self, tmp_path, jars):
        found: list[bytes] = []

        def take() -> None:
            with kept_data(tmp_path / "data", find_java(), jars) as folder:
                found.append((folder / "meta.properties").read_bytes())

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 4
        assert len(set(found)) == 1
