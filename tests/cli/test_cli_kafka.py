"""``eng5 kafka``: an Apache Kafka for work by hand, gone after Ctrl-C."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_a_broker_runs_until_ctrl_c(shell: Any) -> None:
    arguments = ("kafka", "run", "--no-topics", "--data-dir", shell.folder / "data")
    said = shell.interrupted(*arguments, when="Ctrl-C stops it")
    assert said.code == 0, said
    assert "stopped; its records stay in" in said.out
    servers = re.search(r"^bootstrap servers: (\S+):(\d+)$", said.out, re.MULTILINE)
    assert servers is not None
    with pytest.raises(OSError):
        socket.create_connection((servers[1], int(servers[2])), timeout=1)


@pytest.mark.parametrize("command", ["run", "install"])
def test_a_kafka_home_that_is_none(eng5: Any, tmp_path: Path, command: str) -> None:
    said = eng5("kafka", command, "--kafka-home", tmp_path)
    assert said.code == 4
    assert "not an unpacked Apache Kafka" in said.err
    assert "fix: " in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--partitions", "0"), "--partitions"),
        (("run", "--port", "x"), "--port"),
        (("fetch",), "No such command"),
    ],
)
def test_wrong_usage(eng5: Any, arguments: tuple[str, ...], message: str) -> None:
    said = eng5("kafka", *arguments)
    assert said.code == 2
    assert message in said.err
