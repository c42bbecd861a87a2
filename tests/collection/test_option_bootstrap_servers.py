"""--eng5-bootstrap-servers, KAFKA_BOOTSTRAP_SERVERS."""

from __future__ import annotations

import socket
from typing import Any

import pytest


def test_unset_by_default(project: Any) -> None:
    assert project.options().bootstrap_servers is None


def test_option_before_environment(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "from.environment:9092")
    assert project.options().bootstrap_servers == "from.environment:9092"
    chosen = project.options("--eng5-bootstrap-servers", "a.example:9092,b.example:9093")
    assert chosen.bootstrap_servers == "a.example:9092,b.example:9093"


def test_there_is_no_ini_key(project: Any) -> None:
    project.ini("eng5_bootstrap_servers = kafka.example:9092")
    result = project.inprocess("--collect-only", "--strict-config")
    assert result.ret != 0
    assert "eng5_bootstrap_servers" in result.stdout.str() + result.stderr.str()


def test_the_header_shows_them(project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    assert "broker external kafka.example:9092" in project.header()


def test_an_external_broker_needs_the_address_of_a_pipeline(project: Any) -> None:
    project.scenario()
    result = project.subprocess("--eng5-bootstrap-servers", "127.0.0.1:9")
    result.assert_outcomes(errors=1, skipped=9)
    result.stdout.fnmatch_lines(
        ["*--eng5-content-url: an external pipeline needs*", "*fix:*CONTENT_SERVICE_URL*"]
    )


def test_a_broker_that_nobody_listens_at_is_an_error_that_names_it(project: Any) -> None:
    project.scenario()
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        arguments = (
            "--eng5-bootstrap-servers",
            address,
            "--eng5-content-url",
            "http://127.0.0.1:9/v1/content",
        )
        result = project.subprocess(*arguments)
    result.assert_outcomes(errors=1, skipped=9)
    assert address in result.stdout.str()


def test_external_without_servers_is_an_error_that_says_how_to_give_them(project: Any) -> None:
    project.scenario()
    url = "http://127.0.0.1:9/v1/content"
    result = project.subprocess("--eng5-broker", "external", "--eng5-content-url", url)
    result.assert_outcomes(errors=1, skipped=9)
    result.stdout.fnmatch_lines(["*--eng5-bootstrap-servers*"])


def test_an_external_stack_without_any_address_is_the_local_one(project: Any) -> None:
    from pytest_eng5.runner.connections import broker_options, external_urls

    options = project.options("--eng5-broker", "external", "--eng5-pipeline", "external")
    assert broker_options(options).bootstrap_servers == "localhost:9093"
    urls = external_urls(options)
    assert urls.content_url == "http://localhost:8001/v1/content"
    assert urls.llm_url == "http://localhost:8090"
    assert urls.cj_url == "http://localhost:9095"


@pytest.mark.parametrize(
    "given",
    [
        ("--eng5-bootstrap-servers", "kafka.example:9092"),
        ("--eng5-content-url", "http://content.example/v1/content"),
        ("--eng5-cj-url", "http://cj.example"),
        ("--eng5-kafka-config", "kafka.toml"),
    ],
)
def test_a_local_service_never_vouches_for_a_pipeline_elsewhere(project: Any, given: tuple[str, str]) -> None:
    from pytest_eng5.runner.connections import external_urls

    content = ("--eng5-content-url", "http://content.example/v1/content")
    options = project.options("--eng5-broker", "external", "--eng5-pipeline", "external", *given, *content)
    assert external_urls(options).llm_url is None
