"""What is asked of a secured listener, and how it is put to Kafka; nothing is started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from pytest_eng5.brokers import AclRule, BrokerOptions, EmbeddedBroker, ServerSecurity
from pytest_eng5.brokers.pem import pkcs8_pem, read_pem
from pytest_eng5.brokers.secured import Insider, _jaas, check_security, probe_options, secured_properties
from pytest_eng5.errors import UsageError

USERS = {"admin": "a-geheim", "bob": "b-geheim"}
HERE = Path(__file__)
TLS: dict[str, Any] = {"certificate": HERE, "private_key": HERE, "ca": HERE}
PAIR = {"admin": (HERE, HERE)}


class TestWhatFitsTogether:
    @pytest.mark.parametrize(
        "security",
        [
            ServerSecurity("SSL", **TLS),
            ServerSecurity("SSL", **TLS, client_auth="requested"),
            ServerSecurity("SSL", **TLS, super_users=("ANONYMOUS",), acls=()),
            ServerSecurity("SSL", **TLS, client_auth="required", client_certificates=PAIR),
            ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS),
            ServerSecurity("SASL_SSL", "SCRAM-SHA-512", USERS, **TLS, super_users=("admin",), acls=()),
        ],
    )
    def test_is_accepted(self, security):
        check_security(security)

    @pytest.mark.parametrize(
        ("security", "what"),
        [
            (ServerSecurity("PLAINTEXT"), "'PLAINTEXT' is not one of SSL, SASL_PLAINTEXT, SASL_SSL"),
            (ServerSecurity("SSL"), "SSL needs a certificate and its private key"),
            (ServerSecurity("SASL_SSL", "PLAIN", USERS), "SASL_SSL needs a certificate"),
            (ServerSecurity("SASL_PLAINTEXT", None, USERS), "needs a mechanism: one of PLAIN, SCRAM-SHA-256"),
            (ServerSecurity("SASL_PLAINTEXT", "GSSAPI", USERS), "needs a mechanism"),
            (ServerSecurity("SASL_PLAINTEXT", "PLAIN"), "needs users"),
            (ServerSecurity("SASL_PLAINTEXT", "PLAIN", {"a": ""}), "each with a password"),
            (ServerSecurity("SASL_PLAINTEXT", "PLAIN", {"a;b": "x"}), "'a;b' cannot be a user name"),
            (ServerSecurity("SASL_PLAINTEXT", "PLAIN", {"": "x"}), "'' cannot be a user name"),
            (ServerSecurity("SSL", **{**TLS, "ca": None}, client_auth="requested"), "need a CA"),
            (ServerSecurity("SSL", **TLS, client_auth="required"), "the one of one user at least must be"),
            (
                ServerSecurity("SASL_SSL", "PLAIN", USERS, **TLS, client_auth="required"),
                "the one of 'admin' must be known",
            ),
            (ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, acls=()), "needs a super user"),
            (
                ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, acls=(), super_users=("carol",)),
                "a super user who is one of the users",
            ),
            (
                ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, acls=(AclRule("bob", ("fly",)),)),
                "no known operation fly",
            ),
            (
                ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, acls=(AclRule("bob", ()),)),
                "no known operation",
            ),
        ],
    )
    def test_is_refused_with_the_reason_and_without_secrets(self, security, what):
        with pytest.raises(UsageError) as caught:
            EmbeddedBroker(BrokerOptions(kind="embedded", security=security))
        assert what in str(caught.value)
        assert "geheim" not in str(caught.value)


class TestClientOptions:
    def test_default_is_a_super_user(self):
        security = ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, super_users=("nobody", "bob"))
        assert security.default_user == "bob"
        assert security.client_options()["sasl_plain_username"] == "bob"

    def test_default_without_super_users_is_the_first(self):
        assert ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS).default_user == "admin"
        assert ServerSecurity("SSL", **TLS).default_user is None

    def test_are_those_of_the_user(self):
        options = ServerSecurity("SASL_PLAINTEXT", "SCRAM-SHA-256", USERS).client_options("bob")
        assert options == {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_plain_username": "bob",
            "sasl_plain_password": "b-geheim",
        }

    def test_judge_the_server_unless_they_only_ask_whether_it_is_ready(self, tmp_path):
        trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
        security = ServerSecurity("SSL", certificate=HERE, private_key=HERE, ca=tmp_path / "ca.pem")
        context = security.client_options()["ssl_context"]
        assert (context.verify_mode.name, context.check_hostname) == ("CERT_REQUIRED", True)
        context = probe_options(security)["ssl_context"]
        assert (context.verify_mode.name, context.check_hostname) == ("CERT_NONE", False)

    @given(st.text(min_size=8))
    def test_passwords_are_never_shown(self, password):
        security = ServerSecurity("SASL_PLAINTEXT", "PLAIN", {"a": f"<<{password}>>"})
        assert f"<<{password}>>" not in repr(security) + repr(BrokerOptions(security=security))


class TestProperties:
    def made(self, security: ServerSecurity) -> dict[str, str]:
        return secured_properties(security, Insider(), 1, 2, 3)

    def test_kafka_never_talks_to_itself_without_a_password(self):
        properties = self.made(ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS))
        protocols = dict(each.split(":") for each in properties["listener.security.protocol.map"].split(","))
        assert protocols == dict.fromkeys(("CLIENTS", "INTERNAL", "CONTROLLER"), "SASL_PLAINTEXT")
        assert "PLAINTEXT" not in protocols.values()

    def test_its_own_user_is_another_each_time_and_stays_hidden(self):
        one, two = Insider(), Insider()
        assert one.name != two.name
        assert one.password != two.password
        assert min(len(one.name), len(one.password)) > 20
        assert one.password not in repr(one) + repr(one.connection(1))

    def test_nobody_is_a_super_user_but_itself_and_those_named(self):
        insider = Insider()
        security = ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS, super_users=("admin",), acls=())
        properties = secured_properties(security, insider, 1, 2, 3)
        assert properties["super.users"] == f"User:{insider.name};User:admin"

    def test_no_access_control_unless_asked_for(self):
        properties = self.made(ServerSecurity("SASL_PLAINTEXT", "PLAIN", USERS))
        assert "authorizer.class.name" not in properties

    def test_passwords_of_scram_are_not_in_the_file(self):
        properties = self.made(ServerSecurity("SASL_PLAINTEXT", "SCRAM-SHA-512", USERS))
        assert not [value for value in properties.values() if "geheim" in value]

    @given(st.dictionaries(st.text(min_size=1), st.text(), max_size=4))
    def test_jaas_line_reads_back(self, options):
        """By a reader of the part of java.io.StreamTokenizer's language that is written here."""
        line = _jaas("Module", options)
        assert line.startswith("Module required")
        assert line.endswith(";")
        read: list[str] = []
        rest = iter(line.removeprefix("Module required").removesuffix(";"))
        for sign in rest:
            if sign != '"':
                assert sign in " ="
                continue
            word = ""
            while (sign := next(rest)) != '"':
                assert sign not in "\n\r"
                if sign == "\\":
                    sign = {"n": "\n", "r": "\r"}.get(escaped := next(rest), escaped)
                word += sign
            read.append(word)
        assert dict(zip(read[::2], read[1::2], strict=True)) == options


class TestPem:
    @pytest.fixture
    def key(self, tmp_path: Path) -> Path:
        path = tmp_path / "server.key"
        trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(path)
        return path

    def openssl(self, *arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout

    def test_a_key_of_any_form_becomes_what_kafka_reads(self, key, tmp_path):
        """OpenSSL is the oracle: the same key, in the form that it calls PKCS #8."""
        assert "BEGIN EC PRIVATE KEY" in key.read_text()
        made = tmp_path / "made.key"
        made.write_text(pkcs8_pem(key))
        assert made.read_text() == self.openssl("pkcs8", "-topk8", "-nocrypt", "-in", str(key)).decode()
        assert pkcs8_pem(made) == made.read_text()

    def test_an_encrypted_key_is_refused_with_the_way_out(self, key, tmp_path):
        locked = tmp_path / "locked.key"
        locked.write_bytes(self.openssl("pkcs8", "-topk8", "-in", str(key), "-passout", "pass:geheim"))
        with pytest.raises(UsageError, match="without a password only") as caught:
            pkcs8_pem(locked)
        assert "openssl pkcs8 -topk8 -nocrypt -in locked.key" in str(caught.value.fix)

    def test_without_the_library_that_converts(self, key, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
        with pytest.raises(UsageError, match="PKCS #8"):
            pkcs8_pem(key)

    @pytest.mark.parametrize("content", [b"", b"\x30\x82\x01\x00", "ä".encode()])
    def test_what_is_not_pem(self, tmp_path, content):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(UsageError, match="not a PEM file"):
            read_pem(tmp_path / "file")

    def test_what_is_missing(self, tmp_path):
        with pytest.raises(UsageError, match="cannot be read: No such file") as caught:
            read_pem(tmp_path / "none.pem")
        assert caught.value.where == os.fspath(tmp_path / "none.pem")
