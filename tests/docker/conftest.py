"""Images built from the Dockerfile, sessions of pytest in child processes, and what the engine says of both.

Only on request, since it takes minutes and an engine: `make docker-test`, which sets ENG5_DOCKER_TESTS.
ENG5_DOCKER_BASE is the base image, ENG5_BUILD_CA_BUNDLE a file of certificates in it for pip and Maven,
ENG5_DOCKER_PREBUILT=1 takes the images as they were built last.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABEL = "io.pytest-eng5.kafka"
SECRET = "docker-test:s3cret-a81c"
OURS = ("ENG5_", "KAFKA_", "PYTEST_", "CONTENT_SERVICE_", "CJ_SERVICE_", "LLM_PROVIDER_", "COV_CORE_")


def why_not() -> str | None:
    """Why the tests that need an engine cannot run here, or None."""
    if os.environ.get("ENG5_DOCKER_TESTS") != "1":
        return "tests with a container engine run on request only: make docker-test"
    if shutil.which("docker") is None:
        return "no docker program on this machine"
    answer = subprocess.run(["docker", "info"], capture_output=True, text=True, check=False)
    return f"no engine answers: {answer.stderr.strip()}" if answer.returncode else None


_why_not = cache(why_not)


class Docker:
    """The docker program.

    ``foreign`` are containers of brokers that were there before the test: somebody works with them.
    """

    foreign: frozenset[str] = frozenset()

    def __call__(self, *words: str, check: bool = True, timeout: float = 600) -> str:
        """Run it; its output, both streams."""
        answer = subprocess.run(
            ["docker", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=timeout,
            env={"DOCKER_BUILDKIT": "0", **os.environ},
        )
        assert not check or answer.returncode == 0, f"docker {' '.join(words)}\n{answer.stdout[-5000:]}"
        return answer.stdout

    def inspect(self, name: str) -> dict[str, Any]:
        """All that the engine knows of an image or a container."""
        (found,) = json.loads(self("inspect", name))
        return dict(found)

    def kafkas(self) -> list[str]:
        """Ids of all containers that container brokers have made since the test began, running or not."""
        found = self("ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}").split()
        return [each for each in found if each not in self.foreign]

    def build(self, target: str, tag: str) -> str:
        """Build a target of the Dockerfile; returns the tag."""
        if os.environ.get("ENG5_DOCKER_PREBUILT") == "1" and self("images", "-q", tag).strip():
            return tag
        words = ["build", "--target", target, "--tag", tag]
        for name, variable in (("BASE", "ENG5_DOCKER_BASE"), ("REQUESTS_CA_BUNDLE", "ENG5_BUILD_CA_BUNDLE")):
            if os.environ.get(variable):
                words += ["--build-arg", f"{name}={os.environ[variable]}"]
        # The way credentials of a registry come: the server ignores them, the image must not know them.
        index = os.environ.get("PIP_INDEX_URL", "https://pypi.org/simple")
        if "@" not in index:
            index = index.replace("://", f"://{SECRET}@", 1)
        words += ["--build-arg", f"PIP_INDEX_URL={index}"]
        self(*words, str(ROOT), timeout=1800)
        return tag


@pytest.fixture(scope="session")
def docker() -> Docker:
    """The engine, or a skip with the reason."""
    if reason := _why_not():
        pytest.skip(reason)
    return Docker()


@pytest.fixture(scope="session")
def secret() -> str:
    """User and password that every build is given in an argument."""
    return SECRET


@pytest.fixture(scope="session")
def kafka_image(docker: Docker) -> str:
    """The target ``kafka`` of the Dockerfile."""
    return docker.build("kafka", "pytest-eng5-kafka:tested")


@pytest.fixture(scope="session")
def pipeline_image(docker: Docker) -> str:
    """The target ``pipeline`` of the Dockerfile."""
    return docker.build("pipeline", "pytest-eng5:tested")


@pytest.fixture(scope="session")
def runner_image(docker: Docker) -> str:
    """The target ``runner`` of the Dockerfile."""
    return docker.build("runner", "pytest-eng5-runner:tested")


@pytest.fixture
def no_kafkas(docker: Docker) -> Iterator[None]:
    """Whatever the test did, no container of a broker stays that was not there before."""
    docker.foreign = frozenset()
    docker.foreign = frozenset(docker.kafkas())
    yield
    if after := docker.kafkas():
        docker("rm", "-f", "-v", *after)


@dataclass
class Session:
    """A session of pytest in a process of its own, with the repository's scenarios."""

    process: subprocess.Popen[str]
    folder: Path

    def wait(self, timeout: float = 240) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def run_folders(self) -> list[Path]:
        """The folders of its runs."""
        found = self.folder.glob("eng5/*/*/*/run-*/events")
        return sorted({path.parent.resolve() for path in found})  # `latest` leads to the same ones

    def comparisons(self) -> list[dict[str, Any]]:
        """Every captured comparison."""
        lines = [
            line
            for run in self.run_folders()
            for line in (run / "events" / "comparisons.jsonl").read_text().splitlines()
        ]
        return [json.loads(line) for line in lines]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Start sessions on copies of the shipped scenarios; those still running at the end are killed."""
    started: list[Session] = []

    def start(*arguments: str, environment: dict[str, str] | None = None) -> Session:
        folder = tmp_path / f"session-{len(started)}"
        shutil.copytree(ROOT / "scenarios", folder / "scenarios")
        (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
        words = [sys.executable, "-m", "pytest", "scenarios", "-p", "no:cacheprovider", "-p", "no:randomly"]
        clean = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
        with (folder / "output.txt").open("w") as output:
            process = subprocess.Popen(
                [*words, "--eng5-output", "eng5", *arguments],
                cwd=folder,
                env={**clean, **(environment or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        started.append(Session(process, folder))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


@pytest.fixture
def eventually() -> Callable[..., bool]:
    """Whether a condition becomes true in time, for what only the engine knows."""

    def wait(condition: Callable[[], object], seconds: float = 60.0) -> bool:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    return wait


@pytest.fixture
def container(docker: Docker) -> Iterator[Callable[..., str]]:
    """Run containers that are removed at the end."""
    names: list[str] = []

    def run(image: str, *words: str, options: tuple[str, ...] = ()) -> str:
        names.append(f"eng5-test-{uuid.uuid4().hex[:12]}")
        docker("run", "-d", "--name", names[-1], *options, image, *words)
        return names[-1]

    yield run
    for name in names:
        docker("rm", "-f", "-v", name, check=False)
