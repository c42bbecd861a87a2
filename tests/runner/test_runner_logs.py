"""What runs tell their logs, without a broker: services and producer are stood in for, the hub is real."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import combinations, count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from pytest_eng5.capture import CaptureHub, End, Published, PublishError, RunChannel
from pytest_eng5.contracts import EventEnvelope, LLMComparisonResultV1, ProcessingEvent, topic_name
from pytest_eng5.evidence import CapturedRecord, EndReason, RunEnding, read_manifest, read_plan, verify
from pytest_eng5.runner import (
    HANDLER_MAP,
    OFFLINE,
    Environment,
    Resources,
    RunnerSettings,
    RunSpec,
    perform_offline,
    perform_run,
    read_inputs,
)
from pytest_eng5.runner import execution as execution_module
from pytest_eng5.runner.telling import tell_not_performed
from pytest_eng5.scenario import Scenario, Variant

CALLBACK = ProcessingEvent.LLM_COMPARISON_RESULT
PASSWORD, USERINFO, TOKEN = "kafka-hunter2", "url-hunter2", "env-hunter2-token"
RUNS = 12


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def events(path: Path) -> list[str]:
    return [line["event"] for line in lines(path)]


def callback(batch: str, first: str, second: str) -> bytes:
    """A callback as the LLM provider service writes it."""
    now = datetime.now(UTC)
    data = LLMComparisonResultV1.model_validate(
        {
            **{"request_id": str(uuid4()), "correlation_id": str(uuid4()), "winner": "Essay A"},
            **{"justification": "clearer", "confidence": 4.0, "provider": "mock", "model": "m"},
            **{"response_time_ms": 5, "cost_estimate": 0.01, "requested_at": now, "completed_at": now},
            "request_metadata": {"essay_a_id": first, "essay_b_id": second, "bos_batch_id": batch},
        }
    )
    return EventEnvelope(
        event_id=uuid4(),
        event_type="synthetic",
        event_timestamp=now,
        source_service="synthetic",
        correlation_id=data.correlation_id,
        data=data,
    ).to_wire()


@dataclass
class Stack:
    """Stands in for services, producer and topics; ``judging`` feeds the hub in a task of its own."""

    hub: CaptureHub
    statuses: list[int] = field(default_factory=list)
    refusal: PublishError | None = None
    offsets: Any = field(default_factory=count)

    async def publish(self, value: bytes, key: str) -> Published:
        await asyncio.sleep(0.01)
        if self.refusal is not None:
            raise self.refusal
        return Published(f"requests[0]@{next(self.offsets)}", 0)

    def content(self, _: httpx.Request) -> httpx.Response:
        status = self.statuses.pop() if self.statuses else 201
        return httpx.Response(status, json={"storage_id": uuid4().hex})

    def feed(self, value: bytes) -> None:
        record = CapturedRecord(
            topic_name(CALLBACK), 0, next(self.offsets), 0, datetime.now(UTC), key=None, value=value
        )
        self.hub._take(CALLBACK, record)


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return Stack(CaptureHub({}, "group", tmp_path / "stray.jsonl"))


Perform = Callable[..., list[tuple[Path, RunEnding]]]


@pytest.fixture
def perform(
    make_scenario: Callable[..., Scenario],
    finalise: Any,
    stack: Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Perform:
    """Perform variants side by side; ``wait`` is called in place of waiting for the end."""
    monkeypatch.setenv("HULEEDU_ADMIN_TOKEN", TOKEN)
    arguments = {"bootstrap_servers": "127.0.0.1:1", "sasl_plain_password": PASSWORD}
    environment = Environment(arguments, f"http://me:{USERINFO}@127.0.0.1:1/v1/content")

    @asynccontextmanager
    async def resources() -> AsyncIterator[Resources]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(stack.content)) as http:
            yield Resources(stack.hub, stack, http, finalise)  # type: ignore[arg-type]

    def run(wait: Callable[..., Awaitable[End]], runs: int = 1) -> list[tuple[Path, RunEnding]]:
        monkeypatch.setattr(execution_module, "wait_for_end", wait)
        variants = make_scenario(*(f"v{number}" for number in range(runs))).variants

        async def one(variant: Variant, shared: Resources) -> tuple[Path, RunEnding]:
            settings = RunnerSettings(RunSpec(variant), environment, finalise)
            paths = settings.spec.paths(tmp_path / "session")
            ending, _ = await perform_run(
                shared, settings, read_inputs(variant.mode, variant.inputs_dir), paths
            )
            return paths.run.root, ending

        async def everything() -> list[tuple[Path, RunEnding]]:
            async with resources() as shared:
                return await asyncio.gather(*(one(variant, shared) for variant in variants))

        return asyncio.run(everything())

    return run


async def completed(hub: CaptureHub, channel: RunChannel, *_: Any) -> End:
    return End(EndReason.COMPLETED, "completed")


class TestSideBySide:
    """Runs of one loop, whose events one hub takes in, all mixed up."""

    @pytest.fixture
    def done(self, perform: Perform, stack: Stack) -> list[tuple[Path, RunEnding]]:
        channels: list[RunChannel] = []

        async def judge_all() -> None:
            """In a task that belongs to no run, as the hub's is."""
            pairs = {c.batch_id: list(combinations(sorted(c.essay_ids), 2)) for c in channels}
            for step in range(6):
                for batch, of_batch in pairs.items():
                    event = callback(batch, *of_batch[step])
                    stack.feed(event)
                    stack.feed(event)  # delivered twice
                    stack.feed(json.dumps({"bos_batch_id": batch}).encode())
                await asyncio.sleep(0)

        async def wait(hub: CaptureHub, channel: RunChannel, *_: Any) -> End:
            channels.append(channel)
            if len(channels) == RUNS:
                await asyncio.create_task(judge_all())
                for each in channels:
                    each.announce()
            assert await channel.changed(20)
            return End(EndReason.COMPLETED, "completed")

        return perform(wait, RUNS)

    def test_every_line_is_about_the_run_of_its_folder(self, done: list[tuple[Path, RunEnding]]) -> None:
        batches = set()
        for root, ending in done:
            plan, found = read_plan(root / "plan.json"), lines(root / "log.jsonl")
            assert ending.reason is EndReason.COMPLETED
            assert len(found) > 10
            for line in found:
                assert line["batch_uuid"] == plan.batch_uuid
                assert line["correlation_id"] == plan.correlation_id
                assert (line["scenario"], line["variant"]) == (plan.scenario, plan.variant)
                assert (line["mode"], line["repeat"]) == (plan.mode, 1)
            batches.add(plan.batch_uuid)
        assert len(batches) == RUNS

    def test_counts_are_those_of_the_run_and_nothing_floods(self, done: list[tuple[Path, RunEnding]]) -> None:
        for root, _ in done:
            found = lines(root / "log.jsonl")
            of = {line["event"]: line for line in found}
            assert of["collector_completed"]["comparisons"] == 6
            assert of["collector_llm_comparison_deserialization_failed"]["count"] == 6
            assert of["duplicate_llm_comparison_skipped"]["count"] == 6
            assert of["hydrator_initialized"]["redelivered"] == 6
            assert of["run_summary"]["succeeded"] == 6
            assert of["run_summary"]["cost_usd"] == pytest.approx(0.06)
            assert "collector_llm_comparison_applied" not in of
            assert len(found) < 30

    def test_the_file_is_final_when_the_manifest_is_made(self, done: list[tuple[Path, RunEnding]]) -> None:
        for root, _ in done:
            assert "log.jsonl" in {entry.path for entry in read_manifest(root / "manifest.json").files}
            assert verify(root, root / "manifest.json") == []
            assert events(root / "log.jsonl")[0] == "runner_invocation"
            assert events(root / "log.jsonl")[-2:] == ["runner_validation_state", "run_summary"]

    def test_no_secret_of_the_surroundings_is_in_any_log(self, done: list[tuple[Path, RunEnding]]) -> None:
        for root, _ in done:
            text = (root / "log.jsonl").read_text()
            assert not any(secret in text for secret in (PASSWORD, USERINFO, TOKEN))
            assert lines(root / "log.jsonl")[0]["content_url"] == "http://***@127.0.0.1:1/v1/content"


def test_the_order_of_a_run(perform: Perform) -> None:
    [(root, _)] = perform(completed)
    found = events(root / "log.jsonl")
    assert found[:5] == [
        *("runner_invocation", "essays_uploaded", "prompt_uploaded", "collector_started"),
        "collector_completed",
    ]
    assert found[4:7] == ["collector_completed", "collector_stopped", "anchor_align_test_complete"]


def test_single_comparisons_are_told_in_detail(
    perform: Perform, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    async def wait(hub: CaptureHub, channel: RunChannel, *_: Any) -> End:
        for first, second in combinations(sorted(channel.essay_ids), 2):
            stack.feed(callback(channel.batch_id, first, second))
        return End(EndReason.COMPLETED, "completed")

    with caplog.at_level(logging.DEBUG, logger="pytest_eng5.run"):
        [(root, _)] = perform(wait)
    assert events(root / "log.jsonl").count("collector_llm_comparison_applied") == 6
    assert sum("comparison at " in message for message in caplog.messages) == 6


def test_an_event_after_the_end_leaves_the_file_alone(
    perform: Perform, stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[RunChannel] = []

    async def wait(hub: CaptureHub, channel: RunChannel, *_: Any) -> End:
        seen.append(channel)
        return End(EndReason.COMPLETED, "completed")

    [(root, _)] = perform(wait)
    for pair in combinations(sorted(seen[0].essay_ids), 2):
        stack.feed(callback(seen[0].batch_id, *pair))
    assert verify(root, root / "manifest.json") == []
    [told] = [record for record in caplog.records if record.name == "pytest_eng5.run"]
    assert told.getMessage().startswith("small/v0/run-1: comparison at ")
    assert told.eng5["correlation_id"] == read_plan(root / "plan.json").correlation_id


ENDS = {
    EndReason.PIPELINE_FAILED: "pipeline_failed",
    EndReason.IDLE_DEADLINE: "collector_timeout",
    EndReason.TOTAL_DEADLINE: "collector_timeout",
    EndReason.BUDGET: "run_budget_exceeded",
    EndReason.INFRASTRUCTURE: "collector_error",
    EndReason.INTERRUPTED: "run_interrupted",
}


@pytest.mark.parametrize("reason", ENDS)
def test_every_bad_end_has_an_event_with_its_reason(perform: Perform, reason: EndReason) -> None:
    async def wait(*_: Any) -> End:
        return End(reason, "because", 7.0)

    [(root, _)] = perform(wait)
    of = {line["event"]: line for line in lines(root / "log.jsonl")}
    assert of[ENDS[reason]]["detail"] == "because"
    assert of[ENDS[reason]]["level"] in ("error", "warning")
    assert of["anchor_align_test_complete"]["reason"] == reason.value
    assert ("hydrator_timeout_marked" in of) == reason.is_infrastructure
    assert of["run_summary"]["kendall_tau"] is None
    assert "no comparison" in of["run_summary"]["not_measured"]


def test_a_request_that_is_not_published(perform: Perform, stack: Stack) -> None:
    stack.refusal = PublishError(f"refused {PASSWORD}", where="topic", fix="look")
    [(root, ending)] = perform(completed)
    assert not ending.published
    [line] = [line for line in lines(root / "log.jsonl") if line["event"] == "runner_publish_failed"]
    assert line["detail"] == "topic: refused ***\n  fix: look"


def test_requests_that_are_made_again_are_counted(
    perform: Perform, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_eng5.services.http import Retry

    monkeypatch.setattr(Retry, "pause", lambda *_: 0.0)
    stack.statuses = [500, 503, 500]
    [(root, ending)] = perform(completed)
    assert ending.reason is EndReason.COMPLETED
    told = [line for line in lines(root / "log.jsonl") if line["event"] == "service_retried"]
    assert told[-1]["count"] == 3
    assert told[0]["why"] == "status 500"


def test_an_unexpected_error_leaves_its_traceback(perform: Perform) -> None:
    async def wait(*_: Any) -> End:
        raise ZeroDivisionError(f"planted {TOKEN}")

    [(root, ending)] = perform(wait)
    assert ending.reason is EndReason.INFRASTRUCTURE
    [line] = [line for line in lines(root / "log.jsonl") if "exception" in line]
    assert line["exception"].endswith("ZeroDivisionError: planted ***")
    assert verify(root, root / "manifest.json") == []


class TestOffline:
    """Modes that reach nothing have a log as well."""

    def perform(self, variant: Variant, mode: str, finalise: Any, session: Path) -> Path:
        spec = RunSpec(replace(variant, mode=mode))  # type: ignore[arg-type]
        settings = RunnerSettings(spec, OFFLINE, finalise)
        paths = spec.paths(session)
        HANDLER_MAP[mode]().execute(settings, read_inputs(mode, variant.inputs_dir), paths)
        assert verify(paths.run.root, paths.run.manifest) == []
        return paths.run.log

    @pytest.fixture
    def variant(self, make_variant: Callable[..., Variant]) -> Variant:
        made = make_variant()
        (made.inputs_dir / "students").mkdir()
        (made.inputs_dir / "students" / "one.txt").write_text("A student's essay.\n")
        return made

    def test_a_plan(self, variant: Variant, finalise: Any, tmp_path: Path) -> None:
        log = self.perform(variant, "plan", finalise, tmp_path)
        assert events(log) == [
            *("runner_invocation", "runner_plan_inventory", "runner_request_skipped"),
            *("runner_validation_state", "run_summary"),
        ]
        inventory, state = lines(log)[1], lines(log)[3]
        assert (inventory["anchors"], inventory["students"], inventory["problems"]) == (4, 1, 0)
        assert (state["valid"], state["errors"], state["obstacles"]) == (True, 0, [])
        assert {line["mode"] for line in lines(log)} == {"plan"}
        assert "batch_uuid" not in lines(log)[0]

    def test_a_plan_of_inputs_that_cannot_be_used(
        self, variant: Variant, finalise: Any, tmp_path: Path
    ) -> None:
        (variant.inputs_dir / "anchors" / "Anna_Svensson_0.txt").write_text("")
        state = lines(self.perform(variant, "plan", finalise, tmp_path))[3]
        assert (state["valid"], state["errors"]) == (False, 1)

    def test_a_dry_run(self, variant: Variant, finalise: Any, tmp_path: Path) -> None:
        log = self.perform(variant, "dry-run", finalise, tmp_path)
        assert events(log) == [
            *("runner_invocation", "runner_request_skipped", "hydrator_initialized"),
            *("runner_dry_run_stub_created", "llm_comparison_hydrated", "assessment_result_hydrated"),
            *("completion_event_recorded", "artefact_manifest_updated", "runner_validation_state"),
            "run_summary",
        ]
        plan = read_plan(log.parent / "plan.json")
        assert {line["batch_uuid"] for line in lines(log)} == {plan.batch_uuid}
        assert lines(log)[3]["artefact"] == "assessment_run.dry-run.json"
        assert lines(log)[8]["valid"] is True
        assert "succeeded" not in lines(log)[9]

    def test_a_run_that_cannot_start_is_told_although_it_has_no_folder(
        self, variant: Variant, finalise: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        spec = RunSpec(replace(variant, mode="dry-run", inputs_dir=tmp_path / "nowhere"))
        ending = perform_offline(spec, tmp_path / "session", finalise)
        tell_not_performed(spec, ending, tmp_path / "session")
        assert "small/only/run-1 not performed: " in caplog.text
        assert not spec.paths(tmp_path / "session").run.root.exists()

    def test_a_run_that_has_a_log_is_not_told_again(
        self, variant: Variant, finalise: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.perform(variant, "plan", finalise, tmp_path)
        now = datetime.now(UTC)
        ending = RunEnding(reason=EndReason.INTERRUPTED, detail="no", started_at=now, ended_at=now)
        tell_not_performed(RunSpec(replace(variant, mode="plan")), ending, tmp_path)
        assert caplog.text == ""
