"""What a service's answer says, in a few words that may be shown.

The services write errors in four forms (contract sections 4 and 5.2), and what stands before them writes
web pages. Nothing shown contains the credential of the request that was answered.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["Said", "answer_text", "json_body", "said"]

_SHOWN = 200
# Beyond this nothing is searched: an error page of megabytes says no more than its beginning.
_READ = 20_000
_TITLE = re.compile(r"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Said:
    """An error answer in words.

    Attributes:
        text: What to show: at most 200 characters on one line.
        code: The service's own error code such as ``RESOURCE_NOT_FOUND``, if one is named.
        own: Whether the body has the form of the services' errors, rather than that of somebody else.
    """

    text: str
    code: str | None = None
    own: bool = False


def json_body(response: httpx.Response) -> Any:
    """The body as JSON.

    Raises:
        ValueError: The body is no JSON.
    """
    try:
        return json.loads(response.content)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def answer_text(response: httpx.Response) -> str:
    """The words of an error answer, on one line of at most 200 characters, without the request's token."""
    return said(response).text


def said(response: httpx.Response) -> Said:
    """Read an error answer."""
    try:
        body = json_body(response)
    except ValueError:
        return Said(_clean(_plain(response), response))
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        code = error.get("code") or error.get("error_code")
        parts = [part for part in (code, error.get("message")) if isinstance(part, str) and part]
        text = ": ".join(parts) or json.dumps(error)
        return Said(_clean(text, response), code if isinstance(code, str) else None, own=True)
    if isinstance(error, str):
        more = body.get("message")
        text = f"{error}: {more}" if isinstance(more, str) and more else error
        return Said(_clean(text, response), own=True)
    return Said(_clean(_text(response), response))


def _plain(response: httpx.Response) -> str:
    text = _text(response)
    if "html" not in response.headers.get("content-type", "") and not text.lstrip().startswith("<"):
        return text or "an empty body"
    title = _TITLE.search(text)
    words = html.unescape(title[1] if title else _TAG.sub(" ", text))
    return f"a web page: {words.strip()}"


def _clean(text: str, response: httpx.Response) -> str:
    """One printable line without the credential."""
    printable = "".join(char if char.isprintable() else " " for char in _hidden(text, response)[:_READ])
    return " ".join(printable.split())[:_SHOWN]


def _text(response: httpx.Response) -> str:
    """The beginning of the body; the charset it claims is not asked, since a wrong one is an exception."""
    return _hidden(response.content.decode(errors="replace"), response)[:_READ]


def _hidden(text: str, response: httpx.Response) -> str:
    """Without the credential; to be called before anything is cut, or half of it would remain."""
    for secret in _credentials(response):
        text = text.replace(secret, "***")
    return text


def _credentials(response: httpx.Response) -> list[str]:
    token = response.request.headers.get("authorization", "").rpartition(" ")[2]
    return [part for part in (token, *token.split(".")) if len(part) > 8]
