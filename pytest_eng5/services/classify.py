"""From an error answer to the error that a user can do something about (contract sections 5.2 and 5.3).

The CJ service means 400, 401, 403, 404 and 500, and answers 500 to all of it as long as its error handlers
are not registered: then the error code in the text decides if there is one, and else the failure is
ambiguous.
"""

from __future__ import annotations

import re
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from pytest_eng5.contracts import validation_reasons
from pytest_eng5.services.errors import (
    AmbiguousFailure,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    Refused,
    ServiceError,
    ServiceFailed,
    UnexpectedAnswer,
)
from pytest_eng5.services.http import shown_url
from pytest_eng5.services.wording import Said, answer_text, json_body, said

__all__ = ["checked", "error_of", "parsed"]

M = TypeVar("M", bound=BaseModel)

_BY_STATUS: dict[int, type[ServiceError]] = {
    400: Refused,
    401: NotAuthenticated,
    403: NotPermitted,
    404: NotFound,
    409: Refused,
    413: Refused,
    422: Refused,
}
_BY_CODE: dict[str, type[ServiceError]] = {
    "VALIDATION_ERROR": Refused,
    "INVALID_REQUEST": Refused,
    "PARSING_ERROR": Refused,
    "MISSING_REQUIRED_FIELD": Refused,
    "RESOURCE_NOT_FOUND": NotFound,
    "NOT_FOUND": NotFound,
    "AUTHENTICATION_ERROR": NotAuthenticated,
    "INVALID_API_KEY": NotAuthenticated,
    "AUTHORIZATION_ERROR": NotPermitted,
}
_FIXES: dict[type[ServiceError], str] = {
    Refused: "correct what is sent; the service says what it does not like",
    NotAuthenticated: "give a token that the service accepts in HULEEDU_SERVICE_ACCOUNT_TOKEN or"
    " HULEEDU_ADMIN_TOKEN, or outside production the service's own JWT_SECRET_KEY",
    NotPermitted: "use a token whose roles contain admin",
    NotFound: "check the id, and create what is missing first",
}
_CODE = re.compile(rf"\b(?:{'|'.join(_BY_CODE)})\b")
_CATCH_ALL = "Internal server error"


def error_of(response: httpx.Response, *, service: str, option: str, attempts: int = 1) -> ServiceError:
    """The error for an answer that is no success; ambiguous only where the answer is."""
    words = said(response)
    kind = _kind(response.status_code, words)
    tries = f", {attempts} attempts" if attempts > 1 else ""
    fix = _FIXES.get(kind) or (
        f"check that {option} is the address of {service}"
        if kind is UnexpectedAnswer
        else f"look at the logs of {service}, or set its address with {option}"
    )
    return kind(
        f"{service} answered {response.status_code}: {words.text}{_trace(response)}{tries}",
        where=shown_url(str(response.request.url)),
        fix=fix,
    )


def _kind(status: int, words: Said) -> type[ServiceError]:
    if status < 500:
        kind = _BY_STATUS.get(status, UnexpectedAnswer)
        # Whoever answers 404 in another form does not know the route: it is not this service.
        return UnexpectedAnswer if kind is NotFound and not words.own else kind
    named = _CODE.search(words.code or words.text)
    if named and words.own:
        return _BY_CODE[named[0]]
    catch_all = status == 500 and words.own and words.code is None and words.text.startswith(_CATCH_ALL)
    return AmbiguousFailure if catch_all else ServiceFailed


def _trace(response: httpx.Response) -> str:
    """The correlation id, by which the service's logs can be searched."""
    correlation = response.request.headers.get("x-correlation-id")
    return f" (correlation id {correlation})" if correlation else ""


def parsed(response: httpx.Response, model: type[M], *, service: str, option: str) -> M:
    """The body of a success as a model.

    Raises:
        UnexpectedAnswer: No JSON, or not the fields that the service gives.
    """
    try:
        return model.model_validate(json_body(response))
    except ValidationError as error:
        pointer, message = validation_reasons(error)[0]
        what = f"without what is needed: {pointer or '/'}: {message}"
    except ValueError:
        what = f"that is no JSON: {answer_text(response)}"
    raise UnexpectedAnswer(
        f"{service} answered {response.status_code} with a body {what}{_trace(response)}",
        where=shown_url(str(response.request.url)),
        fix=f"check that {option} is the address of {service}, in a version that this package knows",
    )


def checked(model: type[M], where: str, /, **fields: object) -> M:
    """A request body, refused here as the service would refuse it.

    Raises:
        Refused: A field breaks its rule; the message names it, never its content.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        reasons = "; ".join(
            f"{pointer.lstrip('/') or 'all'}: {text}" for pointer, text in validation_reasons(error)
        )
        raise Refused(reasons, where=where, fix=_FIXES[Refused].partition(";")[0]) from None
