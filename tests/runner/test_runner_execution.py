"""One run: preflight, upload, publish, and what the anchor-align handler returns."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.errors import InfrastructureError, UsageError
from pytest_eng5.evidence import EndReason, load_evidence, read_plan
from pytest_eng5.runner import (
    HANDLER_MAP,
    AnchorAlignHandler,
    Environment,
    InputError,
    LiveRunRefused,
    ModeHandlerProtocol,
    PipelineDied,
    ReferencePipeline,
    RunnerError,
    RunnerSettings,
    RunSpec,
    deadlines_for,
    read_inventory,
    read_source,
)
from pytest_eng5.runner import execution as execution_module
from pytest_eng5.scenario import Variant


@dataclass
class Services:
    """A stand-in for an external stack's HTTP services; counts what reaches it."""

    url: str = ""
    mock: Any = True
    uploads: list[bytes] = field(default_factory=list)
    at_once: int = 0
    _open: int = 0
    _met: asyncio.Event = field(default_factory=asyncio.Event)

    async def content(self, request: Request) -> Response:
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        self.uploads.append(await request.body())
        number = len(self.uploads)
        if self._open >= 4:
            self._met.set()
        with suppress(TimeoutError):  # on a slow machine they come one by one
            await asyncio.wait_for(self._met.wait(), 20)
        self._open -= 1
        return JSONResponse({"storage_id": f"{number:032x}"}, status_code=201)

    async def mock_mode(self, request: Request) -> Response:
        return JSONResponse({"use_mock_llm": self.mock})


@pytest.fixture
def services() -> Iterator[Services]:
    made = Services()
    routes = [
        Route("/v1/content", made.content, methods=["POST"]),
        Route("/admin/mock-mode", made.mock_mode),
    ]
    config = uvicorn.Config(Starlette(routes=routes), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    made.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    yield made
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def external(environment: Environment, services: Services) -> Environment:
    """An external pipeline: our broker's topics, the stand-in's services, and nobody who answers requests."""
    return replace(
        environment,
        content_url=f"{services.url}/v1/content",
        llm_url=services.url,
        reference_pipeline=False,
        topic_prefix="external.",
    )


@pytest.fixture
def execute(
    make_variant: Callable[..., Variant], finalise: Any, tmp_path: Path
) -> Callable[..., tuple[int, Any, RunnerSettings]]:
    """Run a variant through the handler's ``execute``; exit code, ending and settings."""

    def run(environment: Environment, **keys: Any) -> tuple[int, Any, RunnerSettings]:
        spec = RunSpec(make_variant(**keys))
        settings = RunnerSettings(spec, environment, finalise, assignment_id="kept-aside")
        paths = spec.paths(tmp_path / "session")
        code = AnchorAlignHandler().execute(settings, read_inventory(spec.variant.inputs_dir), paths)
        return code, finalise.calls[-1][1], settings

    return run


Execute = Callable[..., tuple[int, Any, RunnerSettings]]


def test_a_clean_run_exits_with_0(environment: Environment, execute: Execute, finalise: Any) -> None:
    code, ending, settings = execute(environment, judge={"model": "m", "temperature": 0.0})
    assert (code, ending.reason) == (0, EndReason.COMPLETED)
    root = finalise.calls[0][0]
    sent = json.loads((root / "requests" / "els_cj_assessment_request.json").read_text())
    assert sent["data"]["assignment_id"] is None
    assert sent["data"]["llm_config_overrides"]["temperature_override"] == 0.0
    assert sent["metadata"]["max_comparisons"] == 6
    assert settings.assignment_id == "kept-aside"


def test_a_batch_that_the_pipeline_fails_exits_with_1(environment: Environment, execute: Execute) -> None:
    mock = {"failure_rate": 1.0}
    code, ending, settings = execute(environment, judge={"provider": "mock", "model": "m", "mock": mock})
    assert (code, ending.reason) == (1, EndReason.PIPELINE_FAILED)
    assert "low_success_rate" in ending.detail
    assert settings.assignment_id == "kept-aside"


def test_services_out_of_reach_exit_with_4(environment: Environment, execute: Execute) -> None:
    lost = replace(environment, content_url="http://127.0.0.1:1/v1/content")
    code, ending, settings = execute(lost)
    assert (code, ending.reason) == (4, EndReason.INFRASTRUCTURE)
    assert "--eng5-content-url" in ending.detail
    assert not ending.published
    assert settings.assignment_id == "kept-aside"


def test_a_deadline_exits_with_4_and_keeps_the_evidence(
    environment: Environment, execute: Execute, finalise: Any
) -> None:
    judge = {"provider": "mock", "model": "m", "mock": {"latency_ms": 60_000}}
    code, ending, _ = execute(environment, judge=judge, timeout={"idle": 1, "total": 60})
    assert (code, ending.reason) == (4, EndReason.IDLE_DEADLINE)
    assert ending.timeout_seconds == 1
    assert "6 of 6 comparisons" in ending.detail
    assert load_evidence(finalise.calls[0][0]).comparisons == ()


def test_the_assignment_is_restored_even_when_the_run_blows_up(
    environment: Environment, execute: Execute, monkeypatch: pytest.MonkeyPatch, settings_of: Any
) -> None:
    seen: list[Any] = []

    async def explode(resources: Any, settings: RunnerSettings, *_: Any) -> Any:
        seen.append(settings.assignment_id)
        raise RuntimeError("boom")

    from pytest_eng5.runner import handlers

    monkeypatch.setattr(handlers, "perform_run", explode)
    settings = settings_of(None, assignment_id="kept")
    with pytest.raises(RuntimeError):
        asyncio.run(AnchorAlignHandler().perform(None, settings, None, None))  # type: ignore[arg-type]
    assert seen == [None]
    assert settings.assignment_id == "kept"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (EndReason.COMPLETED, 0),
        (EndReason.PIPELINE_FAILED, 1),
        (EndReason.IDLE_DEADLINE, 4),
        (EndReason.TOTAL_DEADLINE, 4),
        (EndReason.INFRASTRUCTURE, 4),
        (EndReason.BUDGET, 4),
        (EndReason.INTERRUPTED, 4),
        (EndReason.INPUT_ERROR, 2),
        (EndReason.REFUSED, 2),
        (EndReason.NOT_AWAITED, 0),
        (EndReason.NOT_PUBLISHED, 0),
    ],
)
def test_every_ending_has_an_exit_code(reason: EndReason, code: int) -> None:
    assert reason.exit_code == code


def test_handlers_are_made_without_arguments() -> None:
    for handler in HANDLER_MAP.values():
        assert isinstance(handler(), ModeHandlerProtocol)
    assert HANDLER_MAP["anchor-align-test"] is AnchorAlignHandler


@pytest.mark.parametrize("mock", [False, None, "yes"])
def test_an_external_pipeline_that_may_cost_money_is_refused(
    broker: Any, external: Environment, services: Services, execute: Execute, lab: ModuleType, mock: Any
) -> None:
    create_topics(broker, "external.")
    services.mock = mock
    code, ending, _ = execute(external, judge={"provider": "openai", "model": "gpt-5.1"})
    assert code == 4
    assert "could cost money" in ending.detail
    assert "--eng5-live" in ending.detail
    assert not ending.published
    assert services.uploads == [], "nothing is sent before it is allowed"


def test_without_an_address_nothing_is_known_so_it_is_refused(
    broker: Any, external: Environment, execute: Execute
) -> None:
    create_topics(broker, "external.")
    code, ending, _ = execute(replace(external, llm_url=None))
    assert code == 4
    assert "has no address" in ending.detail


@pytest.mark.parametrize("allowed", ["mock", "live"])
def test_a_mock_or_permission_lets_it_through(
    broker: Any, external: Environment, services: Services, execute: Execute, allowed: str
) -> None:
    """Nobody answers on these topics, so the run ends at its deadline, but it was published."""
    create_topics(broker, "external.")
    services.mock = allowed == "mock"
    where = replace(external, live=allowed == "live")
    code, ending, _ = execute(where, timeout={"idle": 0.5, "total": 60})
    assert (code, ending.reason) == (4, EndReason.IDLE_DEADLINE)
    assert ending.published
    assert len(services.uploads) == 5


def test_the_reference_pipeline_refuses_a_real_provider(environment: Environment, execute: Execute) -> None:
    code, ending, _ = execute(environment, judge={"provider": "anthropic", "model": "m"})
    assert code == 4
    assert "anthropic" in ending.detail
    assert not ending.published


def test_uploads_run_side_by_side_and_keep_their_essays(
    broker: Any, external: Environment, services: Services, execute: Execute, finalise: Any
) -> None:
    create_topics(broker, "external.")
    execute(external, essays=6, timeout={"idle": 0.3, "total": 60})
    assert services.at_once >= 4
    sent = load_evidence(finalise.calls[0][0]).request_data
    assert sent is not None
    plan = read_plan(finalise.calls[0][0] / "plan.json")
    inputs = {e.essay_id: e for e in plan.essays}
    for essay in sent.essays_for_cj:
        text = services.uploads[int(essay.text_storage_id, 16) - 1].decode()
        number = inputs[essay.essay_id].local_id[-1]
        assert text.startswith(f"Essay number {number}:")
    assert sent.student_prompt_ref is not None
    prompt = sent.student_prompt_ref.references["student_prompt_text"]
    assert services.uploads[int(prompt.storage_id, 16) - 1] == b"Describe the sea."


def test_an_unexpected_error_is_an_ending_too(
    environment: Environment, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any) -> Any:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(execution_module, "compose_request", explode)
    code, ending, _ = execute(environment)
    assert code == 4
    assert "ZeroDivisionError: planted" in ending.detail


def test_a_pipeline_that_cannot_start_says_why(tmp_path: Path) -> None:
    import os

    with pytest.raises(PipelineDied) as caught:
        ReferencePipeline.start("127.0.0.1:1", tmp_path / "p.log", watch_pid=os.getpid())
    assert "127.0.0.1:1" in str(caught.value)
    assert caught.value.where == str(tmp_path / "p.log")
    assert "eng5 pipeline serve" in str(caught.value.fix)


def test_a_pipeline_can_be_attached_from_its_record(pipeline: ReferencePipeline) -> None:
    record = json.loads(json.dumps(pipeline.record()))
    other = ReferencePipeline.attach(record)
    assert other.urls == pipeline.urls
    assert other.failure() is None


def test_an_unset_total_deadline_grows_with_the_comparisons(make_variant: Callable[..., Variant]) -> None:
    variant = make_variant(timeout={"idle": 7})
    small, large = deadlines_for(variant, 10), deadlines_for(variant, 1000)
    assert small.idle == large.idle == 7
    assert large.total > small.total > small.idle
    assert deadlines_for(make_variant(timeout={"total": 9}), 1000).total == 9


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b" \n\t ", "empty"), (b"\xff\xff", "UTF-8"), (None, "cannot be read")],
)
def test_unusable_texts_are_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_source(path, tmp_path)
    assert caught.value.where == f"{path}:1:1"
    assert caught.value.fix
    assert isinstance(caught.value, UsageError)


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbfHello")
    assert read_source(path, tmp_path).content == "Hello"
    assert read_source(path, tmp_path / "elsewhere").source_path == "text.txt"


def test_errors_are_of_the_right_kind() -> None:
    assert issubclass(LiveRunRefused, RunnerError)
    assert issubclass(RunnerError, InfrastructureError)
    assert "secret" not in repr(Environment({"sasl_plain_password": "secret"}, "http://x"))


def create_topics(broker: Any, prefix: str) -> None:
    from pytest_eng5.brokers import ensure_topics
    from pytest_eng5.contracts import PIPELINE_EVENTS, topic_names

    topics = topic_names(PIPELINE_EVENTS, prefix)
    asyncio.run(ensure_topics(broker.connection, topics, partitions=3, may_create=True))
