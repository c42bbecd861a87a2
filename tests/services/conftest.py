"""HTTP servers in threads: one whose answers a test writes down, one that behaves like the CJ service."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import jwt
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pytest_eng5.services import Retry

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
    _wanted: int = 0
    _met: asyncio.Event = field(default_factory=asyncio.Event)

    def meet(self, requests: int) -> None:
        """Answer nobody before that many wait together; on a slow machine they come one by one."""
        self._wanted, self._met = requests, asyncio.Event()

    def will(self, *answers: Answer) -> None:
        self.answers = list(answers)

    async def handle(self, request: Request) -> Response:
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        try:
            body = await request.body()
            self.seen.append(Seen(request.method, request.url.path, body, dict(request.headers)))
            if self._open >= self._wanted:
                self._met.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._met.wait(), 20)
            if self.delay:
                await asyncio.sleep(self.delay)
            answer = self.answers[min(len(self.seen), len(self.answers)) - 1]
            return answer if isinstance(answer, Response) else await answer(request)
        finally:
            self._open -= 1


@pytest.fixture(scope="session")
def _server() -> Iterator[tuple[Scripted, uvicorn.Server]]:
    scripted = Scripted()
    with _serving(scripted.handle) as (url, server):
        scripted.url = url
        yield scripted, server


@contextlib.contextmanager
def _serving(handle: Callable[[Request], Any]) -> Iterator[tuple[str, uvicorn.Server]]:
    methods = ["GET", "POST", "PUT", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", handle, methods=methods)])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", server
    finally:
        server.should_exit = True
        thread.join(5)


@pytest.fixture
def server(_server: tuple[Scripted, uvicorn.Server]) -> Scripted:
    """The server with nothing seen yet."""
    scripted = _server[0]
    scripted.answers, scripted.seen, scripted.at_once, scripted.delay = [], [], 0, 0.0
    scripted.meet(0)
    return scripted


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A patient client: a slow machine must not look like a timeout."""
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=False) as client:
        yield client


@pytest_asyncio.fixture
async def impatient() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=0.5, trust_env=False, verify=False) as client:
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


@dataclass
class Pauses:
    """Takes the place of waiting: notes how long a pause would have been."""

    taken: list[float] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def quick(pauses: Pauses) -> Retry:
    """Three attempts without waiting."""
    return Retry(sleep=pauses.sleep, jitter=lambda: 1.0)


class Refusal(Exception):
    """An error that the CJ service raises, by its code."""

    STATUS: ClassVar = {
        "VALIDATION_ERROR": 400,
        "RESOURCE_NOT_FOUND": 404,
        "AUTHENTICATION_ERROR": 401,
        "AUTHORIZATION_ERROR": 403,
        "PROCESSING_ERROR": 500,
    }

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Tables:
    """What the service keeps, by assignment id (instructions of courses: by ``course:`` and the id)."""

    instructions: dict[str, dict[str, Any]] = field(default_factory=dict)
    prompts: dict[str, tuple[str, str]] = field(default_factory=dict)
    rubrics: dict[str, tuple[str, str]] = field(default_factory=dict)
    anchors: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class FakeCj:
    """The CJ service of contract 5.2 and 5.3, as intended, or with any of its three deviations.

    Attributes:
        catch_all: Deviation 1: every error is a 500 that says nothing.
        rfc_dates: Deviation 2: dates as HTTP writes them.
        forgets: Deviation 3: only student prompts are committed.
        broken: Every admin route fails with PROCESSING_ERROR, as without a database.
        healthy: What ``/healthz`` says.
        hold: Seconds that each registration takes.
    """

    url: str = ""
    secret: str = "the service's own secret, long enough"
    catch_all: bool = False
    rfc_dates: bool = False
    forgets: bool = False
    broken: bool = False
    healthy: bool = True
    hold: float = 0.0
    tables: Tables = field(default_factory=Tables)
    seen: list[Seen] = field(default_factory=list)
    at_once: int = 0
    _open: int = 0

    def add(self, owner: str, scale: str = "eng5_np_legacy_9_step", **more: Any) -> dict[str, Any]:
        """A committed record of instructions for an assignment, or for ``course:ID``."""
        course = owner.removeprefix("course:") if owner.startswith("course:") else None
        record = {
            "id": len(self.tables.instructions) + 1,
            "assignment_id": None if course else owner,
            "course_id": course,
            "instructions_text": "Judge the argument, not the length.",
            "grade_scale": scale,
            "context_origin": "research_experiment",
            "student_prompt_storage_id": None,
            "created_at": self.date(),
            **more,
        }
        self.tables.instructions[owner] = record
        return record

    def date(self) -> str:
        now = datetime(2026, 11, 22, 1, 28, 45, tzinfo=UTC)
        return format_datetime(now, usegmt=True) if self.rfc_dates else now.isoformat()

    async def handle(self, request: Request) -> Response:
        import json

        body = await request.body()
        self.seen.append(Seen(request.method, request.url.path, body, dict(request.headers)))
        if request.url.path == "/healthz":
            status = "healthy" if self.healthy else "unhealthy"
            return JSONResponse({"status": status, "message": "database"}, 200 if self.healthy else 503)
        self._open += 1
        self.at_once = max(self.at_once, self._open)
        try:
            if request.url.path == "/api/v1/anchors/register":
                await asyncio.sleep(self.hold)
                return self.register(json.loads(body))
            return JSONResponse(self.admin(request, json.loads(body) if body else {}))
        except Refusal as refusal:
            return self.error(refusal)
        finally:
            self._open -= 1

    def error(self, refusal: Refusal) -> Response:
        if self.catch_all:
            service = "cj_assessment_service"
            body = {"error": "Internal server error", "message": "unexpected", "service": service}
            return JSONResponse(body, 500)
        detail = {"code": refusal.code, "message": str(refusal), "correlation_id": "c", "details": {}}
        return JSONResponse({"error": detail}, Refusal.STATUS[refusal.code])

    def admin(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        path = request.url.path.removeprefix("/admin/v1")
        if path == request.url.path:
            raise Refusal("RESOURCE_NOT_FOUND", "no such route")
        self.authorise(request.headers.get("authorization", ""))
        if self.broken:
            raise Refusal("PROCESSING_ERROR", "the database is away")
        before = copy.deepcopy(self.tables)
        answer = self.route(request, path, body)
        if self.forgets and path != "/student-prompts":
            self.tables = before
        return answer

    def authorise(self, header: str) -> None:
        token = header.removeprefix("Bearer ")
        try:
            claims = jwt.decode(
                token,
                self.secret,
                algorithms=["HS256"],
                audience="huleedu-platform",
                issuer="huleedu-identity-service",
                options={"require": ["exp"]},
            )
        except jwt.PyJWTError as error:
            raise Refusal("AUTHENTICATION_ERROR", str(error)) from None
        if "admin" not in claims.get("roles", []):
            raise Refusal("AUTHORIZATION_ERROR", "the role admin is needed")

    def route(self, request: Request, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path == "/assessment-instructions":
            return self.upsert(body) if request.method == "POST" else self.page(request.query_params)
        if path in ("/student-prompts", "/judge-rubrics"):
            return self.bind(path, body)
        found = re.fullmatch(r"/([a-z-]+)/(assignment|course)/(.+)", path)
        if found is None:
            raise Refusal("RESOURCE_NOT_FOUND", "no such route")
        owner = found[3] if found[2] == "assignment" else f"course:{found[3]}"
        if owner not in self.tables.instructions:
            raise Refusal("RESOURCE_NOT_FOUND", f"no instructions for {owner}")
        if found[1] == "assessment-instructions":
            return self.instructions(request.method, found[2], owner)
        return self.summary(owner) if found[1] == "anchors" else self.bound(f"/{found[1]}", owner)

    def instructions(self, method: str, kind: str, owner: str) -> dict[str, Any]:
        if method == "DELETE":
            del self.tables.instructions[owner]
            return {"status": "deleted", f"{kind}_id": owner.removeprefix("course:")}
        return self.tables.instructions[owner]

    def upsert(self, body: dict[str, Any]) -> dict[str, Any]:
        owner = body.get("assignment_id") or f"course:{body['course_id']}"
        there = self.tables.instructions.get(owner)
        for name in ("grade_scale", "context_origin"):
            if there and there[name] != body[name]:
                raise Refusal("VALIDATION_ERROR", f"{name} cannot be changed")
        record = self.add(owner) if there is None else there
        record.update(body, instructions_text=body["instructions_text"].strip())
        return record

    def page(self, query: Any) -> dict[str, Any]:
        number, size = int(query.get("page", 1)), int(query.get("page_size", 50))
        scale = query.get("grade_scale")
        records = [each for each in self.tables.instructions.values() if scale in (None, each["grade_scale"])]
        items = records[(number - 1) * size : number * size]
        return {"items": items, "total": len(records), "page": number, "page_size": size}

    def bind(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        owner = body["assignment_id"]
        if owner not in self.tables.instructions:
            raise Refusal("RESOURCE_NOT_FOUND", f"no instructions for {owner}")
        if path == "/student-prompts":
            self.tables.prompts[owner] = (uuid4().hex, body["prompt_text"].strip())
            self.tables.instructions[owner]["student_prompt_storage_id"] = self.tables.prompts[owner][0]
        else:
            self.tables.rubrics[owner] = (uuid4().hex, body["rubric_text"].strip())
        return self.bound(path, owner)

    def bound(self, path: str, owner: str) -> dict[str, Any]:
        prompts = path == "/student-prompts"
        storage_id, text = (self.tables.prompts if prompts else self.tables.rubrics).get(owner, (None, None))
        if storage_id is None:
            raise Refusal("RESOURCE_NOT_FOUND", f"nothing bound to {owner}")
        record = self.tables.instructions[owner]
        return {
            "assignment_id": owner,
            "student_prompt_storage_id" if prompts else "judge_rubric_storage_id": storage_id,
            "prompt_text" if prompts else "rubric_text": text,
            "instructions_text": record["instructions_text"],
            "grade_scale": record["grade_scale"],
            "created_at": self.date(),
        }

    def summary(self, owner: str) -> dict[str, Any]:
        scale = self.tables.instructions[owner]["grade_scale"]
        anchors = [each for each in self.tables.anchors if each["assignment_id"] == owner]
        scales = [each["grade_scale"] for each in anchors]
        return {
            "assignment_id": owner,
            "grade_scale": scale,
            "anchor_count": scales.count(scale),
            "anchors": anchors,
            "anchor_count_total": len(anchors),
            "anchor_count_by_scale": {each: scales.count(each) for each in scales},
        }

    def register(self, body: dict[str, Any]) -> Response:
        record = self.tables.instructions.get(body["assignment_id"])
        if record is None:
            return JSONResponse({"error": "Unknown assignment"}, 400)
        if body["grade"] == "Z":
            return JSONResponse({"error": "Invalid grade Z for scale"}, 400)
        anchor = {
            "id": len(self.tables.anchors) + 1,
            "assignment_id": body["assignment_id"],
            "anchor_label": body.get("anchor_label") or body["grade"],
            "grade": body["grade"],
            "grade_scale": record["grade_scale"],
            "text_storage_id": uuid4().hex,
            "created_at": self.date(),
        }
        if not self.forgets:
            same = [each for each in self.tables.anchors if each["anchor_label"] != anchor["anchor_label"]]
            self.tables.anchors = [*same, anchor]
        answer = {"anchor_id": anchor["id"], "storage_id": anchor["text_storage_id"]}
        more = {"grade_scale": anchor["grade_scale"], "status": "registered"}
        return JSONResponse({**answer, **more}, 201)


@pytest.fixture(scope="session")
def _cj_address() -> Iterator[tuple[str, list[FakeCj]]]:
    current: list[FakeCj] = []

    async def handle(request: Request) -> Response:
        return await current[0].handle(request)

    with _serving(handle) as (url, _):
        yield url, current


@pytest.fixture
def cj(_cj_address: tuple[str, list[FakeCj]]) -> FakeCj:
    """The CJ service as it is meant, empty."""
    url, current = _cj_address
    service = FakeCj(url)
    current[:] = [service]
    return service


@pytest.fixture(params=["intended", "actual"])
def either_cj(request: pytest.FixtureRequest, cj: FakeCj) -> FakeCj:
    """The CJ service as it is meant, and as it answers; writes are remembered in both."""
    cj.catch_all = cj.rfc_dates = request.param == "actual"
    return cj
