"""The start-up cache: made by the first run, used by later ones, never the cause of a failed start."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from pytest_eng5.brokers import BrokerStopped, attach, probe
from pytest_eng5.brokers import embedded as embedded_module
from pytest_eng5.brokers.aot import StartupCache, Training
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars
from pytest_eng5.brokers.java import Java, find_java


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Java, KafkaJars]:
    """A runtime and jars that are only files."""
    home = tmp_path / "java"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\nexit 0\n")
    (home / "bin" / "java").chmod(0o755)
    jar = tmp_path / "a.jar"
    jar.write_bytes(b"jar")
    return Java(home, 25, "test"), KafkaJars("1", (jar,), tmp_path, tmp_path / "cache")


class TestKey:
    def test_same_parts_same_file(self, parts):
        assert StartupCache.of(*parts).path == StartupCache.of(*parts).path

    def test_another_jar_another_file(self, parts, tmp_path):
        before = StartupCache.of(*parts).path
        (tmp_path / "a.jar").write_bytes(b"another")
        assert StartupCache.of(*parts).path != before

    def test_another_runtime_another_file(self, parts):
        before = StartupCache.of(*parts).path
        (parts[0].home / "release").write_text('JAVA_VERSION="25.0.9"')
        assert StartupCache.of(*parts).path != before

    def test_other_flags_another_file(self, parts, monkeypatch):
        before = StartupCache.of(*parts).path
        monkeypatch.setattr("pytest_eng5.brokers.aot.JVM_FLAGS", ("-Xmx1g",))
        assert StartupCache.of(*parts).path != before

    @pytest.mark.parametrize(
        ("version", "suffix", "writes", "uses"),
        [
            (25, ".aot", "-XX:AOTCacheOutput=", "-XX:AOTCache="),
            (26, ".aot", "-XX:AOTCacheOutput=", "-XX:AOTCache="),
            (24, ".jsa", "-XX:ArchiveClassesAtExit=", "-XX:SharedArchiveFile="),
            (17, ".jsa", "-XX:ArchiveClassesAtExit=", "-XX:SharedArchiveFile="),
        ],
    )
    def test_flags_are_those_the_runtime_knows(self, parts, version, suffix, writes, uses):
        java, jars = parts
        cache = StartupCache.of(Java(java.home, version, ""), jars)
        assert cache.path.suffix == suffix
        planned = cache.training()
        assert planned is not None
        training, flags = planned
        assert flags == (writes + training.output,)
        assert uses + str(cache.path) in cache.use_flags()
        assert uses + training.output in training.check
        assert training.check[-1] == "-version"


class TestKeeping:
    def trained(self, parts) -> tuple[StartupCache, Training]:
        cache = StartupCache.of(*parts)
        planned = cache.training()
        assert planned is not None
        Path(planned[0].output).write_bytes(b"cache")
        return cache, planned[0]

    def test_a_good_one_is_put_in_place(self, parts):
        cache, training = self.trained(parts)
        assert not cache.ready
        assert training.keep()
        assert cache.ready
        assert [path.name for path in cache.path.parent.iterdir()] == [cache.path.name]

    def test_one_the_runtime_refuses_is_thrown_away(self, parts):
        cache, training = self.trained(parts)
        (parts[0].home / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
        assert not training.keep()
        assert not cache.ready
        assert not Path(training.output).exists()

    def test_a_run_that_left_nothing(self, parts):
        cache, training = self.trained(parts)
        Path(training.output).unlink()
        assert not training.keep()
        assert not cache.ready

    def test_a_failed_run_leaves_nothing(self, parts):
        cache, training = self.trained(parts)
        training.drop()
        training.drop()
        assert list(cache.path.parent.iterdir()) == []

    def test_record_survives_json(self, parts):
        _, training = self.trained(parts)
        assert Training(**asdict(training)) == training

    def test_two_runs_at_once_write_to_different_files(self, parts):
        cache = StartupCache.of(*parts)
        one, two = cache.training(), cache.training()
        assert one is not None
        assert two is not None
        assert one[0].output != two[0].output
        assert one[0].target == two[0].target

    def test_a_few_newest_are_kept_and_what_is_long_dead_is_swept(self, parts):
        cache, training = self.trained(parts)
        folder = cache.path.parent
        for number in range(6):
            (folder / f"old{number}.aot").touch()
            os.utime(folder / f"old{number}.aot", (number + 1, number + 1))
        (folder / "dead.aot.1.2.new").touch()
        os.utime(folder / "dead.aot.1.2.new", (1, 1))
        (folder / "running.aot.1.2.new").touch()
        assert training.keep()
        names = {path.name for path in folder.iterdir()}
        assert names == {cache.path.name, "old5.aot", "old4.aot", "old3.aot", "running.aot.1.2.new"}

    def test_nothing_is_trained_where_nothing_can_be_kept(self, parts, monkeypatch):
        cache = StartupCache.of(*parts)
        monkeypatch.setattr(os, "access", lambda *_: False)
        assert cache.training() is None

    def test_nothing_is_trained_on_a_disk_almost_full(self, parts, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**8))
        assert StartupCache.of(*parts).training() is None

    def test_nothing_is_trained_where_no_folder_can_be_made(self, parts, tmp_path):
        (tmp_path / "cache").write_text("a file in the way")
        assert StartupCache.of(*parts).training() is None


class TestWithKafka:
    """On copies of the real jars, so that nobody else's cache is touched."""

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_first_run_trains_the_second_uses_it(self, copied_cache, own_broker, capsys):
        seconds = {}
        lines: list[str] = []
        for name in ("untrained", "trained"):
            broker = own_broker(report=lines.append)
            since = time.monotonic()
            broker.start()
            seconds[name] = time.monotonic() - since
            assert broker.trains == (name == "untrained")
            since = time.monotonic()
            broker.stop()
            seconds[f"{name} stop"] = time.monotonic() - since
            assert not broker.trains
        with capsys.disabled():
            print("\n" + ", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()))
        assert lines == ["preparing the start-up cache of later sessions (once, some seconds)"]
        assert StartupCache.of(find_java(), fetched_jars(print)).ready
        assert seconds["trained"] < seconds["untrained"]
        assert [path.suffix for path in (copied_cache / "startup").iterdir()] == [".aot"]

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_training_is_kept_by_whoever_stops_the_broker(self, copied_cache, own_broker, script, witness):
        code = """
            import json, sys, time
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, create_broker
            options = BrokerOptions(kind="embedded", work_dir=Path(sys.argv[1]), watch_pid=int(sys.argv[2]))
            broker = create_broker(options)
            broker.start()
            print(json.dumps(broker.record()), flush=True)
        """
        worker = script(code, str(copied_cache.parent / "work"), str(os.getpid()))
        worker.process.wait(60)
        broker = attach(worker.first)
        assert broker.trains
        broker.stop()
        assert StartupCache.of(find_java(), fetched_jars(print)).ready
        assert witness.gone(broker.home)

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_a_kill_while_training_is_as_quick_as_ever(self, copied_cache, script, witness):
        code = """
            import json, sys, time
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, create_broker
            broker = create_broker(BrokerOptions(kind="embedded", work_dir=Path(sys.argv[1])))
            broker.start()
            print(json.dumps(broker.record()), flush=True)
            time.sleep(600)
        """
        session = script(code, str(copied_cache.parent / "work"))
        broker = attach(session.first)
        assert broker.trains
        session.kill()
        assert witness.eventually(lambda: witness.gone(broker.home))
        assert not StartupCache.of(find_java(), fetched_jars(print)).ready

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_a_cache_that_went_bad_costs_one_start_only(self, copied_cache, own_broker, monkeypatch):
        """A runtime that ends on a bad cache instead of ignoring it, as one cut short may make it do."""
        cache = StartupCache.of(find_java(), fetched_jars(print))
        cache.path.parent.mkdir(parents=True)
        cache.path.write_bytes(b"not a cache")
        monkeypatch.setattr(
            StartupCache, "use_flags", lambda self: (f"-XX:AOTCache={self.path}", "-XX:AOTMode=on")
        )
        broker = own_broker()
        assert asyncio.run(probe(broker.start())) == 1
        assert not cache.path.exists()
        assert not broker.trains

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_a_cache_that_the_runtime_ignores_does_no_harm(self, copied_cache, own_broker):
        cache = StartupCache.of(find_java(), fetched_jars(print))
        cache.path.parent.mkdir(parents=True)
        cache.path.write_bytes(b"not a cache")
        assert asyncio.run(probe(own_broker().start())) == 1

    def test_a_good_cache_survives_trouble_of_another_kind(self, copied_cache, own_broker, monkeypatch):
        cache = StartupCache.of(find_java(), fetched_jars(print))
        cache.path.parent.mkdir(parents=True)
        cache.path.write_bytes(b"pretends to be one")
        real = embedded_module.server_properties
        monkeypatch.setattr(
            embedded_module, "server_properties", lambda *some: {**real(*some), "num.io.threads": "-1"}
        )
        with pytest.raises(BrokerStopped, match=r"num\.io\.threads"):
            own_broker().start()
        assert cache.ready

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_a_failed_start_leaves_no_training_behind(self, copied_cache, own_broker, monkeypatch):
        real = embedded_module.server_properties
        monkeypatch.setattr(
            embedded_module, "server_properties", lambda *some: {**real(*some), "num.io.threads": "-1"}
        )
        with pytest.raises(BrokerStopped):
            own_broker().start()
        assert list((copied_cache / "startup").iterdir()) == []

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_no_training_where_the_cache_cannot_be_written(self, copied_cache, own_broker, monkeypatch):
        monkeypatch.setattr(StartupCache, "training", lambda _: None)
        broker = own_broker()
        assert asyncio.run(probe(broker.start())) == 1
        assert not broker.trains
        broker.stop()
        assert not (copied_cache / "startup").exists()
