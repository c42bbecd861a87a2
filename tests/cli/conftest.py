"""The command as a user runs it: a process of its own, in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import pytest_eng5
from pytest_eng5.brokers.cache import cache_root

ROOT = Path(pytest_eng5.__file__).parents[1]
VARIABLES = (
    *("KAFKA_BOOTSTRAP_SERVERS", "KAFKA_HOME", "CONTENT_SERVICE_URL", "CJ_SERVICE_URL"),
    *("LLM_PROVIDER_SERVICE_URL", "ENG5_LIVE"),
)
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
            timeout=120,
            check=False,
        )
        return Said(run.returncode, run.stdout, run.stderr)

    @property
    def session(self) -> Path:
        """Folder of the last session."""
        return (self.folder / ".eng5" / "latest").resolve()

    def settled(self, text: str) -> str:
        """A text without what differs from run to run and from machine to machine."""
        text = text.replace(str(self.folder), "HERE")
        return re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "SESSION", text)


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
