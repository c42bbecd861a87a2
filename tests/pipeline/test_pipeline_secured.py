"""The pipeline's processes on a secured broker, with their settings in a file and the password elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.brokers.model import ServerSecurity
from pytest_eng5.contracts import ProcessingEvent

pytestmark = pytest.mark.slow

COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
SECRET = "s3cret-of-the-pipeline"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A broker that asks for a name and a password."""
    folder = tmp_path_factory.mktemp("secured")
    security = ServerSecurity("SASL_PLAINTEXT", mechanism="PLAIN", users={"pipeline": SECRET})
    options = BrokerOptions(
        kind="embedded",
        work_dir=folder,
        log_path=folder / "kafka.log",
        watch_pid=os.getpid(),
        security=security,
    )
    embedded = EmbeddedBroker(options)
    embedded.start()
    yield embedded
    embedded.stop()


@pytest.fixture
def settings(secured: EmbeddedBroker, tmp_path: Path) -> Path:
    path = tmp_path / "kafka.toml"
    path.write_text(
        f'security_protocol = "SASL_PLAINTEXT"\n'
        f'bootstrap_servers = "{secured.connection.bootstrap_servers}"\n'
        '[sasl]\nmechanism = "PLAIN"\nusername = "pipeline"\npassword = "${KAFKA_SECRET}"\n'
    )
    return path


def test_services_apart_run_a_batch_and_no_secret_is_said(
    launch: Any, secured: EmbeddedBroker, settings: Path, prefix: str, lab: Any
) -> None:
    common = ("--kafka-config", str(settings), "--topic-prefix", prefix)
    env = {"KAFKA_SECRET": SECRET}
    content = launch("--service", "content")
    content_url = content.ready()["content_url"]
    llm = launch("--service", "llm", "--content-url", content_url, *common, env=env)
    llm_url = llm.ready()["llm_url"]
    cj = launch("--service", "cj", "--content-url", content_url, "--llm-url", llm_url, *common, env=env)
    urls = {"content_url": content_url, "llm_url": llm_url, "cj_url": cj.ready()["cj_url"]}

    run = run_one(secured, SimpleNamespace(ready=urls, prefix=prefix), lab)
    assert len(run.callbacks) == 15
    assert len(run.of(COMPLETED)) == 1
    for service in (content, llm, cj):
        assert SECRET not in service.log_file.read_text() + service.stderr_file.read_text()
        assert SECRET not in " ".join(map(str, service.process.args))


def run_one(secured: EmbeddedBroker, running: Any, lab: Any) -> Any:
    """A batch of six essays, through clients that know the password as well."""
    import asyncio

    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

    arguments = secured.connection.client_arguments()

    @asynccontextmanager
    async def client() -> Any:
        producer = AIOKafkaProducer(**arguments)
        consumer = AIOKafkaConsumer(auto_offset_reset="earliest", **arguments)
        await producer.start()
        await consumer.start()
        made = lab.Client(running, producer, consumer)
        consumer.subscribe([made.topic(event) for event in lab.PIPELINE_EVENTS if event is not lab.REQUESTED])
        try:
            yield made
        finally:
            await made.http.aclose()
            await producer.stop()
            await consumer.stop()

    async def work() -> Any:
        async with client() as made:
            outcome = await made.prepare(lab.round_robin(6))
            await made.request(outcome)
            await made.collect(lambda: lab.ended(outcome))
            return outcome

    return asyncio.run(work())


@pytest.mark.parametrize("service", ["all", "llm"])
def test_a_wrong_password_is_said_in_seconds(service: str, launch: Any, settings: Path) -> None:
    options = ("--service", service, "--kafka-config", str(settings), "--no-store-prompts")
    began = time.monotonic()
    process = launch(*options, env={"KAFKA_SECRET": "wrong-" + SECRET})
    assert process.process.wait(60) == 4
    assert time.monotonic() - began < 50
    said = process.stderr_file.read_text()
    assert "refuses the user name or the password" in said
    assert "Traceback" not in said
    assert SECRET not in said + process.log_file.read_text()


def test_a_missing_variable_is_named(launch: Any, settings: Path) -> None:
    process = launch("--service", "llm", "--kafka-config", str(settings), "--no-store-prompts")
    assert process.process.wait(60) == 2
    said = process.stderr_file.read_text()
    assert "KAFKA_SECRET" in said
    assert str(settings) in said
    assert "Traceback" not in said
