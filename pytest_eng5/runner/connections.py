"""From a session's options to what a broker and an external pipeline are reached by."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from pytest_eng5.brokers import BrokerOptions
from pytest_eng5.brokers.model import silent
from pytest_eng5.errors import UsageError
from pytest_eng5.kafka_config import load_kafka_config
from pytest_eng5.runner.pipeline_process import PipelineUrls
from pytest_eng5.sessions import SessionIdentity

__all__ = ["BackendOptions", "broker_options", "external_urls", "refuse_real_topics", "topic_prefix"]

Report = Callable[[str], None]


_LOCAL_SERVERS = "localhost:9093"
_LOCAL_URLS = PipelineUrls(
    "http://localhost:8001/v1/content", "http://localhost:9095", "http://localhost:8090"
)


class BackendOptions(Protocol):
    """What decides broker and pipeline; the options of pytest and of the command line both have it."""

    @property
    def broker_kind(self) -> str:
        """``embedded``, ``container`` or ``external``."""

    @property
    def bootstrap_servers(self) -> str | None:
        """``host:port`` list of an external broker."""

    @property
    def kafka_config(self) -> Path | None:
        """File with its TLS and SASL settings."""

    @property
    def kafka_home(self) -> Path | None:
        """An unpacked Apache Kafka for the embedded broker."""

    @property
    def kafka_log(self) -> Path | None:
        """File for the log of a broker that is started."""

    @property
    def kafka_image(self) -> str | None:
        """Image of the container."""

    @property
    def kafka_reuse(self) -> bool:
        """Whether the container outlives the session."""

    @property
    def create_topics(self) -> bool:
        """Whether topics may be created on an external broker."""

    @property
    def partitions(self) -> int:
        """Partitions of a topic that is created."""

    @property
    def topic_prefix(self) -> str:
        """Prefix of all topics."""

    @property
    def pipeline(self) -> str:
        """The pipeline as it was asked for: ``auto``, ``embedded`` or ``external``."""

    @property
    def pipeline_kind(self) -> str:
        """``embedded`` or ``external``."""

    @property
    def content_url(self) -> str | None:
        """Content service of an external pipeline."""

    @property
    def cj_url(self) -> str | None:
        """CJ service of an external pipeline."""

    @property
    def llm_url(self) -> str | None:
        """LLM provider service of an external pipeline."""

    @property
    def live(self) -> bool:
        """Whether runs that can cost money are allowed."""


def broker_options(options: BackendOptions, report: Report = silent, **more: Any) -> BrokerOptions:
    """What decides the session's broker; secrets are read here and kept in memory only.

    Args:
        options: The session's options.
        report: Told, in one line each, what takes long and what weakens the connection.
        more: Further fields of `BrokerOptions`.

    Raises:
        UsageError: The file of TLS and SASL settings cannot be used.
    """
    servers, client_options = options.bootstrap_servers, {}
    if options.broker_kind == "external":
        if options.kafka_config is not None:
            config = load_kafka_config(options.kafka_config)
            for warning in config.warnings:
                report(f"{options.kafka_config}: {warning}")
            servers = servers or config.bootstrap_servers
            client_options = config.client_options()
        if servers is None and _is_local_stack(options):
            servers = _LOCAL_SERVERS
    return BrokerOptions(
        kind=options.broker_kind,
        bootstrap_servers=servers,
        kafka_home=options.kafka_home,
        client_options=client_options,
        may_create_topics=options.create_topics,
        image=options.kafka_image,
        reuse=options.kafka_reuse,
        report=report,
        **more,
    )


def external_urls(options: BackendOptions) -> PipelineUrls:
    """Addresses of an external pipeline.

    The local ones are meant only when no address at all was given: were one of them filled in beside given
    ones, a mock on this machine could vouch for a pipeline elsewhere that costs money.

    Raises:
        UsageError: The content service's is missing.
    """
    if options.broker_kind == "external" and _is_local_stack(options):
        return _LOCAL_URLS
    if options.content_url is None:
        raise UsageError(
            "an external pipeline needs the address of its content service",
            where="--eng5-content-url",
            fix="give --eng5-content-url http://HOST:PORT/v1/content, or set CONTENT_SERVICE_URL",
        )
    return PipelineUrls(options.content_url, options.cj_url, options.llm_url)


def refuse_real_topics(options: BackendOptions) -> None:
    """The embedded pipeline stays off the real topics of a broker that is not ours.

    Raises:
        UsageError: It would not.
    """
    if options.pipeline == "embedded" and options.broker_kind == "external" and not options.topic_prefix:
        raise UsageError(
            "the embedded pipeline does not go on the real topics of an external broker",
            where="--eng5-pipeline embedded",
            fix="give it topics of its own with --eng5-topic-prefix, or use --eng5-pipeline external",
        )


def topic_prefix(options: BackendOptions, identity: SessionIdentity) -> str:
    """The prefix of the session's topics and groups.

    Sessions that find the same container would otherwise share one consumer group of the CJ service, and each
    pipeline would take requests of the other; so they get topics of their own.
    """
    if options.topic_prefix:
        return options.topic_prefix
    shared = options.broker_kind == "container" and options.kafka_reuse
    return f"{identity.name}." if shared and options.pipeline_kind == "embedded" else ""


def _is_local_stack(options: BackendOptions) -> bool:
    """Whether no address was given: then ``docker compose up`` of this project is meant."""
    brokers = options.bootstrap_servers, options.kafka_config
    services = options.content_url, options.cj_url, options.llm_url
    return options.pipeline_kind == "external" and not any((*brokers, *services))
