"""The command as a whole: what it offers, how long that takes, and what is no command."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

import pytest_eng5

COMMANDS = ("version", "run", "verify", "register-anchors", "verify-auth", "doctor", "kafka", "pipeline")


FLAGS = {
    "verify": "",
    "verify-auth": "cj-service-url",
    "compare": "metric min-improvement confidence json",
    "register-anchors": "anchor-dir cj-service-url expected-grade-scale dry-run",
    "doctor": "output-dir kafka-bootstrap kafka-config kafka-home topic-prefix create-topics timeout live "
    "content-service-url cj-service-url llm-provider-service-url assignment-id expected-grade-scale "
    "budget-usd",
}


@pytest.mark.parametrize("command", FLAGS)
def test_help_tells_every_flag_and_the_exit_status(eng5: Any, command: str) -> None:
    said = eng5(command, "--help")
    assert (said.code, said.err) == (0, "")
    told = set(re.findall(r"--([a-z-]+)", said.out))
    assert told == {"help", *FLAGS[command].split()}
    assert "Exit status: 0 " in " ".join(said.out.split())


def test_every_command_is_offered_with_a_whole_sentence(eng5: Any) -> None:
    said = eng5("--help", COLUMNS="80")
    lines = dict(re.findall(r"^  ([a-z-]+)  +(\S.*)$", said.out, re.MULTILINE))
    assert [name for name in COMMANDS if name not in lines] == []
    assert [name for name in FLAGS if lines[name].endswith("...")] == []


def test_the_version(eng5: Any) -> None:
    assert eng5("version").out == f"{pytest_eng5.__version__}\n"


@pytest.mark.parametrize("arguments", [("nonsense",), ("--nonsense",), ("version", "now")])
def test_what_is_no_command(eng5: Any, arguments: tuple[str, ...]) -> None:
    said = eng5(*arguments)
    assert (said.code, said.out) == (2, "")
    assert "Try 'eng5" in said.err


def test_help_needs_none_of_the_heavy_libraries(shell: Any) -> None:
    heavy = ("numpy", "scipy", "aiokafka", "httpx", "jsonschema", "starlette", "jwt", "openpyxl")
    program = "import sys; import pytest_eng5.cli; print([n for n in sys.argv[1:] if n in sys.modules])"
    run = subprocess.run(
        [sys.executable, "-c", program, *heavy],
        env=dict(shell.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"


def test_ctrl_c_where_nothing_else_says_so(eng5: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pytest_eng5.reports.verification.verify_recorded", interrupt)
    said = eng5("verify", ".")
    assert (said.code, said.out) == (4, "")
    assert said.err.strip() == "eng5: interrupted"
