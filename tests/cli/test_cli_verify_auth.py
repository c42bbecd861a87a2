"""``eng5 verify-auth``: whose token, and whether it is accepted; the token itself is never told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

KEY = {"JWT_SECRET_KEY": "a secret of the tests, long enough for HS256"}
Token = Callable[..., str]


def quiet_about(said: Any, *secrets: str) -> bool:
    """Whether neither a token nor a part of it was told."""
    parts = [part for secret in secrets for part in (secret, *secret.split("."))]
    return not any(part in said.out + said.err for part in parts)


class TestAccepted:
    """Exit status 0."""

    @pytest.mark.parametrize("answers", ["intended", "actual"])
    def test_a_made_token(
        self, eng5: Any, cj: Any, shell: Any, answers: str, snapshot: SnapshotAssertion
    ) -> None:
        cj.catch_all = cj.rfc_dates = answers == "actual"
        cj.add("course:17")
        said = eng5("verify-auth", CJ_SERVICE_URL=cj.url, **KEY)
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot(name="a_made_token")
        assert quiet_about(said, KEY["JWT_SECRET_KEY"])

    def test_a_given_token_goes_before_others(
        self, eng5: Any, cj: Any, shell: Any, make_token: Token, snapshot: SnapshotAssertion
    ) -> None:
        tokens = make_token(sub="robot"), make_token(sub="person")
        given = {"HULEEDU_SERVICE_ACCOUNT_TOKEN": tokens[0], "HULEEDU_ADMIN_TOKEN": tokens[1]}
        said = eng5("verify-auth", "--cj-service-url", cj.url, **given, **KEY)
        assert (said.code, said.err) == (0, "")
        assert shell.settled(said.out) == snapshot
        assert quiet_about(said, *tokens)

    def test_without_an_address_the_token_is_described(self, eng5: Any, make_token: Token) -> None:
        said = eng5("verify-auth", HULEEDU_ADMIN_TOKEN=make_token())
        assert said.code == 0
        assert "given in HULEEDU_ADMIN_TOKEN" in said.out
        assert "not asked, since there is no address" in said.out

    def test_claims_cannot_write_to_the_terminal(self, eng5: Any, make_token: Token) -> None:
        said = eng5("verify-auth", HULEEDU_ADMIN_TOKEN=make_token(sub="a\x1b[31m\nok"))
        assert said.code == 0
        assert "\x1b" not in said.out
        assert "subject: a\\x1b[31m\\nok, roles: admin" in said.out

    @pytest.mark.slow
    def test_the_reference_pipeline_accepts_it(self, eng5: Any, stack: Any) -> None:
        said = eng5("verify-auth", **stack.variables, **KEY)
        assert said.code == 0
        assert said.out.splitlines()[-1] == "service: accepts the token"


class TestRefused:
    """Exit status 2: the user can do something about it."""

    @pytest.mark.parametrize(
        ("claims", "message"),
        [
            ({"exp": 1_000_000_000}, "the token has expired at 2001-09-09T01:46:40+00:00"),
            ({"nbf": 4_000_000_000}, "the token is not valid before 2096-10-02T07:06:40+00:00"),
            ({"iat": 4_000_000_000}, "the token is not valid before"),
        ],
        ids=["expired", "not yet", "of the future"],
    )
    def test_a_token_at_the_wrong_time(
        self, eng5: Any, cj: Any, make_token: Token, claims: dict[str, Any], message: str
    ) -> None:
        given = make_token(**claims)
        said = eng5("verify-auth", CJ_SERVICE_URL=cj.url, HULEEDU_ADMIN_TOKEN=given, **KEY)
        assert said.code == 2
        assert message in said.err
        assert quiet_about(said, given)
        assert cj.seen == [], "an expired token is no reason to ask with another"

    @pytest.mark.parametrize("answers", ["intended", "actual"])
    @pytest.mark.parametrize(
        ("claims", "words"),
        [
            ({"roles": ["teacher"]}, "admin"),
            ({"aud": "somebody else"}, "aud"),
            ({"iss": "somebody else"}, "iss"),
        ],
    )
    def test_a_token_that_the_service_does_not_accept(
        self, eng5: Any, cj: Any, make_token: Token, answers: str, claims: dict[str, Any], words: str
    ) -> None:
        """Also where every refusal is answered with 500: what the token says tells why."""
        cj.catch_all = answers == "actual"
        given = make_token(**claims)
        said = eng5("verify-auth", CJ_SERVICE_URL=cj.url, HULEEDU_ADMIN_TOKEN=given)
        assert said.code == 2, said
        assert "problem: " in said.out
        assert words in said.out
        assert "accepts" not in said.out
        assert quiet_about(said, given)

    def test_such_a_token_is_refused_without_an_address_too(self, eng5: Any, make_token: Token) -> None:
        said = eng5("verify-auth", HULEEDU_ADMIN_TOKEN=make_token(roles=[]))
        assert said.code == 2
        assert "no service will accept the token: its roles do not contain admin" in said.err

    def test_a_foreign_signature(self, eng5: Any, cj: Any, make_token: Token) -> None:
        given = make_token("another secret, also long enough for HS256")
        said = eng5("verify-auth", CJ_SERVICE_URL=cj.url, HULEEDU_ADMIN_TOKEN=given)
        assert said.code == 2
        assert "AUTHENTICATION_ERROR" in said.err
        assert quiet_about(said, given)

    @pytest.mark.parametrize(
        ("variables", "message"),
        [
            ({}, "there is no token for the admin API"),
            ({"HULEEDU_ADMIN_TOKEN": "Bearer abc"}, "HULEEDU_ADMIN_TOKEN: this is no JSON Web Token"),
            (
                {**KEY, "ENVIRONMENT": "Staging"},
                "ENVIRONMENT says this is a production environment (Staging)",
            ),
            ({**KEY, "HULEEDU_ENVIRONMENT": "PROD"}, "HULEEDU_ENVIRONMENT says this is a production"),
            ({**KEY, "JWT_ALGORITHM": "RS256"}, "JWT_ALGORITHM is RS256"),
        ],
    )
    def test_no_token_at_all(self, eng5: Any, variables: dict[str, str], message: str) -> None:
        said = eng5("verify-auth", **variables)
        assert (said.code, said.out) == (2, "")
        assert message in said.err
        assert "fix: " in said.err


class TestNobodyAnswers:
    """Exit status 4."""

    def test_nobody_there(self, eng5: Any) -> None:
        said = eng5("verify-auth", "--cj-service-url", "http://127.0.0.1:1", **KEY)
        assert said.code == 4
        assert said.out.startswith("token:   made with JWT_SECRET_KEY")
        assert "--cj-service-url" in said.err

    def test_an_address_that_is_none(self, eng5: Any) -> None:
        said = eng5("verify-auth", "--cj-service-url", "localhost", **KEY)
        assert said.code == 4
        assert "localhost" in said.err

    def test_ctrl_c(self, shell: Any, silent: Any) -> None:
        address = f"http://{silent.address}"
        said = shell.interrupted("verify-auth", "--cj-service-url", address, when=silent.asked, **KEY)
        assert said.code == 4, said
        assert "interrupted before the service had answered" in said.err
        assert "Traceback" not in said.err
