"""Small projects with scenario files, and short ways to run pytest in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest

# Imported here since runs within this process must not load C extensions a second time.
import pytest_eng5.collection.files
import pytest_eng5.collection.recorded  # noqa: F401
from pytest_eng5.brokers import EmbeddedBroker
from pytest_eng5.brokers.cache import cache_root
from pytest_eng5.collection.options import Options
from pytest_eng5.collection.stash import OPTIONS

VARIABLES = (
    "ENG5_BROKER",
    "ENG5_KAFKA_IMAGE",
    "ENG5_LIVE",
    "ENG5_PIPELINE",
    "KAFKA_HOME",
    "KAFKA_BOOTSTRAP_SERVERS",
    "CONTENT_SERVICE_URL",
    "CJ_SERVICE_URL",
    "LLM_PROVIDER_SERVICE_URL",
    "PYTEST_ADDOPTS",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
)
ESSAYS = {
    "A": "A clear and lively argument. Every paragraph has one idea, and each follows from the last.",
    "C+": "The argument is there but it wanders. Some of the examples have little to do with it.",
    "E+": "I think it is good because it is good. Many peoples thinks so to and that is why.",
    "F+": "school is bad i dont no why but it is bad for me and for the peoples",
}
JUDGE = "{provider: mock, model: simulated-judge, mock: {discrimination: 12.0, seed: 7}}"
# Plugins that no test here needs: loading them takes half of the start of a session, and the last of them
# collects garbage five times at the end of each.
UNNEEDED = ("hypothesispytest", "html", "metadata", "syrupy", "randomly", "unraisableexception")
QUIET = (*(word for name in UNNEEDED for word in ("-p", f"no:{name}")), "-p", "no:cacheprovider")


class Project:
    """A folder with scenario files, four anchors and two prompts."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.root = pytester.path

    def write(self, name: str, text: str) -> Path:
        """Write a file, its text dedented."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
        return path

    def inputs(self, folder: str = "inputs", grades: tuple[str, ...] = tuple(ESSAYS)) -> Path:
        """Write the task, and one anchor per grade."""
        self.write(f"{folder}/instructions.md", "# Write about school\n")
        self.write(f"{folder}/prompt.md", "Is school good?\n")
        rows = ["anchor_id,file_name,grade"]
        for number, grade in enumerate(grades, start=1):
            text = ESSAYS.get(grade, "An essay of some other grade.")
            self.write(f"{folder}/anchors/text_{number}.txt", f"{text} ({number})\n")
            rows.append(f"anchor_{number},text_{number}.txt,{grade}")
        self.write(f"{folder}/anchors.csv", "\n".join(rows) + "\n")
        self.write("prompts/system.txt", "Judge fairly.\n")
        self.write("prompts/rubric.txt", "Content before language.\n")
        return self.root / folder

    def scenario(
        self,
        name: str = "small",
        *,
        file: str | None = None,
        variants: tuple[str, ...] = ("baseline",),
        thresholds: str = "{kendall_tau: {min: 0.90}, direct_inversions: {max: 1}}",
        judge: str = JUDGE,
        more: str = "",
    ) -> Path:
        """Write a scenario file, one line per key so that tests can name lines."""
        if not (self.root / "inputs").exists():
            self.inputs()
        lines = [
            f"scenario: {name}",
            "mode: anchor-align-test",
            "inputs: inputs",
            f"judge: {judge}",
            "timeout: {idle: 20, total: 60}",
            f"thresholds: {thresholds}",
            *([more] if more else []),
            "variants:",
            *(f"  - {{id: {id_}, system_prompt: prompts/system.txt}}" for id_ in variants),
        ]
        return self.write(file or f"{name}.eng5.yaml", "\n".join(lines) + "\n")

    def inprocess(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process: quick, for what starts nothing."""
        return self.pytester.runpytest_inprocess(*QUIET, *arguments)

    def subprocess(self, *arguments: str, timeout: float = 300) -> pytest.RunResult:
        """Run pytest as a user does."""
        return self.pytester.runpytest_subprocess(*QUIET, *arguments, timeout=timeout)

    def collect(self, *arguments: str) -> list[str]:
        """Node ids of the collected items."""
        result = self.inprocess("--collect-only", "-q", *arguments)
        return [line for line in result.outlines if "::" in line]

    def sessions(self, output: str = ".eng5") -> list[Path]:
        """Session folders, oldest first."""
        found = [path for path in (self.root / output).glob("*Z-*") if not path.is_symlink()]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    def ini(self, *lines: str) -> None:
        """Replace the project's ini file."""
        body = "\n".join(["[pytest]", "asyncio_default_fixture_loop_scope = function", *lines])
        self.write("tox.ini", body + "\n")

    def header(self, *arguments: str) -> str:
        """The header line of the plugin, for these arguments."""
        result = self.inprocess("--collect-only", *arguments)
        lines = [line for line in result.outlines if line.startswith("eng5: ")]
        assert len(lines) == 1, result.outlines
        return lines[0]

    def options(self, *arguments: str) -> Options:
        """The resolved options, for these arguments."""
        return self.pytester.parseconfigure(*QUIET, *arguments).stash[OPTIONS]

    def refusal(self, *arguments: str) -> str:
        """The text of the usage error that these arguments give, and nothing else goes wrong."""
        result = self.inprocess(*arguments)
        text = f"{result.stderr.str()}\n{result.stdout.str()}"
        assert result.ret == pytest.ExitCode.USAGE_ERROR, text
        assert "Traceback" not in text
        assert "INTERNALERROR" not in text
        found = re.search(r"^ERROR: (.*(?:\n  fix: .*)*)", text, re.MULTILINE)
        assert found, text
        return found[1]

    def collection_error(self, *arguments: str) -> list[str]:
        """The lines of the only collection error, without its title."""
        result = self.inprocess(*arguments)
        text = f"{result.stderr.str()}\n{result.stdout.str()}"
        assert result.ret == pytest.ExitCode.INTERRUPTED, text
        assert "Traceback" not in text
        result.assert_outcomes(errors=1)
        block = text[text.index("= ERRORS =") :].splitlines()[1:]
        assert block[0].startswith("_"), text
        ends = next(n for n, line in enumerate(block) if line.startswith("=") or "short test" in line)
        return block[1:ends]


def items_of(report: Path) -> dict[str, tuple[str, dict[str, list[str]]]]:
    """Outcome and properties by ``variant::item`` of a JUnit file."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        properties: dict[str, list[str]] = {}
        for entry in case.iter("property"):
            properties.setdefault(entry.attrib["name"], []).append(entry.attrib["value"])
        name = f"{case.attrib['classname'].rsplit('.', 1)[-1]}::{case.attrib['name']}"
        found[name] = ((kinds or ["passed"])[0], properties)
    return found


@pytest.fixture
def junit_items() -> Callable[[Path], dict[str, tuple[str, dict[str, list[str]]]]]:
    """Reads a JUnit file, see `items_of`."""
    return items_of


@pytest.fixture(scope="session")
def recorded_session(kafka: str, cache: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a session that passed: scenario ``small`` with the variants ``baseline`` and ``other``."""
    folder = tmp_path_factory.mktemp("recorded")
    project = Project(SimpleNamespace(path=folder))  # type: ignore[arg-type]
    project.ini()
    project.scenario(variants=("baseline", "other"))
    environment = {k: v for k, v in os.environ.items() if k not in VARIABLES} | {"ENG5_CACHE_DIR": cache}
    words = [sys.executable, "-m", "pytest", *QUIET, *options_on(kafka)]
    made = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout
    return project.sessions()[0]


@pytest.fixture
def on_kafka(kafka: str) -> tuple[str, ...]:
    """Options for a session on the shared broker with topics and a pipeline of its own."""
    return options_on(kafka)


def options_on(kafka: str) -> tuple[str, ...]:
    """The same for a fixture of another scope."""
    prefix = f"t{uuid.uuid4().hex[:8]}."
    broker = ("--eng5-broker", "external", "--eng5-bootstrap-servers", kafka)
    own = ("--eng5-pipeline", "embedded", "--eng5-topic-prefix", prefix, "--eng5-create-topics")
    return (*broker, *own)


@pytest.fixture(scope="session")
def cache() -> str:
    """The folder of the fetched Kafka, asked for before pytester changes the home folder."""
    return str(cache_root())


@pytest.fixture
def project(cache: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project, apart from the environment of whoever runs these tests."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ENG5_CACHE_DIR", cache)
    made = Project(pytester)
    made.ini()
    return made


@pytest.fixture(scope="session")
def kafka(shared_broker: EmbeddedBroker) -> str:
    """Bootstrap servers of one broker for all end-to-end tests of this folder."""
    return shared_broker.connection.bootstrap_servers
