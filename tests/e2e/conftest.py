"""End to end: pytest in a child process, on the real embedded Kafka and the reference pipeline.

Each tree is a folder of its own with scenarios, its own temporary folder and a mark in the environment of
every process that the session starts, so that a test can tell what a session left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_inputs import write_inputs

from pytest_eng5.brokers import EmbeddedBroker

ROOT = Path(__file__).resolve().parents[2]
MARK = "ENG5_E2E_MARK"
OURS = ("ENG5_", "KAFKA_", "PYTEST_", "CONTENT_SERVICE_", "CJ_SERVICE_", "LLM_PROVIDER_", "COV_CORE_")
INI = """[pytest]
asyncio_default_fixture_loop_scope = function
markers = slow: slow
"""
# Plugins that sessions here do not need: loading them takes half of a session's start.
UNNEEDED = ("hypothesispytest", "syrupy", "html", "metadata")

SPY = '''
"""Notes the broker's address while the session runs, and what stood on its topics when it ended."""
import base64, json, os, pathlib
import psutil, pytest

@pytest.fixture(scope="session", autouse=True)
def _note_broker(eng5_broker):
    pathlib.Path("broker-%d.txt" % os.getpid()).write_text(eng5_broker.connection.bootstrap_servers)

def pytest_sessionfinish(session):
    if hasattr(session.config, "workerinput"):
        return
    from confluent_kafka import Consumer, TopicPartition, OFFSET_BEGINNING
    servers = {path.read_text() for path in pathlib.Path().glob("broker-*.txt")}
    found = {"servers": sorted(servers), "processes": [], "records": []}
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        line = " ".join(words)
        if os.environ["TMPDIR"] in line or process.pid in _marked():
            found["processes"].append(line)
    consumer = Consumer({"bootstrap.servers": servers.pop(), "group.id": "spy", "enable.auto.commit": False,
                         "enable.partition.eof": True})
    topics = consumer.list_topics(timeout=60).topics.values()
    parts = [TopicPartition(topic.topic, number, OFFSET_BEGINNING)
             for topic in topics if topic.topic.startswith("huleedu") for number in topic.partitions]
    consumer.assign(parts)
    ended = 0
    while ended < len(parts):
        message = consumer.poll(10)
        assert message is not None, "the topics could not be read"
        if message.error():
            ended += 1
            continue
        key = message.key()
        found["records"].append({
            "topic": message.topic(), "partition": message.partition(), "offset": message.offset(),
            "timestamp": message.timestamp()[1], "key": None if key is None else key.decode(),
            "value": base64.b64encode(message.value()).decode()})
    consumer.close()
    pathlib.Path("topics.json").write_text(json.dumps(found))

def _marked():
    marked = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get("ENG5_E2E_MARK") == os.environ["ENG5_E2E_MARK"]:
                marked.add(process.pid)
        except psutil.Error:
            pass
    return marked
'''


@dataclass
class Session:
    """A pytest session that has ended; ``folder`` is what ``latest`` named then."""

    tree: Tree
    code: int
    output: str
    seconds: float
    folder: Path

    def run(self, scenario: str, variant: str, repeat: int = 1) -> Path:
        """The folder of a run."""
        return self.folder / scenario / variant / f"run-{repeat}"

    def outcomes(self, name: str = "junit.xml") -> dict[str, str]:
        """Outcome of every item in a JUnit file: passed, failure, error or skipped."""
        return {key: outcome for key, (outcome, _) in self.cases(name).items()}

    def cases(self, name: str = "junit.xml") -> dict[str, tuple[str, str]]:
        """Outcome and message by ``variant::item`` of a JUnit file below the tree."""
        found = {}
        for case in ET.parse(self.tree.root / name).iter("testcase"):
            key = f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}"
            bad = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
            text = "" if bad is None else f"{bad.get('message')}\n{bad.text}"
            found[key] = ("passed" if bad is None else bad.tag, text)
        return found

    def properties(self, name: str = "junit.xml") -> dict[str, dict[str, str]]:
        """JUnit properties by ``variant::item``."""
        return {
            f"{case.get('classname', '').rsplit('.', 1)[-1]}::{case.get('name')}": {
                str(item.get("name")): str(item.get("value")) for item in case.iter("property")
            }
            for case in ET.parse(self.tree.root / name).iter("testcase")
        }

    def findings(self, scenario: str, variant: str) -> list[dict[str, Any]]:
        """What the checks of a run found."""
        return list(json.loads((self.run(scenario, variant) / "findings.json").read_text())["findings"])

    def topics(self) -> dict[str, Any]:
        """What the spy saw."""
        return dict(json.loads((self.tree.root / "topics.json").read_text()))


@dataclass
class Live:
    """A pytest session under way."""

    tree: Tree
    process: subprocess.Popen[str]
    started: float
    log: Path

    def captured(self, scenario: str, variant: str, lines: int = 1, seconds: float = 180.0) -> Path:
        """Wait until that many callbacks of a run are on disk; returns its folder."""
        run = self.tree.output / "latest" / scenario / variant / "run-1"
        log = run / "events" / "comparisons.jsonl"

        def enough() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return log.exists() and log.read_bytes().count(b"\n") >= lines

        wait_for(enough, seconds, "callbacks on disk")
        return run.resolve()

    def finish(self, seconds: float = 180.0) -> Session:
        """Wait for the end."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            raise
        seconds = time.monotonic() - self.started
        return Session(
            self.tree, code, self.log.read_text(), seconds, (self.tree.output / "latest").resolve()
        )


@dataclass
class Tree:
    """A folder with scenarios in which pytest is run."""

    root: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    cleanup: list[Live] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.temporary.mkdir(parents=True)
        (self.root / "pytest.ini").write_text(INI)

    @property
    def temporary(self) -> Path:
        """Temporary folder of the sessions; short, since sockets may lie in it."""
        return self.root / "tmp"

    @property
    def output(self) -> Path:
        """Default output folder."""
        return self.root / ".eng5"

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a user's shell would have, without the settings of this test run."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        kept |= {name: os.environ[name] for name in os.environ if name.startswith("ENG5_KAFKA")}
        return kept | {"TMPDIR": str(self.temporary), MARK: self.mark, "NO_COLOR": "1"} | dict(more or {})

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> Live:
        """Start ``pytest ARGS`` here."""
        log = self.root / f"out-{uuid.uuid4().hex[:6]}.txt"
        unneeded = () if "--html" in args else (f"-pno:{name}" for name in UNNEEDED)
        with log.open("w") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-rA", "--color=no", *unneeded, *args],
                cwd=self.root,
                env=self.environment(env),
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # a group of its own, for Ctrl-C as a terminal sends it
            )
        live = Live(self, process, time.monotonic(), log)
        self.cleanup.append(live)
        return live

    def pytest(self, *args: str, env: Mapping[str, str] | None = None, seconds: float = 300.0) -> Session:
        """Run ``pytest ARGS`` here to its end."""
        return self.start(*args, env=env).finish(seconds)

    def write(self, path: str, text: str) -> Path:
        """Write a file below the tree."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def scenario(self, name: str, variants: str = "  - id: only", *, essays: int = 4, **keys: str) -> Path:
        """A small scenario with distinct grades, best essay first.

        Args:
            keys: YAML of top-level keys, in place of the defaults.
        """
        parts = {
            "mode": "anchor-align-test",
            "inputs": write_inputs(self.root, essays),
            "judge": "{provider: mock, model: simulated-judge, mock: {discrimination: 12, seed: 7}}",
            "timeout": "{idle: 20, total: 60}",
            "thresholds": "{kendall_tau: {min: 0.5}}",
        } | keys
        lines = [f"scenario: {name}", *(f"{key}: {value}" for key, value in parts.items())]
        return self.write(f"{name}.eng5.yaml", "\n".join([*lines, "variants:", variants, ""]))

    def processes(self) -> list[psutil.Process]:
        """Everything that sessions of this tree started and that still runs."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if str(self.temporary) in " ".join(process.cmdline()):
                return True
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False

    def find(self, word: str) -> psutil.Process:
        """The one process with a word in its command line that is not its supervisor."""
        found = [
            process
            for process in self.processes()
            if any(word in part for part in process.cmdline()) and "--watch" not in process.cmdline()
        ]
        assert len(found) == 1, [process.cmdline() for process in found]
        return found[0]

    def assert_nothing_left_running(self, seconds: float = 60.0) -> None:
        """No process of the tree runs, within some seconds."""
        wait_for(lambda: not self.processes(), seconds, lambda: [p.cmdline() for p in self.processes()])

    def assert_nothing_left(self, seconds: float = 60.0) -> None:
        """Nor does anything lie in its temporary folder."""
        self.assert_nothing_left_running(seconds)
        wait_for(lambda: not self.litter(), seconds, self.litter)

    def litter(self) -> list[str]:
        """What lies in the temporary folder; pytest's own is not counted."""
        return sorted(path.name for path in self.temporary.iterdir() if "pytest-of" not in path.name)

    def end(self) -> None:
        """End what a failed test left running."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for live in self.cleanup:
            live.process.wait(60)


def wait_for(condition: Callable[[], Any], seconds: float, what: Any) -> None:
    """Wait until a condition holds; ``what`` is told otherwise, called first if it can be."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(0.02)


@pytest.fixture(scope="session")
def make_tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Tree]]:
    """Makes trees; ``shipped=True`` copies the shipped scenarios in, ``spy=True`` records the topics."""
    made: list[Tree] = []

    def make(*, shipped: bool = False, spy: bool = False) -> Tree:
        tree = Tree(tmp_path_factory.mktemp("tree"))
        if shipped:
            shutil.copytree(ROOT / "scenarios", tree.root / "scenarios")
        if spy:
            tree.write("conftest.py", SPY)
        made.append(tree)
        return tree

    yield make
    for tree in made:
        tree.end()


@pytest.fixture
def tree(make_tree: Callable[..., Tree]) -> Tree:
    """An empty tree."""
    return make_tree()


@pytest.fixture(scope="session")
def kafka(shared_broker: EmbeddedBroker) -> str:
    """Bootstrap servers of a Kafka that was started by hand."""
    return shared_broker.connection.bootstrap_servers


@dataclass(frozen=True)
class Foreign:
    """A pipeline that shares no code with ours, on topics of its own."""

    servers: str
    prefix: str
    url: str

    @property
    def options(self) -> tuple[str, ...]:
        """Of a session on it."""
        broker = ("--eng5-broker", "external", "--eng5-bootstrap-servers", self.servers)
        services = ("--eng5-content-url", f"{self.url}/v1/content", "--eng5-llm-url", self.url)
        return (*broker, "--eng5-topic-prefix", self.prefix, "--eng5-pipeline", "external", *services)


@pytest.fixture(scope="module")
def foreign(
    request: pytest.FixtureRequest, kafka: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    """The foreign pipeline, on topics with the module's ``PREFIX``."""
    log, prefix = tmp_path_factory.mktemp("foreign") / "requests.txt", request.module.PREFIX
    command = [sys.executable, str(Path(__file__).with_name("foreign_pipeline.py")), kafka, prefix, str(log)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    yield Foreign(kafka, prefix, str(json.loads(process.stdout.readline())["url"]))
    process.stdin.close()
    process.wait(60)
