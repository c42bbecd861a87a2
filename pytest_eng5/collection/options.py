"""Command line options, their ini keys and environment variables.

Precedence: option, environment variable, scenario, ini key, default. Importing this module is cheap: it is
loaded in every pytest session where the plugin is installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Options", "add_options", "resolve_options"]

_URL = re.compile(r"https?://[^/\s]")
_TRUE = frozenset({"1", "true", "yes", "on"})
DEFAULT_PARTITIONS = 3
DEFAULT_FILES = ("*.eng5.yaml", "*.eng5.yml")


@dataclass(frozen=True, slots=True)
class Options:
    """The resolved options of a session; see ``pytest --help`` for what each does."""

    broker: str
    kafka_home: Path | None
    kafka_log: Path | None
    kafka_image: str | None
    kafka_reuse: bool
    kafka_config: Path | None
    bootstrap_servers: str | None
    create_topics: bool
    partitions: int
    pipeline: str
    content_url: str | None
    cj_url: str | None
    llm_url: str | None
    judge: str
    live: bool
    budget_usd: float | None
    output: Path
    concurrency: int
    overrides: tuple[str, ...]
    topic_prefix: str
    rejudge: Path | None = None

    @property
    def broker_kind(self) -> str:
        """``embedded``, ``container`` or ``external``; ``auto`` depends on given bootstrap servers."""
        if self.broker != "auto":
            return self.broker
        return "external" if self.bootstrap_servers else "embedded"

    @property
    def pipeline_kind(self) -> str:
        """``embedded`` or ``external``; an external broker implies an external pipeline."""
        if self.pipeline != "auto":
            return self.pipeline
        return "external" if self.broker_kind == "external" else "embedded"


def add_options(parser: pytest.Parser) -> None:
    """Register every option and ini key."""
    group = parser.getgroup("eng5", "pytest-eng5: validation of a comparative-judgement pipeline")

    def option(name: str, help_: str, *, ini: bool = True, **more: Any) -> None:
        destination = "eng5_" + name.replace("-", "_")
        group.addoption(f"--eng5-{name}", dest=destination, help=help_, **({"default": None} | more))
        if ini:
            parser.addini(destination, help=f"default of --eng5-{name}", default=None)

    option("broker", "Kafka to use: auto, embedded, container, external (env ENG5_BROKER)", metavar="KIND")
    option("kafka-home", "unpacked Apache Kafka for the embedded broker (env KAFKA_HOME)", metavar="DIR")
    option("kafka-log", "file for the log of an embedded or container broker", metavar="FILE")
    image = "image of the container broker (default apache/kafka-native; env ENG5_KAFKA_IMAGE)"
    option("kafka-image", image, metavar="IMAGE")
    reuse = "leave the container running, and use it again next time"
    option("kafka-reuse", reuse, ini=False, action="store_true", default=False)
    servers = "host:port list of an external broker (env KAFKA_BOOTSTRAP_SERVERS)"
    option("bootstrap-servers", servers, ini=False, metavar="LIST")
    option("kafka-config", "TLS and SASL settings of an external broker, TOML or YAML", metavar="FILE")
    create = "allow topics to be created on an external broker"
    option("create-topics", create, ini=False, action="store_true", default=False)
    option("partitions", "partitions of a topic that is created (default 3)", metavar="N")
    option("topic-prefix", "prefix of all topics, to keep off the real ones", metavar="PREFIX")
    option("pipeline", "pipeline under test: embedded or external (env ENG5_PIPELINE)", metavar="KIND")
    urls = {
        "content-url": "CONTENT_SERVICE_URL",
        "cj-url": "CJ_SERVICE_URL",
        "llm-url": "LLM_PROVIDER_SERVICE_URL",
    }
    for name, variable in urls.items():
        option(name, f"service of an external pipeline (env {variable})", ini=False, metavar="URL")
    option("judge", "scenario, or force mock, replay, record", metavar="MODE")
    live = "allow runs that can cost money (env ENG5_LIVE=1)"
    option("live", live, ini=False, action="store_true", default=False)
    option("budget-usd", "ceiling in US dollars for all runs of the session", metavar="USD")
    option("output", "folder for evidence and reports (default .eng5)", metavar="DIR")
    option("concurrency", "runs at once (default 8)", metavar="N")
    override = "override a scenario key, e.g. thresholds.kendall_tau.min=0.8; repeatable"
    option("set", override, ini=False, action="append", default=[], metavar="KEY=VALUE")
    option(
        "rejudge",
        "checks and gates over recorded runs, without broker and pipeline",
        ini=False,
        metavar="DIR",
    )
    parser.addini("eng5_files", "globs of scenario files", type="args", default=list(DEFAULT_FILES))


@dataclass(frozen=True, slots=True)
class _Source:
    """Where values come from, in order of precedence."""

    config: pytest.Config
    environment: Mapping[str, str]

    def text(self, name: str, variable: str | None = None, *, ini: bool = True) -> str | None:
        value = self.config.getoption(f"eng5_{name}")
        if value is None and variable is not None:
            value = self.environment.get(variable) or None
        if value is None and ini:
            value = self.config.getini(f"eng5_{name}") or None
        return None if value is None else str(value)

    def number(self, name: str, kind: type[int] | type[float], minimum: float) -> float | None:
        text = self.text(name)
        if text is None:
            return None
        option = "--eng5-" + name.replace("_", "-")
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value < float("inf"):
            raise pytest.UsageError(f"{option} {text}: expected a number of at least {minimum:g}")
        return value

    def choice(self, name: str, variable: str | None, allowed: tuple[str, ...]) -> str:
        value = self.text(name, variable) or allowed[0]
        if value not in allowed:
            option = "--eng5-" + name.replace("_", "-")
            raise pytest.UsageError(f"{option} {value}: choose one of {', '.join(allowed)}")
        return value

    def url(self, name: str, variable: str) -> str | None:
        text = self.text(name, variable, ini=False)
        if text is not None and not _URL.match(text):
            option = "--eng5-" + name.replace("_", "-")
            raise pytest.UsageError(f"{option} {text}: expected an address such as http://localhost:8001")
        return text

    def path(self, name: str, variable: str | None = None, *, ini: bool = True) -> Path | None:
        text = self.text(name, variable, ini=ini)
        return None if text is None else (self.config.invocation_params.dir / text).absolute()


def _recorded(source: _Source) -> Path | None:
    """The session folder whose runs are to be judged again; of a link, what it points to now.

    Workers are told what the controller found: ``latest`` is the session's own folder when they look.

    Raises:
        pytest.UsageError: It holds no runs.
    """
    folder = source.path("rejudge", ini=False)
    if folder is None:
        return None
    if _has_runs(folder):
        found = folder.resolve()
        source.config.option.eng5_rejudge = str(found)
        return found
    what = "there are no recorded runs" if folder.is_dir() else "there is no such folder"
    above = folder.parents[:3] if folder.is_dir() else ()  # it may be a scenario's, a variant's or a run's
    near = (folder / "latest", folder.parent / "latest", *above)
    better = next((session for session in near if _has_runs(session)), None)
    fix = "the folder of one session, such as .eng5/latest" if better is None else str(better)
    raise pytest.UsageError(f"--eng5-rejudge {folder}: {what}\n  fix: name {fix}")


def _has_runs(folder: Path) -> bool:
    return any(path for name in ("plan", "inventory") for path in folder.glob(f"*/*/run-*/{name}.json"))


def _broker(source: _Source) -> str:
    """The kind asked for; settings of an external broker on the command line ask for one."""
    kind = source.choice("broker", "ENG5_BROKER", ("auto", "embedded", "container", "external"))
    if source.config.getoption("eng5_kafka_config") is None:
        return kind
    if kind in ("embedded", "container"):
        raise pytest.UsageError(
            f"--eng5-kafka-config is for an external broker, not for --eng5-broker {kind}: leave one out"
        )
    return "external"


def resolve_options(config: pytest.Config, environment: Mapping[str, str] | None = None) -> Options:
    """Resolve all options.

    Raises:
        pytest.UsageError: A value is not allowed, or asks for what does not exist yet.
    """
    source = _Source(config, os.environ if environment is None else environment)
    judge = source.choice("judge", None, ("scenario", "mock", "replay", "record"))
    if judge in ("replay", "record"):
        raise pytest.UsageError(f"--eng5-judge {judge} is not supported yet: use scenario or mock")
    broker = _broker(source)
    servers = source.text("bootstrap_servers", "KAFKA_BOOTSTRAP_SERVERS", ini=False)
    live = bool(config.getoption("eng5_live")) or source.environment.get("ENG5_LIVE", "").lower() in _TRUE
    concurrency = source.number("concurrency", int, 1)
    partitions = source.number("partitions", int, 1)
    return Options(
        broker=broker,
        kafka_home=source.path("kafka_home", "KAFKA_HOME"),
        kafka_log=source.path("kafka_log"),
        kafka_image=source.text("kafka_image", "ENG5_KAFKA_IMAGE"),
        kafka_reuse=bool(config.getoption("eng5_kafka_reuse")),
        kafka_config=source.path("kafka_config"),
        bootstrap_servers=servers,
        create_topics=bool(config.getoption("eng5_create_topics")),
        partitions=DEFAULT_PARTITIONS if partitions is None else int(partitions),
        pipeline=source.choice("pipeline", "ENG5_PIPELINE", ("auto", "embedded", "external")),
        content_url=source.url("content_url", "CONTENT_SERVICE_URL"),
        cj_url=source.url("cj_url", "CJ_SERVICE_URL"),
        llm_url=source.url("llm_url", "LLM_PROVIDER_SERVICE_URL"),
        judge=judge,
        live=live,
        budget_usd=source.number("budget_usd", float, 0.0),
        output=source.path("output") or (config.rootpath / ".eng5"),
        concurrency=8 if concurrency is None else int(concurrency),
        overrides=(*(("judge.provider=mock",) if judge == "mock" else ()), *config.getoption("eng5_set")),
        topic_prefix=source.text("topic_prefix") or "",
        rejudge=_recorded(source),
    )
