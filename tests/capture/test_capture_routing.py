"""Which run an event goes to: by data fields alone, on a real broker."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.evidence import Stream

pytestmark = pytest.mark.asyncio

STREAMS = {
    ProcessingEvent.LLM_COMPARISON_RESULT: Stream.COMPARISONS,
    ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED: Stream.ASSESSMENT_RESULTS,
    ProcessingEvent.CJ_ASSESSMENT_COMPLETED: Stream.COMPLETIONS,
    ProcessingEvent.CJ_ASSESSMENT_FAILED: Stream.FAILURES,
}


def one_of_each(lab: ModuleType, batch: str) -> dict[ProcessingEvent, Any]:
    return {
        lab.CALLBACK: lab.callback(batch, "x", "y"),
        lab.RICH: lab.rich(batch),
        lab.COMPLETED: lab.completed(batch),
        lab.FAILED: lab.failed(batch),
    }


async def test_every_event_type_is_routed_by_its_data_field(rig: Any, lab: ModuleType) -> None:
    mine, other = rig.run("mine"), rig.run("other")
    sent = {}
    for event, value in one_of_each(lab, mine.batch_id).items():
        sent[event] = await rig.send(event, value)
    await rig.hub.drain()
    for event, stream in STREAMS.items():
        assert rig.positions(mine, stream) == [sent[event]]
        assert rig.positions(other, stream) == []
    assert rig.stray() == []


async def test_misleading_type_key_and_correlation_ids_do_not_route(rig: Any, lab: ModuleType) -> None:
    """Everything but the data field points at the wrong run."""
    right, wrong = rig.run("right"), rig.run("wrong")
    for event, value in one_of_each(lab, right.batch_id).items():
        value["correlation_id"] = wrong.batch_id
        value["event_type"] = "assessment.result.published"
        value["source_service"] = wrong.batch_id
        headers = [("batch_id", wrong.batch_id.encode()), ("event_type", b"nonsense")]
        await rig.send(event, value, key=wrong.batch_id.encode(), headers=headers)
    await rig.hub.drain()
    assert [len(rig.lines(right, stream)) for stream in STREAMS.values()] == [1, 1, 1, 1]
    assert [len(rig.lines(wrong, stream)) for stream in Stream] == [0, 0, 0, 0, 0]


@pytest.mark.parametrize("key", [None, b"", b"151", b"\xff\xfe", b"a-batch"])
async def test_a_line_holds_the_record_byte_for_byte(rig: Any, lab: ModuleType, key: bytes | None) -> None:
    run = rig.run()
    value = json.dumps(lab.callback(run.batch_id, justification="smörgåsbord ☃")).encode() + b"  \n"
    headers = [("trace", b"\x00\xff"), ("trace", b"twice"), ("empty", b"")]
    position = await rig.send(lab.CALLBACK, value, key=key, headers=headers)
    await rig.hub.drain()
    ((record, rejection),) = rig.lines(run, Stream.COMPARISONS)
    assert rejection is None
    assert (record.key, record.value, record.position) == (key, value, position)
    assert record.headers == tuple(headers)
    assert abs(record.timestamp_ms / 1000 - record.received_at.timestamp()) < 5


async def test_events_on_all_partitions_arrive(rig: Any, lab: ModuleType) -> None:
    run = rig.run(expected=30)
    sent = [
        await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=number % 3) for number in range(30)
    ]
    await rig.hub.drain()
    assert sorted(rig.positions(run, Stream.COMPARISONS)) == sorted(sent)
    assert run.account.comparisons == 30


async def test_a_callback_without_batch_is_found_by_either_essay(rig: Any, lab: ModuleType) -> None:
    run, other = rig.run("one", 3), rig.run("two", 3)
    first = await rig.send(lab.CALLBACK, lab.callback(None, "one-e1"), partition=0)
    second = await rig.send(lab.CALLBACK, lab.callback(None, None, "one-e2"), partition=0)
    third = await rig.send(lab.CALLBACK, lab.callback(None, "two-e2", "two-e1"), partition=0)
    await rig.hub.drain()
    assert rig.positions(run, Stream.COMPARISONS) == [first, second]
    assert rig.positions(other, Stream.COMPARISONS) == [third]
    assert rig.stray() == []


@pytest.mark.parametrize("wrong", [7, None, "", ["list"], {"a": 1}])
async def test_a_batch_id_of_the_wrong_type_counts_as_lost(rig: Any, lab: ModuleType, wrong: Any) -> None:
    run = rig.run()
    event = lab.callback(None, "run-e1", "run-e2", metadata={"bos_batch_id": wrong})
    await rig.send(lab.CALLBACK, event)
    await rig.hub.drain()
    assert run.account.comparisons == 1


async def test_a_batch_id_that_was_altered_still_leads_home_by_its_essays(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    await rig.send(lab.CALLBACK, lab.callback("garbled", "run-e1", "run-e2"))
    await rig.hub.drain()
    assert run.account.comparisons == 1
    assert rig.hub.foreign_events == 0


async def test_the_cj_job_is_learned_and_used(rig: Any, lab: ModuleType) -> None:
    run, other = rig.run("one"), rig.run("two")
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id, metadata={"cj_batch_id": "77"}))
    await rig.send(lab.CALLBACK, lab.callback(other.batch_id, metadata={"cj_batch_id": "78"}))
    await rig.hub.drain()
    await rig.send(lab.CALLBACK, lab.callback(None, metadata={"cj_batch_id": "77"}))
    await rig.send(lab.COMPLETED, lab.completed(None, job="78"))
    await rig.send(lab.FAILED, lab.failed(None, job="77"))
    await rig.hub.drain()
    assert run.account.comparisons == 2
    assert other.account.comparisons == 1
    assert (run.account.completed, other.account.completed) == (False, True)
    assert (run.account.failure is None, other.account.failure is None) == (False, True)


async def test_a_completion_without_batch_is_found_by_its_essays(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    await rig.send(lab.COMPLETED, lab.completed(None, job="9", ids=["run-e2"]))
    await rig.hub.drain()
    assert run.account.completed


async def test_a_failed_event_that_names_the_batch_elsewhere_only_is_ours(rig: Any, lab: ModuleType) -> None:
    """A request that failed at once has no CJ job and no essays; the batch stands in its system metadata."""
    run, other = rig.run("one"), rig.run("two")
    value = lab.failed(None)
    value["data"]["system_metadata"]["entity_id"] = run.batch_id
    await rig.send(lab.FAILED, value)
    await rig.hub.drain()
    assert run.account.failure == "CONTENT_SERVICE_ERROR: essay text not found"
    assert other.account.failure is None
    assert rig.stray() == []


async def test_a_lost_batch_is_found_by_the_key(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    await rig.send(lab.COMPLETED, lab.completed(None, job="9"), key=run.batch_id.encode())
    await rig.hub.drain()
    assert run.account.completed


async def test_foreign_batches_never_land_in_our_logs(rig: Any, lab: ModuleType) -> None:
    run = rig.run()
    for event, value in one_of_each(lab, str(uuid4())).items():
        await rig.send(event, value, key=run.batch_id.encode())
    await rig.hub.drain()
    assert rig.everything() == 0
    assert rig.hub.foreign_events == 4
    assert rig.stray() == []


async def test_a_foreign_job_with_our_number_is_not_ours(rig: Any, lab: ModuleType) -> None:
    """Job ids are small integers: another pipeline may use the same one, but it names its own batch."""
    run = rig.run()
    await rig.send(lab.CALLBACK, lab.callback(run.batch_id, metadata={"cj_batch_id": "151"}))
    await rig.hub.drain()
    await rig.send(lab.COMPLETED, lab.completed(str(uuid4()), job="151"))
    await rig.send(lab.RICH, lab.rich(str(uuid4()), ids=("f1", "f2"), job="151"))
    await rig.hub.drain()
    assert not run.account.completed
    assert not run.account.resulted


async def test_two_runs_at_once_are_kept_apart(rig: Any, lab: ModuleType) -> None:
    runs = [rig.run("one", 40), rig.run("two", 40)]

    async def publish(run: Any) -> list[str]:
        sent = []
        for number in range(40):
            sent.append(await rig.send(lab.CALLBACK, lab.callback(run.batch_id), partition=number % 3))
        return sent

    sent = await asyncio.gather(*(publish(run) for run in runs))
    await rig.hub.drain()
    for run, positions in zip(runs, sent, strict=True):
        assert sorted(rig.positions(run, Stream.COMPARISONS)) == sorted(positions)
