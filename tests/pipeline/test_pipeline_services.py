"""The services in processes of their own: whole batches, any order of start, clear words when it fails."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from pytest_eng5.contracts import ProcessingEvent

COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
SOON = 30.0  # it takes 2 s at most by its own clock; a busy machine takes longer to notice


@pytest.mark.thorough
@pytest.mark.parametrize("order", ["content llm cj", "cj llm content"])
def test_three_processes_run_a_batch_whatever_starts_first(
    order: str, launch: Any, servers: str, prefix: str, run_batches: Any, lab: Any
) -> None:
    services = lab.stack(launch, servers, prefix, order)
    running = lab.as_running(services, servers, prefix)
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
        assert service.process.wait(60) == 0, name
        assert time.monotonic() - began < SOON, name
        assert service.stderr_file.read_text() == ""


def test_the_ready_line_names_what_runs_here_and_what_was_given(launch: Any, servers: str, lab: Any) -> None:
    port = lab.free_port()
    content = launch("--service", "content", "--content-port", str(port)).ready()
    assert set(content) == {"content_url", "cj_url", "llm_url", "pid"}
    assert content["content_url"] == f"http://127.0.0.1:{port}/v1/content"
    assert (content["cj_url"], content["llm_url"]) == (None, None)
    options = ("--service", "llm", "--bootstrap-servers", servers, "--content-url", content["content_url"])
    llm = launch(*options, "--topic-prefix", "named.").ready()
    assert llm["content_url"] == content["content_url"]
    assert llm["llm_url"].startswith("http://127.0.0.1:")
    assert llm["cj_url"] is None


def test_the_content_service_needs_no_broker(launch: Any) -> None:
    service = launch("--service", "content", env={"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"})
    url = service.ready()["content_url"].removesuffix("/v1/content")
    with httpx.Client(trust_env=False) as http:
        for path in ("/healthz", "/healthz/live", "/healthz/ready"):
            assert http.get(url + path).status_code == 200


def test_while_it_waits_it_lives_and_says_what_it_waits_for(
    launch: Any, servers: str, prefix: str, lab: Any
) -> None:
    ports = {"content": lab.free_port(), "llm": lab.free_port(), "cj": lab.free_port()}
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
@pytest.mark.thorough
def test_a_broker_that_comes_up_later_is_waited_for(
    launch: Any, make_broker: Any, prefix: str, run_batches: Any, lab: Any
) -> None:
    port = lab.free_port()
    servers = f"127.0.0.1:{port}"
    services = lab.stack(launch, servers, prefix, "cj llm content")
    for name in ("cj", "llm"):
        line = services[name].until_said("waiting")
        assert (line["for_"], line["where"]) == ("the Kafka broker", servers)
    make_broker(port)
    running = lab.as_running(services, servers, prefix)
    (run,) = run_batches(running, lab.round_robin(4))
    assert len(run.callbacks) == 6
    assert len(run.of(COMPLETED)) == 1


def test_a_signal_ends_a_service_that_still_waits(launch: Any) -> None:
    service = launch(
        *("--service", "llm", "--bootstrap-servers", "127.0.0.1:9", "--no-store-prompts"),
    )
    service.until_said("waiting")
    began = time.monotonic()
    service.process.terminate()
    assert service.process.wait(60) == 0
    assert time.monotonic() - began < SOON
    assert service.stderr_file.read_text() == ""


@pytest.mark.thorough
def test_the_waiting_ends(launch: Any) -> None:
    service = launch(
        *("--service", "llm", "--bootstrap-servers", "127.0.0.1:9", "--no-store-prompts"),
        *("--start-timeout", "1"),
    )
    assert service.process.wait(60) == 4
    said = service.stderr_file.read_text()
    assert "127.0.0.1:9: the Kafka broker cannot be used" in said
    assert "Traceback" not in said


def ended(service: Any) -> str:
    """What a service that cannot start says; within seconds, although it would wait for a minute."""
    assert service.process.wait(60) in (2, 4)
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
    options: tuple[str, ...], words: str, launch: Any
) -> None:
    said = ended(launch(*options))
    assert words in said
    assert "usage:" in said


def test_a_wrong_variable_is_named(launch: Any) -> None:
    said = ended(launch("--service", "cj", env={"CONTENT_SERVICE_URL": "content:8000"}))
    assert "CONTENT_SERVICE_URL" in said
    assert "'content:8000' is no address" in said


def test_an_address_of_something_else_is_said_at_once(launch: Any, pipeline: Any) -> None:
    common = ("--service", "cj", "--bootstrap-servers", pipeline.bootstrap, "--topic-prefix", "wrong.")
    content, llm = pipeline.ready["content_url"], pipeline.ready["llm_url"]
    without_path = content.removesuffix("/v1/content")
    said = ended(launch(*common, "--content-url", without_path, "--llm-url", llm))
    assert f"{without_path}: what answers there is no content service" in said
    assert "--content-url" in said
    said = ended(launch(*common, "--content-url", content, "--llm-url", content))
    assert f"{content}: what answers there is no LLM provider service" in said
    assert "--llm-url" in said


def test_topics_are_left_alone_when_they_are_not_to_be_made(launch: Any, servers: str) -> None:
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


@pytest.mark.thorough
def test_the_partitions_of_new_topics_can_be_chosen(launch: Any, servers: str, prefix: str) -> None:
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
def test_it_listens_where_it_is_told(host: str, launch: Any) -> None:
    url = launch("--service", "content", "--host", host).ready()["content_url"]
    reached = url.replace("0.0.0.0", "127.0.0.1")
    with httpx.Client(trust_env=False) as http:
        assert http.post(reached, content=b"x").status_code == 201
