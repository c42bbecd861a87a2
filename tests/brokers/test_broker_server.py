"""Properties, storage, command line, ports, temporary folders: the parts of a start."""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import BrokerError, BrokerStopped, DiskFull
from pytest_eng5.brokers import server as server_module
from pytest_eng5.brokers.cache import clear_disk_errors, exclusive, require_space
from pytest_eng5.brokers.home import make_home, sweep_homes
from pytest_eng5.brokers.jars import KafkaJars, fetched_jars
from pytest_eng5.brokers.java import Java, find_java
from pytest_eng5.brokers.ports import hold_port, reserve_ports
from pytest_eng5.brokers.server import (
    JVM_FLAGS,
    class_path_text,
    format_storage,
    java_command,
    java_environment,
    server_properties,
    write_properties,
)

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="works this way on Linux only")


def read_properties(path: Path) -> dict[str, str]:
    """An independent reader of the part of the format that is written here (java.util.Properties.load)."""
    found = {}
    for line in path.read_bytes().decode("latin-1").splitlines():
        if not line or line.startswith("#"):
            continue
        key, _, value = line.partition("=")
        value = re.sub(
            r"\\(u([0-9a-f]{4})|.)",
            lambda match: chr(int(match[2], 16)) if match[2] else match[1],
            value.lstrip(" \t\f"),
        )
        found[key] = value.encode("utf-16-be", "surrogatepass").decode("utf-16-be")
    return found


class TestProperties:
    def test_one_node_is_broker_and_controller_on_loopback(self):
        properties = server_properties("data", 1111, 2222)
        assert properties["process.roles"] == "broker,controller"
        assert properties["listeners"] == "PLAINTEXT://127.0.0.1:1111,CONTROLLER://127.0.0.1:2222"
        assert properties["advertised.listeners"] == "PLAINTEXT://127.0.0.1:1111"
        assert properties["controller.quorum.voters"].endswith("@127.0.0.1:2222")
        assert properties["log.dirs"] == "data"

    def test_every_replication_factor_and_min_isr_is_one(self):
        properties = server_properties("data", 1, 2)
        factors = [
            value for key, value in properties.items() if "replication.factor" in key or "min.i" in key
        ]
        assert len(factors) == 7
        assert set(factors) == {"1"}

    def test_no_topic_appears_unasked_and_no_record_expires(self):
        properties = server_properties("data", 1, 2)
        assert properties["auto.create.topics.enable"] == "false"
        assert properties["log.retention.ms"] == "-1"

    def test_overrides_replace_and_add(self):
        properties = server_properties("data", 1, 2, {"log.retention.ms": "5", "ssl.x": "y"})
        assert (properties["log.retention.ms"], properties["ssl.x"]) == ("5", "y")

    @given(
        st.dictionaries(
            st.from_regex(r"[a-z][a-z.]{0,10}", fullmatch=True),
            st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: "/" + text),
        )
    )
    def test_file_reads_back_whatever_the_values(self, tmp_path_factory, values):
        path = write_properties(tmp_path_factory.mktemp("p") / "file", values)
        assert read_properties(path) == values
        assert path.read_bytes().isascii()


class TestCommand:
    JAVA = Java(Path("/java"), 25, "here")

    def test_names_every_jar(self, tmp_path):
        jars = KafkaJars("1", (tmp_path / "a.jar", tmp_path / "b.jar"), tmp_path, tmp_path)
        command = java_command(self.JAVA, jars, ["kafka.Kafka", "p"], ["-XX:AOTCache=x"])
        assert command[0] == "/java/bin/java"
        assert set(JVM_FLAGS) < set(command)
        assert "-XX:AOTCache=x" in command
        assert command[-4:] == ["-cp", f"{tmp_path}/a.jar:{tmp_path}/b.jar", "kafka.Kafka", "p"]

    def test_a_path_java_cannot_use_is_refused(self):
        jars = KafkaJars("1", (Path("/with:colon/a.jar"),), Path("/"), Path("/"))
        with pytest.raises(BrokerError, match="ENG5_CACHE_DIR"):
            class_path_text(jars)

    def test_environment_of_the_user_does_not_change_the_broker(self, monkeypatch):
        for name in ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"):
            monkeypatch.setenv(name, "-javaagent:evil.jar")
        monkeypatch.setenv("OTHER", "kept")
        environment = java_environment()
        assert "-javaagent:evil.jar" not in environment.values()
        assert environment["OTHER"] == "kept"

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ({"LANG": "sv_SE.UTF-8"}, True),
            ({"LC_ALL": "C.utf8"}, True),
            ({"LC_ALL": "C", "LANG": "en_US.UTF-8"}, False),
            ({"LC_CTYPE": "POSIX"}, False),
            ({}, False),
            ({"LC_ALL": "", "LANG": "en_US.UTF-8"}, True),
        ],
    )
    def test_locale_is_made_utf_8(self, monkeypatch, given, kept):
        for name in ("LC_ALL", "LC_CTYPE", "LANG"):
            monkeypatch.delenv(name, raising=False)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert (java_environment().get("LC_ALL") != "C.UTF-8") == kept


class TestFormat:
    @pytest.fixture
    def jars(self, prepared):
        return fetched_jars(print)

    def test_two_storages_have_the_same_features_and_different_ids(self, jars, tmp_path):
        java = find_java()
        one, two = tmp_path / "one", tmp_path / "two"
        format_storage(java, jars, one)
        format_storage(java, jars, two)
        assert sorted(path.name for path in one.iterdir()) == ["bootstrap.checkpoint", "meta.properties"]
        assert (one / "bootstrap.checkpoint").read_bytes() == (two / "bootstrap.checkpoint").read_bytes()
        first, second = read_properties(one / "meta.properties"), read_properties(two / "meta.properties")
        assert (first["version"], first["node.id"]) == ("1", "1")
        ids = [first["cluster.id"], first["directory.id"], second["cluster.id"], second["directory.id"]]
        assert len(set(ids)) == 4

    def test_ids_are_as_kafka_writes_them(self):
        ids = [server_module._kafka_id() for _ in range(2000)]
        assert len(set(ids)) == 2000
        assert all(len(text) == 22 and not text.startswith("-") for text in ids)
        assert all(len(base64.urlsafe_b64decode(text + "==")) == 16 for text in ids)

    def test_template_is_made_once(self, copied_cache, tmp_path, monkeypatch):
        java, jars = find_java(), fetched_jars(print)
        format_storage(java, jars, tmp_path / "one")
        assert (copied_cache / "format" / "bootstrap.checkpoint").exists()
        monkeypatch.setattr(server_module, "_run_storage_tool", None)
        format_storage(java, jars, tmp_path / "two")
        assert (tmp_path / "two" / "bootstrap.checkpoint").exists()

    def test_same_as_the_tool_itself_makes(self, jars, tmp_path):
        """The oracle: StorageTool run directly gives the same file and the same keys."""
        java = find_java()
        properties = write_properties(tmp_path / "p", server_properties(str(tmp_path / "tool"), 9092, 9093))
        tool = ["kafka.tools.StorageTool", "format", "-t", server_module._kafka_id(), "-c", str(properties)]
        subprocess.run(java_command(java, jars, tool), check=True, capture_output=True, timeout=60)
        format_storage(java, jars, tmp_path / "ours")
        theirs = read_properties(tmp_path / "tool" / "meta.properties")
        assert theirs.keys() == read_properties(tmp_path / "ours" / "meta.properties").keys()
        sizes = [(tmp_path / each / "bootstrap.checkpoint").stat().st_size for each in ("tool", "ours")]
        assert sizes[0] == sizes[1]

    def test_a_tool_that_fails_shows_what_it_said(self, jars, tmp_path):
        home = tmp_path / "java"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").write_text("#!/bin/sh\necho something is wrong; exit 3\n")
        (home / "bin" / "java").chmod(0o755)
        ours = KafkaJars("1", jars.class_path, jars.origin, tmp_path / "cache")
        with pytest.raises(BrokerStopped, match=r"StorageTool failed \(exit 3\):\nsomething is wrong"):
            format_storage(Java(home, 25, "fake"), ours, tmp_path / "data")
        assert list((tmp_path / "cache" / "format").iterdir()) == []

    def test_a_tool_that_hangs_is_ended(self, jars, tmp_path, monkeypatch):
        home = tmp_path / "java"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").write_text("#!/bin/sh\nexec sleep 600\n")
        (home / "bin" / "java").chmod(0o755)
        monkeypatch.setattr(server_module, "_FORMAT_SECONDS", 0.2)
        ours = KafkaJars("1", jars.class_path, jars.origin, tmp_path / "cache")
        with pytest.raises(BrokerStopped, match=r"did not end within 0\.2 s"):
            format_storage(Java(home, 25, "fake"), ours, tmp_path / "data")

    def test_a_cache_that_cannot_be_written_is_done_without(self, copied_cache, tmp_path, monkeypatch):
        """As root nothing is unwritable, so the question is answered in its place."""
        real = os.access
        monkeypatch.setattr(
            os,
            "access",
            lambda path, mode: not (path == copied_cache and mode == os.W_OK) and real(path, mode),
        )
        format_storage(find_java(), fetched_jars(print), tmp_path / "data")
        assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
            "bootstrap.checkpoint",
            "meta.properties",
        ]
        assert not (copied_cache / "format").exists()

    def test_full_disk(self, jars, tmp_path, monkeypatch):
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(shutil, "copyfile", full)
        with pytest.raises(DiskFull):
            format_storage(find_java(), jars, tmp_path / "data")


class TestPorts:
    def test_are_free_and_different(self):
        with reserve_ports(4) as ports:
            assert len(set(ports)) == 4
            assert all(1024 < port < 65536 for port in ports)

    @linux_only
    def test_are_given_to_nobody_else_meanwhile(self):
        """A server that asks for any port does not get a reserved one, however often it asks."""
        with reserve_ports(2) as ports:
            got = set()
            for _ in range(2000):
                with socket.socket() as other:
                    other.bind(("127.0.0.1", 0))
                    got.add(other.getsockname()[1])
            assert len(got) > 100
            assert not got & set(ports)

    @linux_only
    def test_can_be_bound_by_number_as_java_does_it(self):
        with reserve_ports(1) as (port,), socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
            with socket.create_connection(("127.0.0.1", port), timeout=60):
                pass

    def test_are_let_go_at_the_end(self):
        with reserve_ports(1) as (port,):
            pass
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))

    def test_elsewhere_they_are_let_go_at_once(self, monkeypatch):
        monkeypatch.setattr("pytest_eng5.brokers.ports.sys.platform", "darwin")
        with reserve_ports(1) as (port,), socket.socket() as server:
            server.bind(("127.0.0.1", port))

    def test_a_listener_is_noticed(self):
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            pytest.raises(OSError, match="in use"),
            hold_port(server.getsockname()[1]),
        ):
            pass

    @linux_only
    def test_a_port_held_is_free_for_its_server_only(self):
        with reserve_ports(1) as (port,):
            pass
        with hold_port(port) as held, socket.socket() as other:
            assert held == port
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
            with socket.create_server(("127.0.0.1", port)):  # SO_REUSEADDR, as Java does it
                pass


class TestHomes:
    def make_old(self, folder: Path) -> None:
        os.utime(folder, (time.time() - 7200, time.time() - 7200))

    def test_each_is_new_and_private(self, tmp_path):
        one, two = make_home(tmp_path), make_home(tmp_path)
        assert one != two
        assert one.parent == tmp_path
        assert one.stat().st_mode & 0o077 == 0

    def test_working_folder_is_made(self, tmp_path):
        assert make_home(tmp_path / "a" / "b").is_dir()

    def test_default_is_the_systems_temporary_folder(self, tmp_path, monkeypatch):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        assert make_home(None).parent == tmp_path

    def test_too_little_space(self, tmp_path, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
        with pytest.raises(DiskFull, match="the data of the embedded broker needs") as caught:
            make_home(tmp_path)
        assert "TMPDIR" in str(caught.value)

    def test_an_old_one_nobody_uses_is_swept(self, tmp_path):
        home = make_home(tmp_path)
        (home / "data").mkdir()
        (home / "data" / ".lock").touch()
        self.make_old(home)
        sweep_homes(tmp_path)
        assert not home.exists()

    def test_one_that_never_came_to_data_is_swept(self, tmp_path):
        home = make_home(tmp_path)
        self.make_old(home)
        sweep_homes(tmp_path)
        assert not home.exists()

    def test_a_young_one_stays(self, tmp_path):
        home = make_home(tmp_path)
        sweep_homes(tmp_path)
        assert home.exists()

    def test_other_folders_stay(self, tmp_path):
        (tmp_path / "mine").mkdir()
        self.make_old(tmp_path / "mine")
        sweep_homes(tmp_path)
        assert (tmp_path / "mine").exists()

    def test_one_of_another_user_stays(self, tmp_path, monkeypatch):
        home = make_home(tmp_path)
        self.make_old(home)
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        sweep_homes(tmp_path)
        assert home.exists()

    def test_one_in_use_stays(self, tmp_path, script):
        home = make_home(tmp_path)
        (home / "data").mkdir()
        code = """
            import fcntl, sys, time
            file = open(sys.argv[1], "w")
            fcntl.lockf(file, fcntl.LOCK_EX)
            print("1", flush=True)
            time.sleep(60)
        """
        holder = script(code, str(home / "data" / ".lock"))
        self.make_old(home)
        sweep_homes(tmp_path)
        assert home.exists()
        holder.kill()
        self.make_old(home)
        sweep_homes(tmp_path)
        assert not home.exists()

    def test_no_folder_no_trouble(self, tmp_path):
        sweep_homes(tmp_path / "missing")


class TestCacheFolder:
    def test_lock_is_held_against_other_processes_and_dies_with_its_holder(self, tmp_path, script):
        code = """
            import sys, time
            from pathlib import Path
            from pytest_eng5.brokers.cache import exclusive
            with exclusive(Path(sys.argv[1])):
                print("1", flush=True)
                time.sleep(60)
        """
        holder = script(code, str(tmp_path))
        with (tmp_path / "lock").open("w") as file:
            with pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            holder.kill()
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with exclusive(tmp_path):
            pass

    def test_enough_space_is_no_error(self, tmp_path):
        require_space(tmp_path, 1, "a byte")

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_full_disk_is_told(self, tmp_path, number):
        with pytest.raises(DiskFull, match="no space left") as caught, clear_disk_errors(tmp_path):
            raise OSError(number, os.strerror(number))
        assert caught.value.where == str(tmp_path)

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOTDIR])
    def test_other_refusals_are_told_with_their_reason(self, tmp_path, number):
        with pytest.raises(BrokerError, match=os.strerror(number)) as caught, clear_disk_errors(tmp_path):
            raise OSError(number, os.strerror(number), "some file")
        text = str(caught.value)
        assert not isinstance(caught.value, DiskFull)
        assert "some file" in text
        assert "ENG5_CACHE_DIR" in text
        assert "TMPDIR" in text

    def test_a_file_in_the_way_of_the_cache(self, tmp_path):
        (tmp_path / "cache").write_text("not a folder")
        with pytest.raises(BrokerError, match="cannot be written"), exclusive(tmp_path / "cache"):
            pass

    def test_a_file_in_the_way_of_the_data(self, tmp_path):
        (tmp_path / "work").write_text("not a folder")
        with pytest.raises(BrokerError, match="cannot be written"):
            make_home(tmp_path / "work")
