"""HTTP of the LLM provider service, and the side channel that tells the simulated judge what to simulate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.contracts import LLMComparisonRequest, LLMQueuedResponse
from pytest_eng5.pipeline.errors import ServiceError
from pytest_eng5.pipeline.faults.routes import FAULTS_PATH
from pytest_eng5.pipeline.http import Readiness, health_routes, read_body, route, service_app
from pytest_eng5.pipeline.provider.callbacks import SERVICE, QueuedComparison
from pytest_eng5.pipeline.provider.judge import Simulation
from pytest_eng5.pipeline.provider.manifest import DEFAULT_MODELS, PROVIDERS, model_list
from pytest_eng5.pipeline.provider.metrics import ProviderMetrics
from pytest_eng5.pipeline.provider.queue import ComparisonQueue

__all__ = ["Register", "provider_app"]

_AVAILABLE = "mock"
_MOCK_MODE = {
    "use_mock_llm": True,
    "mock_mode": "default",
    "default_provider": _AVAILABLE,
    "simulations": "/admin/simulations",
}

Register = Callable[[str, Simulation], Awaitable[None]]


def _check(request: LLMComparisonRequest, callback_topic: str) -> None:
    provider = request.llm_config_overrides and request.llm_config_overrides.provider_override
    if not provider:
        raise ServiceError("VALIDATION_ERROR", "llm_config_overrides.provider_override is required")
    if provider != _AVAILABLE:
        raise ServiceError(
            "VALIDATION_ERROR",
            f"provider {provider!r} is not available: this reference pipeline has the simulated judge only, "
            f"provider {_AVAILABLE!r}",
            provider=provider,
            available=[_AVAILABLE],
        )
    if request.callback_topic != callback_topic:
        raise ServiceError(
            "LLM_INVALID_CALLBACK_TOPIC", f"callbacks go to {callback_topic}", got=request.callback_topic
        )


def _provider_state(name: str, total: int) -> dict[str, Any]:
    available = name == _AVAILABLE
    return {
        "name": name,
        "enabled": available,
        "available": available,
        "circuit_breaker_state": "closed",
        "default_model": DEFAULT_MODELS[name],
        "last_success": None,
        "last_failure": None,
        "failure_count": 0,
        "average_response_time_ms": None,
        "requests": total if available else 0,
    }


def provider_app(
    queue: ComparisonQueue,
    register_simulation: Register,
    callback_topic: str,
    not_ready: Readiness,
    metrics: ProviderMetrics,
    faults: Sequence[Route] = (),
) -> Starlette:
    """The service.

    Args:
        queue: Where accepted comparisons go.
        register_simulation: Makes a simulation known, to every worker, before it returns.
        callback_topic: The only topic that callbacks may go to.
        not_ready: Why the service cannot work at the moment.
        metrics: Its numbers are those of this process alone, as all counts in the answers are.
        faults: Routes of fault plans, if it takes any.
    """
    accepted = 0

    async def compare(request: Request) -> Response:
        nonlocal accepted
        body = await read_body(request, LLMComparisonRequest)
        _check(body, callback_topic)
        item = QueuedComparison(body)
        try:
            queue_id = await queue.put(item)
        except ServiceError as error:
            if error.code == "LLM_QUEUE_FULL":
                metrics.refused()
            raise
        accepted += 1
        answer = LLMQueuedResponse(
            queue_id=str(queue_id), message="the comparison is queued", estimated_wait_minutes=0
        )
        return JSONResponse(answer.model_dump(), status_code=202)

    async def register(request: Request) -> Response:
        await register_simulation(request.path_params["batch_id"], await read_body(request, Simulation))
        return Response(status_code=204)

    async def providers(_: Request) -> Response:
        return JSONResponse(
            {
                "providers": [_provider_state(name, accepted) for name in PROVIDERS],
                "default_provider": _AVAILABLE,
                "selection_strategy": "explicit",
                "total_requests_today": accepted,
                "total_cost_today": 0.0,
                "worker": metrics.worker_id,
            }
        )

    async def models(request: Request) -> Response:
        listed = model_list(request.query_params.get("provider"))
        return JSONResponse({"providers": listed, "total_models": sum(map(len, listed.values()))})

    async def mock_mode(_: Request) -> Response:
        return JSONResponse(_MOCK_MODE | ({"faults": FAULTS_PATH} if faults else {}))

    async def never_there(request: Request) -> Response:
        raise ServiceError(
            "RESOURCE_NOT_FOUND", "results are delivered by callback only", queue_id=request.path_params["id"]
        )

    facts = {"mock_mode": True, "mock_provider": _MOCK_MODE["mock_mode"], "worker": metrics.worker_id}
    return service_app(
        SERVICE,
        [
            route("POST", "/api/v1/comparison", compare),
            route("GET", "/api/v1/providers", providers),
            route("GET", "/api/v1/models", models),
            route("GET", "/api/v1/status/{id}", never_there),
            route("GET", "/api/v1/results/{id}", never_there),
            route("GET", "/admin/mock-mode", mock_mode),
            route("PUT", "/admin/simulations/{batch_id}", register),
            *faults,
            *health_routes(SERVICE, not_ready, lambda: {**facts, "queue_depth": queue.depth}),
        ],
        metrics,
    )
