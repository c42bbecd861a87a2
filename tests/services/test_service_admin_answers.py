"""The admin client against servers that are no CJ service, or lie: each answer is an error that says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

from pytest_eng5.services import (
    AdminAuth,
    AdminClient,
    AmbiguousFailure,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    Retry,
    ServiceFailed,
    ServiceTimeout,
    UnexpectedAnswer,
    WriteDidNotStick,
)

pytestmark = pytest.mark.asyncio
RECORD = {
    "id": 1,
    "assignment_id": "a",
    "course_id": None,
    "instructions_text": "Judge the argument.",
    "grade_scale": "eng5_np_legacy_9_step",
    "context_origin": "research_experiment",
    "student_prompt_storage_id": None,
    "created_at": "2026-11-22T01:28:45Z",
}
GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body>nginx <b>stack</b></body></html>"


@pytest.fixture
def admin(http: httpx.AsyncClient, server: Any, quick: Retry) -> AdminClient:
    auth = AdminAuth({"JWT_SECRET_KEY": "k" * 32})
    return AdminClient(http, server.url, auth, retry=quick)


def intended(code: str, status: int) -> Response:
    return JSONResponse({"error": {"code": code, "message": "so it is", "details": {}}}, status)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (intended("VALIDATION_ERROR", 400), Refused),
        (intended("AUTHENTICATION_ERROR", 401), NotAuthenticated),
        (intended("AUTHORIZATION_ERROR", 403), NotPermitted),
        (intended("RESOURCE_NOT_FOUND", 404), NotFound),
        (intended("PROCESSING_ERROR", 500), ServiceFailed),
        (intended("SERVICE_UNAVAILABLE", 503), ServiceFailed),
        (intended("RESOURCE_NOT_FOUND", 500), NotFound),
        (intended("AUTHENTICATION_ERROR", 500), NotAuthenticated),
        (
            JSONResponse({"error": "Internal server error", "message": "[AUTHORIZATION_ERROR] no"}, 500),
            NotPermitted,
        ),
        (JSONResponse({"error": "Internal server error", "message": "RESOURCE_NOT_FOUND: a"}, 500), NotFound),
        (JSONResponse({"error": "Invalid"}, 422), Refused),
        (JSONResponse({"detail": "Not Found"}, 404), UnexpectedAnswer),
        (HTMLResponse("<h1>Not Found</h1>", 404), UnexpectedAnswer),
        (HTMLResponse("<h1>Sign in</h1>", 401), NotAuthenticated),
        (HTMLResponse(GATEWAY, 502), ServiceFailed),
        (HTMLResponse(GATEWAY, 500), ServiceFailed),
        (PlainTextResponse("", 500), ServiceFailed),
        (JSONResponse({"error": "Internal server error"}, 503), ServiceFailed),
        (RedirectResponse("/login"), UnexpectedAnswer),
        (Response(status_code=204), UnexpectedAnswer),
        (PlainTextResponse("teapot", 418), UnexpectedAnswer),
        (HTMLResponse("<html><title>Welcome</title></html>"), UnexpectedAnswer),
        (PlainTextResponse("{"), UnexpectedAnswer),
        (Response(b"\xff\xfe{}"), UnexpectedAnswer),
        (Response(b"[" * 100_000), UnexpectedAnswer),
        (JSONResponse(None), UnexpectedAnswer),
        (JSONResponse([RECORD]), UnexpectedAnswer),
        (JSONResponse({**RECORD, "grade_scale": None}), UnexpectedAnswer),
        (JSONResponse({**RECORD, "created_at": "the other day"}), UnexpectedAnswer),
        (JSONResponse({**RECORD, "created_at": "Sun, 99 Nov 2026 01:28:45 GMT"}), UnexpectedAnswer),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else f"{value.status_code}",
)
async def test_each_answer_is_its_own_error(
    server: Any, admin: AdminClient, answer: Response, error: type[Exception]
) -> None:
    server.will(answer)
    with pytest.raises(error) as caught:
        await admin.instructions("a")
    assert type(caught.value) is error
    assert caught.value.where == f"{server.url}/admin/v1/assessment-instructions/assignment/a"
    assert caught.value.fix
    assert len(str(caught.value)) < 900


async def test_a_web_page_is_told_by_its_title(server: Any, admin: AdminClient) -> None:
    server.will(HTMLResponse(GATEWAY, 502))
    with pytest.raises(ServiceFailed, match="502: a web page: 502 Bad Gateway") as caught:
        await admin.instructions("a")
    assert "<" not in str(caught.value)
    assert len(server.seen) == 3


async def test_a_field_that_is_missing_is_named(server: Any, admin: AdminClient) -> None:
    server.will(JSONResponse({name: value for name, value in RECORD.items() if name != "grade_scale"}))
    with pytest.raises(UnexpectedAnswer, match="/grade_scale"):
        await admin.instructions("a")


async def test_500_once_and_then_the_answer(server: Any, admin: AdminClient, pauses: Any) -> None:
    server.will(intended("PROCESSING_ERROR", 500), JSONResponse(RECORD))
    assert (await admin.instructions("a")).id == 1
    assert pauses.taken == [0.3]


async def test_a_slow_read_is_repeated_and_a_slow_write_is_not(
    http: httpx.AsyncClient, server: Any, quick: Retry
) -> None:
    auth = AdminAuth({"JWT_SECRET_KEY": "k" * 32})
    admin = AdminClient(http, server.url, auth, retry=quick, timeout_seconds=0.6)

    async def slow(_: Request) -> Response:
        await asyncio.sleep(1.0)
        return JSONResponse(RECORD)

    server.will(slow, JSONResponse(RECORD))
    assert (await admin.instructions("a")).id == 1
    server.seen.clear()
    server.will(slow)
    with pytest.raises(ServiceTimeout, match="not known whether the write was done"):
        await admin.set_student_prompt("a", "Write about a place.")
    assert [seen.method for seen in server.seen] == ["POST"]


async def test_a_token_that_a_server_echoes_is_not_shown(server: Any, admin: AdminClient) -> None:
    """A debug page shows the request's headers; its answer is shown, the token is not."""

    async def echo(request: Request) -> Response:
        header = request.headers["authorization"]
        return PlainTextResponse(f"DEBUG {'=' * 150} authorization: {header} end", 400)

    server.will(echo)
    with pytest.raises(Refused, match="DEBUG") as caught:
        await admin.instructions("a")
    token = server.seen[0].headers["authorization"].removeprefix("Bearer ")
    for part in token.split("."):
        assert part[:12] not in str(caught.value)
    assert "Bearer ***" in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", [HTMLResponse, JSONResponse, "catch_all"])
async def test_an_echoed_token_in_any_form(server: Any, admin: AdminClient, kind: Any) -> None:
    async def echo(request: Request) -> Response:
        header = request.headers["authorization"]
        if kind is HTMLResponse:
            return HTMLResponse(f"<html><title>{header}</title></html>", 403)
        if kind is JSONResponse:
            return JSONResponse({"error": {"code": header, "message": header}}, 403)
        return JSONResponse({"error": "Internal server error", "message": header}, 500)

    server.will(echo)
    with pytest.raises(Exception) as caught:
        await admin.instructions("a")
    token = server.seen[0].headers["authorization"].removeprefix("Bearer ")
    assert token not in str(caught.value)
    assert token.split(".")[2] not in str(caught.value)


async def test_control_characters_of_an_answer_do_not_reach_the_terminal(
    server: Any, admin: AdminClient
) -> None:
    server.will(JSONResponse({"error": "\x1b[2Jgone\r\nnew\u202eline\x00"}, 400))
    with pytest.raises(Refused) as caught:
        await admin.instructions("a")
    assert all(char.isprintable() for char in caught.value.what)


def page(items: list[dict[str, Any]], total: Any) -> Response:
    return JSONResponse({"items": items, "total": total, "page": 1, "page_size": 200})


async def test_a_list_that_never_ends_ends(server: Any, admin: AdminClient) -> None:
    """The server promises a milliard and gives the same page again and again."""
    server.will(page([RECORD, {**RECORD, "id": 2}], 10**9))
    assert len(await admin.all_instructions()) == 2
    assert len(server.seen) == 2


async def test_a_list_with_ever_new_records_ends_too(server: Any, admin: AdminClient) -> None:
    async def one_more(_: Request) -> Response:
        return page([{**RECORD, "id": len(server.seen)}], 10**9)

    server.will(one_more)
    assert len(await admin.all_instructions()) == 500


@pytest.mark.parametrize("total", [0, 1])
async def test_a_total_that_is_too_small_loses_nothing_of_the_page(
    server: Any, admin: AdminClient, total: int
) -> None:
    server.will(page([RECORD, {**RECORD, "id": 2}], total))
    assert len(await admin.all_instructions()) == 2


@pytest.mark.parametrize("total", [-1, None, "many"])
async def test_a_total_that_is_none(server: Any, admin: AdminClient, total: Any) -> None:
    server.will(page([], total))
    with pytest.raises(UnexpectedAnswer, match="/total"):
        await admin.all_instructions()


def routed(answers: dict[tuple[str, str], Response]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        return answers[request.method, request.url.path.removeprefix("/admin/v1")]

    return answer


async def test_a_service_that_confirms_one_thing_and_keeps_another(server: Any, admin: AdminClient) -> None:
    kept = {**RECORD, "grade_scale": "swedish_8_anchor", "instructions_text": "Something else"}
    wanted = {"instructions_text": "Judge the argument.", "grade_scale": "eng5_np_legacy_9_step"}
    server.will(
        routed(
            {
                ("POST", "/assessment-instructions"): JSONResponse(RECORD),
                ("GET", "/assessment-instructions/assignment/a"): JSONResponse(kept),
            }
        )
    )
    with pytest.raises(WriteDidNotStick, match="another instructions_text, another grade_scale"):
        await admin.upsert_instructions(assignment_id="a", **wanted)


async def test_a_write_whose_answer_is_no_json(server: Any, admin: AdminClient) -> None:
    server.will(HTMLResponse("<title>Welcome</title>"))
    with pytest.raises(UnexpectedAnswer, match="a web page: Welcome"):
        await admin.set_judge_rubric("a", "Content before language.")


async def test_a_refused_list_after_an_ambiguous_answer_decides(server: Any, admin: AdminClient) -> None:
    """A gateway refuses the list: that is the clearer answer."""
    ambiguous = JSONResponse({"error": "Internal server error", "message": "?"}, 500)
    server.will(
        routed(
            {
                ("GET", "/anchors/assignment/a"): ambiguous,
                ("GET", "/assessment-instructions"): intended("AUTHENTICATION_ERROR", 401),
            }
        )
    )
    with pytest.raises(NotAuthenticated):
        await admin.anchors("a")


async def test_everything_is_500_even_health(server: Any, admin: AdminClient) -> None:
    server.will(JSONResponse({"error": "Internal server error", "message": "?"}, 500))
    with pytest.raises(ServiceFailed, match="not healthy either") as caught:
        await admin.anchors("a")
    assert not isinstance(caught.value, AmbiguousFailure)
    assert len(server.seen) == 7, "three attempts each for the summary and the list, one for the health"


async def test_a_body_is_sent_as_json(server: Any, admin: AdminClient) -> None:
    server.will(JSONResponse({"error": {"code": "VALIDATION_ERROR", "message": "no"}}, 400))
    with pytest.raises(Refused, match="VALIDATION_ERROR: no"):
        await admin.set_student_prompt("a", " Skriv om en plats du känner. ")
    (seen,) = server.seen
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == {"assignment_id": "a", "prompt_text": "Skriv om en plats du känner."}
