"""Planting faults: who is told, who is refused before anything is published, what is learned afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from pytest_eng5.contracts import Fault
from pytest_eng5.errors import Eng5Error
from pytest_eng5.runner.faults import PlantedFaults, plant_faults
from pytest_eng5.runner.settings import Environment
from pytest_eng5.scenario import Location, PlannedFault

pytestmark = pytest.mark.asyncio

LLM, CJ = "http://llm", "http://cj"
PLAN: Any = SimpleNamespace(
    batch_uuid="b-1",
    correlation_id="0d8f7a54-64f0-4b2f-8d2e-3d6a4c6f9d01",
    essays=[SimpleNamespace(essay_id="a"), SimpleNamespace(essay_id="b")],
)
CALLBACK = {"action": "drop", "topic": "comparison_result", "nth": 1}


@dataclass
class Services:
    """Both services: they note what they are asked, and answer as they are told."""

    offer: dict[str, Any] = field(default_factory=lambda: {"simulations": "/admin/simulations"})
    put: int = 204
    counts: dict[str, list[dict[str, int]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.method, f"{request.url.host}{request.url.path}"))
        if request.method == "PUT":
            self.bodies.append(json.loads(request.content))
            return httpx.Response(self.put)
        if request.url.path == "/admin/mock-mode":
            return httpx.Response(200, json=self.offer)
        counts = self.counts.get(request.url.host)
        return httpx.Response(200, json={"faults": counts}) if counts else httpx.Response(404)

    @property
    def told(self) -> list[str]:
        return [where for method, where in self.asked if method == "PUT"]


@pytest.fixture
def services() -> Services:
    return Services()


Plant = Callable[..., Any]


@pytest.fixture
def plant(services: Services, tmp_path: Any) -> Plant:
    async def perform(*faults: dict[str, Any], **environment: Any) -> PlantedFaults | None:
        planned = tuple(
            PlannedFault(Fault(**fault), Location(tmp_path / "f.eng5.yaml", line))
            for line, fault in enumerate(faults, start=1)
        )
        known = {"llm_url": LLM, "cj_url": CJ} | environment
        surroundings = Environment(client_arguments={}, content_url="", **known)
        http = httpx.AsyncClient(transport=httpx.MockTransport(services))
        variant: Any = SimpleNamespace(faults=planned)
        return await plant_faults(http, surroundings, PLAN, variant)

    return perform


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (CALLBACK, ["llm"]),
        ({"action": "missing_result"}, ["cj"]),
        ({"action": "fail"}, ["cj"]),
        ({"action": "fail", "topic": "comparison_result", "nth": 1}, ["llm", "cj"]),
        ({"action": "early_completion"}, ["llm", "cj"]),
        ({"action": "silence"}, ["llm", "cj"]),
        ({"action": "drop", "topic": "failed"}, ["cj"]),
    ],
)
async def test_those_services_are_told_whose_events_are_concerned(
    plant: Plant, services: Services, fault: dict[str, Any], told: list[str]
) -> None:
    await plant(fault)
    assert services.told == [f"{service}/admin/faults/b-1" for service in told]
    for body in services.bodies:
        assert body["faults"] == [fault]
        assert (body["correlation_id"], body["essay_ids"]) == (PLAN.correlation_id, ["a", "b"])


async def test_nothing_planned_asks_nobody(plant: Plant, services: Services) -> None:
    assert await plant() is None
    assert services.asked == []


async def test_an_external_reference_pipeline_is_told_after_it_was_asked(
    plant: Plant, services: Services
) -> None:
    await plant(CALLBACK, reference_pipeline=False)
    assert services.asked == [("GET", "llm/admin/mock-mode"), ("PUT", "llm/admin/faults/b-1")]


async def test_another_pipeline_is_refused_and_not_touched(plant: Plant, services: Services) -> None:
    services.offer = {"use_mock_llm": True}
    with pytest.raises(Eng5Error) as caught:
        await plant(CALLBACK, reference_pipeline=False)
    assert caught.value.what == "faults are for the reference pipeline, and this is another one"
    assert caught.value.where == LLM
    assert services.told == []


@pytest.mark.parametrize(
    ("fault", "missing", "message"),
    [
        ({"action": "fail"}, "cj_url", "concern the CJ service, whose address is unknown"),
        (CALLBACK, "llm_url", "nothing is known of this one"),
    ],
)
async def test_an_address_that_is_needed_is_asked_for(
    plant: Plant, services: Services, fault: dict[str, Any], missing: str, message: str
) -> None:
    with pytest.raises(Eng5Error, match=message):
        await plant(fault, reference_pipeline=False, **{missing: None})
    assert services.told == []


async def test_a_service_that_does_not_take_it_ends_the_run(plant: Plant, services: Services) -> None:
    services.put = 404
    with pytest.raises(Eng5Error, match="takes no fault plan"):
        await plant(CALLBACK)


async def test_counts_of_both_services_are_added(plant: Plant, services: Services) -> None:
    planted = await plant({"action": "silence"}, CALLBACK)
    services.counts = {
        "llm": [{"seen": 6, "fired": 6}, {"seen": 6, "fired": 0}],
        "cj": [{"seen": 2, "fired": 2}, {"seen": 0, "fired": 0}],
    }
    told = await planted.count()
    assert [(record.seen, record.fired, record.where) for record in told.faults] == [
        (8, 8, "f.eng5.yaml:1"),
        (6, 0, "f.eng5.yaml:2"),
    ]
    assert list(told.unfired()) == [
        "fault 2 never fired: drop of comparison_result, nth 1 (f.eng5.yaml:2); 6 events of its topic came by"
    ]


async def test_counts_that_cannot_be_had_are_no_green_light(plant: Plant, services: Services) -> None:
    planted = await plant(CALLBACK)
    told = await planted.count()
    (text,) = told.unfired()
    assert text.startswith("it is unknown whether the planted faults fired: ")
    assert "no longer knows the fault plan" in text
