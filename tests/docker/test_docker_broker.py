"""Sessions on a Kafka in a container: end to end, reused, killed, and a container that dies."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_kafkas")]

VARIANT = ("-k", "anchor_align and baseline")
PAIRS = 66  # of the twelve anchors


@pytest.fixture
def on_container(session, kafka_image) -> Callable[..., object]:
    """A session with the container broker on the image of the Dockerfile."""

    def start(*arguments: str, **more: object):
        return session("--eng5-broker", "container", "--eng5-kafka-image", kafka_image, *arguments, **more)

    return start


def test_anchor_align_runs_end_to_end(on_container, docker):
    running = on_container(*VARIANT)
    assert running.wait() == 0, running.output
    assert "broker container" in running.output
    events = running.comparisons()
    assert len(events) == PAIRS
    (run,) = running.run_folders()
    assert json.loads((run / "findings.json").read_text())["findings"] == []
    assert docker.kafkas() == []


def test_workers_share_one_container(on_container, docker, eventually):
    running = on_container("-k", "anchor_align", "-n", "2")
    seen: set[str] = set()
    while running.process.poll() is None:
        seen.update(docker.kafkas())
    assert running.wait() == 0, running.output
    assert len(seen) == 1
    assert docker.kafkas() == []


def test_its_port_is_on_loopback_only(on_container, docker, eventually):
    running = on_container(*VARIANT)
    assert eventually(docker.kafkas)
    (kafka,) = docker.kafkas()
    assert eventually(lambda: docker.inspect(kafka)["NetworkSettings"]["Ports"])
    bindings = docker.inspect(kafka)["NetworkSettings"]["Ports"]
    assert {port: [each["HostIp"] for each in hosts] for port, hosts in bindings.items() if hosts} == {
        "9092/tcp": ["127.0.0.1"]
    }
    assert running.wait() == 0, running.output


def test_its_log_is_written_where_it_is_asked_for(on_container, tmp_path):
    log = tmp_path / "asked" / "kafka.log"
    running = on_container(*VARIANT, "--eng5-kafka-log", str(log))
    assert running.wait() == 0, running.output
    assert "org.apache.kafka" in log.read_text()


def test_killed_in_the_middle_it_leaves_no_container(on_container, docker, eventually):
    running = on_container(*VARIANT, "--eng5-set", "judge.mock.latency_ms=2000")
    assert eventually(lambda: _events(running) > 0)
    assert len(docker.kafkas()) == 1
    running.process.send_signal(signal.SIGKILL)
    running.wait()
    assert eventually(lambda: not docker.kafkas())


def test_killed_while_it_starts_it_leaves_no_container(on_container, docker, eventually):
    running = on_container(*VARIANT)
    assert eventually(docker.kafkas)
    running.process.send_signal(signal.SIGKILL)
    running.wait()
    assert eventually(lambda: not docker.kafkas())


def test_a_container_that_dies_in_the_middle_is_an_infrastructure_error(on_container, docker, eventually):
    running = on_container(*VARIANT, "--eng5-set", "judge.mock.latency_ms=2000")
    assert eventually(lambda: _events(running) > 0)
    (kafka,) = docker.kafkas()
    docker("kill", kafka)
    code = running.wait(60)
    assert code == 1, running.output
    assert "1 error" in running.output
    assert "infrastructure: the Kafka container ended" in running.output
    assert "status 137" in running.output
    assert _events(running) > 0  # what was captured until then stays
    assert docker.kafkas() == []


class TestReuse:
    def test_it_stays_and_is_found_by_the_next(self, on_container, docker):
        first = on_container(*VARIANT, "--eng5-kafka-reuse")
        assert first.wait() == 0, first.output
        (kafka,) = docker.kafkas()
        second = on_container(*VARIANT, "--eng5-kafka-reuse")
        assert second.wait() == 0, second.output
        assert docker.kafkas() == [kafka]
        assert len(second.comparisons()) == PAIRS

    def test_two_at_once_do_not_see_each_other(self, on_container, docker):
        both = [on_container(*VARIANT, "--eng5-kafka-reuse") for _ in range(2)]
        for running in both:
            assert running.wait() == 0, running.output
        assert len(docker.kafkas()) == 1
        assert [len(running.comparisons()) for running in both] == [PAIRS, PAIRS]
        batches = [{_batch(event) for event in running.comparisons()} for running in both]
        assert [len(each) for each in batches] == [1, 1]
        assert batches[0] != batches[1]

    def test_one_that_was_ended_is_made_anew(self, on_container, docker):
        first = on_container(*VARIANT, "--eng5-kafka-reuse")
        assert first.wait() == 0, first.output
        (kafka,) = docker.kafkas()
        docker("kill", kafka)
        second = on_container(*VARIANT, "--eng5-kafka-reuse")
        assert second.wait() == 0, second.output
        assert docker.kafkas() not in ([], [kafka])


class TestRefusals:
    def test_an_image_of_something_else(self, session, docker, pipeline_image):
        running = session("--eng5-broker", "container", "--eng5-kafka-image", pipeline_image, *VARIANT)
        assert running.wait() == 1, running.output
        assert "ERROR at setup of baseline::run" in running.output
        assert "does not start the way apache/kafka does" in running.output
        assert docker.kafkas() == []

    def test_an_image_that_nobody_has(self, session, docker):
        image = "localhost:1/nobody/has-this:1"
        running = session("--eng5-broker", "container", "--eng5-kafka-image", image, *VARIANT)
        assert running.wait() == 1, running.output
        assert "ERROR at setup of baseline::run" in running.output
        assert "the image is not on the engine and cannot be pulled" in running.output
        assert "--eng5-kafka-image" in running.output


def _events(running) -> int:
    files = [run / "events" / "comparisons.jsonl" for run in running.run_folders()]
    return sum(len(path.read_text().splitlines()) for path in files if path.exists())


def _batch(event) -> str:
    """The batch of a captured comparison, from its raw bytes."""
    return str(json.loads(event["value"])["data"]["request_metadata"]["bos_batch_id"])
