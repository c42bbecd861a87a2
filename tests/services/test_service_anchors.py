"""Registering anchors: the report loses none, and none counts as registered before it was read back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from pytest_eng5.services import (
    AdminAuth,
    AdminClient,
    AnchorRegistrar,
    AnchorStatus,
    AnchorText,
    NotAuthenticated,
    NotFound,
    Refused,
    Retry,
    ServiceFailed,
    ServiceTimeout,
    TokenError,
    Unreachable,
    WriteDidNotStick,
)

pytestmark = pytest.mark.asyncio
A = "0f8fad5b-d9cb-469f-a165-70867728950e"
ESSAY = "A place I know well is the harbour, where my grandfather mended nets. " * 3
GRADES = ("F+", "E-", "E+", "D-", "D+", "C-", "C+", "B", "A")
ANCHORS = [AnchorText(f"anchor_{grade}", grade, f"{ESSAY}{grade}") for grade in GRADES]
Make = Callable[..., AnchorRegistrar]


@pytest.fixture
def registrar(http: httpx.AsyncClient, cj: Any, quick: Retry) -> Make:
    def make(environ: dict[str, str] | None = None, **options: Any) -> AnchorRegistrar:
        url = options.pop("url", cj.url)
        auth = AdminAuth({"JWT_SECRET_KEY": cj.secret} if environ is None else environ)
        admin = AdminClient(http, url, auth, retry=quick)
        return AnchorRegistrar(http, url, admin, retry=quick, **{"timeout_seconds": 60, **options})

    return make


async def test_all_anchors_are_registered_and_confirmed(either_cj: Any, registrar: Make) -> None:
    either_cj.add(A)
    report = await registrar().register(A, ANCHORS)
    assert report.all_confirmed
    assert [(outcome.label, outcome.grade) for outcome in report.outcomes] == [
        (anchor.label, anchor.grade) for anchor in ANCHORS
    ]
    assert report.summary is not None
    assert report.summary.anchor_count == len(ANCHORS)
    ids = {outcome.answer.storage_id for outcome in report.outcomes if outcome.answer}
    assert len(ids) == len(ANCHORS)
    assert {each["anchor_label"] for each in either_cj.tables.anchors} == {each.label for each in ANCHORS}


async def test_what_is_sent(cj: Any, registrar: Make) -> None:
    """The route has no authentication: it gets no token."""
    cj.add(A)
    await registrar().register(A, ANCHORS[:1])
    sent = next(seen for seen in cj.seen if seen.method == "POST")
    assert sent.path == "/api/v1/anchors/register"
    assert json.loads(sent.body) == {
        "assignment_id": A,
        "anchor_label": "anchor_F+",
        "grade": "F+",
        "essay_text": ESSAY + "F+",
    }
    assert "authorization" not in sent.headers
    assert sent.headers["x-correlation-id"]


@pytest.mark.parametrize(("limit", "seen"), [({}, 4), ({"concurrency": 1}, 1), ({"concurrency": 2}, 2)])
async def test_so_many_at_a_time(cj: Any, registrar: Make, limit: dict[str, int], seen: int) -> None:
    cj.add(A)
    cj.hold = 0.1 * seen
    report = await registrar(**limit, timeout_seconds=20).register(A, ANCHORS)
    assert report.all_confirmed
    assert cj.at_once == seen


async def test_anchors_that_fail_take_none_with_them(cj: Any, registrar: Make) -> None:
    cj.add(A)
    wrong = [
        AnchorText("unknown grade", "Z", ESSAY),
        AnchorText("too short", "A", "A few words."),
        AnchorText("long grade", "ABCDE", ESSAY),
        AnchorText("x" * 256, "B", ESSAY),
    ]
    given = [ANCHORS[0], *wrong[:2], ANCHORS[1], *wrong[2:], ANCHORS[2]]
    report = await registrar().register(A, given)
    status = {outcome.label: outcome.status for outcome in report.outcomes}
    assert [outcome.label for outcome in report.outcomes] == [anchor.label for anchor in given]
    assert all(status[anchor.label] is AnchorStatus.FAILED for anchor in wrong)
    assert all(status[anchor.label] is AnchorStatus.CONFIRMED for anchor in ANCHORS[:3])
    assert report.counts() == {
        AnchorStatus.CONFIRMED: 3,
        AnchorStatus.UNCONFIRMED: 0,
        AnchorStatus.LOST: 0,
        AnchorStatus.FAILED: 4,
    }
    assert not report.all_confirmed
    reasons = {outcome.label: outcome.error for outcome in report.outcomes if outcome.error}
    assert "Invalid grade Z for scale" in str(reasons["unknown grade"])
    assert "essay_text" in str(reasons["too short"])
    assert "grade" in str(reasons["long grade"])
    assert "A few words" not in str(reasons["too short"]), "essays are not for messages"
    assert all(isinstance(error, Refused) for error in reasons.values())
    assert len([seen for seen in cj.seen if seen.method == "POST"]) == 4, "three are not even sent"


async def test_anchors_that_the_service_forgets(either_cj: Any, registrar: Make) -> None:
    either_cj.add(A)
    either_cj.forgets = True
    report = await registrar().register(A, ANCHORS)
    assert {outcome.status for outcome in report.outcomes} == {AnchorStatus.LOST}
    assert all(isinstance(outcome.error, WriteDidNotStick) for outcome in report.outcomes)
    assert "no anchor of that label" in str(report.outcomes[0].error)
    assert report.summary is not None
    assert report.summary.anchor_count == 0


async def test_a_forgotten_replacement_is_told_from_the_old_anchor(cj: Any, registrar: Make) -> None:
    cj.add(A)
    await registrar().register(A, ANCHORS[:2])
    cj.forgets = True
    report = await registrar().register(A, ANCHORS[:2])
    assert {outcome.status for outcome in report.outcomes} == {AnchorStatus.LOST}
    assert "another text or grade" in str(report.outcomes[0].error)


async def test_registering_again_replaces(cj: Any, registrar: Make) -> None:
    cj.add(A)
    await registrar().register(A, ANCHORS)
    again = await registrar().register(A, ANCHORS)
    assert again.all_confirmed
    assert again.summary is not None
    assert again.summary.anchor_count_total == len(ANCHORS)


async def test_two_anchors_of_one_label_are_refused_before_anything_is_sent(cj: Any, registrar: Make) -> None:
    cj.add(A)
    with pytest.raises(Refused, match="anchor_B"):
        await registrar().register(A, [*ANCHORS, AnchorText("anchor_B", "A", ESSAY)])
    assert cj.seen == []


async def test_an_unknown_assignment(either_cj: Any, registrar: Make) -> None:
    report = await registrar().register(A, ANCHORS[:2])
    assert {outcome.status for outcome in report.outcomes} == {AnchorStatus.FAILED}
    assert "Unknown assignment" in str(report.outcomes[0].error)
    assert report.summary is None


async def test_registered_but_nobody_may_look(cj: Any, registrar: Make) -> None:
    """The registration needs no token, reading back does: the anchors are neither confirmed nor lost."""
    cj.add(A)
    for environ, error in (({}, TokenError), ({"JWT_SECRET_KEY": "w" * 32}, NotAuthenticated)):
        report = await registrar(environ).register(A, ANCHORS[:2])
        assert {outcome.status for outcome in report.outcomes} == {AnchorStatus.UNCONFIRMED}
        assert all(isinstance(outcome.error, error) for outcome in report.outcomes)
        assert report.summary is None
        assert not report.all_confirmed


async def test_no_anchors(cj: Any, registrar: Make) -> None:
    report = await registrar().register(A, [])
    assert report.outcomes == ()
    assert cj.seen == []


async def test_nobody_there(registrar: Make) -> None:
    report = await registrar(url="http://127.0.0.1:1").register(A, ANCHORS[:2])
    assert all(isinstance(outcome.error, Unreachable) for outcome in report.outcomes)


async def test_one_is_slow_one_fails_one_is_a_web_page(server: Any, registrar: Make) -> None:
    """The registration is not repeated, whatever comes: each copy would be stored anew."""
    import asyncio

    answered = {"storage_id": "s", "grade_scale": "swedish_8_anchor", "anchor_id": "uuid-1"}

    async def answer(request: Request) -> Response:
        if request.method == "GET":
            anchor = {"id": 1, "assignment_id": A, "anchor_label": "anchor_A", "grade": "A"}
            more = {"grade_scale": "swedish_8_anchor", "text_storage_id": "s"}
            body = {"assignment_id": A, "grade_scale": "swedish_8_anchor", "anchor_count": 1}
            return JSONResponse({**body, "anchors": [{**anchor, **more}]})
        label = json.loads(await request.body())["anchor_label"]
        if label == "anchor_B":
            await asyncio.sleep(1.5)
        if label == "anchor_C+":
            return JSONResponse({"error": "Internal server error"}, 500)
        if label == "anchor_C-":
            return HTMLResponse("<title>Welcome</title>", 201)
        return JSONResponse(answered, 201)

    server.will(answer)
    report = await registrar(url=server.url, timeout_seconds=1.0).register(A, ANCHORS[5:])
    found = {outcome.label: (outcome.status, type(outcome.error)) for outcome in report.outcomes}
    assert found["anchor_A"] == (AnchorStatus.CONFIRMED, type(None))
    assert found["anchor_B"] == (AnchorStatus.FAILED, ServiceTimeout)
    assert issubclass(found["anchor_C+"][1], ServiceFailed)
    assert found["anchor_C-"][0] is AnchorStatus.FAILED
    assert len([seen for seen in server.seen if seen.method == "POST"]) == 4


async def test_an_assignment_that_vanishes_before_reading_back(server: Any, registrar: Make) -> None:
    gone = JSONResponse({"error": {"code": "RESOURCE_NOT_FOUND", "message": "gone"}}, 404)
    kept = JSONResponse({"anchor_id": 1, "storage_id": "s", "grade_scale": "swedish_8_anchor"}, 201)
    server.will(kept, gone)
    report = await registrar(url=server.url).register(A, ANCHORS[:1])
    (outcome,) = report.outcomes
    assert outcome.status is AnchorStatus.UNCONFIRMED
    assert isinstance(outcome.error, NotFound)


async def test_each_answer_is_told_as_it_comes(cj: Any, registrar: Make) -> None:
    cj.add(A)
    told: list[Any] = []
    wrong = AnchorText("unknown grade", "Z", ESSAY)
    report = await registrar(answered=told.append).register(A, [*ANCHORS[:2], wrong])
    assert {outcome.label for outcome in told} == {outcome.label for outcome in report.outcomes}
    status = {outcome.label: outcome.status for outcome in told}
    assert status.pop("unknown grade") is AnchorStatus.FAILED
    assert set(status.values()) == {AnchorStatus.UNCONFIRMED}, "nothing was read back by then"
