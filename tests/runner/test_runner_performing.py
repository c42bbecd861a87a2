"""What the command does when something gives out before or while runs are performed."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.errors import UsageError
from pytest_eng5.runner import PlanHandler, RunnerError, performing
from pytest_eng5.runner.command import prepare
from pytest_eng5.runner.flags import RunFlags
from pytest_eng5.runner.performing import perform
from pytest_eng5.scenario import Scenario
from pytest_eng5.sessions import SessionIdentity


def refuse(*_: Any) -> None:
    raise AssertionError("nothing of this kind is expected here")


@pytest.fixture
def flags(make_scenario: Callable[..., Scenario], tmp_path: Path) -> Callable[..., RunFlags]:
    """Flags for a scenario of four anchors."""
    path = make_scenario(timeout={"idle": 5, "total": 5}).path
    return lambda **more: RunFlags(scenario=path, output_dir=tmp_path / "out", **more)


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[SessionIdentity]:
    """Sessions that were begun."""
    made: list[SessionIdentity] = []
    real = performing.new_session

    def remember() -> SessionIdentity:
        made.append(real())
        return made[-1]

    monkeypatch.setattr(performing, "new_session", remember)
    return made


def test_offline_runs_start_no_backend(
    flags: Callable[..., RunFlags], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(performing, "open_backend", refuse)
    session = perform(prepare(flags(mode="plan")), refuse, refuse)
    assert session.parent == tmp_path / "out"
    assert (tmp_path / "out" / "latest").resolve() == session
    assert (session / "small" / "only" / "run-1" / "inventory.json").is_file()


def test_a_full_disk_is_no_traceback(flags: Callable[..., RunFlags], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/inventory.json")

    monkeypatch.setattr(PlanHandler, "execute", full)
    with pytest.raises(RunnerError) as caught:
        perform(prepare(flags(mode="plan")), refuse, refuse)
    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(
        "/somewhere/inventory.json: a file cannot be read or written: No space left on device\n  fix: "
    )


def test_ctrl_c_while_the_broker_starts_leaves_nothing(
    flags: Callable[..., RunFlags], monkeypatch: pytest.MonkeyPatch, shared: list[SessionIdentity]
) -> None:
    def interrupted(options: Any, identity: SessionIdentity, *_: Any) -> None:
        identity.shared.mkdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(performing, "open_backend", interrupted)
    with pytest.raises(RunnerError, match="interrupted before any run was started") as caught:
        perform(prepare(flags()), refuse, refuse)
    assert caught.value.exit_code == 4
    assert [identity.shared.exists() for identity in shared] == [False]


def test_what_cannot_be_started_is_told_and_tidied(
    flags: Callable[..., RunFlags], shared: list[SessionIdentity]
) -> None:
    with pytest.raises(UsageError, match="needs the address of its content service"):
        perform(prepare(flags(kafka_bootstrap="127.0.0.1:1")), refuse, refuse)
    assert [identity.shared.exists() for identity in shared] == [False]


def test_a_session_that_cannot_have_a_folder(flags: Callable[..., RunFlags], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(Exception, match="no folder for evidence can be made here") as caught:
        perform(prepare(flags(mode="plan")), refuse, refuse)
    assert getattr(caught.value, "exit_code", None) == 4
