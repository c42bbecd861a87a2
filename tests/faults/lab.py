"""Fault cases, and running them without Kafka: the reference pipeline's own code with lists in its place.

What a run publishes goes through the same seam as on a broker, is captured by the same hub, finished and
checked by the same functions; only the transport is missing, and with it everything that takes time.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from asyncio import TaskGroup
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import yaml
from small_inputs import write_inputs

from pytest_eng5.capture import CaptureHub, RunChannel
from pytest_eng5.checks import run_checks
from pytest_eng5.contracts import FaultPlan, LLMComparisonRequest, ProcessingEvent, topic_name, utc_now
from pytest_eng5.evidence import (
    CapturedRecord,
    EndReason,
    Finding,
    RunEnding,
    RunFolder,
    RunPlan,
    load_evidence,
    read_findings,
    write_atomic,
    write_faults,
    write_plan,
)
from pytest_eng5.pipeline.cj.scoring import load_choix
from pytest_eng5.pipeline.cj.service import CJService
from pytest_eng5.pipeline.cj.workflow import Services
from pytest_eng5.pipeline.content.store import MemoryStore, Stored
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.faults import CJ_EVENTS, PROVIDER_EVENTS, FaultBook, FaultySeam
from pytest_eng5.pipeline.provider.archive import StoreArchive
from pytest_eng5.pipeline.provider.callbacks import QueuedComparison
from pytest_eng5.pipeline.provider.judge import Simulation
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.processing import Processor
from pytest_eng5.pipeline.provider.simulations import SimulationBook
from pytest_eng5.pipeline.settings import CJSettings, LLMProviderSettings
from pytest_eng5.reports import finalise_run
from pytest_eng5.runner.composition import compose_plan, compose_request, simulation
from pytest_eng5.runner.faults import PlantedFaults
from pytest_eng5.runner.inventory import Inventory, read_inputs
from pytest_eng5.runner.prompts import keep_prompts
from pytest_eng5.runner.settings import Environment, RunnerSettings, RunSpec
from pytest_eng5.scenario import Scenario, Variant, load_scenario

HERE = Path(__file__).parent
STREAMS = {topic_name(event): event for event in (*PROVIDER_EVENTS, *CJ_EVENTS)}
CALLBACKS = topic_name(ProcessingEvent.LLM_COMPARISON_RESULT)
_SILENT_LOOKS = 200
"""Without anything sent between them: looks, since a busy machine may do nothing for seconds."""
_IDLE_SECONDS = 8


@dataclass(frozen=True)
class Case:
    """One fault case.

    Attributes:
        kind: The message type that is hit.
        faults: As a scenario has them.
        codes: Errors that must appear, and no others.
        warnings: The same for warnings.
        timing: Warnings that may come or not, as a busy machine delays what it does.
        batch: What the batch is like without the fault: ``clean``, ``errors`` (one comparison fails) or
            ``failing`` (all do).
        offline: Not for a broker that is shared with other runs: nothing ties the faulty record to its batch,
            or it would come after the run has ended.
    """

    id: str
    kind: str
    faults: list[dict[str, Any]]
    codes: frozenset[str]
    warnings: frozenset[str]
    timing: frozenset[str] = frozenset()
    batch: str = "clean"
    offline: bool = False
    note: str = ""

    @property
    def waits(self) -> bool:
        """Whether something is missing for which a run waits until a deadline."""
        if self.codes & {"RESULT-MISSING", "COMPLETION-MISSING", "PARTIAL-DATA"}:
            return True
        unreadable = self.codes & {"EVENT-UNDECODABLE", "EVENT-SCHEMA"}
        return bool(unreadable) and self.kind in ("completion", "result", "failure")

    @property
    def fault(self) -> str:
        """The fault as one line of YAML."""
        return "; ".join(map(_words, self.faults))


def load_cases(path: Path = HERE / "cases.yaml") -> list[Case]:
    """All cases, in the order of the file."""
    cases = []
    for kind, group in yaml.safe_load(path.read_text()).items():
        batch = group.get("batch", "clean")
        for id_, row in group["cases"].items():
            faults = [
                ({"topic": group["topic"]} if "topic" in group else {}) | f for f in _listed(row["faults"])
            ]
            cases.append(
                Case(
                    id=id_,
                    kind=kind,
                    faults=faults,
                    codes=frozenset(row.get("errors", [])),
                    warnings=frozenset(row.get("warnings", [])),
                    timing=frozenset(row.get("timing", [])),
                    batch=row.get("batch", batch),
                    offline=row.get("offline", False),
                    note=row.get("note", ""),
                )
            )
    return cases


def _words(fault: dict[str, Any]) -> str:
    details = [f"{key} {json.dumps(value)}" for key, value in fault.items() if key not in ("topic", "action")]
    return ", ".join([fault["action"], *details])


def _listed(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else [value]


MOCK = {
    "clean": {"discrimination": 1.0, "seed": 7},
    "errors": {"discrimination": 1.0, "seed": 0, "failure_rate": 0.15},
    "failing": {"discrimination": 1.0, "seed": 7, "failure_rate": 1.0},
}


def scenario_of(cases: Iterable[Case], name: str, inputs: str) -> dict[str, Any]:
    """A scenario with a negative test for each case."""
    judge = {"provider": "mock", "model": "simulated-judge", "reasoning_effort": "low"}
    return {
        "scenario": name,
        "inputs": inputs,
        "judge": judge,
        "timeout": {"idle": 40, "total": 120},
        "variants": [
            {
                "id": case.id,
                "judge": {"mock": MOCK[case.batch]},
                "faults": case.faults,
                **({"timeout": {"idle": _IDLE_SECONDS}} if case.waits else {}),
                "expect": {"findings": sorted(case.codes)},
            }
            for case in cases
        ],
    }


def write_scenario(folder: Path, cases: Iterable[Case], name: str = "faults") -> Path:
    """Write the scenario file of some cases, with its inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.eng5.yaml"
    path.write_text(yaml.safe_dump(scenario_of(cases, name, write_inputs(folder)), sort_keys=False))
    return path


@dataclass
class Record:
    """What stands on a topic."""

    event: ProcessingEvent
    key: bytes | None
    value: bytes
    timestamp_ms: int
    partition: int
    offset: int


@dataclass
class Wire:
    """The topics of one run, in memory; callbacks reach the CJ service as from its consumer."""

    random: random.Random
    records: list[Record] = field(default_factory=list)
    sent: int = 0
    service: CJService | None = None
    _offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    _handling: set[asyncio.Task[None]] = field(default_factory=set)

    def topic(self, event: ProcessingEvent) -> str:
        return topic_name(event)

    async def publish(self, event: ProcessingEvent, envelope: Any, *, key: str | None = None) -> None:
        await self.send(self.topic(event), envelope.to_wire(), key=None if key is None else key.encode())

    async def send(
        self, topic: str, value: bytes, *, key: bytes | None = None, timestamp_ms: int | None = None
    ) -> None:
        self.sent += 1
        event = STREAMS.get(topic)
        if event is None:
            return
        partition = sum(key) % 3 if key is not None else self.random.randrange(3)
        place = (topic, partition)
        offset = self._offsets[place] = self._offsets.get(place, -1) + 1
        stamp = round(time.time() * 1000) if timestamp_ms is None else timestamp_ms
        self.records.append(Record(event, key, value, stamp, partition, offset))
        if topic == CALLBACKS and self.service is not None:
            task = asyncio.create_task(self.service.handle(event, value))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    def in_some_order(self) -> list[Record]:
        """The records in one of the orders in which they may be captured: that of each partition is kept."""
        queues: dict[tuple[str, int], list[Record]] = {}
        for record in self.records:
            queues.setdefault((record.event.value, record.partition), []).append(record)
        waiting = [sorted(queue, key=lambda r: -r.offset) for _, queue in sorted(queues.items())]
        found = []
        while waiting:
            queue = self.random.choice(waiting)
            found.append(queue.pop())
            waiting = [queue for queue in waiting if queue]
        return found


class _Content:
    """The content service's store, as the CJ service sees it."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    async def put(self, text: str) -> str:
        return await self.store.put(Stored(text.encode(), "text/plain"))

    async def text(self, storage_id: str) -> str:
        found = await self.store.get(storage_id)
        if found is None:
            raise ServiceError("CONTENT_SERVICE_ERROR", "the content service answered 404")
        return found.body.decode()


class _Counts:
    """A service that is asked for its counts."""

    def __init__(self, book: FaultBook) -> None:
        self._book = book

    async def counts(self, batch_id: str) -> Any:
        found = self._book.find(batch_id)
        assert found is not None
        return found.counts()


class _Stuck(Exception):
    """The batch waits for a callback that will never come."""


class OfflineRun:
    """One run: composed by the runner, made by the pipeline's services, captured into a folder.

    Args:
        variant: What to run.
        root: The run folder.
        seed: Of partitions and of the order of capture.
    """

    def __init__(self, variant: Variant, root: Path, seed: int = 0) -> None:
        self.variant, self.root, self.folder = variant, root, RunFolder(root)
        self.wire = Wire(random.Random(seed))
        self._content = _Content()
        self._provider_faults, self._cj_faults = FaultBook(PROVIDER_EVENTS), FaultBook(CJ_EVENTS)
        self._simulations = SimulationBook()
        self._seam = FaultySeam(self.wire, self._provider_faults, lambda: self._direct)
        settings = LLMProviderSettings()
        archive = StoreArchive(self._content.store)
        self._processor = Processor(
            settings, self._simulations, self._seam, archive, ProviderMetrics("offline")
        )
        self._judging: set[asyncio.Task[None]] = set()
        self._published_ms = 0
        self._plan: RunPlan

    async def _direct(self, value: bytes) -> None:
        assert self.wire.service is not None
        await self.wire.service.handle(ProcessingEvent.LLM_COMPARISON_RESULT, value)

    async def submit(self, request: LLMComparisonRequest) -> None:
        """Judge a comparison, as the provider service would once it had queued it."""
        task = asyncio.create_task(self._processor.process(QueuedComparison(request)))
        self._judging.add(task)
        task.add_done_callback(self._judging.discard)

    async def perform(self) -> None:
        """Make the run; returns once nothing more will be published."""
        variant, plan = self.variant, self._compose()
        self._plan = plan
        self._simulations.register(plan.batch_uuid, Simulation(**simulation(plan, variant)))
        if variant.faults:
            told = FaultPlan(
                faults=tuple(planned.fault for planned in variant.faults),
                correlation_id=UUID(plan.correlation_id),
                essay_ids=tuple(essay.essay_id for essay in plan.essays),
            )
            self._provider_faults.register(plan.batch_uuid, told)
            self._cj_faults.register(plan.batch_uuid, told)
        services = Services(
            settings=CJSettings(max_pairwise_comparisons=10_000, pair_generation_seed=0),
            content=self._content,  # type: ignore[arg-type]
            provider=self,  # type: ignore[arg-type]
            publisher=self.wire,  # type: ignore[arg-type]
            faults=self._cj_faults,
        )
        try:
            async with TaskGroup() as tasks:
                self.wire.service = service = CJService(services, tasks)
                request = await self._request(plan)
                self._published_ms = round(time.time() * 1000)
                await service.handle(ProcessingEvent.ELS_CJ_ASSESSMENT_REQUESTED, request)
                await self._quiet(service, services)
        except* _Stuck:
            pass

    def _compose(self) -> RunPlan:
        self._inventory: Inventory = read_inputs(self.variant.mode, self.variant.inputs_dir)
        environment = Environment(client_arguments={}, content_url="")
        self._settings = RunnerSettings(RunSpec(self.variant), environment, finalise_run)
        plan = compose_plan(self._settings, self._inventory)
        write_plan(self.folder.plan, plan)
        return plan

    async def _request(self, plan: RunPlan) -> bytes:
        stored = {
            essay.essay_id: await self._content.put(read.text)
            for essay, read in zip(plan.essays, self._inventory.anchors, strict=True)
        }
        prompt = None
        if plan.prompt_reference is not None:
            prompt = await self._content.put(plan.prompt_reference.content)
        request = compose_request(plan, self._settings, stored, prompt).to_wire()
        write_atomic(self.folder.request, request)
        return request

    async def _quiet(self, service: CJService, services: Services) -> None:
        """Wait for the end of the batch and of what faults hold back; or for silence, if it may get stuck."""
        faults = [planned.fault for planned in self.variant.faults]
        stuck = any(fault.reaches_cj and fault.action == "drop" for fault in faults)
        sent = looks = 0
        while True:
            await asyncio.sleep(0.005)
            looks, sent = looks + 1 if self.wire.sent == sent else 0, self.wire.sent
            waits = self._seam.pending + services.outbox._seam.pending
            if not service.running and not self._judging and not waits:
                return
            if stuck and not waits and not self._judging and looks > _SILENT_LOOKS:
                raise _Stuck

    def finish(self) -> tuple[Finding, ...]:
        """Capture what was published, finish the folder, and check it."""
        plan = self._plan
        hub = CaptureHub({}, "offline", self.root.parent / "stray.jsonl")
        essays = frozenset(essay.essay_id for essay in plan.essays)
        channel = RunChannel(self.folder, plan.batch_uuid, essays, plan.planned_comparisons)
        hub.register(channel)
        for record in self.wire.in_some_order():
            hub._take(record.event, _captured(record))
        channel.close()
        asyncio.run(self._keep_prompts())
        if self.variant.faults:
            clients = (_Counts(self._provider_faults), _Counts(self._cj_faults))
            planted = PlantedFaults(plan.batch_uuid, self.variant.faults, clients)  # type: ignore[arg-type]
            write_faults(self.folder.faults, asyncio.run(planted.count()))
        finalise_run(self.root, self._ending(channel, plan))
        manifest = run_checks(load_evidence(self.root), ["manifest"])
        return (*read_findings(self.folder.findings), *manifest)

    async def _keep_prompts(self) -> None:
        """Fetch the rendered prompts as the runner does, from the store."""

        async def answer(request: httpx.Request) -> httpx.Response:
            found = await self._content.store.get(request.url.path.rsplit("/", 1)[-1])
            return httpx.Response(404) if found is None else httpx.Response(200, content=found.body)

        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            await keep_prompts(http, "http://content/v1/content", self.folder)

    def _ending(self, channel: RunChannel, plan: RunPlan) -> RunEnding:
        """How `wait_for_end` would have ended it."""
        account = channel.account
        if account.failure is not None:
            reason = EndReason.PIPELINE_FAILED
        elif account.completed or account.resulted:
            reason = EndReason.COMPLETED
        else:
            reason = EndReason.IDLE_DEADLINE
        return RunEnding(
            reason=reason,
            detail="made offline",
            started_at=plan.created_at,
            ended_at=utc_now(),
            request_timestamp_ms=self._published_ms,
            timeout_seconds=plan.idle_seconds if reason is EndReason.IDLE_DEADLINE else None,
        )


def _captured(record: Record) -> CapturedRecord:
    return CapturedRecord(
        topic=topic_name(record.event),
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        received_at=utc_now(),
        key=record.key,
        value=record.value,
    )


def run_offline(
    variants: Sequence[Variant], root: Path, seed: int = 0
) -> Iterator[tuple[Variant, tuple[Finding, ...]]]:
    """Make the runs of variants side by side, then capture and check one after the other."""
    load_choix()
    runs = [OfflineRun(v, root / v.id / "run-1", seed + k) for k, v in enumerate(variants)]

    async def perform() -> None:
        slots = asyncio.Semaphore(16)

        async def one(run: OfflineRun) -> None:
            async with slots:
                await run.perform()

        await asyncio.gather(*map(one, runs))

    asyncio.run(perform())
    for run in runs:
        yield run.variant, run.finish()


def codes(findings: Iterable[Finding], severity: str) -> frozenset[str]:
    """Distinct codes of one severity."""
    return frozenset(finding.code for finding in findings if finding.severity == severity)


def scenario_for(folder: Path, cases: Iterable[Case]) -> Scenario:
    """Write and load the scenario of some cases."""
    return load_scenario(write_scenario(folder, cases))


def write_clean(folder: Path, count: int, seed: int = 0) -> Path:
    """A scenario of clean runs: random judges, latencies and sizes, and events in other, legal orders."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    variants = [_clean_variant(folder, f"clean-{number:03}", draw) for number in range(count)]
    scenario = {"scenario": "clean", "inputs": write_inputs(folder), "timeout": {"idle": 40, "total": 120}}
    judge = {"judge": {"provider": "mock", "model": "simulated-judge", "reasoning_effort": "low"}}
    path = folder / "clean.eng5.yaml"
    path.write_text(yaml.safe_dump(scenario | judge | {"variants": variants}, sort_keys=False))
    return path


def _clean_variant(folder: Path, name: str, draw: random.Random) -> dict[str, Any]:
    mock = {
        "discrimination": round(draw.uniform(0.2, 4), 3),
        "position_bias": round(draw.uniform(-1, 1), 3),
        "latency_ms": draw.choice([0, 0, 1, 5, 20]),
        "seed": draw.randrange(10**6),
    }
    # The CJ service waits for what comes late, as it would for a slow judge.
    callbacks = {"topic": "comparison_result", "reaches_cj": True}
    soon = draw.uniform(0.01, 0.1)
    shuffled = [
        callbacks | {"action": "reorder", "every": draw.choice([1, 2]), "by": draw.choice([1, 2])},
        callbacks | {"action": "delay", "every": 2, "seconds": round(soon, 3)},
        {"action": "reorder", "topic": "completed"},
        {"action": "delay", "topic": "result", "seconds": round(soon, 3)},
    ]
    faults = draw.sample(shuffled, draw.randrange(len(shuffled) + 1))
    inputs = write_inputs(folder, draw.choice([3, 4, 4, 5, 6]))
    return {"id": name, "inputs": inputs, "judge": {"mock": mock}, "faults": faults}
