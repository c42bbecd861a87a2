"""The CJ service's HTTP clients against a server that fails, hangs, and tells them things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.contracts import LLMComparisonRequest
from pytest_eng5.pipeline import attempts
from pytest_eng5.pipeline.cj.clients import ContentClient, ProviderClient, SubmissionRefused
from pytest_eng5.pipeline.errors import ServiceError, StartupFailed
from pytest_eng5.pipeline.http import HttpServer, health_routes, route, service_app
from pytest_eng5.pipeline.metrics import ServiceMetrics
from pytest_eng5.pipeline.settings import CJSettings

Answer = TypeVar("Answer")
PATIENT = CJSettings(content_timeout_seconds=60, llm_timeout_seconds=60)
IMPATIENT = CJSettings(content_timeout_seconds=0.5, llm_timeout_seconds=0.5)
REQUEST = LLMComparisonRequest(
    user_prompt="p", callback_topic="t", llm_config_overrides={"provider_override": "mock"}
)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_PAUSES", (0.01,))


class Scripted:
    """A server that gives the answers of a script in turn, the last one for ever."""

    def __init__(self, *answers: Response | None) -> None:
        self.answers = list(answers)
        self.settings = IMPATIENT if None in answers else PATIENT
        self.requests: list[tuple[str, str, bytes]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path, await request.body()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            await asyncio.sleep(1)
            return Response("too late")
        return answer

    def asked(self, ask: Callable[[httpx.AsyncClient, str], Awaitable[Answer]]) -> Answer:
        """Ask the running server."""

        async def work() -> Answer:
            server = HttpServer(self.app, "127.0.0.1", 0)
            await server.start()
            try:
                async with httpx.AsyncClient(trust_env=False) as http:
                    return await ask(http, server.url)
            finally:
                await server.stop()

        return asyncio.run(work())

    def text(self) -> str:
        return self.asked(
            lambda http, url: ContentClient(http, f"{url}/v1/content/", self.settings).text("id")
        )

    def submit(self) -> None:
        self.asked(lambda http, url: ProviderClient(http, url, self.settings).submit(REQUEST))


def test_a_text_is_fetched() -> None:
    server = Scripted(Response("Blåbär"))
    assert server.text() == "Blåbär"
    assert [request[:2] for request in server.requests] == [("GET", "/v1/content/id")]


@pytest.mark.parametrize("first", [Response(status_code=503), Response(status_code=429), None])
def test_transient_failures_are_tried_three_times(first: Response | None) -> None:
    server = Scripted(first, first, Response("text"))
    assert server.text() == "text"
    assert len(server.requests) == 3


@pytest.mark.parametrize("answer", [Response(status_code=500), None])
def test_three_attempts_are_enough(answer: Response | None) -> None:
    server = Scripted(answer)
    with pytest.raises(ServiceError, match="3 attempts") as caught:
        server.text()
    assert caught.value.code == "CONTENT_SERVICE_ERROR"
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 404, 403])
def test_a_clear_refusal_is_not_repeated(status: int) -> None:
    server = Scripted(Response(status_code=status))
    with pytest.raises(ServiceError, match=str(status)) as caught:
        server.text()
    assert caught.value.code == "CONTENT_SERVICE_ERROR"
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"", b"  \n\t ", b"\xff\xfe\xff"])
def test_a_blank_or_unreadable_text_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        Scripted(Response(body)).text()
    assert caught.value.code == "INVALID_RESPONSE"


def test_nobody_listening_is_said() -> None:
    async def work() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            await ContentClient(http, "http://127.0.0.1:9/v1/content", PATIENT).text("id")

    with pytest.raises(ServiceError, match="ConnectError"):
        asyncio.run(work())


def test_a_comparison_is_submitted_as_json_without_nulls() -> None:
    server = Scripted(Response(status_code=202))
    server.submit()
    ((method, path, body),) = server.requests
    assert (method, path) == ("POST", "/api/v1/comparison")
    assert LLMComparisonRequest.model_validate_json(body) == REQUEST
    assert b"null" not in body


def test_a_full_queue_is_tried_again() -> None:
    server = Scripted(Response(status_code=503), Response(status_code=202))
    server.submit()
    assert len(server.requests) == 2


def test_a_refused_comparison_carries_the_services_words() -> None:
    error = {"error": {"code": "VALIDATION_ERROR", "message": "no such provider"}}
    server = Scripted(JSONResponse(error, status_code=400))
    with pytest.raises(SubmissionRefused, match="no such provider") as caught:
        server.submit()
    assert caught.value.code == "VALIDATION_ERROR"
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [Response(status_code=200), Response("?", status_code=418)])
def test_any_other_answer_than_202_is_a_refusal(answer: Response) -> None:
    with pytest.raises(SubmissionRefused, match=str(answer.status_code)):
        Scripted(answer).submit()


def test_a_service_that_stays_away_is_no_refusal() -> None:
    with pytest.raises(ServiceError) as caught:
        Scripted(Response(status_code=502)).submit()
    assert caught.value.code == "LLM_PROVIDER_SERVICE_ERROR"
    assert not isinstance(caught.value, SubmissionRefused)


# The server that all services run on


def test_a_port_that_is_taken_is_named() -> None:
    app = Starlette()
    first = HttpServer(app, "127.0.0.1", 0)

    async def work() -> None:
        await first.start()
        try:
            HttpServer(app, "127.0.0.1", int(first.url.rsplit(":", 1)[1]))
        finally:
            await first.stop()

    with pytest.raises(StartupFailed, match="cannot listen") as caught:
        asyncio.run(work())
    assert str(caught.value.where) in first.url


def test_a_server_that_never_started_can_be_stopped() -> None:
    server = HttpServer(Starlette(), "127.0.0.1", 0)
    asyncio.run(server.stop())
    HttpServer(Starlette(), "127.0.0.1", int(server.url.rsplit(":", 1)[1]))


def test_an_unexpected_error_becomes_a_500_without_its_text() -> None:
    async def broken(_: Request) -> Response:
        raise RuntimeError("the prompt was: secret")

    async def work() -> httpx.Response:
        server = HttpServer(
            service_app("svc", [route("GET", "/", broken)], ServiceMetrics("svc")), "127.0.0.1", 0
        )
        await server.start()
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return await http.get(server.url)
        finally:
            await server.stop()

    answer = asyncio.run(work())
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "UNKNOWN_ERROR"
    assert "secret" not in answer.text


def test_a_service_that_is_not_ready_says_why_and_stays_alive() -> None:
    def facts() -> dict[str, Any]:
        return {"queue_depth": 3}

    async def work() -> dict[str, httpx.Response]:
        app = service_app("svc", health_routes("svc", lambda: "no broker", facts), ServiceMetrics("svc"))
        server = HttpServer(app, "127.0.0.1", 0)
        await server.start()
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                paths = ("/healthz", "/healthz/live", "/healthz/ready")
                return {path: await http.get(server.url + path) for path in paths}
        finally:
            await server.stop()

    answers = asyncio.run(work())
    assert [answer.status_code for answer in answers.values()] == [503, 200, 503]
    assert answers["/healthz"].json()["message"] == "no broker"
    assert answers["/healthz"].json()["queue_depth"] == 3
