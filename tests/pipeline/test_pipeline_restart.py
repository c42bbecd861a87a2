"""A pipeline that is killed and started again: batches go on, nothing is judged or published twice."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import choix
import httpx
import pytest

from pytest_eng5.contracts import ProcessingEvent
from pytest_eng5.pipeline.cj.outbox import Outbox
from pytest_eng5.pipeline.cj.records import BatchStore
from pytest_eng5.pipeline.database import Database

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
FAILED = ProcessingEvent.CJ_ASSESSMENT_FAILED
RICH = ProcessingEvent.ASSESSMENT_RESULT_PUBLISHED
RESOURCE = ProcessingEvent.RESOURCE_CONSUMPTION_REPORTED

QUICK = {"CJ_ASSESSMENT_SERVICE_SESSION_TIMEOUT_MS": "2500"}
pytestmark = pytest.mark.slow


def calls(outcome: Any) -> int:
    return len(outcome.records.get(CALLBACK, []))


def assert_whole(outcome: Any, n: int) -> None:
    """Every pair judged once, one of each end event, scores of the callbacks."""
    pairs = Counter(tuple(sorted(game[:2])) for game in outcome.games)
    assert pairs == Counter(itertools.combinations(range(n), 2))
    assert len({result.request_id for result in outcome.callbacks}) == n * (n - 1) // 2
    assert [len(outcome.of(event)) for event in (COMPLETED, RICH, RESOURCE, FAILED)] == [1, 1, 1, 0]
    data = [(outcome.label(r.winner_id), outcome.label(r.loser_id)) for r in outcome.callbacks]
    theta = choix.ilsr_pairwise(n, data, alpha=0.01)
    for essay in outcome.one(RICH).essay_results:
        assert essay.bt_score == pytest.approx(theta[outcome.label(essay.essay_id)] - theta.mean(), abs=1e-6)


def test_batches_go_on_after_kills(start_pipeline: Any, lab: Any, tmp_path: Path) -> None:
    """Killed in the first wave and again near the end; then the same as without any kill."""
    prefix, state = f"k{uuid4().hex[:8]}.", str(tmp_path / "state" / "pipeline.sqlite")

    def start() -> Any:
        return start_pipeline("--state", state, "--pair-seed", "5", prefix=prefix, env=QUICK)

    async def work(running: Any) -> tuple[Any, Any, Any]:
        async with lab.client_of(running) as client:
            slow = lab.round_robin(8, simulation={"latency_ms": 150})
            outcome, quick = await client.prepare(slow), await client.prepare(lab.round_robin(3))
            await client.request(quick)
            await client.collect(lambda: lab.ended(quick))
            await client.request(outcome)
            for at in (2, 21):
                await client.collect(lambda at=at: calls(outcome) >= at)
                running.process.send_signal(signal.SIGKILL)
                running.process.wait()
                running = await asyncio.to_thread(start)
            await client.request(outcome)  # and a repeated request changes nothing
            await client.collect(lambda: lab.ended(outcome))
            client.running = running
            undisturbed = await client.prepare(lab.round_robin(8))
            await client.request(undisturbed)
            await client.collect(lambda: lab.ended(undisturbed))
            await client.drain(1.0)
            return outcome, quick, undisturbed

    outcome, quick, undisturbed = asyncio.run(work(start()))
    assert_whole(outcome, 8)
    assert_whole(quick, 3)
    assert outcome.games == undisturbed.games
    jobs = [each.one(RICH).cj_assessment_job_id for each in (quick, outcome, undisturbed)]
    assert jobs == ["1", "2", "3"]


@pytest.mark.thorough
def test_callbacks_that_came_meanwhile_are_consumed(
    launch: Any, lab: Any, broker: Any, tmp_path: Path
) -> None:
    """The CJ service alone is killed; the provider service answers into its absence."""
    servers, prefix = broker.connection.bootstrap_servers, f"k{uuid4().hex[:8]}."
    ports = {name: lab.free_port() for name in ("content", "cj", "llm")}
    env = {
        "CONTENT_SERVICE_URL": f"http://127.0.0.1:{ports['content']}/v1/content",
        "LLM_PROVIDER_SERVICE_URL": f"http://127.0.0.1:{ports['llm']}",
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        **QUICK,
    }

    def start(name: str) -> Any:
        options = ["--service", name, f"--{name}-port", str(ports[name]), "--topic-prefix", prefix]
        return launch(*options, "--state", str(tmp_path / f"{name}.sqlite"), env=env)

    services = {name: start(name) for name in ("content", "llm", "cj")}
    running = lab.as_running(services, servers, prefix)

    async def work() -> Any:
        async with lab.client_of(running) as client:
            outcome = await client.prepare(lab.round_robin(8, simulation={"latency_ms": 700}))
            await client.request(outcome)
            await asyncio.to_thread(services["llm"].until_said, "comparison answered")
            await client.collect(lambda: calls(outcome) >= 5)
            services["cj"].process.kill()
            await asyncio.to_thread(services["cj"].process.wait)
            before = calls(outcome)
            await client.drain(1.5)
            again = start("cj")
            await asyncio.to_thread(again.ready)
            await client.collect(lambda: lab.ended(outcome))
            await client.drain()
            assert before < 28
            return outcome

    assert_whole(asyncio.run(work()), 8)


@pytest.mark.thorough
def test_a_state_belongs_to_one_process(
    start_pipeline: Any, launch: Any, broker: Any, tmp_path: Path
) -> None:
    state = str(tmp_path / "pipeline.sqlite")
    first = start_pipeline("--state", state)
    second = launch("--bootstrap-servers", broker.connection.bootstrap_servers, "--state", state)
    assert second.process.wait(60) == 4
    words = second.stderr_file.read_text()
    assert "another pipeline uses this state" in words
    assert state in words
    assert "--state" in words
    first.terminate()


@pytest.mark.thorough
def test_contents_are_there_after_a_kill(start_pipeline: Any, tmp_path: Path) -> None:
    state, body = str(tmp_path / "pipeline.sqlite"), "Ett äpple, 3 €".encode()
    first = start_pipeline("--state", state)
    with httpx.Client(trust_env=False) as http:
        headers = {"content-type": "text/markdown"}
        stored = http.post(first.ready["content_url"], content=body, headers=headers).json()["storage_id"]
        first.terminate(signal.SIGKILL)
        second = start_pipeline("--state", state)
        answer = http.get(f"{second.ready['content_url']}/{stored}")
    assert (answer.content, answer.headers["content-type"]) == (body, "text/markdown")


@pytest.mark.thorough
def test_another_cluster_gets_nothing_of_the_batches_of_the_old_one(
    start_pipeline: Any, make_broker: Any, lab: Any, broker: Any, tmp_path: Path
) -> None:
    """The broker was made anew at its old address: what lay on it is gone, and so are the batches."""
    state, prefix = str(tmp_path / "pipeline.sqlite"), f"k{uuid4().hex[:8]}."
    first = start_pipeline("--state", state, prefix=prefix, env=QUICK)

    async def begin() -> Any:
        async with lab.client_of(first) as client:
            outcome = await client.prepare(lab.round_robin(6, simulation={"latency_ms": 400}))
            await client.request(outcome)
            await client.collect(lambda: calls(outcome) >= 3)
            first.terminate(signal.SIGKILL)
            return outcome

    old = asyncio.run(begin()).plan.batch_id.encode()
    other = make_broker(lab.free_port()).connection.bootstrap_servers
    second = start_pipeline("--state", state, prefix=prefix, env=QUICK, bootstrap=other)
    (given_up,) = [line for line in second.logs() if "batches given up" in line["event"]]
    assert given_up["count"] == 1

    async def go_on() -> Any:
        async with lab.client_of(second) as client:
            outcome = await client.prepare(lab.round_robin(4))
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            await client.drain(1.0)
            return outcome, client.others

    outcome, others = asyncio.run(go_on())
    assert_whole(outcome, 4)
    assert [record for _, record in others if old in record.value] == []


def test_last_events_are_completed_after_a_kill(start_pipeline: Any, lab: Any, tmp_path: Path) -> None:
    """The process died while it published the end of a batch; the broker has the first event already."""
    state, prefix = tmp_path / "pipeline.sqlite", f"k{uuid4().hex[:8]}."
    first = start_pipeline("--state", str(state), prefix=prefix, env=QUICK)

    async def work() -> tuple[Any, list[bytes]]:
        async with lab.client_of(first) as client:
            outcome = await client.prepare(lab.round_robin(3))
            await client.request(outcome)
            await client.collect(lambda: lab.ended(outcome))
            first.terminate(signal.SIGKILL)
            wire = [outcome.records[event][0].value for event in (COMPLETED, RICH, RESOURCE)]
            values = [value.replace(outcome.plan.batch_id.encode(), b"another") for value in wire]
            values = [with_event_id(value) for value in values]
            database = Database(state)
            Outbox(database, BatchStore(database), None)  # type: ignore[arg-type]
            for event, value in zip((COMPLETED, RICH, RESOURCE), values, strict=True):
                database.run(
                    "INSERT INTO outbox (job_id, event, event_id, key, value, created_at)"
                    " VALUES (9, ?, ?, 'another', ?, ?)",
                    *(event.value, json.loads(value)["event_id"], value, time.time()),
                )
            database.close()
            await client.publish(COMPLETED, values[0], "another")
            second = await asyncio.to_thread(start_pipeline, "--state", str(state), prefix=prefix, env=QUICK)
            await client.collect(lambda: len(ends(client)) >= 3)
            await client.drain(1.0)
            second.terminate()
            assert Database(state).value("SELECT COUNT(*) FROM outbox") == 0
            return ends(client), values

    others, values = asyncio.run(work())
    assert [event for event, _ in others] == [COMPLETED, RICH, RESOURCE]
    assert [record.value for _, record in others] == values
    assert {record.key for _, record in others} == {b"another"}


def ends(client: Any) -> list[tuple[ProcessingEvent, Any]]:
    """The last events of batches that the client did not ask for."""
    return [(event, record) for event, record in client.others if event in (COMPLETED, RICH, RESOURCE)]


def with_event_id(value: bytes) -> bytes:
    """The same event under another id."""
    return json.dumps({**json.loads(value), "event_id": str(uuid4())}).encode()
