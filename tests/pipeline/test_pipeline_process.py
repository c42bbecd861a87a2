"""The process: its one line, its signals, its broker going away, its words when it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pytest_eng5.brokers import BrokerOptions, EmbeddedBroker
from pytest_eng5.contracts import PIPELINE_EVENTS, ProcessingEvent, topic_names
from pytest_eng5.pipeline.errors import PipelineError
from pytest_eng5.pipeline.serve import _bounded, _endless

COMPLETED = ProcessingEvent.CJ_ASSESSMENT_COMPLETED
CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
SOON = 30.0  # it takes 2 s at most by its own clock; a busy machine takes longer to notice
HANGING = """
import time
from pytest_eng5.pipeline import __main__ as pipeline
pipeline.configure_logging(None)
pipeline._STOP_DEADLINE = 0.05
pipeline._leave_soon(0)
time.sleep(30)
"""


def serve(*options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "pytest_eng5.pipeline", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "ENG5_PIPELINE_STATE": "memory", **(env or {})},
    )


@pytest.fixture
def own_broker(tmp_path: Path) -> Any:
    embedded = EmbeddedBroker(
        BrokerOptions(kind="embedded", work_dir=tmp_path / "kafka", log_path=tmp_path / "kafka.log")
    )
    embedded.start()
    yield embedded
    embedded.stop()


def test_it_says_one_line_and_serves_at_those_urls(pipeline: Any) -> None:
    assert set(pipeline.ready) == {"content_url", "cj_url", "llm_url", "pid"}
    assert pipeline.ready["pid"] == pipeline.process.pid
    assert pipeline.ready["content_url"].endswith("/v1/content")
    assert all(url.startswith("http://127.0.0.1:") for url in list(pipeline.ready.values())[:3])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_soon(number: int, start_pipeline: Any) -> None:
    running = start_pipeline()
    code, seconds = running.terminate(number)
    assert code == 0
    assert seconds < SOON
    assert running.process.stdout.read() == ""
    assert running.stderr_file.read_text() == ""
    assert running.logs()[-1]["event"] == "pipeline stopped"


def test_what_hangs_while_it_stops_does_not_keep_it_and_is_told() -> None:
    ended = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    (line,) = map(json.loads, ended.stderr.splitlines())
    assert (line["event"], line["level"]) == ("pipeline stopped", "warning")
    assert "not everything stopped in time" in line["problem"]


def test_a_signal_ends_it_in_the_middle_of_batches(start_pipeline: Any, lab: Any) -> None:
    running = start_pipeline()

    async def work() -> tuple[int, float]:
        async with lab.client_of(running) as client:
            slow = [
                await client.prepare(lab.round_robin(8, simulation={"latency_ms": 20_000})) for _ in range(3)
            ]
            for outcome in slow:
                await client.request(outcome)
            quick = await client.prepare(lab.round_robin(3))
            await client.request(quick)
            await client.collect(lambda: lab.ended(quick))
            return await asyncio.to_thread(running.terminate)

    code, seconds = asyncio.run(work())
    assert code == 0
    assert seconds < SOON


def test_topics_are_created_with_three_partitions(start_pipeline: Any, broker: Any) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    running = start_pipeline()

    async def partitions() -> dict[str, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=running.bootstrap)
        await admin.start()
        try:
            described = await admin.describe_topics(topic_names(PIPELINE_EVENTS, running.prefix))
        finally:
            await admin.close()
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    assert asyncio.run(partitions()) == dict.fromkeys(topic_names(PIPELINE_EVENTS, running.prefix), 3)


def test_a_request_published_the_moment_it_is_ready_is_not_lost(start_pipeline: Any, lab: Any) -> None:
    """Three pipelines in a row on the same topics: each answers, none repeats what was before it."""
    prefix = "again."
    for _ in range(3):
        running = start_pipeline(prefix=prefix)

        async def work(running: Any = running) -> Any:
            async with lab.client_of(running) as client:
                outcome = await client.prepare(lab.round_robin(2))
                await client.request(outcome)
                await client.collect(lambda: lab.ended(outcome))
                return outcome, client.others

        outcome, _ = asyncio.run(work())
        assert len(outcome.of(COMPLETED)) == 1
        accepted = [line for line in running.logs() if line["event"] == "batch accepted"]
        assert len(accepted) == 1
        assert running.terminate()[0] == 0


@pytest.mark.slow
@pytest.mark.thorough
def test_a_killed_pipeline_can_be_followed_by_another_one(
    start_pipeline: Any, run_batches: Any, lab: Any
) -> None:
    """The group still counts the dead member; the new one waits for its session to end, not for ever."""
    quick_session = {"CJ_ASSESSMENT_SERVICE_SESSION_TIMEOUT_MS": "2500"}
    first = start_pipeline(prefix="killed.", env=quick_session)
    run_batches(first, lab.round_robin(3))
    first.process.kill()
    first.process.wait(60)
    began = time.monotonic()
    second = start_pipeline(prefix="killed.", env=quick_session)
    assert time.monotonic() - began < 50
    (run,) = run_batches(second, lab.round_robin(3))
    assert len(run.callbacks) == 3
    assert len(run.of(COMPLETED)) == 1


def test_offsets_are_committed(start_pipeline: Any, run_batches: Any, lab: Any) -> None:
    from aiokafka.admin import AIOKafkaAdminClient

    running = start_pipeline()
    run_batches(running, lab.round_robin(4))

    async def committed() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=running.bootstrap)
        await admin.start()
        try:
            group = f"{running.prefix}cj_assessment_consumer_group"
            offsets = await admin.list_consumer_group_offsets(group)
        finally:
            await admin.close()
        assert len(offsets) == 6
        return sum(meta.offset for meta in offsets.values())

    assert asyncio.run(committed()) == 1 + 6  # the request and its callbacks


@pytest.mark.slow
def test_a_broker_that_goes_away_ends_it_with_a_clear_last_line(
    own_broker: EmbeddedBroker, start_pipeline: Any
) -> None:
    running = start_pipeline("--broker-timeout", "3", bootstrap=own_broker.connection.bootstrap_servers)
    process = psutil.Process(running.process.pid)
    own_broker.stop()
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    spent = []

    def watch() -> None:
        while True:
            try:
                spent.append(sum(process.cpu_times()[:2]) - before)
            except psutil.NoSuchProcess:
                return
            time.sleep(0.2)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    assert running.process.wait(60) == 4
    assert time.monotonic() - began < 40
    assert max(spent) < 2.5, "it was spinning while it waited"
    last = running.stderr_file.read_text().strip().splitlines()
    assert "the Kafka broker has not answered for" in last[0]
    assert own_broker.connection.bootstrap_servers in last[0]
    assert last[-1].strip().startswith("fix:")
    assert running.logs()[-1]["event"] == "pipeline ended"
    assert "has not answered" in running.logs()[-1]["problem"]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_broker_that_goes_away_in_the_middle_of_a_batch_ends_it_too(
    own_broker: EmbeddedBroker, start_pipeline: Any, lab: Any
) -> None:
    running = start_pipeline("--broker-timeout", "3", bootstrap=own_broker.connection.bootstrap_servers)

    async def work() -> None:
        async with lab.client_of(running) as client:
            outcome = await client.prepare(lab.round_robin(8, simulation={"latency_ms": 400}))
            await client.request(outcome)
            await client.collect(lambda: bool(outcome.callbacks))
        own_broker.stop()

    asyncio.run(work())
    assert running.process.wait(60) == 4
    assert "broker" in running.logs()[-1]["problem"] or "publish" in running.logs()[-1]["problem"]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_frozen_broker_is_noticed_by_health_and_survived_when_it_wakes_in_time(
    own_broker: EmbeddedBroker, start_pipeline: Any, run_batches: Any, lab: Any
) -> None:
    running = start_pipeline("--broker-timeout", "20", bootstrap=own_broker.connection.bootstrap_servers)
    supervisor = psutil.Process(own_broker.record()["process"]["pid"])
    kafka = max(supervisor.children(recursive=True), key=lambda child: child.memory_info().rss)
    kafka.suspend()
    try:
        with running.http() as http:
            deadline = time.monotonic() + 60
            while http.get(f"{running.ready['cj_url']}/healthz/ready").status_code == 200:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert http.get(f"{running.ready['llm_url']}/healthz").status_code == 503
            assert http.get(f"{running.ready['cj_url']}/healthz/live").status_code == 200
    finally:
        kafka.resume()
    (run,) = run_batches(running, lab.round_robin(4), seconds=40)
    assert len(run.of(COMPLETED)) == 1
    assert any(line["event"] == "broker is back" for line in running.logs())


def test_no_broker_at_the_address_is_said_at_once() -> None:
    began = time.monotonic()
    ended = serve("serve", "--bootstrap-servers", "127.0.0.1:9")
    assert ended.returncode == 4
    assert ended.stdout == ""
    assert "127.0.0.1:9" in ended.stderr
    assert "fix:" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - began < 50


def test_a_port_that_is_taken_is_said(pipeline: Any) -> None:
    port = pipeline.ready["cj_url"].rsplit(":", 1)[1]
    ended = serve("serve", "--bootstrap-servers", pipeline.bootstrap, "--cj-port", port)
    assert ended.returncode == 4
    assert f"127.0.0.1:{port}: cannot listen" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "options", [(), ("serve",), ("serve", "--bootstrap-servers", "x", "--pair-seed", "a")]
)
def test_bad_options_are_usage_errors(options: tuple[str, ...]) -> None:
    ended = serve(*options)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr


@pytest.mark.parametrize(
    ("options", "env", "name"),
    [
        ((), {"CJ_ASSESSMENT_SERVICE_MAX_PAIRWISE_COMPARISONS": "x"}, "MAX_PAIRWISE_COMPARISONS"),
        (("--max-comparisons", "0"), {}, "--max-comparisons"),
        (("--broker-timeout", "0"), {}, "--broker-timeout"),
    ],
)
def test_bad_settings_are_usage_errors(options: tuple[str, ...], env: dict[str, str], name: str) -> None:
    ended = serve("serve", "--bootstrap-servers", "127.0.0.1:9", *options, env=env)
    assert ended.returncode == 2
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr


def test_logs_go_to_standard_error_without_a_file() -> None:
    ended = serve("serve", "--bootstrap-servers", "127.0.0.1:9")
    lines = ended.stderr.splitlines()
    problems = [json.loads(line) for line in lines if line.startswith("{")]
    assert problems[-1]["event"] == "pipeline ended"
    assert problems[-1]["where"] == "127.0.0.1:9"


@pytest.mark.thorough
def test_prompts_are_not_kept_when_they_are_not_wanted(
    start_pipeline: Any, run_batches: Any, lab: Any
) -> None:
    (run,) = run_batches(start_pipeline("--no-store-prompts"), lab.round_robin(3))
    assert not any("prompt_storage_id" in result.request_metadata for result in run.callbacks)


def test_importing_the_package_does_not_import_the_pipeline() -> None:
    code = "import pytest_eng5.plugin, sys; print([m for m in sys.modules if 'eng5.pipeline' in m])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_work_that_ends_by_itself_is_an_error_and_not_silence() -> None:
    async def cancelled_from_inside() -> None:
        raise asyncio.CancelledError

    async def just_ends() -> None:
        return

    for work in (cancelled_from_inside, just_ends):
        with pytest.raises(PipelineError, match="the consumer ended by itself"):
            asyncio.run(_endless("consumer", work()))


def test_work_that_is_cancelled_from_outside_is_just_cancelled() -> None:
    async def work() -> bool:
        task = asyncio.create_task(_endless("consumer", asyncio.sleep(60)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return task.cancelled()

    assert asyncio.run(work())


@pytest.mark.parametrize("problem", [asyncio.CancelledError(), OSError("gone"), None])
def test_stopping_a_client_never_ends_or_delays_the_stopping(problem: BaseException | None) -> None:
    async def stop() -> None:
        if problem is None:
            await asyncio.sleep(60)
        else:
            raise problem

    began = time.monotonic()
    asyncio.run(_bounded(stop))
    assert time.monotonic() - began < SOON


@pytest.mark.slow
@pytest.mark.thorough
def test_twenty_batches_side_by_side(pipeline: Any, run_batches: Any, lab: Any) -> None:
    """20 variants of 66 comparisons: nothing lost, nothing doubled, and all of them move at once."""
    runs = run_batches(pipeline, *(lab.round_robin(12) for _ in range(20)), seconds=120)
    assert all(len(run.callbacks) == 66 for run in runs)
    assert all(len(run.of(COMPLETED)) == 1 for run in runs)
    firsts = [run.records[CALLBACK][0].timestamp for run in runs]
    lasts = [run.records[COMPLETED][0].timestamp for run in runs]
    assert max(firsts) < min(lasts)
