"""What is shown of an answer: one printable line, and never the request's credential."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.services.wording import answer_text, said

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"


def answer(body: bytes, kind: str = "application/json", status: int = 500) -> httpx.Response:
    request = httpx.Request("GET", "http://host/x", headers={"Authorization": f"Bearer {TOKEN}"})
    return httpx.Response(status, content=body, headers={"content-type": kind}, request=request)


@pytest.mark.parametrize(
    ("body", "text", "code"),
    [
        (
            {"error": {"code": "VALIDATION_ERROR", "message": "no"}},
            "VALIDATION_ERROR: no",
            "VALIDATION_ERROR",
        ),
        ({"error": {"error_code": "UNKNOWN_ERROR", "message": "x"}}, "UNKNOWN_ERROR: x", "UNKNOWN_ERROR"),
        ({"error": {"message": "x"}}, "x", None),
        ({"error": {}}, "{}", None),
        ({"error": {"code": 5, "message": ["x"]}}, '{"code": 5, "message": ["x"]}', None),
        ({"error": "Internal server error", "message": "it broke"}, "Internal server error: it broke", None),
        ({"error": "short text"}, "short text", None),
        ({"error": "x", "message": None}, "x", None),
    ],
)
def test_the_four_forms_of_the_services(body: Any, text: str, code: str | None) -> None:
    found = said(answer(json.dumps(body).encode()))
    assert (found.text, found.code, found.own) == (text, code, True)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"<html><title>502 Bad\n Gateway</title>", "text/html", "a web page: 502 Bad Gateway"),
        (b"<!doctype html><h1>No &amp; never</h1>", "text/plain", "a web page: No & never"),
        (b"<TITLE lang='en'>Sign in</TITLE>", "text/html; charset=utf-8", "a web page: Sign in"),
        (b"plain words", "text/plain", "plain words"),
        (b"", "text/plain", "an empty body"),
        (b'{"detail": "Not Found"}', "application/json", '{"detail": "Not Found"}'),
        (b"[1]", "application/json", "[1]"),
    ],
)
def test_the_forms_of_others(body: bytes, kind: str, text: str) -> None:
    found = said(answer(body, kind))
    assert (found.text, found.code, found.own) == (text, None, False)


_PADDING = st.text(alphabet='ab <>"{}\n', max_size=250)


@given(_PADDING, _PADDING, st.sampled_from(["text/html", "text/plain", "application/json"]), st.booleans())
def test_wherever_the_token_stands_it_is_hidden(before: str, after: str, kind: str, as_json: bool) -> None:
    """Also where the text is cut: half a token would be a hint, and its first parts are readable."""
    text = f"{before}{TOKEN}{after}"
    body = json.dumps({"error": text}) if as_json else text
    shown = answer_text(answer(body.encode(), kind))
    for part in TOKEN.split("."):
        assert part[:10] not in shown


@given(
    st.binary(max_size=400), st.sampled_from(["text/html", "text/plain; charset=utf-16", "application/json"])
)
def test_any_body_is_one_short_printable_line(body: bytes, kind: str) -> None:
    shown = answer_text(answer(body, kind))
    assert len(shown) <= 200
    assert all(char.isprintable() for char in shown)


def test_a_page_of_megabytes_is_no_burden() -> None:
    import time

    began = time.process_time()
    for filling in (b"<", b"<title>", b"<title", b"a ", b"<a <a ", b"</title"):
        answer_text(answer(b"<html>" + filling * 500_000, "text/html"))
    assert time.process_time() - began < 20


def test_an_unknown_charset_is_no_crash() -> None:
    assert answer_text(answer(b"words", "text/plain; charset=klingon")) == "words"


@given(st.integers(19_800, 20_010))
def test_a_token_behind_much_space_is_hidden_too(spaces: int) -> None:
    """Wherever a long answer is cut on the way, it is not cut through the token."""
    for start in ("", "<title>"):
        shown = answer_text(answer(f"{start}{' ' * spaces}{TOKEN}".encode(), "text/html"))
        assert TOKEN[:10] not in shown
