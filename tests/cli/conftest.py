"""The command as a user runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

import pytest_eng5
from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.brokers.cache import cache_root
from pytest_eng5.services import AdminAuth, AdminClient

ROOT = Path(pytest_eng5.__file__).parents[1]
VARIABLES = (
    *("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_HOME", "CONTENT_SERVICE_URL", "CJ_SERVICE_URL"),
    *("LLM_PROVIDER_SERVICE_URL", "ENG5_LIVE", "ENVIRONMENT", "HULEEDU_ENVIRONMENT"),
    *("HULEEDU_SERVICE_ACCOUNT_TOKEN", "HULEEDU_ADMIN_TOKEN", "JWT_SECRET_KEY", "JWT_ALGORITHM"),
)
KEY = "a secret of the tests, long enough for HS256"
START = "import sys; sys.argv[0] = 'eng5'; from pytest_eng5.cli import main; main()"

# Ends whatever makes a socket or starts a process; git and the platform module are not meant.
GUARD = """
import sys

def hook(event, args):
    harmless = event == "subprocess.Popen" and str(args[0]).rsplit("/", 1)[-1] in ("git", "uname")
    if (event.startswith("socket.") or event == "subprocess.Popen") and not harmless:
        open("touched.txt", "a").write(f"{event} {args!r}\\n")
        raise RuntimeError(f"{event} in a mode that reaches nothing")

sys.addaudithook(hook)
"""


@dataclass(frozen=True)
class Said:
    """What a command said, and its exit status."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Shell:
    """Runs ``eng5`` in a folder that has the shipped scenarios."""

    folder: Path
    environment: Mapping[str, str]

    def eng5(self, *arguments: str | Path, guarded: bool = False, **variables: str) -> Said:
        """Run it; ``guarded`` forbids it sockets and processes."""
        program = f"{GUARD}\n{START}" if guarded else START
        run = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Said(run.returncode, run.stdout, run.stderr)

    def interrupted(self, *arguments: str | Path, when: Callable[[], bool] | str, **variables: str) -> Said:
        """Run it, press Ctrl-C as soon as it says ``when`` (or that is true), and wait for its end."""
        out, err = self.folder / "out.txt", self.folder / "err.txt"
        with out.open("w") as stdout, err.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-u", "-c", START, *map(str, arguments)],
                cwd=self.folder,
                env={**self.environment, **variables},
                stdout=stdout,
                stderr=stderr,
            )
            deadline = time.monotonic() + 120
            while not (when in out.read_text() if isinstance(when, str) else when()):
                assert process.poll() is None, (out.read_text(), err.read_text())
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=180)
        return Said(code, out.read_text(), err.read_text())

    @property
    def session(self) -> Path:
        """Folder of the last session."""
        return (self.folder / ".eng5" / "latest").resolve()

    def settled(self, text: str) -> str:
        """A text without what differs from run to run and from machine to machine."""
        return settled(text.replace(str(self.folder), "HERE"))


_UNSETTLED = (
    (r"\d{8}T\d{6}Z-[0-9a-f]{4}", "SESSION"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    (r"127\.0\.0\.1:\d+", "HOST:PORT"),
    (r"\d{4}-\d\d-\d\dT[\d:]{8}\+00:00", "DATE"),
    (r"[+-]?\d+(\.\d+)?±\d+(\.\d+)? s", "SECONDS"),
    (r"\b\d+ ms\b", "TIME"),
    (r"\b\d+(\.\d+)? (GB|MB) free", "SPACE free"),
)


def settled(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, word in _UNSETTLED:
        text = re.sub(pattern, word, text)
    return text


@dataclass(frozen=True)
class InProcess:
    """Runs ``eng5`` in this process, which takes a hundredth of the time."""

    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str | Path, **variables: str) -> Said:
        from pytest_eng5.cli import main

        with self.monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["eng5", *map(str, arguments)])
            self.capture.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        found = self.capture.readouterr()
        code = ended.value.code
        return Said(code if isinstance(code, int) else 0, found.out, found.err)


@pytest.fixture
def eng5(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> InProcess:
    """The command in a folder of its own, without the environment of whoever runs these tests."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)
    return InProcess(monkeypatch, capsys)


def token(secret: str = KEY, **claims: Any) -> str:
    """A token as the identity service gives it; a claim set to None is left out."""
    now = datetime.now(UTC)
    usual = {"sub": "operator", "iss": "huleedu-identity-service", "aud": "huleedu-platform"}
    usual |= {"iat": int(now.timestamp()), "exp": int((now + timedelta(hours=1)).timestamp())}
    merged = {**usual, "roles": ["admin"], **claims}
    return jwt.encode({k: v for k, v in merged.items() if v is not None}, secret, algorithm="HS256")


@pytest.fixture
def make_token() -> Callable[..., str]:
    """Makes tokens signed with the services' key, or with another."""
    return token


@pytest.fixture(scope="session")
def fakes() -> ModuleType:
    """The services as their clients' tests play them."""
    path = Path(__file__).parents[1] / "services" / "conftest.py"
    spec = importlib.util.spec_from_file_location("eng5_service_fakes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["eng5_service_fakes"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def _fake_address(fakes: ModuleType) -> Iterator[tuple[str, list[Any]]]:
    current: list[Any] = []

    async def handle(request: Any) -> Any:
        return await current[0].handle(request)

    with fakes._serving(handle) as (url, _):
        yield url, current


@pytest.fixture
def cj(_fake_address: tuple[str, list[Any]], fakes: ModuleType) -> Any:
    """A CJ service that does what a test tells it."""
    url, current = _fake_address
    service = fakes.FakeCj(url, secret=KEY)
    current[:] = [service]
    return service


class Silent:
    """Somebody who takes connections and never answers."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._taken: list[socket.socket] = []
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"

    def asked(self) -> bool:
        """Whether anybody has connected by now."""
        if select.select([self._listener], [], [], 0)[0]:
            self._taken.append(self._listener.accept()[0])
        return bool(self._taken)

    def close(self) -> None:
        for taken in self._taken:
            taken.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)
        somebody = Silent(listener)
        yield somebody
        somebody.close()


@dataclass(frozen=True)
class Stack:
    """A broker and the reference pipeline, with the variables by which they are reached."""

    variables: dict[str, str]

    def assignment(self, scale: str = "eng5_np_legacy_9_step") -> str:
        """A new assignment with instructions."""
        assignment_id = str(uuid4())

        async def create() -> None:
            async with httpx.AsyncClient(trust_env=False) as http:
                auth = AdminAuth({"JWT_SECRET_KEY": KEY})
                admin = AdminClient(http, self.variables["CJ_SERVICE_URL"], auth)
                text = "Judge the argument, not the length."
                await admin.upsert_instructions(
                    assignment_id=assignment_id, instructions_text=text, grade_scale=scale
                )

        asyncio.run(create())
        return assignment_id


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One for all commands: they read, and register anchors for assignments of their own."""
    folder = tmp_path_factory.mktemp("stack")
    (folder / "key").write_text(KEY)
    broker = EmbeddedBroker(BrokerOptions(kind="embedded", work_dir=folder, log_path=folder / "kafka.log"))
    servers = broker.start().bootstrap_servers
    command = [sys.executable, "-m", "pytest_eng5.pipeline", "serve", "--bootstrap-servers", servers]
    command += ["--state", "memory", "--jwt-key-file", str(folder / "key")]
    command += ["--log-file", str(folder / "pipeline.log")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())["ready"]
        yield Stack(
            {
                "KAFKA_BOOTSTRAP_SERVERS": servers,
                "CONTENT_SERVICE_URL": ready["content_url"],
                "CJ_SERVICE_URL": ready["cj_url"],
                "LLM_PROVIDER_SERVICE_URL": ready["llm_url"],
            }
        )
    finally:
        process.terminate()
        process.wait(60)
        broker.stop()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder of its own, apart from the environment of whoever runs these tests."""
    (tmp_path / "scenarios").symlink_to(ROOT / "scenarios")
    environment = {key: value for key, value in os.environ.items() if key not in VARIABLES}
    environment |= {"PYTHONPATH": str(ROOT), "ENG5_CACHE_DIR": str(cache_root())}
    environment |= {"COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1"}
    return Shell(tmp_path, environment)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of essays: anchors by grade, and a number of students."""

    def make(*grades: str, students: int = 1, name: str = "mine") -> Path:
        root = tmp_path / name
        (root / "anchors").mkdir(parents=True)
        (root / "students").mkdir()
        for number, grade in enumerate(grades, start=1):
            (root / "anchors" / f"essay_{number}_{grade}.txt").write_text(f"An essay of grade {grade}.\n")
        for number in range(1, students + 1):
            (root / "students" / f"pupil_{number}.txt").write_text(f"Essay of pupil {number}.\n")
        (root / "instructions.md").write_text("# Write about the sea\n")
        return root

    return make
