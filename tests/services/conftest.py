"""A small HTTP server in a thread whose answers a test writes down beforehand."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer = Response | Callable[[Request], Any]


@dataclass
class Seen:
    """One request as the server got it."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Scripted:
    """Gives its answers in order and repeats the last; ``at_once`` is the most requests it held together."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    at_once: int = 0
    delay: float = 0.0
    _open: int = 0

    def will(self, *answers: Answer) -> None:
        self.answers = list(answers)

    async def handle(self, request: Request) -> Response:
        import asyncio

        self._open += 1
        self.at_once = max(self.at_once, self._open)
        try:
            body = await request.body()
            self.seen.append(Seen(request.method, request.url.path, body, dict(request.headers)))
            if self.delay:
                await asyncio.sleep(self.delay)
            answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
            return answer if isinstance(answer, Response) else await answer(request)
        finally:
            self._open -= 1


@pytest.fixture(scope="session")
def _server() -> Iterator[tuple[Scripted, uvicorn.Server]]:
    scripted = Scripted()
    methods = ["GET", "POST", "PUT"]
    app = Starlette(routes=[Route("/{path:path}", scripted.handle, methods=methods)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    scripted.url = f"http://127.0.0.1:{port}"
    yield scripted, server
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def server(_server: tuple[Scripted, uvicorn.Server]) -> Scripted:
    """The server with nothing seen yet."""
    scripted = _server[0]
    scripted.answers, scripted.seen, scripted.at_once, scripted.delay = [], [], 0, 0.0
    return scripted


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=0.5, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def stored() -> Callable[..., Response]:
    """The content service's answer to a POST."""

    def answer(storage_id: str = "5e0c1f3a9b7d4c2e8f60a1b2c3d4e5f6", status: int = 201) -> Response:
        return JSONResponse({"storage_id": storage_id, "correlation_id": "c"}, status_code=status)

    return answer


@pytest.fixture(scope="session")
def failing() -> Callable[..., Response]:
    """An error answer (contract 4)."""

    def answer(status: int = 500, message: str = "disk full") -> Response:
        body = {"error": {"error_code": "UNKNOWN_ERROR", "message": message, "correlation_id": "c"}}
        return JSONResponse(body, status_code=status)

    return answer
