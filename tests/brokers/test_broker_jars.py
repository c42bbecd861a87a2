"""Fetching, checking and sharing the jars, against a repository of our own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pytest_eng5.brokers import (
    BrokerError,
    ChecksumMismatch,
    DiskFull,
    KafkaHomeInvalid,
    KafkaNotInstalled,
    NoNetwork,
)
from pytest_eng5.brokers import jars as jars_module
from pytest_eng5.brokers.cache import cache_root
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars, home_jars, jar_folder
from pytest_eng5.brokers.lockfile import KAFKA_VERSION, LockedJars, file_sha256, locked_jars

pytestmark = pytest.mark.usefixtures("empty_cache")


def ignore(_: str) -> None:
    pass


def fetch(locked: LockedJars, *, verify: bool = False) -> KafkaJars:
    return fetched_jars(ignore, locked=locked, verify=verify)


def both_ways_out(error: BaseException) -> bool:
    return "--eng5-kafka-home DIR" in str(error) and "--eng5-broker external" in str(error)


class TestTheList:
    """What the package keeps on record."""

    def test_is_the_pinned_kafka_with_plausible_entries(self):
        locked = locked_jars()
        assert locked.kafka == KAFKA_VERSION == "4.3.0"
        assert len(locked.jars) == 46
        assert len({jar.file_name for jar in locked.jars}) == 46
        assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in locked.jars)
        assert 40e6 < locked.size < 50e6

    def test_holds_the_broker_a_log_binding_and_every_compression(self):
        names = {jar.artifact for jar in locked_jars().jars}
        assert {"kafka_2.13", "kafka-clients", "kafka-metadata", "scala-library", "slf4j-simple"} <= names
        assert {"zstd-jni", "lz4-java", "snappy-java"} <= names

    def test_fingerprint_changes_with_any_jar(self):
        locked = locked_jars()
        other = replace(locked, jars=(replace(locked.jars[0], sha256="0" * 64), *locked.jars[1:]))
        assert other.fingerprint != locked.fingerprint
        assert jar_folder(other) != jar_folder(locked)

    def test_file_sha256_agrees_with_hashlib(self, tmp_path):
        (tmp_path / "x").write_bytes(b"abc" * 100_000)
        assert file_sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()


class TestFetching:
    def test_first_time_fetches_each_jar_once(self, some_jars, mirror, empty_cache):
        said: list[str] = []
        jars = fetched_jars(said.append, locked=some_jars)
        assert [path.name for path in jars.class_path] == [jar.file_name for jar in some_jars.jars]
        assert [file_sha256(path) for path in jars.class_path] == [jar.sha256 for jar in some_jars.jars]
        assert all(path.is_relative_to(empty_cache) for path in jars.class_path)
        assert sorted(mirror.jars_asked().values()) == [1] * 5
        assert len(said) == 1
        assert "Apache Kafka 9.9.9 (5 jars" in said[0]
        assert str(empty_cache) in said[0]

    def test_second_time_asks_nobody_and_reads_no_jar(self, some_jars, mirror, monkeypatch):
        fetch(some_jars)
        mirror.asked.clear()
        monkeypatch.setattr(jars_module, "file_sha256", None)
        monkeypatch.setattr(jars_module, "exclusive", None)
        assert fetch(some_jars).version == "9.9.9"
        assert not mirror.asked

    def test_only_what_is_missing_is_fetched(self, some_jars, mirror):
        jars = fetch(some_jars)
        jars.class_path[2].unlink()
        mirror.asked.clear()
        fetch(some_jars)
        assert list(mirror.jars_asked()) == [mirror.path_of(some_jars.jars[2])]

    def test_nothing_temporary_is_left(self, some_jars):
        folder = fetch(some_jars).cache
        assert sorted(path.name for path in folder.iterdir()) == ["jars", "lock", "verified.json"]

    def test_what_a_killed_session_left_is_swept(self, some_jars):
        jars = fetch(some_jars)
        (jars.cache / "staging-dead").mkdir()
        (jars.cache / "staging-dead" / "half.jar").write_bytes(b"x")
        jars.class_path[0].unlink()
        fetch(some_jars)
        assert not (jars.cache / "staging-dead").exists()

    def test_jars_fetched_before_an_error_are_not_fetched_again(self, some_jars, mirror, monkeypatch):
        monkeypatch.setattr(jars_module, "_PARALLEL", 1)
        last = mirror.path_of(some_jars.jars[-1])
        content = mirror.answers.pop(last)
        with pytest.raises(NoNetwork):
            fetch(some_jars)
        mirror.answers[last] = content
        mirror.asked.clear()
        fetch(some_jars)
        assert list(mirror.jars_asked()) == [last]

    def test_another_list_has_a_folder_of_its_own(self, some_jars):
        fewer = replace(some_jars, jars=some_jars.jars[:3])
        assert fetch(fewer).cache != fetch(some_jars).cache

    def test_a_hiccup_of_the_network_is_survived(self, some_jars, mirror):
        path = mirror.path_of(some_jars.jars[0])
        content = mirror.answers[path]

        def hang_up_once(handler: BaseHTTPRequestHandler) -> None:
            mirror.answers[path] = content
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)

        mirror.answers[path] = hang_up_once
        fetch(some_jars)
        assert mirror.asked[path] == 2


class TestNoNetwork:
    def test_refused_connection(self, some_jars, monkeypatch):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{taken.getsockname()[1]}"
            monkeypatch.setenv("ENG5_MAVEN_REPOSITORY", dead)
            since = time.monotonic()
            with pytest.raises(NoNetwork, match="Connection refused") as caught:
                fetch(some_jars)
        assert time.monotonic() - since < 30
        assert caught.value.where == dead
        assert both_ways_out(caught.value)
        assert "eng5 kafka install" in str(caught.value)
        assert "HTTPS_PROXY" in str(caught.value)

    def test_unknown_host(self, some_jars, monkeypatch):
        monkeypatch.setenv("ENG5_MAVEN_REPOSITORY", "http://repository.invalid/maven2")
        with pytest.raises(NoNetwork, match=r"repository\.invalid"):
            fetch(some_jars)

    def test_jar_that_the_repository_does_not_have(self, some_jars, mirror):
        del mirror.answers[mirror.path_of(some_jars.jars[3])]
        with pytest.raises(NoNetwork, match=r"org\.example:part-3:1\.3 cannot be fetched"):
            fetch(some_jars)
        assert mirror.asked[mirror.path_of(some_jars.jars[3])] == 1  # a refusal is not asked again

    def test_answer_cut_short(self, some_jars, mirror):
        def half(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Content-Length", "100000")
            handler.end_headers()
            handler.wfile.write(b"x" * 50_000)
            handler.close_connection = True

        mirror.answers[mirror.path_of(some_jars.jars[1])] = half
        with pytest.raises((NoNetwork, ChecksumMismatch)) as caught:
            fetch(some_jars)
        assert "part-1" in str(caught.value)
        assert both_ways_out(caught.value)

    def test_error_leaves_no_wrong_jar(self, some_jars, mirror):
        mirror.answers.clear()
        with pytest.raises(NoNetwork):
            fetch(some_jars)
        assert list((jar_folder(some_jars) / "jars").iterdir()) == []
        assert not list(jar_folder(some_jars).glob("staging-*"))

    def test_a_repository_address_may_end_with_a_slash(self, some_jars, mirror, monkeypatch):
        monkeypatch.setenv("ENG5_MAVEN_REPOSITORY", mirror.url + "/")
        fetch(some_jars)
        assert sum(mirror.jars_asked().values()) == 5


class TestChecksums:
    def test_a_repository_that_sends_something_else_is_refused(self, some_jars, mirror):
        jar = some_jars.jars[2]
        mirror.add(jar, b"<html>please log in</html>")
        with pytest.raises(ChecksumMismatch) as caught:
            fetch(some_jars)
        text = str(caught.value)
        assert str(jar) in text
        assert jar.sha256 in text
        assert hashlib.sha256(b"<html>please log in</html>").hexdigest() in text
        assert mirror.url in text
        assert both_ways_out(caught.value)
        assert not (jar_folder(some_jars) / "jars" / jar.file_name).exists()

    def test_a_changed_jar_in_the_cache_is_found_by_size(self, some_jars):
        path = fetch(some_jars).class_path[1]
        path.write_bytes(path.read_bytes() + b"!")
        with pytest.raises(ChecksumMismatch) as caught:
            fetch(some_jars)
        assert caught.value.where == str(path)
        assert "delete it" in str(caught.value)
        assert both_ways_out(caught.value)

    def test_a_changed_jar_of_the_same_size_is_found_by_date(self, some_jars):
        path = fetch(some_jars).class_path[1]
        path.write_bytes(b"?" * path.stat().st_size)
        os.utime(path, (time.time() + 5, time.time() + 5))
        with pytest.raises(ChecksumMismatch):
            fetch(some_jars)

    def test_a_well_disguised_jar_is_found_by_verify(self, some_jars):
        path = fetch(some_jars).class_path[1]
        stat = path.stat()
        path.write_bytes(b"?" * stat.st_size)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        fetch(some_jars)  # size and date are right: not looked into
        with pytest.raises(ChecksumMismatch, match=hashlib.sha256(b"?" * stat.st_size).hexdigest()):
            fetch(some_jars, verify=True)

    def test_deleting_the_jar_as_the_message_says_helps(self, some_jars):
        path = fetch(some_jars).class_path[1]
        path.write_bytes(b"!")
        with pytest.raises(ChecksumMismatch):
            fetch(some_jars)
        path.unlink()
        assert file_sha256(fetch(some_jars).class_path[1]) == some_jars.jars[1].sha256

    def test_a_new_date_costs_one_check_only(self, some_jars, monkeypatch):
        path = fetch(some_jars).class_path[1]
        os.utime(path, (1, 1))
        checked: list[Path] = []
        monkeypatch.setattr(
            jars_module, "file_sha256", lambda path: checked.append(path) or file_sha256(path)
        )
        fetch(some_jars)
        fetch(some_jars)
        assert checked == [path]

    def test_parts_of_a_second_do_not_matter(self, some_jars, monkeypatch):
        """Archives of CI caches keep whole seconds."""
        for path in fetch(some_jars).class_path:
            second = int(path.stat().st_mtime)
            os.utime(path, (second, second))
        monkeypatch.setattr(jars_module, "file_sha256", None)
        fetch(some_jars)

    @pytest.mark.parametrize("content", ["", "[]", "{", "null", '{"part-0-1.0.jar": 5}'])
    def test_a_broken_note_of_what_was_checked_means_checking_again(self, some_jars, content):
        folder = fetch(some_jars).cache
        (folder / "verified.json").write_text(content)
        fetch(some_jars)
        assert len(json.loads((folder / "verified.json").read_text())) == 5


class TestReadOnlyCache:
    """A cache baked into an image cannot be written, and need not be."""

    @pytest.fixture(autouse=True)
    def _read_only(self, monkeypatch):
        monkeypatch.setattr(jars_module, "_is_read_only", lambda folder: folder.is_dir())

    def test_complete_one_is_checked_and_used(self, some_jars, monkeypatch):
        folder = fetch(some_jars).cache
        (folder / "verified.json").unlink()
        monkeypatch.setattr(jars_module, "exclusive", None)
        assert fetch(some_jars).cache == folder
        assert not (folder / "verified.json").exists()

    def test_wrong_jar_in_it_is_found(self, some_jars):
        path = fetch(some_jars).class_path[0]
        path.write_bytes(b"!")
        with pytest.raises(ChecksumMismatch):
            fetch(some_jars)


class TestDisk:
    def test_too_little_space_is_told_before_anything_is_fetched(self, some_jars, mirror, monkeypatch):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6)
        )
        with pytest.raises(DiskFull, match=r"needs \d+ MB, only 1 MB are free") as caught:
            fetch(some_jars)
        assert not mirror.asked
        assert "ENG5_CACHE_DIR" in str(caught.value)
        assert caught.value.where == str(jar_folder(some_jars))

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_disk_that_fills_up_while_fetching(self, some_jars, monkeypatch, number):
        def full(*_: object) -> Path:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(jars_module, "_resolve", full)
        with pytest.raises(DiskFull, match="no space left") as caught:
            fetch(some_jars)
        assert "free some space" in str(caught.value)

    def test_a_really_full_disk(self, some_jars, monkeypatch):
        """/dev/full answers every write with "no space left on device"."""
        if not Path("/dev/full").exists():
            pytest.skip("there is no /dev/full here")

        def write_to_full(*_: object) -> Path:
            with Path("/dev/full").open("wb") as file:
                file.write(b"x" * 100_000)
            return Path("/dev/full")

        monkeypatch.setattr(jars_module, "_resolve", write_to_full)
        with pytest.raises(DiskFull):
            fetch(some_jars)

    def test_cache_folder_that_cannot_be_made(self, some_jars, tmp_path, monkeypatch):
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(Path, "mkdir", refuse)
        with pytest.raises(BrokerError, match=r"cannot be written: .*Permission denied") as caught:
            fetch(some_jars)
        assert "ENG5_CACHE_DIR" in str(caught.value)


class TestPackages:
    def test_jgo_is_needed_only_to_fetch(self, some_jars, monkeypatch):
        fetch(some_jars)
        monkeypatch.setattr(jars_module.importlib.util, "find_spec", lambda _: None)
        fetch(some_jars)

    def test_without_jgo_the_message_says_what_to_install(self, some_jars, monkeypatch):
        monkeypatch.setattr(jars_module.importlib.util, "find_spec", lambda _: None)
        with pytest.raises(KafkaNotInstalled, match=r"pip install 'pytest-eng5\[embedded\]'") as caught:
            fetch(some_jars)
        assert both_ways_out(caught.value)


class TestTwoAtOnce:
    def test_threads_fetch_each_jar_once(self, some_jars, mirror):
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: fetch(some_jars).class_path, range(4)))
        assert len(set(results)) == 1
        assert sorted(mirror.jars_asked().values()) == [1] * 5

    def test_processes_fetch_each_jar_once(self, some_jars, mirror, script, tmp_path):
        (tmp_path / "list.json").write_text(
            json.dumps({"kafka": some_jars.kafka, "jars": [vars(jar) for jar in some_jars.jars]})
        )
        code = """
            import json, sys
            from pytest_eng5.brokers.jars import fetched_jars
            from pytest_eng5.brokers.lockfile import Jar, LockedJars
            data = json.load(open(sys.argv[1]))
            locked = LockedJars(data["kafka"], tuple(Jar(**jar) for jar in data["jars"]))
            fetched_jars(lambda _: None, locked=locked)
            print(json.dumps("done"))
        """
        with ThreadPoolExecutor(3) as pool:
            scripts = list(pool.map(lambda _: script(code, str(tmp_path / "list.json")), range(3)))
        assert [each.first for each in scripts] == ["done"] * 3
        assert sorted(mirror.jars_asked().values()) == [1] * 5


class TestUnpackedDistribution:
    @pytest.fixture
    def home(self, tmp_path):
        libs = tmp_path / "kafka_2.13-4.1.0" / "libs"
        libs.mkdir(parents=True)
        for name in (
            "kafka_2.13-4.1.0",
            "kafka-clients-4.1.0",
            "scala-library-2.13.16",
            "kafka_2.13-4.1.0-sources",
        ):
            (libs / f"{name}.jar").write_bytes(b"jar")
        (libs / "kafka_2.13-4.1.0.jar.asc").write_bytes(b"signature")
        return libs.parent

    def test_its_jars_make_the_class_path(self, home, empty_cache):
        jars = home_jars(home)
        assert jars.version == "4.1.0"
        names = [path.name for path in jars.class_path]
        assert names == ["kafka-clients-4.1.0.jar", "kafka_2.13-4.1.0.jar", "scala-library-2.13.16.jar"]
        assert jars.cache.is_relative_to(empty_cache)
        assert jars.origin == home

    def test_two_distributions_do_not_share_what_is_derived(self, home, tmp_path):
        other = tmp_path / "other"
        shutil.copytree(home, other)
        assert home_jars(home).cache != home_jars(other).cache

    def test_a_replaced_jar_changes_the_fingerprint(self, home):
        before = home_jars(home).fingerprint
        assert home_jars(home).fingerprint == before
        (home / "libs" / "kafka-clients-4.1.0.jar").write_bytes(b"another jar")
        assert home_jars(home).fingerprint != before

    @pytest.mark.parametrize("wrong", ["missing", "empty", "itself/libs"])
    def test_a_folder_that_is_none_is_refused(self, home, tmp_path, wrong):
        (tmp_path / "empty").mkdir()
        folder = home / "libs" if wrong == "itself/libs" else tmp_path / wrong
        with pytest.raises(KafkaHomeInvalid, match=r"libs/kafka_2.13-VERSION.jar") as caught:
            home_jars(folder)
        assert caught.value.where == str(folder)

    def test_nothing_is_fetched_for_it(self, home, mirror):
        home_jars(home)
        assert not mirror.asked


class TestCacheRoot:
    def test_is_the_users_unless_chosen(self, monkeypatch, tmp_path):
        monkeypatch.setenv("ENG5_CACHE_DIR", str(tmp_path))
        assert cache_root() == tmp_path
        monkeypatch.delenv("ENG5_CACHE_DIR")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_root().name == "pytest-eng5"

    def test_home_and_relative_paths_are_understood(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ENG5_CACHE_DIR", "here")
        assert cache_root() == tmp_path / "here"
        monkeypatch.setenv("ENG5_CACHE_DIR", "~/there")
        assert cache_root() == Path.home() / "there"
