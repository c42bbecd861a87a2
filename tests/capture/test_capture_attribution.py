"""Records that cannot be taken at face value: rejected with a reason, or kept as strays; never dropped."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from pytest_eng5.capture import Router, RunChannel
from pytest_eng5.contracts import decode_event
from pytest_eng5.evidence import RunFolder, Stream

pytestmark = pytest.mark.asyncio


def damaged(lab: ModuleType, batch: str | None, path: tuple[str | int, ...], value: Any) -> Any:
    """A callback with one field replaced."""
    event = lab.callback(batch, "run-e1", "run-e2")
    target = event
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return event


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("data", "winner"), "essay_a", "/data/winner"),
        (("data", "confidence"), 5.5, "/data/confidence"),
        (("data", "justification"), "x" * 501, "/data/justification"),
        (("data", "cost_estimate"), -1, "/data/cost_estimate"),
        (("data", "provider"), "acme", "/data/provider"),
        (("data", "request_metadata"), ["no", "object"], "/data/request_metadata"),
        (("data", "correlation_id"), "no-uuid", "/data/correlation_id"),
        (("event_type",), None, "/event_type"),
        (("data",), None, "/data"),
    ],
)
async def test_an_invalid_payload_is_rejected_with_a_pointer(
    rig: Any, lab: ModuleType, path: tuple[str | int, ...], value: Any, pointer: str
) -> None:
    run = rig.run()
    event = damaged(lab, run.batch_id, path, value)
    position = await rig.send(lab.CALLBACK, event)
    await rig.hub.drain()
    assert rig.positions(run, Stream.REJECTED) == [position]
    assert rig.positions(run, Stream.COMPARISONS) == []
    ((record, rejection),) = rig.lines(run, Stream.REJECTED)
    assert rejection.stage == "schema"
    assert pointer in [reason[0] for reason in rejection.reasons]
    assert all(message for _, message in rejection.reasons)
    assert json.loads(record.value) == event
    assert run.account.rejected == 1
    assert run.account.comparisons == 0


async def test_several_faults_are_all_named(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    event = lab.callback(run.batch_id, confidence=9, response_time_ms=-3, model=None)
    await rig.send(lab.CALLBACK, event)
    await rig.hub.drain()
    ((_, rejection),) = rig.lines(run, Stream.REJECTED)
    pointers = {pointer for pointer, _ in rejection.reasons}
    assert pointers == {"/data/confidence", "/data/response_time_ms", "/data/model"}


async def test_a_payload_on_the_wrong_topic_is_rejected(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    await rig.send(lab.RICH, lab.callback(run.batch_id, "run-e1", "run-e2"))
    await rig.hub.drain()
    ((_, rejection),) = rig.lines(run, Stream.REJECTED)
    assert rejection.attribution == "text"
    assert not run.account.resulted


@pytest.mark.parametrize(
    "template",
    [
        '{{"data": {{"request_metadata": {{"bos_batch_id": "{batch}"',
        "{batch}",
        '"{batch}"',
        '["{batch}"]',
        "\ufeff{batch}",
        'log line: run-e2 failed {{"a": 1}}',
    ],
)
async def test_undecodable_bytes_that_name_us_are_ours(rig: Any, lab: ModuleType, template: str) -> None:
    run, other = rig.run("run"), rig.run("other")
    value = template.format(batch=run.batch_id).encode()
    await rig.send(lab.CALLBACK, value)
    await rig.hub.drain()
    ((record, rejection),) = rig.lines(run, Stream.REJECTED)
    assert record.value == value
    assert rejection.attribution == "text"
    assert rejection.reasons
    assert rig.lines(other, Stream.REJECTED) == []


@pytest.mark.parametrize("tail", [b"\xff\xfe\x00", b"\xc3\x28", bytes(range(256))])
async def test_bytes_that_are_not_utf8_are_kept_as_they_are(rig: Any, lab: ModuleType, tail: bytes) -> None:
    run = rig.run()
    value = b'{"batch": "' + run.batch_id.encode() + b'", "x": "' + tail
    await rig.send(lab.COMPLETED, value)
    await rig.hub.drain()
    ((record, rejection),) = rig.lines(run, Stream.REJECTED)
    assert record.value == value
    assert rejection.stage == "undecodable"


async def test_a_tombstone_is_rejected_and_tied_by_its_key(rig: Any, lab: ModuleType) -> None:
    run, other = rig.run("run"), rig.run("other")
    await rig.send(lab.COMPLETED, None, key=run.batch_id.encode(), null=True)
    await rig.hub.drain()
    ((record, rejection),) = rig.lines(run, Stream.REJECTED)
    assert record.value is None
    assert rejection.stage == "undecodable"
    assert rig.lines(other, Stream.REJECTED) == []


@pytest.mark.parametrize("value", [b"", b"null", b"5", b"\xff", b"{}", b"[" * 5000])
async def test_what_names_nobody_is_reported_by_every_open_run(
    rig: Any, lab: ModuleType, value: bytes
) -> None:
    one, two = rig.run("one"), rig.run("two")
    position = await rig.send(lab.CALLBACK, value)
    await rig.hub.drain()
    for run in (one, two):
        ((record, rejection),) = rig.lines(run, Stream.REJECTED)
        assert (record.position, record.value) == (position, value)
        assert rejection.attribution == "unattributed"
        assert run.account.rejected == 1
    assert [record.position for record, _ in rig.stray()] == [position]
    assert rig.hub.stray_events == 1


async def test_a_valid_event_that_names_nobody_is_reported_too(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    await rig.send(lab.CALLBACK, lab.callback(None))
    await rig.hub.drain()
    ((_, rejection),) = rig.lines(run, Stream.REJECTED)
    assert rejection.attribution == "unattributed"
    assert run.account.comparisons == 0


async def test_once_others_use_the_topics_strays_are_only_kept_aside(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    await rig.send(lab.CALLBACK, lab.callback(str(uuid4()), "f1", "f2"), partition=1)
    await rig.hub.drain()
    await rig.send(lab.CALLBACK, b"\xff\xff", partition=1)
    await rig.send(lab.CALLBACK, lab.callback(None), partition=2)
    await rig.hub.drain()
    assert rig.lines(run, Stream.REJECTED) == []
    assert len(rig.stray()) == 2


async def test_an_event_of_a_run_that_has_ended_is_kept_aside(rig: Any, lab: ModuleType) -> None:
    ended, open_run = rig.run("ended"), rig.run("open")
    ended.close()
    valid = await rig.send(lab.CALLBACK, lab.callback(ended.batch_id, "ended-e1", "ended-e2"))
    broken = await rig.send(lab.RICH, f"{ended.batch_id} and garbage".encode())
    await rig.hub.drain()
    assert sorted(record.position for record, _ in rig.stray()) == sorted([valid, broken])
    assert rig.everything() == 0
    assert rig.lines(open_run, Stream.REJECTED) == []


async def test_strays_of_a_session_without_runs_are_kept(rig: Any, lab: ModuleType) -> None:
    await rig.send(lab.CALLBACK, b"before any run")
    await rig.hub.drain()
    ((record, _),) = rig.stray()
    assert record.value == b"before any run"


async def test_garbage_does_not_stop_what_follows(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=50)
    for number in range(50):
        await rig.send(lab.CALLBACK, bytes([number, 255, 0]), partition=0)
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=0)
    await rig.hub.drain()
    assert run.account.comparisons == 50
    assert run.account.rejected == 50


async def test_every_published_record_is_accounted_for(rig: Any, lab: ModuleType) -> None:
    """Nothing is skipped silently: what was published = logs + strays + foreign."""
    run = rig.run(expected=10)
    batch, foreign = run.batch_id, str(uuid4())
    values = [lab.callback(batch), b"junk", lab.callback(None), lab.callback(foreign), b"{}", batch.encode()]
    for value in values * 4:
        await rig.send(lab.CALLBACK, value, partition=0)
    await rig.hub.drain()
    own = len(rig.lines(run, Stream.COMPARISONS)) + len(rig.lines(run, Stream.REJECTED))
    shared = sum(rejection.attribution == "unattributed" for _, rejection in rig.lines(run, Stream.REJECTED))
    assert own - shared + len(rig.stray()) + rig.hub.foreign_events == len(values) * 4


async def test_the_router_prefers_the_batch_over_the_essays(lab: ModuleType, tmp_path: Any) -> None:
    router = Router()
    one = RunChannel(RunFolder(tmp_path / "1"), "batch-1", frozenset({"a", "b"}), 1)
    two = RunChannel(RunFolder(tmp_path / "2"), "batch-2", frozenset({"c", "d"}), 1)
    router.register(one)
    router.register(two)
    value = lab.wire(lab.callback("batch-1", "c", "d"))
    match = router.match(decode_event(lab.CALLBACK, value))
    assert (match.channel, match.attribution) == (one, "request_metadata.bos_batch_id")
    assert list(router.channels()) == [one, two]
    assert not router.foreign


async def test_the_router_says_which_field_decided(lab: ModuleType, tmp_path: Any) -> None:
    router = Router()
    run = RunChannel(RunFolder(tmp_path), "b", frozenset({"x"}), 1)
    router.register(run)
    cases = {
        "batch_id": (lab.RICH, lab.rich("b")),
        "entity_id": (lab.COMPLETED, lab.completed("b")),
        "request_metadata.batch_id": (lab.CALLBACK, lab.callback(None, metadata={"batch_id": "b"})),
        "essay ids": (lab.CALLBACK, lab.callback(None, "x")),
        "cj job id": (lab.COMPLETED, lab.completed(None)),
        "foreign": (lab.COMPLETED, lab.completed("someone else")),
        "unattributed": (lab.COMPLETED, lab.completed(None, job="unheard of")),
    }
    for attribution, (event, value) in cases.items():
        assert router.match(decode_event(event, lab.wire(value))).attribution == attribution
    assert router.foreign
