"""A run happens once per session, however many processes want it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_eng5.contracts import utc_now
from pytest_eng5.evidence import EndReason, RunEnding
from pytest_eng5.runner import Claims

FORK = multiprocessing.get_context("fork")


def ending(detail: str = "completed") -> RunEnding:
    now = utc_now()
    return RunEnding(reason=EndReason.COMPLETED, detail=detail, started_at=now, ended_at=now)


def race(folder: Path, rounds: int, barrier: Any, wins: Any) -> None:
    """Try to claim every round at the same moment as the other process."""
    claims = Claims(folder)
    for number in range(rounds):
        barrier.wait(60)
        claim = claims.take(f"run-{number}")
        if claim is not None:
            claim.settle(ending(f"{os.getpid()}"))
            wins.put((number, os.getpid()))
        else:
            assert claims.wait(f"run-{number}").reason is EndReason.COMPLETED


def hold(folder: Path, ready: Any) -> None:
    """Claim and never settle."""
    claim = Claims(folder).take("run")
    assert claim is not None
    ready.set()
    time.sleep(60)


@pytest.fixture
def children() -> Iterator[list[Any]]:
    started: list[Any] = []
    yield started
    for process in started:
        process.kill()
        process.join(5)


def test_two_processes_race_fifty_times_and_exactly_one_wins(tmp_path: Path, children: list[Any]) -> None:
    barrier, wins = FORK.Barrier(2), FORK.Queue()
    for _ in range(2):
        children.append(FORK.Process(target=race, args=(tmp_path, 50, barrier, wins)))
        children[-1].start()
    won = [wins.get(timeout=60) for _ in range(50)]
    for process in children:
        process.join(60)
        assert process.exitcode == 0
    assert sorted(number for number, _ in won) == list(range(50))
    assert wins.empty()


def test_the_ending_reaches_whoever_waits(tmp_path: Path) -> None:
    claim = Claims(tmp_path).take("run")
    assert claim is not None
    told = ending("with ünicode and \n lines")
    claim.settle(told)
    assert Claims(tmp_path).wait("run") == told
    assert Claims(tmp_path).wait("run") == told


def test_a_run_that_is_done_cannot_be_claimed_again(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claim = claims.take("run")
    assert claim is not None
    assert claims.take("run") is None
    claim.settle(ending())
    assert claims.take("run") is None
    assert claims.take("another run") is not None


def test_an_owner_that_is_killed_leaves_an_infrastructure_ending_at_once(
    tmp_path: Path, children: list[Any]
) -> None:
    ready = FORK.Event()
    children.append(FORK.Process(target=hold, args=(tmp_path, ready)))
    children[-1].start()
    assert ready.wait(60)
    assert Claims(tmp_path).take("run") is None
    os.kill(children[-1].pid, signal.SIGKILL)
    began = time.monotonic()
    found = Claims(tmp_path).wait("run")
    assert time.monotonic() - began < 60
    assert found.reason is EndReason.INFRASTRUCTURE
    assert "not repeated" in found.detail
    assert not found.published
    assert Claims(tmp_path).take("run") is None, "its comparisons may have been paid for"


def test_a_waiter_sleeps_until_the_owner_is_done(tmp_path: Path) -> None:
    import threading

    claim = Claims(tmp_path).take("run")
    assert claim is not None
    found: list[RunEnding] = []
    waiter = threading.Thread(target=lambda: found.append(Claims(tmp_path).wait("run")))
    waiter.start()
    time.sleep(0.3)
    assert waiter.is_alive()
    claim.settle(ending())
    waiter.join(60)
    assert [one.reason for one in found] == [EndReason.COMPLETED]


def test_a_claim_given_back_can_be_taken_by_another(tmp_path: Path) -> None:
    claim = Claims(tmp_path).take("run")
    assert claim is not None
    claim.abandon()
    assert Claims(tmp_path).take("run") is not None


@pytest.mark.parametrize("key", ["a/b/run-1", "../../etc/passwd", "ä" * 500, "", "a\x00b"])
def test_any_key_is_a_harmless_file_name(tmp_path: Path, key: str) -> None:
    claim = Claims(tmp_path / "claims").take(key)
    assert claim is not None
    (made,) = (tmp_path / "claims").iterdir()
    assert made.stat().st_mode & 0o777 == 0o600
    claim.settle(ending())


def test_descriptors_are_not_inherited_nor_leaked(tmp_path: Path) -> None:
    before = open_descriptors()
    claims = Claims(tmp_path)
    for number in range(100):
        claim = claims.take(f"run-{number}")
        assert claim is not None
        assert claims.take(f"run-{number}") is None
        claim.settle(ending())
        claims.wait(f"run-{number}")
    after = open_descriptors()
    assert after <= before + 1


def open_descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0
