"""Facts about the images: who runs in them, what is in them and what is not, how they tell their state."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow

USER = "10001"
OPEN_TO_ALL = ("/tmp", "/var/tmp", "/work", "/state", "/dev", "/run/lock", "/sys")
"""Where the user of an image may write: temporary files, evidence, and the pipeline's state."""


@pytest.fixture(params=["kafka_image", "pipeline_image", "runner_image"])
def image(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


class TestEveryImage:
    def test_nobody_in_it_is_root(self, docker, image):
        assert docker.inspect(image)["Config"]["User"] == f"{USER}:{USER}"
        assert docker("run", "--rm", "--entrypoint", "id", image, "-u").strip() == USER

    def test_what_it_runs_cannot_be_changed_from_inside(self, docker, image):
        look = "find / -xdev -path /proc -prune -o -writable ! -type l -print 2>/dev/null"
        writable = docker("run", "--rm", "--entrypoint", "sh", image, "-c", f"{look}; true").split("\n")
        foreign = [path for path in writable if path and not path.startswith(OPEN_TO_ALL)]
        assert foreign == []

    def test_a_secret_of_the_build_is_in_no_layer(self, docker, image, secret):
        history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", image)
        for text in (history, str(docker.inspect(image))):
            assert not any(part in text for part in secret.split(":"))
        search = f"grep -rlE '{secret.replace(':', '|')}' /opt /etc /work /tmp /root /home 2>/dev/null; true"
        assert docker("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", search).strip() == ""

    def test_neither_sources_nor_tests_nor_caches_are_in_it(self, docker, image):
        places = "/src /opt/whole /opt/eng5/lib/python3*/site-packages/tests /root/.cache/pip"
        look = f"ls -d {places} 2>/dev/null; true"
        assert docker("run", "--rm", "--user", "0", "--entrypoint", "sh", image, "-c", look).strip() == ""

    def test_it_is_slim(self, docker, image, request):
        size = docker.inspect(image)["Size"] / 1e6
        print(f"{image}: {size:.0f} MB")
        assert size < 700


def test_kafka_without_settings_is_a_healthy_node(docker, kafka_image, container, eventually):
    name = container(kafka_image)
    assert eventually(lambda: docker.inspect(name)["State"]["Health"]["Status"] == "healthy")
    assert "apache" in docker("logs", name)


def test_kafka_that_does_not_answer_is_not_healthy(docker, kafka_image, container):
    kind, *words = docker.inspect(kafka_image)["Config"]["Healthcheck"]["Test"]
    assert kind == "CMD"
    # Somebody listens on the port, but it is no Kafka.
    listener = "import socket,time; s=socket.create_server(('127.0.0.1',9092)); time.sleep(600)"
    name = container(kafka_image, "/opt/eng5/bin/python", "-c", listener)
    assert docker("exec", name, "bash", "-c", '"$@"; echo "status $?"', "bash", *words).endswith("status 1\n")


def test_kafka_takes_a_mounted_file_and_stops_on_request(
    docker, kafka_image, container, eventually, tmp_path
):
    (tmp_path / "server.properties").write_text(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n"
        "listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nadvertised.listeners=PLAINTEXT://localhost:9092\n"
        "controller.listener.names=CONTROLLER\nlog.dirs=/tmp/mounted\n"
    )
    tmp_path.chmod(0o755)
    name = container(kafka_image, options=("-v", f"{tmp_path}:/mnt/shared/config:ro"))
    assert eventually(lambda: docker.inspect(name)["State"]["Health"]["Status"] == "healthy")
    assert "meta.properties" in docker("exec", name, "ls", "/tmp/mounted")
    docker("stop", "-t", "20", name)
    assert docker.inspect(name)["State"]["ExitCode"] in (0, 143)


def test_the_pipeline_is_unhealthy_without_services(docker, pipeline_image):
    answer = docker("run", "--rm", "--entrypoint", "sh", pipeline_image, "-c", "eng5-healthy; echo status $?")
    assert "http://127.0.0.1:8000/healthz/ready" in answer
    assert "status 1" in answer


def test_the_pipeline_serves_alone_and_stops_on_request(docker, pipeline_image, container, eventually):
    address = "ENG5_HEALTH_URLS=http://127.0.0.1:8000/healthz/ready"
    name = container(pipeline_image, "--service", "content", options=("--read-only", "-e", address))
    assert eventually(lambda: docker.inspect(name)["State"]["Health"]["Status"] == "healthy")
    docker("stop", "-t", "10", name)
    assert docker.inspect(name)["State"]["ExitCode"] == 0


def test_the_runner_collects_the_scenarios(docker, runner_image):
    collected = docker("run", "--rm", runner_image, "scenarios/", "--collect-only", "-q")
    assert "anchor_align.eng5.yaml::baseline::kendall_tau" in collected


def test_the_runner_names_what_it_lacks(docker, runner_image):
    answer = docker("run", "--rm", runner_image, "scenarios/", "-k", "baseline", check=False)
    assert "pytest-eng5[embedded]" in answer
