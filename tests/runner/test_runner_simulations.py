"""Which LLM provider services are told how the simulated judge behaves, and which are left alone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.brokers import ensure_topics
from pytest_eng5.contracts import PIPELINE_EVENTS, topic_names
from pytest_eng5.evidence import EndReason
from pytest_eng5.runner import AnchorAlignHandler, Environment, RunnerSettings, RunSpec, read_inventory
from pytest_eng5.scenario import Variant

PREFIX = "simulated."


@dataclass
class Stack:
    """An external stack's HTTP services that remember every request but the uploads."""

    url: str = ""
    mode: dict[str, Any] = field(default_factory=dict)
    put_status: int = 204
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    async def content(self, request: Request) -> Response:
        return JSONResponse({"storage_id": "0" * 32}, status_code=201)

    async def other(self, request: Request) -> Response:
        self.asked.append((request.method, request.url.path))
        if request.method == "PUT":
            self.bodies.append(json.loads(await request.body()))
            return Response(status_code=self.put_status)
        return JSONResponse(self.mode)

    @property
    def told(self) -> list[str]:
        return [path for method, path in self.asked if method != "GET"]


@pytest.fixture
def stack() -> Iterator[Stack]:
    made = Stack()
    routes = [
        Route("/v1/content", made.content, methods=["POST"]),
        Route("/{path:path}", made.other, methods=["GET", "PUT", "POST", "DELETE"]),
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
def external(broker: Any, environment: Environment, stack: Stack) -> Environment:
    """An external pipeline whose CJ service never answers: its runs end at their idle deadline."""
    topics = topic_names(PIPELINE_EVENTS, PREFIX)
    asyncio.run(ensure_topics(broker.connection, topics, partitions=3, may_create=True))
    return replace(
        environment,
        content_url=f"{stack.url}/v1/content",
        llm_url=stack.url,
        reference_pipeline=False,
        topic_prefix=PREFIX,
    )


Run = Callable[..., Any]


@pytest.fixture
def run(make_variant: Callable[..., Variant], finalise: Any, tmp_path: Any) -> Run:
    """Run a variant to its idle deadline; returns its ending."""

    def perform(environment: Environment, **keys: Any) -> Any:
        spec = RunSpec(make_variant(timeout={"idle": 0.5, "total": 60}, **keys))
        settings = RunnerSettings(spec, environment, finalise)
        paths = spec.paths(tmp_path / "session")
        AnchorAlignHandler().execute(settings, read_inventory(spec.variant.inputs_dir), paths)
        return finalise.calls[-1][1]

    return perform


MOCK = {"provider": "mock", "model": "m", "mock": {"discrimination": 2.5, "seed": 3}}
OFFER = {"use_mock_llm": True, "simulations": "/admin/simulations"}


@pytest.mark.parametrize("live", [False, True])
def test_an_external_service_that_offers_it_is_told(
    live: bool, external: Environment, stack: Stack, run: Run, finalise: Any
) -> None:
    stack.mode = OFFER
    ending = run(replace(external, live=live), judge=MOCK)
    assert ending.reason is EndReason.IDLE_DEADLINE
    (path,) = stack.told
    assert path.startswith("/admin/simulations/")
    (body,) = stack.bodies
    assert (body["discrimination"], body["seed"], len(body["qualities"])) == (2.5, 3, 4)


@pytest.mark.parametrize("live", [False, True])
def test_an_external_service_that_does_not_offer_it_is_not_told(
    live: bool, external: Environment, stack: Stack, run: Run
) -> None:
    stack.mode = {"use_mock_llm": True, "mock_mode": "default", "default_provider": "mock"}
    ending = run(replace(external, live=live), judge=MOCK)
    assert ending.published
    assert stack.told == []


def test_a_real_judge_is_not_simulated_though_the_service_offers_it(
    external: Environment, stack: Stack, run: Run
) -> None:
    stack.mode = OFFER
    ending = run(external, judge={"provider": "openai", "model": "gpt-5.1"})
    assert ending.published
    assert stack.told == []


def test_with_permission_and_a_real_judge_the_service_is_not_asked_at_all(
    external: Environment, stack: Stack, run: Run
) -> None:
    ending = run(replace(external, live=True), judge={"provider": "openai", "model": "gpt-5.1"})
    assert ending.published
    assert stack.asked == []


def test_an_offer_is_no_permission_to_spend(external: Environment, stack: Stack, run: Run) -> None:
    stack.mode = {**OFFER, "use_mock_llm": False}
    ending = run(external, judge=MOCK)
    assert ending.reason is EndReason.INFRASTRUCTURE
    assert "could cost money" in ending.detail
    assert not ending.published
    assert stack.told == []


@pytest.mark.parametrize("llm_url", [None, "http://127.0.0.1:1"])
def test_with_permission_a_service_that_cannot_be_asked_is_no_obstacle(
    llm_url: str | None, external: Environment, stack: Stack, run: Run
) -> None:
    ending = run(replace(external, live=True, llm_url=llm_url), judge=MOCK)
    assert ending.published
    assert stack.asked == []


def test_a_refusal_of_what_was_offered_ends_the_run(external: Environment, stack: Stack, run: Run) -> None:
    """Judged by another judge than the scenario's, the run would mean something else than it says."""
    stack.mode, stack.put_status = OFFER, 400
    ending = run(external, judge=MOCK)
    assert ending.reason is EndReason.INFRASTRUCTURE
    assert "refused the simulated judge" in ending.detail
    assert not ending.published
