"""Many runs at once against the real broker and the reference pipeline."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_eng5.capture import CaptureError, PublishError
from pytest_eng5.evidence import EndReason, RunFolder, Stream, load_evidence, read_plan, verify
from pytest_eng5.runner import Campaign, Claims, Environment, ReferencePipeline, RunSpec
from pytest_eng5.scenario import Scenario

Start = Callable[..., Campaign]
MakeScenario = Callable[..., Scenario]


def slow_judge(milliseconds: int) -> dict[str, Any]:
    return {"provider": "mock", "model": "m", "mock": {"latency_ms": milliseconds}}


def folder_of(campaign: Campaign, spec: RunSpec) -> RunFolder:
    return spec.paths(campaign.session).run


def complete(folder: RunFolder) -> bool:
    """Whether plan, findings, artefact and manifest are there and the manifest is true."""
    mode = read_plan(folder.plan).mode
    present = all(path.is_file() for path in (folder.findings, folder.artefact(mode), folder.manifest))
    return present and verify(folder.root, folder.manifest) == []


def test_a_run_leaves_everything_as_evidence(
    campaign: Start, make_scenario: MakeScenario, finalise: Any
) -> None:
    running = campaign()
    spec = RunSpec(make_scenario(essays=5).variants[0])
    ending = running.submit(spec).result(60)
    assert (ending.reason, ending.detail) == (EndReason.COMPLETED, "completed")
    folder = folder_of(running, spec)
    evidence = load_evidence(folder.root)
    assert len(evidence.comparisons) == len(evidence.succeeded) == 10
    assert (len(evidence.results), len(evidence.completions), len(evidence.failures)) == (1, 1, 0)
    assert evidence.rejected == ()
    assert evidence.request_data is not None
    assert evidence.request_data.assignment_id is None
    assert {e.essay_id for e in evidence.request_data.essays_for_cj} == set(evidence.essays)
    assert ending.published
    assert ending.request_position is not None
    assert ending.request_position.startswith("shared.huleedu.els.cj_assessment.requested.v1[")
    assert finalise.calls == [(folder.root, ending)]
    assert threading.main_thread().name not in finalise.threads
    assert complete(folder)


@pytest.mark.slow
def test_three_variants_run_at_once(campaign: Start, make_scenario: MakeScenario) -> None:
    scenario = make_scenario("one", "two", "three", judge=slow_judge(200), essays=3)
    specs = [RunSpec(variant) for variant in scenario.variants]

    def together(concurrency: int) -> bool:
        running = campaign(concurrency=concurrency)
        endings = [future.result(60) for future in [running.submit(spec) for spec in specs]]
        assert [ending.reason for ending in endings] == [EndReason.COMPLETED] * 3
        spans = sorted((ending.started_at, ending.ended_at) for ending in endings)
        return any(later[0] < earlier[1] for earlier, later in pairwise(spans))

    assert together(8)
    assert not together(1)


def test_the_runs_of_a_campaign_do_not_share_evidence(campaign: Start, make_scenario: MakeScenario) -> None:
    running = campaign()
    scenario = make_scenario("one", "two", repeats=2)
    specs = [RunSpec(variant, repeat) for variant in scenario.variants for repeat in (1, 2)]
    for future in [running.submit(spec) for spec in specs]:
        assert future.result(60).reason is EndReason.COMPLETED
    evidence = [load_evidence(folder_of(running, spec).root) for spec in specs]
    assert len({run.plan.batch_uuid for run in evidence}) == 4
    ids = [set(run.essays) for run in evidence]
    assert len(set().union(*ids)) == sum(map(len, ids))
    for run in evidence:
        assert len(run.comparisons) == 6
        for event in run.comparisons:
            assert event.comparison.request_metadata["bos_batch_id"] == run.plan.batch_uuid


def test_cancelling_leaves_complete_folders(
    campaign: Start, make_scenario: MakeScenario, finalise: Any
) -> None:
    running = campaign()
    scenario = make_scenario("one", "two", judge=slow_judge(60_000))
    specs = [RunSpec(variant) for variant in scenario.variants]
    futures = [running.submit(spec) for spec in specs]
    wait_for(lambda: all(folder_of(running, spec).request.exists() for spec in specs))
    began = time.monotonic()
    running.close(cancel=True)
    assert time.monotonic() - began < 30
    for spec, future in zip(specs, futures, strict=True):
        assert future.result(60).reason is EndReason.INTERRUPTED
        folder = folder_of(running, spec)
        assert complete(folder)
        recorded = load_evidence(folder.root).ending
        assert recorded is not None
        assert recorded.reason is EndReason.INTERRUPTED
    assert len(finalise.calls) == 2


def test_runs_that_wait_for_a_slot_are_interrupted_too(campaign: Start, make_scenario: MakeScenario) -> None:
    running = campaign(concurrency=1)
    scenario = make_scenario("one", "two", "three", judge=slow_judge(60_000))
    futures = [running.submit(RunSpec(variant)) for variant in scenario.variants]
    first = RunSpec(scenario.variants[0])
    wait_for(lambda: folder_of(running, first).request.exists())
    running.close(cancel=True)
    assert [future.result(60).reason for future in futures] == [EndReason.INTERRUPTED] * 3


def test_closing_waits_for_what_was_submitted(campaign: Start, make_scenario: MakeScenario) -> None:
    running = campaign()
    future = running.submit(RunSpec(make_scenario(judge=slow_judge(200)).variants[0]))
    running.close()
    assert future.result(60).reason is EndReason.COMPLETED
    running.close()


def test_closing_settles_every_claim(campaign: Start, make_scenario: MakeScenario, tmp_path: Path) -> None:
    """A waiter in another process must never find a claim without an ending after a clean close."""
    claims = Claims(tmp_path / "claims")
    running = campaign()
    scenario = make_scenario(*(f"v{n}" for n in range(6)), judge=slow_judge(2000))
    specs = [RunSpec(variant) for variant in scenario.variants]
    for spec in specs:
        running.submit(spec, claims.take(spec.key))
    running.close(cancel=True)
    assert [claims.wait(spec.key).reason for spec in specs] == [EndReason.INTERRUPTED] * 6


def test_an_abort_ends_all_runs_at_once(campaign: Start, make_scenario: MakeScenario) -> None:
    running = campaign()
    scenario = make_scenario("one", "two", judge=slow_judge(60_000))
    specs = [RunSpec(variant) for variant in scenario.variants]
    futures = [running.submit(spec) for spec in specs]
    wait_for(lambda: all(folder_of(running, spec).request.exists() for spec in specs))
    began = time.monotonic()
    running.abort("somebody pulled the plug")
    endings = [future.result(60) for future in futures]
    assert time.monotonic() - began < 30, "the judge alone takes that long"
    for spec, ending in zip(specs, endings, strict=True):
        assert ending.reason is EndReason.INFRASTRUCTURE
        assert "somebody pulled the plug" in ending.detail
        assert complete(folder_of(running, spec))
    later = running.submit(RunSpec(scenario.variants[0], 2)).result(60)
    assert later.reason is EndReason.INFRASTRUCTURE
    assert "somebody pulled the plug" in later.detail
    assert not later.published, "nothing may be published into a session that is over"


@pytest.mark.slow
def test_a_pipeline_killed_in_the_middle_ends_its_runs(
    broker: Any, campaign: Start, make_scenario: MakeScenario, lab: ModuleType, tmp_path: Path
) -> None:
    with lab.running_pipeline(broker, tmp_path / "doomed.log", "doomed.") as pipeline:
        running = campaign(lab.environment_of(broker, pipeline, "doomed."))
        pipeline.process.on_exit(lambda _: running.abort(pipeline.failure() or "the pipeline ended"))
        spec = RunSpec(make_scenario(judge=slow_judge(1000), essays=6).variants[0])
        future = running.submit(spec)
        callbacks = folder_of(running, spec).stream(Stream.COMPARISONS)
        wait_for(callbacks.exists)
        killed = time.monotonic()
        kill_serving(pipeline)
        ending = future.result(60)
        assert time.monotonic() - killed < 60
    assert ending.reason is EndReason.INFRASTRUCTURE
    assert "reference pipeline ended with status" in ending.detail
    evidence = load_evidence(folder_of(running, spec).root)
    assert 0 < len(evidence.comparisons) < 15
    assert complete(folder_of(running, spec))


def test_a_spent_session_budget_starts_nothing_more(campaign: Start, make_scenario: MakeScenario) -> None:
    running = campaign(concurrency=1, budget_usd=0.0)
    scenario = make_scenario("one", "two")
    first = running.submit(RunSpec(scenario.variants[0])).result(60)
    assert first.reason is EndReason.COMPLETED
    assert read_plan(folder_of(running, RunSpec(scenario.variants[0])).plan).budget_usd == 0.0
    running._spent_usd = 0.01
    second = running.submit(RunSpec(scenario.variants[1])).result(60)
    assert second.reason is EndReason.BUDGET
    assert not second.published
    assert "--eng5-budget-usd" in second.detail
    assert not folder_of(running, RunSpec(scenario.variants[1])).root.exists()


@pytest.mark.parametrize(
    ("session", "own", "planned"),
    [(None, None, None), (2.0, None, 2.0), (None, 0.5, 0.5), (2.0, 0.5, 0.5), (0.1, 0.5, 0.1)],
)
def test_the_tighter_budget_counts(
    campaign: Start,
    make_scenario: MakeScenario,
    session: float | None,
    own: float | None,
    planned: float | None,
) -> None:
    keys = {} if own is None else {"budget": {"max_usd": own}}
    running = campaign(budget_usd=session)
    spec = RunSpec(make_scenario(essays=2, **keys).variants[0])
    running.submit(spec).result(60)
    assert read_plan(folder_of(running, spec).plan).budget_usd == planned


def test_inputs_that_vanished_end_the_run_not_the_campaign(
    campaign: Start, make_scenario: MakeScenario
) -> None:
    running = campaign()
    scenario = make_scenario("one")
    spec = RunSpec(scenario.variants[0])
    (spec.variant.inputs_dir / "anchors" / "Anna_Svensson_0.txt").write_bytes(b"bad \xe9 bytes")
    ending = running.submit(spec).result(30)
    assert ending.reason is EndReason.INPUT_ERROR
    assert "UTF-8" in ending.detail
    make_scenario("one")
    assert running.submit(RunSpec(spec.variant, 2)).result(60).reason is EndReason.COMPLETED


def test_a_finaliser_that_raises_is_told_and_harms_no_other(
    campaign: Start, make_scenario: MakeScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = campaign()
    scenario = make_scenario("one", "two")

    def finalise(root: Path, ending: Any) -> None:
        if "one" in root.parts:
            raise OSError(28, "No space left on device")

    running._resources = running._resources.__class__(
        running._resources.hub, running._resources.publisher, running._resources.http, finalise
    )
    one, two = [running.submit(RunSpec(variant)).result(60) for variant in scenario.variants]
    assert one.reason is EndReason.INFRASTRUCTURE
    assert "No space left on device" in one.detail
    assert two.reason is EndReason.COMPLETED


def test_a_broker_that_is_not_there_fails_the_start(tmp_path: Path, finalise: Any) -> None:
    nowhere = Environment({"bootstrap_servers": "127.0.0.1:1"}, "http://127.0.0.1:1/v1/content")
    lost = Campaign(nowhere, tmp_path, finalise, group_id="g")
    with pytest.raises((CaptureError, PublishError), match=r"127\.0\.0\.1:1"):
        lost.start()
    lost.close()
    assert not any(
        "eng5-campaign" in thread.name and thread is lost._thread for thread in threading.enumerate()
    )


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def kill_serving(pipeline: ReferencePipeline) -> None:
    """kill -9 the process that serves, not its supervisor."""
    import psutil

    port = int(str(pipeline.urls.cj_url).rpartition(":")[2])
    for process in psutil.Process().children(recursive=True):
        if any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections("tcp")):
            process.send_signal(signal.SIGKILL)
            return
    raise AssertionError("nobody listens on the pipeline's port")
