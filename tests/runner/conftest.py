"""A real broker and the reference pipeline, scenarios of a few short essays, and a recording finaliser."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker, ensure_topics
from pytest_eng5.contracts import PIPELINE_EVENTS, topic_names
from pytest_eng5.evidence import RunEnding
from pytest_eng5.reports import finalise_run
from pytest_eng5.runner import Campaign, Environment, Operator, ReferencePipeline, RunnerSettings, RunSpec
from pytest_eng5.scenario import Scenario, Variant, load_scenario

GRADES = ("A", "B", "C+", "D+", "E+", "F+")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """One broker for all tests of the runner."""
    folder = tmp_path_factory.mktemp("runner-broker")
    options = BrokerOptions(
        kind="embedded", work_dir=folder, log_path=folder / "kafka.log", watch_pid=os.getpid()
    )
    embedded = EmbeddedBroker(options)
    embedded.start()
    yield embedded
    embedded.stop()


@contextmanager
def running_pipeline(
    broker: EmbeddedBroker, log: Path, prefix: str, operator: Operator | None = None
) -> Iterator[ReferencePipeline]:
    """A reference pipeline on topics of its own."""
    topics = topic_names(PIPELINE_EVENTS, prefix)
    asyncio.run(ensure_topics(broker.connection, topics, partitions=3, may_create=True))
    servers = broker.connection.bootstrap_servers
    pipeline = ReferencePipeline.start(
        servers, log, watch_pid=os.getpid(), topic_prefix=prefix, operator=operator
    )
    try:
        yield pipeline
    finally:
        pipeline.stop()


def environment_of(
    broker: EmbeddedBroker, pipeline: ReferencePipeline, prefix: str, operator: Operator | None = None
) -> Environment:
    urls = pipeline.urls
    return Environment(
        broker.connection.client_arguments(),
        content_url=urls.content_url,
        llm_url=urls.llm_url,
        cj_url=urls.cj_url,
        topic_prefix=prefix,
        operator=operator,
    )


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Who may use the admin API of the shared pipeline."""
    return Operator.appoint(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session")
def pipeline(
    broker: EmbeddedBroker, operator: Operator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ReferencePipeline]:
    """One pipeline for the tests that leave it alive."""
    log = tmp_path_factory.mktemp("pipeline") / "pipeline.log"
    with running_pipeline(broker, log, "shared.", operator) as running:
        yield running


@pytest.fixture
def environment(broker: EmbeddedBroker, pipeline: ReferencePipeline, operator: Operator) -> Environment:
    return environment_of(broker, pipeline, "shared.", operator)


@dataclass
class Finaliser:
    """Completes run folders as the product does, and remembers what it was told, and in which thread."""

    calls: list[tuple[Path, RunEnding]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def __call__(self, root: Path, ending: RunEnding) -> None:
        self.calls.append((root, ending))
        self.threads.add(threading.current_thread().name)
        finalise_run(root, ending)


@pytest.fixture
def finalise() -> Finaliser:
    return Finaliser()


MakeScenario = Callable[..., Scenario]


@pytest.fixture
def make_scenario(tmp_path: Path) -> MakeScenario:
    """Write a scenario with its inputs and load it; ``ids`` are its variants, keywords its keys."""

    def make(*ids: str, essays: int = 4, prompt: bool = True, **keys: Any) -> Scenario:
        folder = tmp_path / "scenario"
        anchors = folder / "inputs" / "anchors"
        anchors.mkdir(parents=True, exist_ok=True)
        table = ["anchor_id,grade,file_name"]
        for number in range(essays):
            name = f"Anna_Svensson_{number}.txt"
            text = f"Essay number {number}: å ä ö.\nSecond line.\n" + "It goes on for a while. " * 4
            (anchors / name).write_text(text, encoding="utf-8")
            table.append(f"anna-svensson-{number},{GRADES[number]},{name}")
        (folder / "inputs" / "anchors.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
        (folder / "inputs" / "instructions.md").write_text("Write about the sea.", encoding="utf-8")
        if prompt:
            (folder / "inputs" / "prompt.md").write_text("Describe the sea.", encoding="utf-8")
        (folder / "system.txt").write_text("You compare two essays.", encoding="utf-8")
        (folder / "rubric.txt").write_text("Weigh language control first.", encoding="utf-8")
        content: dict[str, Any] = {
            "scenario": "small",
            "inputs": "inputs",
            "system_prompt": "system.txt",
            "rubric": "rubric.txt",
            "timeout": {"idle": 20, "total": 60},
            "variants": [{"id": name} for name in ids or ("only",)],
        }
        path = folder / "small.eng5.yaml"
        path.write_text(yaml.safe_dump(content | keys), encoding="utf-8")
        return load_scenario(path)

    return make


@pytest.fixture
def make_variant(make_scenario: MakeScenario) -> Callable[..., Variant]:
    """A scenario's only variant."""
    return lambda **keys: make_scenario(**keys).variants[0]


@pytest.fixture
def settings_of(finalise: Finaliser) -> Callable[..., RunnerSettings]:
    """Settings for a variant without anything running."""

    def make(variant: Variant, environment: Environment | None = None, **more: Any) -> RunnerSettings:
        nowhere = Environment({"bootstrap_servers": "127.0.0.1:1"}, "http://127.0.0.1:1/v1/content")
        return RunnerSettings(RunSpec(variant), environment or nowhere, finalise, **more)

    return make


@pytest.fixture
def campaign(
    environment: Environment, tmp_path: Path, finalise: Finaliser
) -> Iterator[Callable[..., Campaign]]:
    """Start campaigns that are closed at the end."""
    started: list[Campaign] = []

    def start(where: Environment = environment, **options: Any) -> Campaign:
        group = f"g-{time.monotonic_ns()}"
        made = Campaign(where, tmp_path / f"session{len(started)}", finalise, group_id=group, **options)
        made.start()
        started.append(made)
        return made

    yield start
    for made in started:
        made.close(cancel=True)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def lab() -> ModuleType:
    """This module: ``lab.running_pipeline``, ``lab.environment_of``, ``lab.read``."""
    return sys.modules[__name__]
