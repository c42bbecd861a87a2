"""The command line of ``serve``: what stands in for what, and which queue is used when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.pipeline.options import parse, pipeline_from
from pytest_eng5.pipeline.provider.records import provider_topics
from pytest_eng5.pipeline.state_path import default_path
from pytest_eng5.pipeline.topics import event_topics

SERVERS = ("serve", "--bootstrap-servers", "h:1")


def made(*argv: str, environ: dict[str, str] | None = None) -> Any:
    """The pipeline of a command line, not started."""
    return pipeline_from(parse(argv, environ or {}))


@pytest.mark.parametrize(
    ("argv", "variable", "queue"),
    [
        ((), None, "memory"),
        (("--queue", "kafka"), None, "kafka"),
        (("--queue", "kafka"), "memory", "kafka"),
        ((), "kafka", "kafka"),
        (("--service", "llm", "--no-store-prompts"), None, "kafka"),
        (("--service", "llm", "--no-store-prompts"), "memory", "memory"),
        (("--service", "llm", "--no-store-prompts", "--queue", "memory"), "kafka", "memory"),
    ],
)
def test_the_queue_is_in_memory_for_one_process_and_in_kafka_for_workers(
    argv: tuple[str, ...], variable: str | None, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable is not None:
        monkeypatch.setenv("LLM_PROVIDER_SERVICE_QUEUE", variable)
    assert made(*SERVERS, *argv)._provider.queue == queue


def test_addresses_come_from_the_option_then_from_the_environment() -> None:
    environ = {
        "CONTENT_SERVICE_URL": "http://env:1/v1/content/",
        "LLM_PROVIDER_SERVICE_URL": "http://env:2",
        "KAFKA_BOOTSTRAP_SERVERS": "env:3",
    }
    options = made("serve", "--service", "cj", environ=environ)._options
    assert (options.content_url, options.llm_url) == ("http://env:1/v1/content", "http://env:2")
    assert options.kafka.bootstrap_servers == "env:3"
    options = made(
        *("serve", "--service", "cj", "--llm-url", "http://o:2/", "--bootstrap-servers", "o:3"),
        environ=environ,
    )._options
    assert (options.content_url, options.llm_url) == ("http://env:1/v1/content", "http://o:2")
    assert options.kafka.bootstrap_servers == "o:3"


def test_with_all_the_addresses_of_another_pipeline_are_not_used() -> None:
    environ = {"CONTENT_SERVICE_URL": "http://env:1/v1/content", "LLM_PROVIDER_SERVICE_URL": "rubbish"}
    options = made(*SERVERS, environ=environ)._options
    assert (options.content_url, options.llm_url, options.patience) == (None, None, 0)
    assert options.services == {"content", "cj", "llm"}


def test_the_file_names_the_broker_unless_the_option_does(tmp_path: Path) -> None:
    path = tmp_path / "kafka.toml"
    path.write_text('security_protocol = "PLAINTEXT"\nbootstrap_servers = "file:1"\n')
    argv = ("serve", "--kafka-config", str(path))
    environ = {"KAFKA_BOOTSTRAP_SERVERS": "env:3"}
    assert made(*argv, environ=environ)._options.kafka.bootstrap_servers == "file:1"
    chosen = made(*argv, "--bootstrap-servers", "o:1", environ=environ)._options.kafka
    assert chosen.bootstrap_servers == "o:1"
    assert chosen.client_arguments("x")["security_protocol"] == "PLAINTEXT"


def test_a_service_alone_waits_and_all_together_do_not() -> None:
    assert made(*SERVERS)._options.patience == 0
    assert made("serve", "--service", "content")._options.patience == 60
    assert made("serve", "--service", "content", "--start-timeout", "5")._options.patience == 5


def test_the_content_service_is_told_of_no_broker() -> None:
    assert made("serve", "--service", "content", "--bootstrap-servers", "h:1")._options.kafka is None


def test_each_service_needs_its_own_topics_only() -> None:
    named = {name: {t.name for t in event_topics([name], "p.", 4)} for name in ("content", "cj", "llm")}
    assert named["content"] == set()
    assert named["cj"] & named["llm"] == {"p.huleedu.llm_provider.comparison_result.v1"}
    together = event_topics(["content", "cj", "llm"], "p.", 4)
    assert {topic.name for topic in together} == named["cj"] | named["llm"]
    assert len(together) == 9
    assert {topic.partitions for topic in together} == {4}


def test_the_providers_own_topics_are_named_as_its_own() -> None:
    queue, simulations = provider_topics("p.", 12)
    assert (queue.name, queue.partitions) == ("p.pytest_eng5.llm_provider.queue.v1", 12)
    assert (simulations.name, simulations.partitions) == ("p.pytest_eng5.llm_provider.simulations.v1", 1)
    assert "compact" in simulations.settings["cleanup.policy"]
    assert not any("huleedu" in topic.name for topic in (queue, simulations))


def test_the_state_comes_from_the_option_then_from_the_environment() -> None:
    environ = {"ENG5_PIPELINE_STATE": "memory"}
    assert made(*SERVERS)._options.state is None
    assert made(*SERVERS, environ=environ)._options.state == "memory"
    assert made(*SERVERS, "--state", "a.sqlite", environ=environ)._options.state == "a.sqlite"


def test_a_pipeline_finds_its_state_again_and_no_other_one_does() -> None:
    lines = [
        SERVERS,
        ("serve", "--bootstrap-servers", "h:2"),
        (*SERVERS, "--topic-prefix", "p."),
        (*SERVERS, "--cj-port", "9095"),
        ("serve", "--service", "content"),
    ]
    paths = [[default_path(made(*line)._options.identity()) for line in lines] for _ in range(2)]
    assert paths[0] == paths[1]
    assert len(set(paths[0])) == len(lines)
