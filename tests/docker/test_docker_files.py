"""What can be said of Dockerfile, compose file, scripts and dashboards without an engine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

from pytest_eng5.brokers.container import DEFAULT_IMAGE

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))


def instructions() -> list[tuple[str, str]]:
    """Instruction and argument of each (continued) line of the Dockerfile."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(words[0].upper(), words[1].strip()) for words in found]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Name of each stage to its instructions."""
    made: dict[str, list[tuple[str, str]]] = {}
    for name, argument in instructions():
        if name == "FROM":
            made[argument.split()[-1]] = []
        elif made:
            list(made.values())[-1].append((name, argument))
    return made


FINAL = ("pipeline", "runner", "kafka")


class TestDockerfile:
    def test_it_has_the_targets_and_builds_the_pipeline_by_default(self):
        assert [stage for stage in stages() if stage in FINAL] == list(FINAL)
        assert instructions()[-1] == ("FROM", "pipeline AS default")

    def test_the_classic_builder_fetches_no_kafka_for_a_pipeline(self):
        order = list(stages())
        assert order.index("pipeline") < order.index("kafka-build")

    def test_the_base_is_a_pinned_argument(self):
        first = instructions()[0]
        assert first[0] == "ARG"
        assert re.fullmatch(r"BASE=python:3\.11-slim-[a-z]+", first[1])
        bases = {argument.split()[0] for name, argument in instructions() if name == "FROM"}
        assert bases <= {"${BASE}", *stages()}

    @pytest.mark.parametrize("stage", FINAL)
    def test_what_runs_is_not_root_and_has_a_health_check(self, stage):
        found = dict(stages()[stage])
        assert found["USER"] == "10001:10001"
        assert found["HEALTHCHECK"]

    @pytest.mark.parametrize("stage", FINAL)
    def test_a_final_stage_takes_no_argument_and_runs_nothing(self, stage):
        # What a build argument holds stays in the layers of the stage that takes it.
        assert not {name for name, _ in stages()[stage]} & {"ARG", "RUN", "ADD"}

    def test_it_needs_no_buildkit(self):
        assert not re.search(r"--mount|<<|--link|# *syntax=", DOCKERFILE)

    def test_nothing_of_one_network_is_in_it(self):
        assert not re.search(r"https?://(?!127\.0\.0\.1)", DOCKERFILE)

    def test_only_what_the_images_are_made_of_is_sent(self):
        lines = [
            line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in ("#", "")
        ]
        assert lines[0] == "*"
        allowed = {line[1:] for line in lines if line.startswith("!")}
        assert all((ROOT / path).exists() for path in allowed)
        assert not allowed & {"tests", "docs", ".git", ".eng5", "benchmarks"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


class TestCompose:
    def test_every_port_is_published_on_loopback(self, compose):
        ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
        assert len(ports) == 6
        assert all(port.startswith("127.0.0.1:") for port in ports)

    def test_every_image_is_pinned(self, compose):
        images = {name: service["image"] for name, service in compose["services"].items()}
        for name in ("content", "cj", "llm", "llm-front"):
            assert images.pop(name) == "${ENG5_IMAGE:-pytest-eng5:local}"
        for image in images.values():
            assert re.search(r":v?\d+\.\d+\.\d+\}?$", image), image

    def test_the_two_kafkas_are_of_one_version(self, compose):
        tag = DEFAULT_IMAGE.rpartition(":")[2]
        assert compose["services"]["kafka"]["image"] == f"${{ENG5_KAFKA_IMAGE:-apache/kafka:{tag}}}"

    def test_workers_can_be_scaled(self, compose):
        llm, front = compose["services"]["llm"], compose["services"]["llm-front"]
        assert not {"container_name", "ports"} & llm.keys()
        assert front["ports"] == ["127.0.0.1:8090:8080"]  # where a session looks by default
        assert front["entrypoint"][-1] == "llm:8080"

    def test_services_wait_for_what_they_need(self, compose):
        needs = {name: service.get("depends_on") for name, service in compose["services"].items()}
        healthy = {"condition": "service_healthy"}
        assert needs["content"] is None
        assert needs["llm"] == {"kafka": healthy, "content": healthy}
        assert needs["llm-front"] == {"llm": healthy}
        assert needs["cj"] == {"kafka": healthy, "content": healthy, "llm": healthy}

    def test_observability_is_a_profile(self, compose):
        profiles = {name: service.get("profiles") for name, service in compose["services"].items()}
        assert {name for name, profile in profiles.items() if profile == ["observability"]} == {
            "prometheus",
            "grafana",
        }
        assert [name for name, profile in profiles.items() if profile is None] == [
            *("kafka", "content", "llm", "llm-front", "cj"),
        ]

    def test_what_is_mounted_is_there(self, compose):
        services = compose["services"]
        mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
        named = [mount for mount in mounts if mount.split(":")[0] in compose["volumes"]]
        mounts = [mount for mount in mounts if mount not in named]
        assert len(mounts) == 3
        assert all((ROOT / mount.split(":")[0]).is_dir() for mount in mounts)
        assert all(mount.endswith(":ro") for mount in mounts)

    def test_what_has_a_state_keeps_it_in_a_file_of_its_own_on_a_volume(self, compose):
        services = compose["services"]
        assert set(compose["volumes"]) == {"state"}
        assert [name for name, each in services.items() if "state:/state" in each.get("volumes", [])] == [
            *("content", "cj"),
        ]
        for name in ("content", "cj"):
            command = services[name]["command"]
            assert command[command.index("--state") + 1] == f"/state/{name}.sqlite"
        assert ("COPY", "--from=build --chown=10001:10001 /volumes /") in stages()["pipeline"]

    def test_a_health_check_of_kafka_is_that_of_our_image(self, compose):
        words = compose["services"]["kafka"]["healthcheck"]["test"]
        script = words[3].replace("$$", "$")
        own = json.loads(next(a for n, a in stages()["kafka"] if n == "HEALTHCHECK").partition("CMD ")[2])
        simplify = str.maketrans("", "", " =")
        assert script.replace("-eq", "").translate(simplify) == own[2].translate(simplify)

    def test_the_program_accepts_it(self):
        program = shutil.which("docker-compose")
        if program is None:
            pytest.skip("no docker-compose on this machine")
        subprocess.run(
            [program, "-f", str(ROOT / "docker-compose.yml"), "config", "-q"], check=True, cwd=ROOT
        )


class TestObservability:
    def test_prometheus_asks_every_service(self, compose):
        settings = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
        asked = {}
        for job in settings["scrape_configs"]:
            for static in job.get("static_configs", []):
                asked |= dict(target.split(":") for target in static["targets"])
            for dns in job.get("dns_sd_configs", []):
                asked |= dict.fromkeys(dns["names"], str(dns["port"]))
        services = {name: compose["services"][name] for name in ("content", "cj", "llm")}
        assert asked == {
            name: re.search(r":(\d+)/healthz", service["environment"]["ENG5_HEALTH_URLS"])[1]  # type: ignore[index]
            for name, service in services.items()
        }

    def test_promtool_accepts_it(self):
        if shutil.which("promtool") is None:
            pytest.skip("no promtool on this machine (Debian package prometheus)")
        path = ROOT / "docker" / "prometheus" / "prometheus.yml"
        subprocess.run(["promtool", "check", "config", str(path)], check=True, capture_output=True)

    def test_the_dashboard_uses_the_provisioned_source(self):
        folder = ROOT / "docker" / "grafana"
        (source,) = yaml.safe_load((folder / "provisioning/datasources/prometheus.yml").read_text())[
            "datasources"
        ]
        board = json.loads((folder / "dashboards" / "pipeline.json").read_text())
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
        assert all(target["expr"] for panel in board["panels"] for target in panel["targets"])

    def test_panels_do_not_cover_one_another(self):
        board = json.loads((ROOT / "docker/grafana/dashboards/pipeline.json").read_text())
        cells = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < 24

    def test_grafana_finds_dashboards_where_they_are_mounted(self, compose):
        provider = yaml.safe_load((ROOT / "docker/grafana/provisioning/dashboards/pipeline.yml").read_text())
        (path,) = {each["options"]["path"] for each in provider["providers"]}
        assert any(f":{path}:" in mount for mount in compose["services"]["grafana"]["volumes"])


class TestForwarding:
    @pytest.fixture
    def upstream(self) -> Iterator[int]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(f"you asked for {self.path}".encode() * 20_000)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_port
            server.shutdown()

    @pytest.fixture
    def forwarder(self) -> Iterator[Callable[[int], str]]:
        processes: list[subprocess.Popen[bytes]] = []

        def start(target: int) -> str:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            words = [sys.executable, str(ROOT / "docker" / "forward.py"), str(port), f"127.0.0.1:{target}"]
            processes.append(subprocess.Popen(words, stderr=subprocess.PIPE))
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            return f"http://127.0.0.1:{port}"

        yield start
        for process in processes:
            process.terminate()
            assert process.wait(5) == 0
            assert process.stderr is not None
            process.stderr.close()

    def test_what_is_asked_and_answered_comes_through(self, upstream, forwarder):
        opener = build_opener(ProxyHandler({}))
        url = forwarder(upstream)
        for path in ("/a", "/b"):
            assert opener.open(url + path, timeout=10).read() == f"you asked for {path}".encode() * 20_000

    def test_nobody_behind_it_is_a_connection_that_ends(self, forwarder):
        with pytest.raises(OSError):
            build_opener(ProxyHandler({})).open(forwarder(1), timeout=10)

    def test_the_health_check_sees_through_it(self, upstream, forwarder):
        script = [sys.executable, str(ROOT / "docker" / "healthy.py")]
        assert subprocess.run([*script, forwarder(upstream)], check=False).returncode == 0
        assert subprocess.run([*script, forwarder(1)], check=False, capture_output=True).returncode == 1
        assert subprocess.run(script, check=False).returncode == 1


class TestScripts:
    @pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
    def test_it_is_shell_and_can_be_run(self, script):
        subprocess.run(["bash", "-n", str(script)], check=True)
        assert script.stat().st_mode & 0o111

    def engine(self, tmp_path: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(ROOT / "scripts" / "docker_engine.sh"), *words],
            env={"PATH": "/usr/bin:/bin", "ENG5_DOCKER_DIR": str(tmp_path / "engine"), **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def fake_docker(self, tmp_path: Path, body: str) -> str:
        """A folder with a docker program that does this."""
        program = tmp_path / "bin" / "docker"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return f"{program.parent}:/usr/bin:/bin"

    def test_an_engine_that_runs_is_left_alone(self, tmp_path):
        path = self.fake_docker(tmp_path, f'echo "$@" >> {tmp_path}/asked')
        answer = self.engine(tmp_path, "start", "--install", PATH=path)
        assert answer.returncode == 0
        assert answer.stdout == ""
        assert "running already" in answer.stderr
        assert (tmp_path / "asked").read_text() == "info\n"
        assert not (tmp_path / "engine").exists()

    def test_nothing_is_stopped_that_was_not_started(self, tmp_path):
        (tmp_path / "engine").mkdir()
        sleeper = subprocess.Popen(["sleep", "60"])
        (tmp_path / "engine" / "docker.pid").write_text(str(sleeper.pid))
        answer = self.engine(tmp_path, "stop")
        assert answer.returncode == 0
        assert "nothing to stop" in answer.stderr
        assert sleeper.poll() is None
        sleeper.kill()
        sleeper.wait()

    def test_without_dockerd_it_says_how_to_get_one(self, tmp_path):
        (tmp_path / "empty").mkdir()
        for name in ("bash", "cat", "id", "timeout", "env", "sed"):
            (tmp_path / "empty" / name).symlink_to(shutil.which(name) or name)
        answer = self.engine(tmp_path, "start", PATH=str(tmp_path / "empty"))
        assert answer.returncode == 1
        assert "start --install" in answer.stderr

    def test_a_wrong_word_shows_how_it_is_used(self, tmp_path):
        answer = self.engine(tmp_path, "dance")
        assert answer.returncode == 2
        assert "docker_engine.sh start [--install]" in answer.stderr

    def test_the_tests_run_with_the_extras_they_need(self):
        makefile = (ROOT / "Makefile").read_text()
        assert ".[embedded,container,test]" in makefile
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert {"embedded", "container", "test"} <= extras.keys()
