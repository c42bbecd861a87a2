"""The services in processes of their own: whole batches, any order of start, clear words when it fails."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.contracts import ProcessingEvent

COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Service:
    """One process, perhaps not ready yet."""

    process: subprocess.Popen[str]
    log_file: Path
    stderr_file: Path

    def ready(self) -> dict[str, Any]:
        """Wait for its line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.stderr_file.read_text()
        return dict(json.loads(line)["ready"])

    def logs(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def said(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.logs() if line["event"] == event]

    def until_said(self, event: str, seconds: float = 10) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not (self.log_file.exists() and (found := self.said(event))):
            assert time.monotonic() < deadline, f"{event!r} was not said: {self.stderr_file.read_text()}"
            time.sleep(0.05)
        return found[0]


Launch = Callable[..., Service]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start ``serve`` with options and do not wait for it."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, env: dict[str, str] | None = None) -> Service:
        number = len(started)
        log_file, stderr_file = tmp_path / f"{number}.log", tmp_path / f"{number}.err"
        command = [sys.executable, "-m", "pytest_eng5.pipeline", "serve", "--log-file", str(log_file)]
        with stderr_file.open("w") as stderr:
            process = subprocess.Popen(
                [*command, *options],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **(env or {})},
            )
        started.append(process)
        return Service(process, log_file, stderr_file)

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def prefix() -> str:
    return f"s{uuid4().hex[:8]}."


@pytest.fixture
def servers(broker: EmbeddedBroker) -> str:
    return broker.connection.bootstrap_servers


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[Callable[[int], EmbeddedBroker]]:
    """Start a broker on a port."""
    started: list[EmbeddedBroker] = []

    def make(port: int) -> EmbeddedBroker:
        folder = tmp_path / "kafka"
        options = BrokerOptions(
            kind="embedded",
            work_dir=folder,
            log_path=tmp_path / "kafka.log",
            port=port,
            watch_pid=os.getpid(),
        )
        started.append(EmbeddedBroker(options))
        started[-1].start()
        return started[-1]

    yield make
    for embedded in started:
        embedded.stop()


def stack(launch: Launch, servers: str, prefix: str, order: str) -> dict[str, Service]:
    """The three services on ports known beforehand, started in an order and not waited for."""
    ports = {name: free_port() for name in ("content", "cj", "llm")}
    env = {
        "CONTENT_SERVICE_URL": f"http://127.0.0.1:{ports['content']}/v1/content",
        "LLM_PROVIDER_SERVICE_URL": f"http://127.0.0.1:{ports['llm']}",
        "KAFKA_BOOTSTRAP_SERVERS": servers,
    }
    services = {}
    for name in order.split():
        options = ["--service", name, f"--{name}-port", str(ports[name]), "--topic-prefix", prefix]
        services[name] = launch(*options, env=env)
    return services


def as_running(services: dict[str, Service], servers: str, prefix: str) -> Any:
    """What the batch client needs to know of a pipeline."""
    said = {name: service.ready() for name, service in services.items()}
    ready = {f"{name}_url": said[name][f"{name}_url"] for name in ("content", "cj", "llm")}
    return SimpleNamespace(ready=ready, bootstrap=servers, prefix=prefix)


@pytest.mark.parametrize("order", ["content llm cj", "cj llm content"])
def test_three_processes_run_a_batch_whatever_starts_first(
    order: str, launch: Launch, servers: str, prefix: str, run_batches: Any, lab: Any
) -> None:
    services = stack(launch, servers, prefix, order)
    running = as_running(services, servers, prefix)
    (run,) = run_batches(running, lab.round_robin(12))
    assert len(run.callbacks) == 66
    assert len({result.request_id for result in run.callbacks}) == 66
    assert len(run.of(COMPLETED)) == 1
    kept = {result.request_metadata["prompt_storage_id"] for result in run.callbacks}
    assert len(kept) == 66
    with httpx.Client(trust_env=False) as http:
        for storage_id in kept:
            assert b"Essay A" in http.get(f"{running.ready['content_url']}/{storage_id}").content
    for name, service in services.items():
        began = time.monotonic()
        service.process.terminate()
        assert service.process.wait(5) == 0, name
        assert time.monotonic() - began < 2, name
        assert service.stderr_file.read_text() == ""


def test_the_ready_line_names_what_runs_here_and_what_was_given(launch: Launch, servers: str) -> None:
    port = free_port()
    content = launch("--service", "content", "--content-port", str(port)).ready()
    assert set(content) == {"content_url", "cj_url", "llm_url", "pid"}
    assert content["content_url"] == f"http://127.0.0.1:{port}/v1/content"
    assert (content["cj_url"], content["llm_url"]) == (None, None)
    options = ("--service", "llm", "--bootstrap-servers", servers, "--content-url", content["content_url"])
    llm = launch(*options, "--topic-prefix", "named.").ready()
    assert llm["content_url"] == content["content_url"]
    assert llm["llm_url"].startswith("http://127.0.0.1:")
    assert llm["cj_url"] is None


def test_the_content_service_needs_no_broker(launch: Launch) -> None:
    service = launch("--service", "content", env={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    url = service.ready()["content_url"].removesuffix("/v1/content")
    with httpx.Client(trust_env=False) as http:
        for path in ("/healthz", "/healthz/live", "/healthz/ready"):
            assert http.get(url + path).status_code == 200


def test_while_it_waits_it_lives_and_says_what_it_waits_for(
    launch: Launch, servers: str, prefix: str
) -> None:
    ports = {"content": free_port(), "llm": free_port(), "cj": free_port()}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    cj = launch(
        *("--service", "cj", "--cj-port", str(ports["cj"]), "--topic-prefix", prefix),
        *("--bootstrap-servers", servers, "--llm-url", urls["llm"] + "/"),
        *("--content-url", urls["content"] + "/v1/content"),
    )
    line = cj.until_said("waiting")
    assert (line["for_"], line["where"]) == ("the content service", urls["content"] + "/v1/content")
    with httpx.Client(trust_env=False) as http:
        assert http.get(urls["cj"] + "/healthz/live").status_code == 200
        ready = http.get(urls["cj"] + "/healthz/ready")
        assert ready.status_code == 503
        assert "the content service does not answer" in ready.json()["message"]
    launch("--service", "content", "--content-port", str(ports["content"])).ready()
    cj.until_said("waited")
    launch(
        *("--service", "llm", "--llm-port", str(ports["llm"]), "--topic-prefix", prefix),
        *("--bootstrap-servers", servers, "--no-store-prompts"),
    ).ready()
    cj.ready()
    assert [line["for_"] for line in cj.said("waited")] == ["the content service", "the LLM provider service"]
    with httpx.Client(trust_env=False) as http:
        assert http.get(urls["cj"] + "/healthz/ready").status_code == 200


@pytest.mark.slow
def test_a_broker_that_comes_up_later_is_waited_for(
    launch: Launch, make_broker: Any, prefix: str, run_batches: Any, lab: Any
) -> None:
    port = free_port()
    servers = f"127.0.0.1:{port}"
    services = stack(launch, servers, prefix, "cj llm content")
    for name in ("cj", "llm"):
        line = services[name].until_said("waiting")
        assert (line["for_"], line["where"]) == ("the Kafka broker", servers)
    make_broker(port)
    running = as_running(services, servers, prefix)
    (run,) = run_batches(running, lab.round_robin(4))
    assert len(run.callbacks) == 6
    assert len(run.of(COMPLETED)) == 1


def test_a_signal_ends_a_service_that_still_waits(launch: Launch) -> None:
    service = launch(
        *("--service", "llm", "--bootstrap-servers", "127.0.0.1:9", "--no-store-prompts"),
    )
    service.until_said("waiting")
    began = time.monotonic()
    service.process.terminate()
    assert service.process.wait(5) == 0
    assert time.monotonic() - began < 2
    assert service.stderr_file.read_text() == ""


def test_the_waiting_ends(launch: Launch) -> None:
    service = launch(
        *("--service", "llm", "--bootstrap-servers", "127.0.0.1:9", "--no-store-prompts"),
        *("--start-timeout", "1"),
    )
    assert service.process.wait(10) == 4
    said = service.stderr_file.read_text()
    assert "127.0.0.1:9: the Kafka broker cannot be used" in said
    assert "Traceback" not in said


def ended(service: Service) -> str:
    """What a service that cannot start says; within seconds, although it would wait for a minute."""
    assert service.process.wait(15) in (2, 4)
    said = service.stderr_file.read_text()
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--service", "cj"), "--llm-url (or LLM_PROVIDER_SERVICE_URL) is missing"),
        (("--service", "cj", "--llm-url", "http://x"), "--content-url (or CONTENT_SERVICE_URL) is missing"),
        (("--service", "llm"), "--no-store-prompts"),
        (("--service", "llm", "--no-store-prompts"), "--bootstrap-servers is missing"),
        (("--service", "all", "--llm-url", "http://x"), "--llm-url is for --service"),
        (("--service", "cj", "--llm-url", "x:1"), "is no address of the form http://HOST:PORT"),
        (("--service", "cj", "--llm-url", "http://x:99999"), "is no address of the form http://HOST:PORT"),
        (("--service", "worker"), "invalid choice"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_settings_that_are_missing_or_wrong_are_usage_errors(
    options: tuple[str, ...], words: str, launch: Launch
) -> None:
    said = ended(launch(*options))
    assert words in said
    assert "usage:" in said


def test_a_wrong_variable_is_named(launch: Launch) -> None:
    said = ended(launch("--service", "cj", env={"CONTENT_SERVICE_URL": "content:8000"}))
    assert "CONTENT_SERVICE_URL" in said
    assert "'content:8000' is no address" in said


def test_an_address_of_something_else_is_said_at_once(launch: Launch, pipeline: Any) -> None:
    common = ("--service", "cj", "--bootstrap-servers", pipeline.bootstrap, "--topic-prefix", "wrong.")
    content, llm = pipeline.ready["content_url"], pipeline.ready["llm_url"]
    without_path = content.removesuffix("/v1/content")
    said = ended(launch(*common, "--content-url", without_path, "--llm-url", llm))
    assert f"{without_path}: what answers there is no content service" in said
    assert "--content-url" in said
    said = ended(launch(*common, "--content-url", content, "--llm-url", content))
    assert f"{content}: what answers there is no LLM provider service" in said
    assert "--llm-url" in said


def test_topics_are_left_alone_when_they_are_not_to_be_made(launch: Launch, servers: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    said = ended(
        launch(
            *("--service", "llm", "--bootstrap-servers", servers, "--no-store-prompts"),
            *("--topic-prefix", "absent.", "--no-create-topics", "--start-timeout", "1"),
        )
    )
    assert "the broker lacks" in said
    assert "absent.huleedu.llm_provider.comparison_result.v1" in said

    async def names() -> list[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            return list(await admin.list_topics())
        finally:
            await admin.close()

    assert not [name for name in asyncio.run(names()) if name.startswith("absent.")]


def test_the_partitions_of_new_topics_can_be_chosen(launch: Launch, servers: str, prefix: str) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    launch("--bootstrap-servers", servers, "--topic-prefix", prefix, "--partitions", "5").ready()

    async def partitions() -> set[int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=servers)
        await admin.start()
        try:
            names = [name for name in await admin.list_topics() if name.startswith(f"{prefix}huleedu.")]
            return {len(topic["partitions"]) for topic in await admin.describe_topics(names)}
        finally:
            await admin.close()

    assert asyncio.run(partitions()) == {5}


@pytest.mark.parametrize("host", ["0.0.0.0", "::1"])
def test_it_listens_where_it_is_told(host: str, launch: Launch) -> None:
    url = launch("--service", "content", "--host", host).ready()["content_url"]
    reached = url.replace("0.0.0.0", "127.0.0.1")
    with httpx.Client(trust_env=False) as http:
        assert http.post(reached, content=b"x").status_code == 201
