"""What fits together, and where secrets do not appear."""

from __future__ import annotations

import logging
import pickle
import reprlib

import pytest

from pytest_eng5.kafka_config import MECHANISMS, SECURITY_PROTOCOLS
from pytest_eng5.kafka_config.redaction import hide_credentials

SASL = '[sasl]\nmechanism = "{mechanism}"\nusername = "eng5"\npassword = "geheim"\n'


def sasl(mechanism: str = "SCRAM-SHA-512", protocol: str = "SASL_PLAINTEXT") -> str:
    return f'security_protocol = "{protocol}"\n' + SASL.format(mechanism=mechanism)


class TestProtocol:
    @pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
    def test_alone(self, files, protocol):
        config = files.load(f'security_protocol = "{protocol}"')
        assert config.security_protocol == protocol
        assert ("ssl_context" in config.client_options()) == (protocol == "SSL")

    @pytest.mark.parametrize("wrong", ["ssl", "TLS", "geheim", "SASL", "PLAIN"])
    def test_none_other_and_it_is_not_shown(self, files, wrong):
        told = files.refused(f'security_protocol = "{wrong}"')
        assert "security_protocol is none of the values" in told
        assert all(protocol in told for protocol in SECURITY_PROTOCOLS)
        assert "geheim" not in told

    def test_empty(self, files):
        assert "security_protocol is empty" in files.refused('security_protocol = ""')

    @pytest.mark.parametrize(
        ("text", "likely"),
        [
            ('[ssl]\nca_file = "ca.pem"', "SSL"),
            (SASL.format(mechanism="PLAIN"), "SASL_SSL or SASL_PLAINTEXT"),
            ('[ssl]\ncheck_hostname = true\n[sasl]\nusername = "u"', "SASL_SSL"),
        ],
    )
    def test_missing_beside_what_needs_one(self, files, text, likely):
        told = files.refused(text)
        assert "security_protocol is missing" in told
        assert told.endswith(f"add it: {likely}")

    @pytest.mark.parametrize("mechanism", MECHANISMS)
    def test_sasl_over_plaintext_says_that_it_has_no_effect(self, files, mechanism):
        told = files.refused(sasl(mechanism, "PLAINTEXT"))
        assert f"sasl.mechanism has no effect ({mechanism}), since security_protocol is PLAINTEXT" in told
        assert "SASL_SSL or SASL_PLAINTEXT" in told

    def test_sasl_over_tls_alone(self, files):
        assert "security_protocol is SSL" in files.refused(sasl(protocol="SSL"))

    @pytest.mark.parametrize("protocol", ["PLAINTEXT", "SASL_PLAINTEXT"])
    def test_tls_settings_without_tls(self, files, protocol):
        told = files.refused(f'security_protocol = "{protocol}"\n[ssl]\nca_file = "ca.pem"\n')
        assert f"ssl.ca_file has no effect, since security_protocol is {protocol}" in told
        assert "SSL or SASL_SSL" in told


class TestCredentials:
    @pytest.mark.parametrize("mechanism", MECHANISMS)
    def test_all_of_them(self, files, mechanism):
        config = files.load(sasl(mechanism))
        assert config.client_options() == {
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": mechanism,
            "sasl_plain_username": "eng5",
            "sasl_plain_password": "geheim",
        }

    @pytest.mark.parametrize("key", ["mechanism", "username", "password"])
    @pytest.mark.parametrize("how", ["missing", "empty"])
    def test_each_is_needed(self, files, key, how):
        lines = sasl().splitlines()
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{key} ="))
        lines[at : at + 1] = [f'{key} = ""'] if how == "empty" else []
        told = files.refused("\n".join(lines))
        assert f"sasl.{key} is {how}" in told
        assert "geheim" not in told

    def test_no_section_at_all(self, files):
        assert "sasl.mechanism is missing" in files.refused('security_protocol = "SASL_SSL"')

    @pytest.mark.parametrize("mechanism", ["GSSAPI", "OAUTHBEARER", "scram-sha-512", "SCRAM-SHA-1", "geheim"])
    def test_other_mechanisms(self, files, mechanism):
        told = files.refused(sasl(mechanism))
        assert "sasl.mechanism is none of the values" in told
        assert all(known in told for known in MECHANISMS)
        assert "geheim" not in told

    @pytest.mark.parametrize("key", ["username", "password"])
    def test_zero_bytes_would_end_a_plain_message(self, files, key):
        text = sasl("PLAIN").replace(f'{key} = "', f'{key} = "a\\u0000geheim')
        told = files.refused(text)
        assert f"sasl.{key} holds a zero byte" in told
        assert "geheim" not in told


class TestWarnings:
    def test_none_by_default(self, files):
        assert files.load(sasl()).warnings == ()

    def test_a_password_in_clear(self, files):
        (warning,) = files.load(sasl("PLAIN")).warnings
        assert "crosses the network unencrypted" in warning
        assert "geheim" not in warning
        assert files.load(sasl("PLAIN", "SASL_SSL")).warnings == ()


class TestSecrets:
    def test_are_in_no_text_of_the_configuration(self, files):
        config = files.load(sasl("PLAIN"))
        for text in (repr(config), str(config), f"{config}", config.describe(), repr([config])):
            assert "geheim" not in text
        assert config.describe() == "SASL_PLAINTEXT, PLAIN as eng5"
        assert files.load("").describe() == "PLAINTEXT"

    def test_nor_in_a_look_at_what_clients_get(self, files):
        """As pytest shows local variables; clients themselves get the text as it is."""
        options = files.load(sasl("PLAIN")).client_options()
        assert "geheim" not in f"{options} {options!r} {[options]} {reprlib.repr(options)}"
        assert options["sasl_plain_password"] == "geheim"
        assert "\0".join(["eng5", options["sasl_plain_password"]]).encode() == b"eng5\0geheim"

    def test_settings_that_hold_a_context_cannot_be_written_down(self, files):
        config = files.load(sasl(protocol="SASL_SSL"))
        with pytest.raises(TypeError):
            pickle.dumps(config)

    def test_nor_in_the_debug_log_of_the_client(self, files, caplog):
        """The client logs each request; the one with the password is shown by its name."""
        from aiokafka.protocol.admin import SaslAuthenticateRequest, SaslHandShakeRequest

        files.load(sasl("PLAIN"))
        versions = {36: (0, 1), 17: (0, 1)}
        log = logging.getLogger("aiokafka.conn")
        with caplog.at_level(logging.DEBUG):
            for request in (SaslAuthenticateRequest(b"\0eng5\0geheim"), SaslHandShakeRequest("PLAIN")):
                log.debug("Request to %s:%d %d: %s", "h", 1, 2, request.prepare(versions))
        assert "geheim" not in caplog.text
        assert "SaslAuthenticateRequest_v1(...)" in caplog.text
        assert "mechanism='PLAIN'" in caplog.text

    def test_hiding_is_set_up_once(self):
        hide_credentials()
        before = list(logging.getLogger("aiokafka.conn").filters)
        hide_credentials()
        assert logging.getLogger("aiokafka.conn").filters == before
