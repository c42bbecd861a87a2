"""The stack of docker-compose.yml: up, healthy, and a scenario on it from the host with two workers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "eng5dockertest"
PAIRS = 66


def _compose() -> list[str]:
    """``docker compose`` where it is installed, else docker-compose."""
    answer = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if answer.returncode == 0:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("neither docker compose nor docker-compose on this machine")


@pytest.fixture(scope="module")
def compose(docker, pipeline_image, kafka_image) -> Iterator[Callable[..., str]]:
    """Run compose on the repository's file, with the images built for the tests."""
    environment = {
        **os.environ,
        "ENG5_IMAGE": pipeline_image,
        "ENG5_KAFKA_IMAGE": kafka_image,
        "COMPOSE_PROJECT_NAME": PROJECT,
        "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "0"),
    }
    program = _compose()

    def run(*words: str) -> str:
        answer = subprocess.run(
            [*program, *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert answer.returncode == 0, f"compose {' '.join(words)}\n{answer.stdout[-5000:]}"
        return answer.stdout

    yield run
    run("down", "-v", "--remove-orphans")


@pytest.fixture(scope="module")
def stack(compose) -> Callable[..., str]:
    """The stack with two workers, healthy."""
    compose("up", "-d", "--no-build", "--scale", "llm=2")
    return compose


def _containers(docker) -> dict[str, str]:
    """Name to id of the stack's containers."""
    label = f"label=com.docker.compose.project={PROJECT}"
    lines = docker("ps", "-a", "--filter", label, "--format", "{{.Names}} {{.ID}}").splitlines()
    return dict(line.split() for line in lines)


def _service(docker, number: str) -> str:
    return str(docker.inspect(number)["Config"]["Labels"]["com.docker.compose.service"])


def test_every_container_becomes_healthy(stack, docker, eventually):
    containers = _containers(docker)
    assert Counter(_service(docker, number) for number in containers.values()) == {
        **dict.fromkeys(("kafka", "content", "cj", "llm-front"), 1),
        "llm": 2,
    }
    for name, number in containers.items():
        assert eventually(
            lambda each=number: docker.inspect(each)["State"]["Health"]["Status"] == "healthy"
        ), (
            docker("logs", number),
            name,
        )


def test_all_ports_are_on_loopback_whichever_workers_there_are(stack, docker):
    published = []
    for number in _containers(docker).values():
        ports = docker.inspect(number)["NetworkSettings"]["Ports"]
        hosts = [each for host in ports.values() for each in host or ()]
        assert {each["HostIp"] for each in hosts} <= {"127.0.0.1"}
        published += [int(each["HostPort"]) for each in hosts]
    assert sorted(published) == [8001, 8090, 9093, 9095]


def test_nobody_is_root_and_no_file_system_can_be_written(stack, docker):
    for number in _containers(docker).values():
        facts = docker.inspect(number)
        assert facts["Config"]["User"] == "10001:10001"
        if _service(docker, number) != "kafka":
            assert facts["HostConfig"]["ReadonlyRootfs"]
            assert facts["HostConfig"]["CapDrop"] == ["ALL"]


def test_a_scenario_is_green_and_both_workers_did_some_of_it(stack, docker, session):
    stack_up = ("--eng5-broker", "external", "--eng5-pipeline", "external")
    running = session(*stack_up, "-k", "anchor_align and baseline")
    assert running.wait() == 0, running.output
    events = [json.loads(event["value"])["data"] for event in running.comparisons()]
    assert len(events) == PAIRS
    work = _work(docker, {event["request_metadata"]["bos_batch_id"] for event in events})
    print(f"comparisons by worker: {dict(work)}")
    assert len(work) == 2
    assert sum(work.values()) == PAIRS
    assert min(work.values()) >= PAIRS // 6


def _work(docker, batches: set[str]) -> Counter[str]:
    """How many comparisons of these batches each container of the LLM provider service has answered."""
    work: Counter[str] = Counter()
    for name, number in _containers(docker).items():
        if _service(docker, number) != "llm":
            continue
        for line in docker("logs", number).splitlines():
            if line.startswith("{") and (entry := json.loads(line)).get("event") == "comparison answered":
                work[name] += entry["batch_id"] in batches
    return +work


def test_a_session_that_finds_a_stack_leaves_it_alone(stack, docker, session):
    before = _containers(docker)
    running = session("--eng5-broker", "external", "--eng5-pipeline", "external", "-k", "baseline")
    assert running.wait() == 0, running.output
    assert _containers(docker) == before


def test_the_front_reaches_every_worker(stack):
    opener = build_opener(ProxyHandler({}))
    url = "http://127.0.0.1:8090/api/v1/providers"
    assert len({json.load(opener.open(url, timeout=10))["worker"] for _ in range(30)}) == 2
