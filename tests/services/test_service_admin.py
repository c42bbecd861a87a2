"""The admin API's client against the CJ service as intended (5.2), as it answers, and as it forgets."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from pytest_eng5.services import (
    AdminAuth,
    AdminClient,
    AmbiguousFailure,
    NotAuthenticated,
    NotFound,
    NoToken,
    NotPermitted,
    Refused,
    Retry,
    ServiceFailed,
    TokenExpired,
    Unreachable,
    WriteDidNotStick,
)

A = "0f8fad5b-d9cb-469f-a165-70867728950e"
LEGACY = "eng5_np_legacy_9_step"
TEXT = "Judge how well the writer argues."
Make = Callable[..., AdminClient]


@pytest.fixture
def client(http: httpx.AsyncClient, cj: Any, quick: Retry) -> Make:
    def make(environ: dict[str, str] | None = None, **options: Any) -> AdminClient:
        auth = AdminAuth({"JWT_SECRET_KEY": cj.secret} if environ is None else environ)
        return AdminClient(http, options.pop("url", cj.url), auth, retry=quick, **options)

    return make


def token(secret: str, **claims: Any) -> dict[str, str]:
    """The environment with a token of one's own."""
    usual = {"sub": "x", "exp": 4_000_000_000, "iss": "huleedu-identity-service", "aud": "huleedu-platform"}
    encoded = jwt.encode({**usual, "roles": ["admin"], **claims}, secret, algorithm="HS256")
    return {"HULEEDU_ADMIN_TOKEN": encoded}


@pytest.mark.asyncio
async def test_instructions_are_read(either_cj: Any, client: Make) -> None:
    either_cj.add(A, student_prompt_storage_id="p" * 32)
    record = await client().instructions(A)
    assert (record.assignment_id, record.grade_scale) == (A, LEGACY)
    assert record.student_prompt_storage_id == "p" * 32
    assert record.created_at == datetime(2026, 11, 22, 1, 28, 45, tzinfo=UTC)


@pytest.mark.asyncio
@pytest.mark.parametrize("suffix", ["", "/", "/admin/v1", "/admin/v1/"])
async def test_the_address_may_have_the_prefix(cj: Any, client: Make, suffix: str) -> None:
    cj.add(A)
    await client(url=cj.url + suffix).instructions(A)
    assert cj.seen[0].path == f"/admin/v1/assessment-instructions/assignment/{A}"


@pytest.mark.asyncio
async def test_a_correlation_id_is_sent_and_named_in_errors(cj: Any, client: Make) -> None:
    run = uuid4()
    with pytest.raises(NotFound, match=str(run)):
        await client(correlation_id=run).instructions(A)
    assert {seen.headers["x-correlation-id"] for seen in cj.seen} == {str(run)}
    cj.add(A)
    for _ in range(2):
        await client().instructions(A)
    ids = [UUID(seen.headers["x-correlation-id"]) for seen in cj.seen[-2:]]
    assert len({run, *ids}) == 3


@pytest.mark.asyncio
async def test_ids_are_quoted(cj: Any, client: Make) -> None:
    with pytest.raises(NotFound):
        await client().instructions("../judge-rubrics?x=1")
    assert cj.seen[0].path.startswith("/admin/v1/assessment-instructions/assignment/")


@pytest.mark.asyncio
async def test_an_unknown_assignment_is_not_found(either_cj: Any, client: Make) -> None:
    """Also where the service answers 500: the list is asked, and knows."""
    either_cj.add("another")
    for read in (client().instructions, client().student_prompt, client().judge_rubric, client().anchors):
        with pytest.raises(NotFound) as caught:
            await read(A)
        assert A in str(caught.value)
        assert caught.value.fix
        assert caught.value.exit_code == 2


@pytest.mark.asyncio
async def test_what_was_meant_is_known_within_seconds(http: httpx.AsyncClient, cj: Any) -> None:
    """With the real pauses, and a list that is worked out after three attempts."""
    cj.catch_all = True
    began = time.monotonic()
    with pytest.raises(NotFound):
        await AdminClient(http, cj.url, AdminAuth({"JWT_SECRET_KEY": cj.secret})).instructions(A)
    assert time.monotonic() - began < 30


@pytest.mark.asyncio
async def test_an_assignment_on_a_later_page_is_known(cj: Any, client: Make) -> None:
    cj.catch_all = True
    for number in range(450):
        cj.add(f"assignment-{number}")
    with pytest.raises(NotFound, match="no student prompt"):
        await client().student_prompt("assignment-449")


@pytest.mark.asyncio
async def test_all_instructions_page_by_page(either_cj: Any, client: Make) -> None:
    for number in range(401):
        either_cj.add(f"a-{number}", LEGACY if number % 2 else "swedish_8_anchor")
    records = await client().all_instructions()
    assert [record.assignment_id for record in records] == [f"a-{number}" for number in range(401)]
    assert len(either_cj.seen) == 3
    assert len(await client().all_instructions(grade_scale=LEGACY)) == 200


@pytest.mark.asyncio
async def test_no_instructions_at_all(either_cj: Any, client: Make) -> None:
    assert await client().all_instructions() == ()


@pytest.mark.asyncio
async def test_instructions_are_created_and_changed(either_cj: Any, client: Make) -> None:
    admin = client()
    made = await admin.upsert_instructions(
        assignment_id=A,
        instructions_text=f"  {TEXT}\n",
        grade_scale=LEGACY,
        student_prompt_storage_id="s" * 32,
    )
    assert (made.instructions_text, made.context_origin) == (TEXT, "research_experiment")
    changed = await admin.upsert_instructions(
        assignment_id=A, instructions_text="Judge the language alone.", grade_scale=LEGACY
    )
    assert changed.id == made.id
    assert changed.instructions_text == "Judge the language alone."
    assert changed.student_prompt_storage_id == "s" * 32, "omitting the prompt keeps it"
    sent = json.loads(next(seen.body for seen in reversed(either_cj.seen) if seen.method == "POST"))
    assert "student_prompt_storage_id" not in sent
    assert "course_id" not in sent


@pytest.mark.asyncio
async def test_instructions_of_a_course(either_cj: Any, client: Make) -> None:
    admin = client()
    made = await admin.upsert_instructions(course_id="ENG5", instructions_text=TEXT, grade_scale=LEGACY)
    assert (made.course_id, made.assignment_id) == ("ENG5", None)
    await admin.delete_instructions(course_id="ENG5")
    assert either_cj.tables.instructions == {}
    with pytest.raises(NotFound, match="ENG5"):
        await admin.delete_instructions(course_id="ENG5")


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["grade_scale", "context_origin"])
async def test_what_cannot_be_changed_is_told_with_what_is_there(
    either_cj: Any, client: Make, name: str
) -> None:
    either_cj.add(
        A, "swedish_8_anchor" if name == "grade_scale" else LEGACY, context_origin="canonical_national"
    )
    origin = "canonical_national" if name == "grade_scale" else "research_experiment"
    with pytest.raises(Refused, match=name) as caught:
        await client().upsert_instructions(
            assignment_id=A, instructions_text=TEXT, grade_scale=LEGACY, context_origin=origin
        )
    assert caught.value.exit_code == 2
    assert "changed" in str(caught.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"instructions_text": "too short"}, "instructions_text"),
        ({"instructions_text": "   short      "}, "instructions_text"),
        ({"grade_scale": "eng6"}, "grade_scale"),
        ({"assignment_id": None}, "assignment_id or course_id"),
        ({"course_id": "ENG5"}, "assignment_id or course_id"),
        ({"assignment_id": ""}, "assignment_id"),
        ({"assignment_id": "x" * 101}, "assignment_id"),
        ({"student_prompt_storage_id": "x" * 256}, "student_prompt_storage_id"),
    ],
)
async def test_what_the_service_would_refuse_is_not_sent(
    cj: Any, client: Make, fields: dict[str, Any], named: str
) -> None:
    usual = {"assignment_id": A, "instructions_text": TEXT, "grade_scale": LEGACY}
    with pytest.raises(Refused, match=named):
        await client().upsert_instructions(**{**usual, **fields})
    assert cj.seen == []


@pytest.mark.asyncio
async def test_a_student_prompt_is_bound(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    bound = await client().set_student_prompt(A, "\nWrite about a place you know. ")
    assert bound.prompt_text == "Write about a place you know."
    again = await client().student_prompt(A)
    assert again == bound
    assert (await client().instructions(A)).student_prompt_storage_id == bound.student_prompt_storage_id


@pytest.mark.asyncio
async def test_a_judge_rubric_is_bound(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    bound = await client().set_judge_rubric(A, "Content before language.")
    assert await client().judge_rubric(A) == bound


@pytest.mark.asyncio
async def test_binding_to_an_unknown_assignment(either_cj: Any, client: Make) -> None:
    for bind in (client().set_student_prompt, client().set_judge_rubric):
        with pytest.raises(NotFound, match=A):
            await bind(A, "Write about a place you know.")
        with pytest.raises(Refused, match="_text"):
            await bind(A, "short")


@pytest.mark.asyncio
async def test_an_assignment_without_prompt_says_so(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    with pytest.raises(NotFound):
        await client().student_prompt(A)


@pytest.mark.asyncio
async def test_an_assignment_without_rubric(cj: Any, client: Make) -> None:
    """Records never expose the rubric's id, so after a 500 nobody can know: both reasons are named."""
    cj.add(A)
    with pytest.raises(NotFound):
        await client().judge_rubric(A)
    cj.catch_all = True
    with pytest.raises(AmbiguousFailure, match=r"no rubric is bound .* or the rubric cannot be read"):
        await client().judge_rubric(A)


@pytest.mark.asyncio
async def test_a_bound_prompt_that_cannot_be_read_is_the_services_failure(cj: Any, client: Make) -> None:
    cj.catch_all = True
    cj.add(A, student_prompt_storage_id="p" * 32)
    with pytest.raises(ServiceFailed, match="cannot read its student prompt") as caught:
        await client().student_prompt(A)
    assert caught.value.exit_code == 4


@pytest.mark.asyncio
async def test_the_summary_of_anchors(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    for scale, grade in ((LEGACY, "A"), (LEGACY, "B"), ("swedish_8_anchor", "C")):
        either_cj.tables.anchors.append(
            {
                "id": len(either_cj.tables.anchors),
                "assignment_id": A,
                "anchor_label": grade,
                "grade": grade,
                "grade_scale": scale,
                "text_storage_id": "t",
                "created_at": either_cj.date(),
            }
        )
    summary = await client().anchors(A)
    assert (summary.anchor_count, summary.anchor_count_total) == (2, 3)
    assert summary.anchor_count_by_scale == {LEGACY: 2, "swedish_8_anchor": 1}
    assert summary.anchors[0].created_at == datetime(2026, 11, 22, 1, 28, 45, tzinfo=UTC)


@pytest.mark.asyncio
async def test_instructions_are_deleted(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    await client().delete_instructions(assignment_id=A)
    assert either_cj.tables.instructions == {}
    with pytest.raises(NotFound, match=A):
        await client().delete_instructions(assignment_id=A)
    with pytest.raises(Refused):
        await client().delete_instructions()


# Writes that are reported and forgotten.


@pytest.mark.asyncio
async def test_created_instructions_that_are_forgotten(either_cj: Any, client: Make) -> None:
    either_cj.forgets = True
    for owner in ({"assignment_id": A}, {"course_id": "ENG5"}):
        with pytest.raises(WriteDidNotStick, match="nothing is there") as caught:
            await client().upsert_instructions(**owner, instructions_text=TEXT, grade_scale=LEGACY)
        assert "commit" in str(caught.value.fix)
        assert str(caught.value.where).endswith("/admin/v1/assessment-instructions")
        assert caught.value.exit_code == 4


@pytest.mark.asyncio
async def test_changed_instructions_that_are_forgotten(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    either_cj.forgets = True
    with pytest.raises(WriteDidNotStick, match="another instructions_text"):
        await client().upsert_instructions(assignment_id=A, instructions_text=TEXT, grade_scale=LEGACY)


@pytest.mark.asyncio
async def test_a_write_that_changes_nothing_is_no_false_alarm(either_cj: Any, client: Make) -> None:
    record = either_cj.add(A)
    either_cj.forgets = True
    await client().upsert_instructions(
        assignment_id=A, instructions_text=record["instructions_text"], grade_scale=LEGACY
    )


@pytest.mark.asyncio
async def test_a_forgotten_deletion(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    either_cj.add("course:ENG5")
    either_cj.forgets = True
    for owner in ({"assignment_id": A}, {"course_id": "ENG5"}):
        with pytest.raises(WriteDidNotStick, match="still there"):
            await client().delete_instructions(**owner)


@pytest.mark.asyncio
async def test_a_forgotten_rubric(cj: Any, client: Make) -> None:
    cj.add(A)
    cj.tables.rubrics[A] = ("r" * 32, "Language before content.")
    cj.forgets = True
    with pytest.raises(WriteDidNotStick, match="rubric_text"):
        await client().set_judge_rubric(A, "Content before language.")
    del cj.tables.rubrics[A]
    with pytest.raises(WriteDidNotStick, match="nothing is there"):
        await client().set_judge_rubric(A, "Content before language.")


@pytest.mark.asyncio
async def test_a_forgotten_rubric_of_equal_text_is_told_by_its_id(cj: Any, client: Make) -> None:
    cj.add(A)
    cj.tables.rubrics[A] = ("r" * 32, "Content before language.")
    cj.forgets = True
    with pytest.raises(WriteDidNotStick, match="judge_rubric_storage_id"):
        await client().set_judge_rubric(A, "Content before language.")


@pytest.mark.asyncio
async def test_a_first_rubric_that_is_forgotten_behind_the_catch_all(cj: Any, client: Make) -> None:
    """Reading back answers 500: nobody can tell a missing rubric from a broken one, and it is said."""
    cj.add(A)
    cj.forgets = cj.catch_all = True
    with pytest.raises(WriteDidNotStick, match="500"):
        await client().set_judge_rubric(A, "Content before language.")


@pytest.mark.asyncio
async def test_a_student_prompt_sticks_where_all_else_is_forgotten(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    either_cj.forgets = True
    assert (await client().set_student_prompt(A, TEXT)).prompt_text == TEXT


# Tokens.


@pytest.mark.asyncio
async def test_without_a_token_nothing_is_sent(cj: Any, client: Make) -> None:
    for environ, error in (({}, NoToken), (token("k" * 32, exp=5), TokenExpired)):
        with pytest.raises(error):
            await client(environ).instructions(A)
    assert cj.seen == []


@pytest.mark.asyncio
async def test_a_token_signed_with_another_key(cj: Any, client: Make) -> None:
    cj.add(A)
    environ = {"JWT_SECRET_KEY": "not the secret of the service, at all"}
    with pytest.raises(NotAuthenticated, match="401") as caught:
        await client(environ).instructions(A)
    assert "JWT_SECRET_KEY" in str(caught.value.fix)
    assert len(cj.seen) == 1, "a refusal is not repeated"
    cj.catch_all = True
    with pytest.raises(AmbiguousFailure) as ambiguous:
        await client(environ).instructions(A)
    for possibility in ("key is not the service's", "admin routes are off", "database fails"):
        assert possibility in ambiguous.value.what
    assert "ENABLE_ADMIN_ENDPOINTS" in str(ambiguous.value.fix)


@pytest.mark.asyncio
async def test_a_token_without_the_role(either_cj: Any, client: Make) -> None:
    either_cj.add(A)
    with pytest.raises(NotPermitted) as caught:
        await client(token(either_cj.secret, roles=["teacher"])).instructions(A)
    assert "admin" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("claims", [{"aud": "elsewhere"}, {"iss": "myself"}, {"iss": "me", "roles": []}])
async def test_a_token_of_somebody_else(either_cj: Any, client: Make, claims: dict[str, Any]) -> None:
    with pytest.raises(NotAuthenticated):
        await client(token(either_cj.secret, **claims)).anchors(A)


@pytest.mark.asyncio
async def test_a_broken_database(cj: Any, client: Make) -> None:
    cj.broken = True
    with pytest.raises(ServiceFailed, match=r"PROCESSING_ERROR: the database is away.*3 attempts"):
        await client().instructions(A)
    assert len(cj.seen) == 3
    cj.catch_all, cj.healthy = True, False
    with pytest.raises(ServiceFailed, match="not healthy either: unhealthy: database") as caught:
        await client().instructions(A)
    assert not isinstance(caught.value, AmbiguousFailure)


@pytest.mark.asyncio
async def test_writes_are_never_repeated(cj: Any, client: Make) -> None:
    cj.broken = True
    for write in (
        client().upsert_instructions(assignment_id=A, instructions_text=TEXT, grade_scale=LEGACY),
        client().set_student_prompt(A, TEXT),
        client().set_judge_rubric(A, TEXT),
        client().delete_instructions(assignment_id=A),
    ):
        cj.seen.clear()
        with pytest.raises(ServiceFailed):
            await write
        assert [seen.method for seen in cj.seen].count("GET") == 0
        assert len(cj.seen) == 1


@pytest.mark.asyncio
async def test_a_write_that_fails_for_no_known_reason_names_the_possible_ones(cj: Any, client: Make) -> None:
    cj.catch_all = True
    cj.upsert = lambda body: (_ for _ in ()).throw(KeyError("a bug"))
    cj.route = _failing_writes(cj)
    with pytest.raises(AmbiguousFailure, match="refuses a field or its database fails"):
        await client().upsert_instructions(assignment_id=A, instructions_text=TEXT, grade_scale=LEGACY)
    cj.add(A)
    with pytest.raises(AmbiguousFailure, match="token is accepted"):
        await client().upsert_instructions(assignment_id=A, instructions_text=TEXT, grade_scale=LEGACY)


def _failing_writes(cj: Any) -> Callable[..., Any]:
    reading = cj.route

    def route(request: Any, path: str, body: Any) -> Any:
        if request.method == "GET":
            return reading(request, path, body)
        return reading(request, "/nowhere", body)

    return route


@pytest.mark.asyncio
async def test_nobody_there(http: httpx.AsyncClient, quick: Retry) -> None:
    auth = AdminAuth({"JWT_SECRET_KEY": "k" * 32})
    admin = AdminClient(http, "http://127.0.0.1:1", auth, retry=quick, option="CJ_SERVICE_URL")
    with pytest.raises(Unreachable) as caught:
        await admin.instructions(A)
    assert "CJ_SERVICE_URL" in str(caught.value.fix)
    assert "127.0.0.1:1" in str(caught.value.where)


@pytest.mark.asyncio
async def test_whether_a_token_is_accepted_is_asked_with_one_small_page(cj: Any, http: Any) -> None:
    for number in range(3):
        cj.add(f"course:{number}")
    client = AdminClient(http, cj.url, AdminAuth({"JWT_SECRET_KEY": cj.secret}))
    assert await client.check_access() == 3
    (asked,) = cj.seen
    assert asked.path == "/admin/v1/assessment-instructions"
    with pytest.raises(NotAuthenticated):
        await AdminClient(http, cj.url, AdminAuth({"JWT_SECRET_KEY": "w" * 40})).check_access()
