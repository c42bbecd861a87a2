"""``eng5 pipeline serve``: the reference pipeline by hand."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest


@pytest.mark.slow
def test_it_serves_until_ctrl_c(shell: Any, stack: Any) -> None:
    said = shell.interrupted(
        *("pipeline", "serve", "--topic-prefix", "cli.", "--state", "memory"),
        when='{"ready"',
        KAFKA_BOOTSTRAP_SERVERS=stack.variables["KAFKA_BOOTSTRAP_SERVERS"],
    )
    assert said.code == 0, said
    ready = json.loads(said.out.splitlines()[0])["ready"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{ready['cj_url']}/healthz", timeout=2, trust_env=False)


def test_its_own_options_are_told(shell: Any) -> None:
    said = shell.eng5("pipeline", "serve", "--help")
    assert said.code == 0
    assert "--jwt-key-file" in said.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--nonsense",), "unrecognized arguments"), (("--llm-port", "x"), "--llm-port")],
)
def test_wrong_usage(eng5: Any, arguments: tuple[str, ...], message: str) -> None:
    said = eng5("pipeline", "serve", *arguments)
    assert said.code == 2
    assert message in said.err
