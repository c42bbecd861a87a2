"""First use from nothing, ``install`` and ``serve``; the times are printed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from pytest_eng5.brokers import BrokerOptions, NoNetwork, create_broker, install
from pytest_eng5.brokers import lockfile as lockfile_module
from pytest_eng5.brokers.lockfile import locked_jars

STARTER = """
    import json, sys, time
    from pathlib import Path
    from pytest_eng5.brokers import BrokerOptions, create_broker
    since = time.monotonic()
    broker = create_broker(BrokerOptions(kind="embedded", work_dir=Path(sys.argv[1])))
    servers = broker.start().bootstrap_servers
    print(json.dumps([servers, time.monotonic() - since]), flush=True)
    sys.stdin.readline()
    broker.stop()
"""


@pytest.mark.thorough
class TestFirstUse:
    @pytest.mark.slow
    def test_two_sessions_from_nothing_at_once(self, full_mirror, empty_cache, tmp_path, capsys):
        """They fetch every jar once between them, and each has a broker of its own."""

        def session(number: int) -> tuple[subprocess.Popen[str], list[object]]:
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(STARTER), str(tmp_path / f"work{number}")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            return process, json.loads(process.stdout.readline())

        with ThreadPoolExecutor(2) as pool:
            sessions = list(pool.map(session, range(2)))
        with capsys.disabled():
            print("\nfirst use, two at once: " + ", ".join(f"{answer[1]:.1f} s" for _, answer in sessions))
        try:
            assert sessions[0][1][0] != sessions[1][1][0]
            assert len(full_mirror.jars_asked()) == 46
            assert set(full_mirror.jars_asked().values()) == {1}
        finally:
            for process, _ in sessions:
                process.communicate("\n", timeout=90)
        assert [process.returncode for process, _ in sessions] == [0, 0]
        assert len(list(empty_cache.glob("kafka-*/startup/*"))) == 1
        assert [list((tmp_path / f"work{number}").iterdir()) for number in range(2)] == [[], []]

    def test_without_a_network_says_what_to_do(self, empty_cache, monkeypatch):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            monkeypatch.setenv("ENG5_MAVEN_REPOSITORY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
            since = time.monotonic()
            with pytest.raises(NoNetwork) as caught:
                create_broker(BrokerOptions(kind="embedded")).start()
        assert time.monotonic() - since < 60
        assert "--eng5-kafka-home DIR" in str(caught.value)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_prepared_start_takes_less_than_two_seconds(prepared, own_broker, capsys):
    install(report=lambda _: None)
    seconds = []
    for _ in range(4):
        broker = own_broker()
        since = time.monotonic()
        broker.start()
        seconds.append(time.monotonic() - since)
        broker.stop()
    with capsys.disabled():
        print("\nprepared starts: " + ", ".join(f"{value:.2f} s" for value in seconds))
    assert min(seconds) < 2.0  # the best of four: the machine may be busy with other things


class TestInstall:
    def test_tells_what_is_ready_and_where(self, prepared):
        lines: list[str] = []
        made = install(verify=True, report=lines.append)
        assert made.version == "4.3.0"
        assert made.jar_count == len(locked_jars().jars) == len(list(made.jars.glob("*.jar")))
        assert made.verified
        assert made.startup_cache is not None
        assert made.startup_cache.exists()
        assert made.jars.is_relative_to(made.cache)
        text = "\n".join(made.lines())
        for part in (
            "Apache Kafka 4.3.0: 46 jars",
            str(made.jars),
            "SHA-256 checked",
            "Java",
            str(made.cache),
        ):
            assert part in text

    @pytest.mark.thorough
    def test_again_fetches_nothing(self, prepared, mirror):
        install(report=print)
        assert not mirror.asked

    @pytest.mark.thorough
    def test_says_when_the_sums_were_not_looked_at(self, prepared):
        made = install(report=print)
        assert not made.verified
        assert "unchanged since" in made.lines()[0]

    @pytest.mark.slow
    @pytest.mark.thorough
    def test_from_nothing(self, full_mirror, empty_cache, capsys):
        lines: list[str] = []
        since = time.monotonic()
        made = install(report=lines.append)
        with capsys.disabled():
            print(f"\ninstall from a loopback repository {time.monotonic() - since:.1f} s")
        assert made.cache == empty_cache
        assert "fetching Apache Kafka" in lines[0]
        assert made.startup_cache is not None
        lines.clear()
        install(report=lines.append)
        assert lines == []


class Served:
    """``serve`` in a process of its own, as the command line runs it."""

    def __init__(self, folder: Path, *extra: str) -> None:
        code = """
            import sys
            from pathlib import Path
            from pytest_eng5.brokers import BrokerOptions, serve
            from pytest_eng5.errors import Eng5Error
            port = int(sys.argv[2]) or None
            data_dir = Path(sys.argv[3]) if sys.argv[3:4] and sys.argv[3].startswith("/") else None
            options = BrokerOptions(work_dir=Path(sys.argv[1]), port=port, data_dir=data_dir)
            topics = sys.argv[4 if data_dir else 3:]
            try:
                serve(options, topics=topics, partitions=5, report=lambda line: print(line, flush=True))
            except Eng5Error as error:
                print(error, file=sys.stderr)
                sys.exit(error.exit_code)
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), str(folder), *extra],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def lines_until(self, last: str) -> dict[str, str]:
        found = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, _, value = line.strip().partition(": ")
            found[name] = value.strip()
            if line.startswith(last):
                return found
        raise AssertionError(f"ended early: {found}")


class TestServe:
    @pytest.fixture
    def served(self, prepared, tmp_path) -> Iterator[Callable[..., Served]]:
        running: list[Served] = []

        def serve(*extra: str) -> Served:
            running.append(Served(tmp_path / "work", *(extra or ("0",))))
            return running[-1]

        yield serve
        for each in running:
            each.process.kill()
            each.process.communicate()

    @pytest.mark.parametrize(
        "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)]
    )
    def test_runs_until_it_is_stopped(self, served, number, tmp_path, witness):
        session = served("0", "one", "two")
        told = session.lines_until("Ctrl-C")
        assert told["topics"] == "one, two"
        assert Path(told["log"]).exists()
        assert Path(told["jars"]).is_dir()
        admin = AdminClient({"bootstrap.servers": told["bootstrap servers"]})
        assert {"one", "two"} <= set(admin.list_topics(timeout=60).topics)
        assert f"--eng5-bootstrap-servers {told['bootstrap servers']}" in told["use it"]
        os.killpg(session.process.pid, number)
        out, err = session.process.communicate(timeout=60)
        assert session.process.returncode == 0
        assert out == "stopped; its data is removed\n"
        assert err == ""
        assert list((tmp_path / "work").iterdir()) == []
        assert not witness.supervised(tmp_path / "work")

    @pytest.mark.thorough
    def test_records_of_a_data_folder_stay(self, served, tmp_path):
        data = tmp_path / "data"
        partitions: dict[str, int] = {}
        clusters: set[str] = set()
        for topics in (["one"], ["one", "two"]):
            session = served("0", str(data), *topics)
            told = session.lines_until("Ctrl-C")
            assert told["data"] == f"{data} (kept)"
            admin = AdminClient({"bootstrap.servers": told["bootstrap servers"]})
            found = admin.list_topics(timeout=60)
            partitions |= {name: len(found.topics[name].partitions) for name in topics}
            session.process.send_signal(signal.SIGTERM)
            out, err = session.process.communicate(timeout=60)
            assert (out, err) == (f"stopped; its records stay in {data}\n", "")
            clusters.add(found.cluster_id)
        assert partitions == {"one": 5, "two": 5}
        assert len(clusters) == 1

    def test_ends_with_an_error_when_kafka_does(self, served, witness, tmp_path):
        session = served()
        session.lines_until("Ctrl-C")
        for pid in witness.kafkas(tmp_path / "work"):
            os.kill(pid, signal.SIGKILL)
        _, err = session.process.communicate(timeout=60)
        assert session.process.returncode == 4
        assert "Kafka ended with status 137" in err

    def test_a_port_in_use_is_told(self, served):
        with socket.create_server(("127.0.0.1", 0)) as server:
            session = served(str(server.getsockname()[1]))
            _, err = session.process.communicate(timeout=60)
        assert session.process.returncode == 4
        assert "the port is in use" in err

    @pytest.mark.thorough
    def test_a_port_is_kept(self, served):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        assert served(str(port)).lines_until("Ctrl-C")["bootstrap servers"] == f"127.0.0.1:{port}"

    def test_kill_9_leaves_no_process(self, served, witness, tmp_path):
        session = served()
        session.lines_until("Ctrl-C")
        assert witness.kafkas(tmp_path / "work")
        session.process.kill()
        assert witness.eventually(lambda: not witness.supervised(tmp_path / "work"))


class TestTheListAgain:
    """The command that makes the list of jars, without the network."""

    @pytest.fixture
    def resolved(self, monkeypatch):
        def answer_with(jars: object) -> None:
            monkeypatch.setattr(lockfile_module, "resolve_jars", lambda _: jars)

        return answer_with

    def test_check_succeeds_when_nothing_has_changed(self, resolved):
        resolved(locked_jars())
        assert lockfile_module.main(["--check"]) == 0

    def test_check_fails_when_something_has(self, resolved):
        from dataclasses import replace

        resolved(replace(locked_jars(), jars=locked_jars().jars[1:]))
        assert lockfile_module.main(["--check"]) == 1

    def test_writes_what_is_read(self, resolved, monkeypatch, tmp_path):
        original = lockfile_module.LOCK_PATH.read_bytes()
        locked = locked_jars()
        resolved(locked)
        monkeypatch.setattr(lockfile_module, "LOCK_PATH", tmp_path / "list.json")
        assert lockfile_module.main([]) == 0
        assert (tmp_path / "list.json").read_bytes() == original
        locked_jars.cache_clear()
        assert locked_jars() == locked
        locked_jars.cache_clear()
