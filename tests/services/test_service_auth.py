"""The token of the admin API: where it comes from, when it is refused, and that nobody ever sees it."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.errors import Eng5Error
from pytest_eng5.services import (
    AdminAuth,
    MintingRefused,
    NoToken,
    TokenError,
    TokenExpired,
    TokenNotYetValid,
    TokenSource,
    TokenUnreadable,
    admin_token,
    describe,
    in_production,
)

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SECRET = "a secret that the service shares, 32 bytes"
HOUR = 3600
EPOCH = int(NOW.timestamp())


def signed(**claims: Any) -> str:
    usual = {"sub": "someone", "exp": EPOCH + HOUR, "iat": EPOCH - HOUR, "roles": ["admin"]}
    more = {"iss": "huleedu-identity-service", "aud": "huleedu-platform"}
    kept = {name: value for name, value in {**usual, **more, **claims}.items() if value is not ...}
    return jwt.encode(kept, "another key that nobody here knows, long", algorithm="HS256")


def now() -> datetime:
    return NOW


def test_the_service_account_comes_first() -> None:
    first, second = signed(sub="account"), signed(sub="person")
    environ = {
        "HULEEDU_SERVICE_ACCOUNT_TOKEN": first,
        "HULEEDU_ADMIN_TOKEN": second,
        "JWT_SECRET_KEY": SECRET,
    }
    token = admin_token(environ, now=now)
    assert token.secret.get_secret_value() == first
    assert (token.description.source, token.description.subject) == (TokenSource.SERVICE_ACCOUNT, "account")


def test_then_the_admin_token() -> None:
    given_token = signed(sub="person")
    token = admin_token({"HULEEDU_ADMIN_TOKEN": given_token, "JWT_SECRET_KEY": SECRET}, now=now)
    assert token.secret.get_secret_value() == given_token
    assert token.description.source is TokenSource.ADMIN


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_an_empty_variable_is_no_token(blank: str) -> None:
    environ = {"HULEEDU_SERVICE_ACCOUNT_TOKEN": blank, "HULEEDU_ADMIN_TOKEN": signed()}
    assert admin_token(environ, now=now).description.source is TokenSource.ADMIN


def test_a_line_break_after_the_token_does_no_harm() -> None:
    token = signed()
    assert admin_token({"HULEEDU_ADMIN_TOKEN": f"{token}\n"}, now=now).secret.get_secret_value() == token


def test_a_made_token_has_the_claims_of_the_contract() -> None:
    token = admin_token({"JWT_SECRET_KEY": SECRET}, now=now).secret.get_secret_value()
    # Verified with the standard library: header, claims and signature are what the service will see.
    head, body, signature = token.split(".")
    claims = json.loads(_decoded(body))
    assert json.loads(_decoded(head))["alg"] == "HS256"
    assert claims == {
        "sub": "cj-admin-dev-cli",
        "iat": EPOCH,
        "exp": EPOCH + HOUR,
        "iss": "huleedu-identity-service",
        "aud": "huleedu-platform",
        "roles": ["admin"],
        "org_id": None,
    }
    assert _decoded(signature) == _hmac(f"{head}.{body}")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _hmac(text: str) -> bytes:
    import hashlib
    import hmac

    return hmac.digest(SECRET.encode(), text.encode(), hashlib.sha256)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_configured_hmac_algorithm_is_used(algorithm: str) -> None:
    key = SECRET * 2
    token = admin_token({"JWT_SECRET_KEY": key, "JWT_ALGORITHM": algorithm}, now=datetime_now)
    options: Any = {"audience": "huleedu-platform", "issuer": "huleedu-identity-service"}
    claims = jwt.decode(token.secret.get_secret_value(), key, algorithms=[algorithm], **options)
    assert claims["sub"] == "cj-admin-dev-cli"


def datetime_now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "none", "hs256", "EdDSA"])
def test_no_token_is_made_for_another_algorithm(algorithm: str) -> None:
    with pytest.raises(NoToken, match=algorithm):
        admin_token({"JWT_SECRET_KEY": SECRET, "JWT_ALGORITHM": algorithm}, now=now)


@pytest.mark.parametrize("key", ["short", "x", "schlüssel"])
def test_a_short_key_is_the_services_business(key: str) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert admin_token({"JWT_SECRET_KEY": key}, now=now).description.is_admin
    assert seen == []


def test_a_key_that_is_a_certificate_is_refused_without_showing_it() -> None:
    key = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
    with pytest.raises(TokenError) as caught:
        admin_token({"JWT_SECRET_KEY": key}, now=now)
    assert "MFkwEw" not in str(caught.value)
    assert caught.value.where == "JWT_SECRET_KEY"


def test_without_anything_the_three_ways_are_named() -> None:
    with pytest.raises(NoToken) as caught:
        admin_token({}, now=now)
    for name in ("HULEEDU_SERVICE_ACCOUNT_TOKEN", "HULEEDU_ADMIN_TOKEN", "JWT_SECRET_KEY"):
        assert name in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("variable", ["ENVIRONMENT", "HULEEDU_ENVIRONMENT"])
@pytest.mark.parametrize("value", ["production", "PRODUCTION", "Staging", "prod", "Prod", " PROD "])
def test_no_token_is_made_in_production(variable: str, value: str) -> None:
    environ = {"JWT_SECRET_KEY": SECRET, variable: value}
    assert in_production(environ)
    with pytest.raises(MintingRefused, match="production") as caught:
        admin_token(environ, now=now)
    assert variable in str(caught.value)
    assert SECRET not in str(caught.value)


def test_one_of_the_two_variables_is_enough() -> None:
    environ = {"JWT_SECRET_KEY": SECRET, "ENVIRONMENT": "development", "HULEEDU_ENVIRONMENT": "prod"}
    with pytest.raises(MintingRefused):
        admin_token(environ, now=now)


@pytest.mark.parametrize("value", ["", "development", "testing", "product", "nonprod", "local"])
def test_elsewhere_one_is_made(value: str) -> None:
    environ = {"JWT_SECRET_KEY": SECRET, "ENVIRONMENT": value, "HULEEDU_ENVIRONMENT": value}
    assert not in_production(environ)
    assert admin_token(environ, now=now).description.source is TokenSource.MINTED


def test_a_given_token_is_used_in_production() -> None:
    environ = {"ENVIRONMENT": "production", "HULEEDU_ADMIN_TOKEN": signed(), "JWT_SECRET_KEY": SECRET}
    assert admin_token(environ, now=now).description.source is TokenSource.ADMIN


def test_importing_and_minting_never_set_the_environment() -> None:
    """R25: the previous runner declared itself production, and then refused its own token."""
    code = (
        "import os\nbefore = dict(os.environ)\nimport pytest_eng5.services as s\n"
        "s.AdminAuth().token()\nassert dict(os.environ) == before"
    )
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ["JWT_SECRET_KEY"] = SECRET
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environ)


@pytest.mark.parametrize("age", [0, 1, HOUR, 10 * 365 * 24 * HOUR])
def test_an_expired_token_is_noticed_and_its_end_told(age: int) -> None:
    expired = signed(exp=EPOCH - age)
    with pytest.raises(TokenExpired, match="expired") as caught:
        admin_token({"HULEEDU_ADMIN_TOKEN": expired, "JWT_SECRET_KEY": SECRET}, now=now)
    assert caught.value.where == "HULEEDU_ADMIN_TOKEN"
    assert caught.value.exit_code == 2
    assert "2026-11-23T12:00:00+00:00" in str(caught.value)


def test_an_expired_token_is_not_silently_passed_over() -> None:
    environ = {"HULEEDU_SERVICE_ACCOUNT_TOKEN": signed(exp=EPOCH - 1), "HULEEDU_ADMIN_TOKEN": signed()}
    with pytest.raises(TokenExpired) as caught:
        admin_token(environ, now=now)
    assert caught.value.where == "HULEEDU_SERVICE_ACCOUNT_TOKEN"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_is_noticed(claim: str) -> None:
    with pytest.raises(TokenNotYetValid, match="not valid before 2026-11-23T12:00:30"):
        admin_token({"HULEEDU_ADMIN_TOKEN": signed(**{claim: EPOCH + 30})}, now=now)
    assert admin_token({"HULEEDU_ADMIN_TOKEN": signed(**{claim: EPOCH})}, now=now)


@pytest.mark.parametrize(
    "junk",
    ["abc", "a.b.c", "Bearer " + signed(), f'"{signed()}"', "..", signed() + ".x", "é.é.é", signed()[:-60]],
)
def test_what_is_no_token_is_told_without_showing_it(junk: str) -> None:
    with pytest.raises(TokenUnreadable) as caught:
        admin_token({"HULEEDU_ADMIN_TOKEN": junk}, now=now)
    assert caught.value.where == "HULEEDU_ADMIN_TOKEN"
    assert len(junk) < 6 or junk.strip() not in str(caught.value)
    assert "Bearer" in str(caught.value.fix)


@given(st.text())
def test_any_text_is_a_token_or_a_token_error(text: str) -> None:
    try:
        describe(text, TokenSource.ADMIN, now=NOW)
    except TokenUnreadable as error:
        shown = str(error)
    else:
        shown = ""
    assert len(text) < 8 or text not in shown


def _forged(claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}.{'A' * 43}"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
_CLAIMS = st.dictionaries(st.sampled_from(["sub", "roles", "exp", "iat", "nbf", "aud", "iss"]), _JSON)


@given(_CLAIMS)
def test_any_claims_are_described(claims: dict[str, Any]) -> None:
    """A token from elsewhere may say anything: dates beyond the calendar, roles that are no list."""
    token = describe(_forged(claims), TokenSource.ADMIN, now=NOW)
    admin = isinstance(claims.get("roles"), list) and "admin" in claims["roles"]
    assert token.is_admin == admin
    assert ("its roles do not contain admin" in token.problems) == (not admin)
    assert token.subject is None or token.subject == claims["sub"]
    repr(token)


@given(_CLAIMS)
def test_any_claims_are_used_or_refused_with_an_error_of_ours(claims: dict[str, Any]) -> None:
    try:
        token = admin_token({"HULEEDU_ADMIN_TOKEN": _forged(claims)}, now=now)
    except TokenError:
        return
    expires = token.description.expires_at
    assert expires is None or expires > NOW


@given(_JSON)
def test_claims_of_any_json_are_no_crash(claims: Any) -> None:
    try:
        describe(_forged(claims), TokenSource.ADMIN, now=NOW)
    except TokenUnreadable:
        assert not isinstance(claims, dict) or claims


@given(st.integers(min_value=0, max_value=253402300799))
def test_expiry_is_read_exactly(seconds: int) -> None:
    described = describe(signed(exp=seconds), TokenSource.ADMIN, now=NOW)
    assert described.expires_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert any("expired" in problem for problem in described.problems) == (seconds <= EPOCH)


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"exp": ...}, "no expiry"),
        ({"exp": "tomorrow"}, "no expiry"),
        ({"exp": EPOCH - 5}, "expired"),
        ({"nbf": EPOCH + 5}, "not valid before"),
        ({"iat": EPOCH + 5}, "issued in the future"),
        ({"aud": "somewhere-else"}, "audience"),
        ({"aud": ...}, "audience"),
        ({"iss": "me"}, "issuer"),
        ({"roles": ...}, "admin"),
        ({"roles": "admin"}, "admin"),
        ({"roles": ["teacher"]}, "admin"),
    ],
)
def test_what_the_service_will_refuse_is_foreseen(claims: dict[str, Any], problem: str) -> None:
    token = signed(**claims) if "exp" not in claims else _forged_like(claims)
    (found,) = describe(token, TokenSource.ADMIN, now=NOW).problems
    assert problem in found


def _forged_like(claims: dict[str, Any]) -> str:
    usual = json.loads(_decoded(signed().split(".")[1]))
    return _forged({name: value for name, value in {**usual, **claims}.items() if value is not ...})


@pytest.mark.parametrize("audience", ["huleedu-platform", ["other", "huleedu-platform"]])
def test_a_good_token_has_no_problems(audience: Any) -> None:
    assert describe(signed(aud=audience), TokenSource.ADMIN, now=NOW).problems == ()


def test_a_token_is_in_no_representation() -> None:
    secret = signed()
    token = admin_token({"HULEEDU_ADMIN_TOKEN": secret}, now=now)
    auth = AdminAuth({"HULEEDU_ADMIN_TOKEN": secret}, now=now)
    minted = AdminAuth({"JWT_SECRET_KEY": SECRET}, now=now)
    made = minted.token().secret.get_secret_value()
    shown = [repr(token), str(token), f"{token}", repr(auth), str(auth), repr(minted)]
    shown += [
        str(dataclasses.asdict(token)),
        repr(token.description),
        repr(copy.copy(token)),
        f"{token!r:>5}",
    ]
    shown.append(json.dumps(dataclasses.asdict(token.description), default=str))
    for text in shown:
        for part in (*secret.split("."), *made.split("."), SECRET):
            assert part not in text


def test_a_made_token_is_kept_until_shortly_before_its_end() -> None:
    clock = [NOW]
    auth = AdminAuth({"JWT_SECRET_KEY": SECRET}, now=lambda: clock[0])
    first = auth.token()
    clock[0] = NOW + timedelta(minutes=58)
    assert auth.token() is first
    clock[0] = NOW + timedelta(minutes=59, seconds=1)
    second = auth.token()
    assert second is not first
    assert second.description.expires_at == clock[0].replace(microsecond=0) + timedelta(hours=1)


def test_a_given_token_that_expires_meanwhile_is_noticed() -> None:
    clock = [NOW]
    auth = AdminAuth({"HULEEDU_ADMIN_TOKEN": signed()}, now=lambda: clock[0])
    auth.token()
    clock[0] = NOW + timedelta(hours=2)
    with pytest.raises(TokenExpired):
        auth.token()


def test_a_token_given_later_takes_over() -> None:
    environ = {"JWT_SECRET_KEY": SECRET}
    assert admin_token(environ, now=now).description.source is TokenSource.MINTED
    environ["HULEEDU_ADMIN_TOKEN"] = signed()
    assert admin_token(environ, now=now).description.source is TokenSource.ADMIN


@pytest.mark.asyncio
async def test_the_header_is_sent_and_nothing_logs_it(
    http: httpx.AsyncClient, server: Any, stored: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = signed()
    server.will(stored())
    auth = AdminAuth({"HULEEDU_ADMIN_TOKEN": secret}, now=now)
    await http.get(server.url, auth=auth)
    assert server.seen[0].headers["authorization"] == f"Bearer {secret}"
    assert caplog.records, "the HTTP client logs something at DEBUG"
    assert secret.split(".")[2] not in caplog.text


@pytest.mark.asyncio
async def test_an_expired_token_is_never_sent(http: httpx.AsyncClient, server: Any) -> None:
    with pytest.raises(Eng5Error):
        await http.get(server.url, auth=AdminAuth({"HULEEDU_ADMIN_TOKEN": signed(exp=5)}, now=now))
    assert server.seen == []
