"""Several LLM provider processes on one queue: they share, and none of them can lose a comparison."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.contracts import ProcessingEvent

COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED


@dataclass
class Cluster:
    """A content service, a CJ service that knows the first worker only, and workers."""

    launch: Any
    servers: str
    prefix: str
    content: Any = None
    cj: Any = None
    workers: dict[str, Any] = field(default_factory=dict)
    ready: dict[str, Any] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        return self.servers

    def common(self) -> tuple[str, ...]:
        return ("--bootstrap-servers", self.servers, "--topic-prefix", self.prefix)

    def add(self, name: str) -> Any:
        """Another worker, ready."""
        worker = self.launch(
            *("--service", "llm", "--worker-id", name, "--content-url", self.ready["content_url"]),
            *self.common(),
            env=self.env,
        )
        self.workers[name] = worker
        ready = worker.ready()
        self.ready.setdefault("llm_url", ready["llm_url"])
        return ready

    def start(self, *names: str) -> Any:
        self.content = self.launch("--service", "content")
        self.ready["content_url"] = self.content.ready()["content_url"]
        for name in names:
            self.add(name)
        self.cj = self.launch(
            *("--service", "cj", "--pair-seed", "5", "--max-comparisons", "500", *self.common()),
            *("--content-url", self.ready["content_url"], "--llm-url", self.ready["llm_url"]),
        )
        self.ready["cj_url"] = self.cj.ready()["cj_url"]
        return self

    def answered(self, name: str) -> list[str]:
        """Request ids that a worker says it has answered."""
        lines = self.workers[name].said("comparison answered")
        assert all(line["worker"] == name for line in lines)
        return [line["request_id"] for line in lines]

    def total(self) -> Counter[str]:
        return Counter(request_id for name in self.workers for request_id in self.answered(name))


@pytest.fixture
def cluster(launch: Any, servers: str, prefix: str) -> Cluster:
    return Cluster(launch, servers, prefix)


def outcomes(run: Any) -> list[tuple[int, int, str | None, str | None]]:
    """What each comparison came to, in an order of its own: essays by place, winner, error."""
    found = [
        (
            run.label(result.request_metadata["essay_a_id"]),
            run.label(result.request_metadata["essay_b_id"]),
            result.winner,
            result.error_detail and result.error_detail.error_code,
        )
        for result in run.callbacks
    ]
    return sorted(found, key=str)


def assert_whole(run: Any, comparisons: int | None = None) -> None:
    """Every comparison has exactly one callback, and the batch its result."""
    ids = Counter(result.request_id for result in run.callbacks)
    assert set(ids.values()) == {1}, [request_id for request_id, n in ids.items() if n > 1]
    assert len(run.of(COMPLETED)) == 1
    if comparisons is not None:
        assert len(ids) == comparisons


@pytest.mark.thorough
def test_two_workers_share_a_batch_and_agree_with_one(
    cluster: Cluster, run_batches: Any, lab: Any, start_pipeline: Any
) -> None:
    """Only the first is told of the simulations, and only the first gets the comparisons."""
    cluster.start("first", "second")
    with httpx.Client(trust_env=False) as http:
        health = http.get(f"{cluster.ready['llm_url']}/healthz").json()
        assert (health["worker"], health["queue_depth"]) == ("first", 0)
        assert http.get(f"{cluster.ready['llm_url']}/api/v1/providers").json()["worker"] == "first"
    (run,) = run_batches(cluster, lab.round_robin(12))
    assert_whole(run, 66)
    parts = [cluster.answered(name) for name in ("first", "second")]
    assert all(len(part) >= 10 for part in parts), [len(part) for part in parts]
    assert sorted(parts[0] + parts[1]) == sorted(result.request_id for result in run.callbacks)
    alone = start_pipeline("--pair-seed", "5", "--max-comparisons", "500")
    (reference,) = run_batches(alone, lab.round_robin(12))
    assert outcomes(run) == outcomes(reference)
    far_apart = lab.round_robin(8, qualities=[100.0 * (8 - i) for i in range(8)])
    (certain,) = run_batches(cluster, far_apart)
    assert_whole(certain, 28)
    for first, second, winner in certain.games:
        assert winner == ("Essay A" if first < second else "Essay B"), "the weaker one never wins"


def batch_in_the_middle(cluster: Cluster, lab: Any, plan: Any, act: Any, after: int = 6) -> Any:
    """Run a batch; once some callbacks are there and others are under way, act."""

    async def work() -> Any:
        async with lab.client_of(cluster) as client:
            outcome = await client.prepare(plan)
            await client.request(outcome)
            await client.collect(lambda: len(outcome.records.get(lab.CALLBACK, [])) >= after)
            await asyncio.sleep(0.4)
            await asyncio.to_thread(act)
            await client.collect(lambda: lab.ended(outcome), 120)
            await client.drain(1)
            return outcome

    return asyncio.run(work())


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing_and_attempts_count_on(
    cluster: Cluster, run_batches: Any, lab: Any, start_pipeline: Any
) -> None:
    """Failures depend on how often a pair was asked for: another count would be another result."""
    cluster.env = {"LLM_PROVIDER_SERVICE_QUEUE_SESSION_TIMEOUT_MS": "2500"}
    cluster.start("first", "second")
    behaviour = {"latency_ms": 500, "failure_rate": 0.15, "seed": 11}
    plan = lab.round_robin(8, simulation=behaviour, metadata={"max_comparisons": 60})

    def kill() -> None:
        cluster.workers["second"].process.send_signal(signal.SIGKILL)

    run = batch_in_the_middle(cluster, lab, plan, kill)
    assert_whole(run)
    assert cluster.answered("second"), "the one that was killed had done nothing"
    assert len(cluster.total()) < len(run.callbacks) + 1
    alone = start_pipeline("--pair-seed", "5", "--max-comparisons", "500")
    quick = {**behaviour, "latency_ms": 0}
    (reference,) = run_batches(alone, lab.round_robin(8, simulation=quick, metadata=plan.metadata))
    assert outcomes(run) == outcomes(reference)
    assert any(error for *_, error in outcomes(run))


@pytest.mark.slow
@pytest.mark.thorough
def test_a_worker_that_joins_takes_its_share_and_nothing_comes_twice(cluster: Cluster, lab: Any) -> None:
    cluster.start("first", "second")
    plan = lab.round_robin(12, simulation={"latency_ms": 600})
    run = batch_in_the_middle(cluster, lab, plan, lambda: cluster.add("third"))
    assert_whole(run, 66)
    assert cluster.answered("third")
    assert set(cluster.total().values()) == {1}


@pytest.mark.slow
@pytest.mark.thorough
def test_a_worker_that_is_told_to_end_hands_its_work_over_at_once(cluster: Cluster, lab: Any) -> None:
    cluster.start("first", "second")
    seconds = []

    def stop() -> None:
        began = time.monotonic()
        cluster.workers["second"].process.terminate()
        assert cluster.workers["second"].process.wait(60) == 0
        seconds.append(time.monotonic() - began)

    plan = lab.round_robin(12, simulation={"latency_ms": 900})
    began = time.monotonic()
    run = batch_in_the_middle(cluster, lab, plan, stop)
    assert seconds[0] < 8
    assert_whole(run, 66)
    assert time.monotonic() - began < 11 * 0.9 + 60


@pytest.mark.thorough
def test_the_last_worker_may_go_and_another_one_take_up_what_waits(
    cluster: Cluster, lab: Any, launch: Any
) -> None:
    """Comparisons that were accepted stay, although nobody is there to judge them."""
    cluster.start("first")
    prefix = cluster.prefix

    async def accept() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            for number in range(5):
                body = {
                    "user_prompt": f"prompt {number}",
                    "callback_topic": f"{prefix}huleedu.llm_provider.comparison_result.v1",
                    "llm_config_overrides": {"provider_override": "mock"},
                    "metadata": {"bos_batch_id": "kept"},
                }
                answer = await http.post(f"{cluster.ready['llm_url']}/api/v1/comparison", json=body)
                assert answer.status_code == 202, answer.text

    slow = {"LLM_PROVIDER_SERVICE_MOCK_LATENCY_MS": "60000"}
    cluster.workers["first"].process.terminate()
    cluster.workers["first"].process.wait(60)
    options = ("--service", "llm", "--no-store-prompts", *cluster.common())
    reluctant = launch(*options, "--worker-id", "reluctant", env=slow)
    cluster.ready["llm_url"] = reluctant.ready()["llm_url"]
    asyncio.run(accept())
    time.sleep(1)  # until it has begun with them
    reluctant.process.terminate()
    assert reluctant.process.wait(60) == 0
    assert reluctant.said("comparisons given back")
    cluster.add("next")
    deadline = time.monotonic() + 60
    while len(cluster.answered("next")) < 5:
        assert time.monotonic() < deadline, cluster.answered("next")
        time.sleep(0.1)


@pytest.mark.thorough
def test_one_process_can_use_the_kafka_queue_too(start_pipeline: Any, run_batches: Any, lab: Any) -> None:
    running = start_pipeline("--queue", "kafka")
    (run,) = run_batches(running, lab.round_robin(6))
    assert_whole(run, 15)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_restart_of_the_broker_in_the_middle_loses_nothing(
    launch: Any, prefix: str, lab: Any, tmp_path: Path
) -> None:
    options = BrokerOptions(
        kind="embedded",
        work_dir=tmp_path / "kafka",
        log_path=tmp_path / "kafka.log",
        data_dir=tmp_path / "records",
        watch_pid=os.getpid(),
    )
    broker = EmbeddedBroker(options)
    broker.start()
    try:
        cluster = Cluster(launch, broker.connection.bootstrap_servers, prefix)
        cluster.start("first", "second")
        plan = lab.round_robin(12, simulation={"latency_ms": 300})
        run = batch_in_the_middle(cluster, lab, plan, broker.restart)
        assert_whole(run, 66)
        assert all(cluster.answered(name) for name in ("first", "second"))
    finally:
        broker.stop()
