"""Broker and pipeline of a session: started by the first process that needs them, found by all others."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_eng5.brokers import (
    Broker,
    BrokerConnection,
    ContainerBroker,
    EmbeddedBroker,
    attach,
    create_broker,
    ensure_topics,
)
from pytest_eng5.brokers.probe import run_blocking
from pytest_eng5.contracts import CAPTURED_EVENTS, PIPELINE_EVENTS, ProcessingEvent, topic_names
from pytest_eng5.errors import Eng5Error, InfrastructureError
from pytest_eng5.runner.connections import (
    BackendOptions,
    broker_options,
    external_urls,
    refuse_real_topics,
    topic_prefix,
)
from pytest_eng5.runner.operating import Operator
from pytest_eng5.runner.pipeline_process import PipelineUrls, ReferencePipeline
from pytest_eng5.runner.settings import Environment
from pytest_eng5.sessions import SessionIdentity, group_id

__all__ = ["Backend", "BackendFailed", "open_backend", "shut_down"]

_RECORD = "backend.json"
_PIPELINE_GROUP = "cj_assessment_consumer_group"


class BackendFailed(InfrastructureError):
    """Another process of the session could not bring broker or pipeline up."""


@dataclass(frozen=True)
class Backend:
    """What runs talk to. ``pipeline`` is ``None`` if the pipeline is not ours."""

    broker: Broker
    pipeline: ReferencePipeline | None
    urls: PipelineUrls
    topic_prefix: str
    live: bool
    operator: Operator | None = None

    def environment(self) -> Environment:
        """The surroundings of a run."""
        return Environment(
            client_arguments=self.broker.connection.client_arguments(),
            content_url=self.urls.content_url,
            llm_url=self.urls.llm_url,
            cj_url=self.urls.cj_url,
            topic_prefix=self.topic_prefix,
            reference_pipeline=self.pipeline is not None,
            live=self.live,
            operator=self.operator,
        )

    def watch(self, lost: Callable[[str], None]) -> None:
        """Call ``lost(reason)`` when broker or pipeline end without being asked to."""
        broker, pipeline = self.broker, self.pipeline
        if isinstance(broker, EmbeddedBroker | ContainerBroker):
            broker.on_exit(lambda: lost(broker.failure() or f"the {broker.kind} broker ended"))
        if pipeline is not None:
            pipeline.process.on_exit(lambda _: lost(pipeline.failure() or "the reference pipeline ended"))


def open_backend(
    options: BackendOptions, identity: SessionIdentity, logs: Path, report: Callable[[str], None]
) -> Backend:
    """Start broker and pipeline, or attach to what another process of the session started.

    Args:
        options: What to start.
        identity: Whose session it is.
        logs: Folder for the logs of both.
        report: Told in one line what takes long, such as fetching Kafka for the first time.

    Raises:
        Eng5Error: They cannot be started; every later call of the session fails with the same words.
    """
    with _locked(identity.shared):
        record = identity.shared / _RECORD
        if record.exists():
            return _attach(json.loads(record.read_text()), options, identity)
        try:
            backend = _start(options, identity, logs, report)
        except Eng5Error as error:
            record.write_text(json.dumps({"failed": str(error)}))
            raise
        record.write_text(json.dumps(_remember(backend)))
        return backend


def shut_down(shared: Path) -> None:
    """End what any process of the session started; harmless if nothing was."""
    record = shared / _RECORD
    if not record.exists():
        return
    remembered = json.loads(record.read_text())
    if remembered.get("pipeline"):
        ReferencePipeline.attach(remembered["pipeline"]).stop()
    if remembered.get("broker"):
        attach(remembered["broker"]).stop()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "backend.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remember(backend: Backend) -> dict[str, Any]:
    pipeline = backend.pipeline.record() if backend.pipeline else None
    return {
        "broker": backend.broker.record(),
        "pipeline": pipeline,
        "topic_prefix": backend.topic_prefix,
    }


def _attach(record: dict[str, Any], options: BackendOptions, identity: SessionIdentity) -> Backend:
    if "failed" in record:
        raise BackendFailed(record["failed"])
    broker = attach(record["broker"], broker_options(options))
    broker.connection  # noqa: B018 - an unusable broker raises here
    pipeline = ReferencePipeline.attach(record["pipeline"]) if record["pipeline"] else None
    urls = pipeline.urls if pipeline else external_urls(options)
    operator = Operator.appoint(identity.shared) if pipeline else None
    return Backend(broker, pipeline, urls, record["topic_prefix"], options.live, operator)


def _start(
    options: BackendOptions, identity: SessionIdentity, logs: Path, report: Callable[[str], None]
) -> Backend:
    refuse_real_topics(options)
    external = options.pipeline_kind == "external"
    urls = external_urls(options) if external else None
    watched = {"watch_pid": identity.controller_pid}
    log = options.kafka_log or logs / "kafka.log"
    broker = create_broker(broker_options(options, report, log_path=log, **watched))
    connection = broker.start()
    try:
        prefix = topic_prefix(options, identity)
        topics = topic_names(PIPELINE_EVENTS, prefix)
        if broker.capabilities.create_topics:
            making = ensure_topics(connection, topics, partitions=options.partitions, may_create=True)
            run_blocking(making)
        if broker.kind == "external":
            run_blocking(_check_access(connection, options, identity))
        if urls is not None:
            return Backend(broker, None, urls, prefix, options.live)
        operator = Operator.appoint(identity.shared)
        pipeline = ReferencePipeline.start(
            connection.bootstrap_servers,
            logs / "pipeline.log",
            topic_prefix=prefix,
            kafka_config=options.kafka_config if broker.kind == "external" else None,
            partitions=options.partitions,
            operator=operator,
            **watched,
        )
    except BaseException:
        broker.stop()
        raise
    return Backend(broker, pipeline, pipeline.urls, prefix, options.live, operator)


async def _check_access(
    connection: BrokerConnection, options: BackendOptions, identity: SessionIdentity
) -> None:
    """Whether everything that the session will ask of a broker that is not ours is there and allowed."""
    from pytest_eng5.brokers import check_access

    prefix = options.topic_prefix
    read = topic_names(CAPTURED_EVENTS, prefix)
    write = topic_names([ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED], prefix)
    ours = options.pipeline_kind == "embedded"
    if ours:
        read, write = [*read, *write], topic_names(PIPELINE_EVENTS, prefix)
    group = group_id(prefix, identity)
    await check_access(connection, read=read, write=write, group=group, group_prefix=f"{prefix}pytest-eng5-")
    if ours:
        await check_access(connection, read=[], write=[], group=f"{prefix}{_PIPELINE_GROUP}")
