"""Certificates and keys, looked at when the settings are loaded."""

from __future__ import annotations

import contextlib
import datetime
import os
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_eng5.kafka_config import certificate_validity, load_kafka_config


class TestTrust:
    def test_the_given_ca_and_no_other(self, files, tls, pems):
        context = files.load(tls(ca_file="ca.pem")).client_options()["ssl_context"]
        trusted = context.get_ca_certs(binary_form=True)
        assert trusted == [ssl.PEM_cert_to_DER_cert(pems.ca.read_text())]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname

    def test_without_one_the_system_is_trusted(self, files, tls):
        context = files.load(tls()).client_options()["ssl_context"]
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.cert_store_stats() == ssl.create_default_context().cert_store_stats()

    def test_paths_are_relative_to_the_file(self, files, tls, monkeypatch):
        monkeypatch.chdir("/")
        assert files.load(tls(ca_file="ca.pem")).ssl_context

    @pytest.mark.parametrize("how", ["absolute", "home", "environment"])
    def test_other_paths(self, files, tls, pems, monkeypatch, how):
        monkeypatch.setenv("HOME", str(pems.folder))
        path = {"absolute": str(pems.ca), "home": "~/ca.pem", "environment": "${DIR}/ca.pem"}[how]
        (files.folder / "ca.pem").unlink()
        assert files.load(tls(ca_file=path), DIR=str(pems.folder)).ssl_context

    def test_not_checking_names_is_allowed_and_said(self, files, tls):
        config = files.load(tls(ca_file="ca.pem", check_hostname=False))
        context = config.client_options()["ssl_context"]
        assert not context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
        (warning,) = config.warnings
        assert "ssl.check_hostname is false" in warning
        assert files.load(tls(ca_file="ca.pem", check_hostname=True)).warnings == ()

    def test_an_expired_ca_is_said(self, files, tls):
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old CA")])
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), 7)
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now - datetime.timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, SHA256())
        )
        (files.folder / "old.pem").write_bytes(made.public_bytes(Encoding.PEM))
        (warning,) = files.load(tls(ca_file="old.pem")).warnings
        assert "a CA certificate expired on" in warning


class TestOwnCertificate:
    @pytest.mark.parametrize(
        "keys",
        [
            {"cert_file": "cert.pem", "key_file": "key.pem"},
            {"cert_file": "combined.pem"},
            {"cert_file": "cert.pem", "key_file": "encrypted_key.pem", "key_password": "${P}"},
            {"cert_file": "cert.pem", "key_file": "traditional_key.pem", "key_password": "${P}"},
            # not needed, and not wrong either
            {"cert_file": "cert.pem", "key_file": "key.pem", "key_password": "${P}"},
        ],
    )
    def test_is_shown_to_a_server_that_asks(self, files, tls, pems, keys):
        """Independent oracle: a handshake in memory with a server that wants a certificate of this CA."""
        config = files.load(tls(ca_file="ca.pem", check_hostname=False, **keys), P=pems.password)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pems.combined)
        server.load_verify_locations(pems.ca)
        server.verify_mode = ssl.CERT_REQUIRED
        subject = handshake(config.client_options()["ssl_context"], server)
        assert ("DNS", "client.example.org") in subject["subjectAltName"]

    @pytest.mark.parametrize("key", ["key_file", "key_password"])
    def test_key_without_certificate(self, files, tls, key):
        told = files.refused(tls(**{key: "geheim.pem"}))
        assert f"ssl.{key} is given without ssl.cert_file" in told

    def test_certificate_without_key(self, files, tls):
        told = files.refused(tls(cert_file="cert.pem"))
        assert "cert.pem holds no private key" in told
        assert "add ssl.key_file" in told

    def test_key_of_another_certificate(self, files, tls):
        told = files.refused(tls(cert_file="cert.pem", key_file="other_key.pem"))
        assert "ssl.key_file" in told
        assert "other_key.pem is the key of another certificate" in told

    def test_expired(self, files, tls, pems):
        told = files.refused(tls(cert_file="expired.pem", key_file="expired_key.pem"))
        ended = x509.load_pem_x509_certificate(pems.expired.read_bytes()).not_valid_after_utc
        assert f"expired.pem expired on {ended:%Y-%m-%d %H:%M} UTC" in told

    def test_not_yet_valid(self, files, tls):
        told = files.refused(tls(cert_file="future.pem", key_file="future_key.pem"))
        assert "future.pem is not valid before" in told

    @pytest.mark.parametrize("key", ["encrypted_key.pem", "traditional_key.pem"])
    @pytest.mark.parametrize(
        ("password", "problem"),
        [
            (None, "is encrypted and there is no ssl.key_password"),
            ("falsch", "ssl.key_password does not open"),
            ("x" * 5000, "ssl.key_password does not open"),
            ("", "ssl.key_password is empty"),
        ],
    )
    def test_key_password(self, files, tls, capfd, key, password, problem):
        more = {} if password is None else {"key_password": password}
        told = files.refused(tls(cert_file="cert.pem", key_file=key, **more))
        assert problem in told
        assert "falsch" not in told
        assert capfd.readouterr() == ("", "")  # OpenSSL did not ask at the terminal


class TestFiles:
    KEYS = ("ca_file", "cert_file", "key_file")

    def told(self, files, tls, key: str, name: str) -> str:
        keys = {"ca_file": "ca.pem", "cert_file": "cert.pem", "key_file": "key.pem"} | {key: name}
        told = files.refused(tls(**keys))
        assert f"ssl.{key}" in told
        assert name in told
        return told

    @pytest.mark.parametrize("key", KEYS)
    def test_missing(self, files, tls, key):
        told = self.told(files, tls, key, "none.pem")
        assert "does not exist" in told
        assert "relative to" in told

    @pytest.mark.parametrize("key", KEYS)
    def test_a_folder(self, files, tls, key):
        (files.folder / "folder").mkdir()
        assert "cannot be read: Is a directory" in self.told(files, tls, key, "folder")

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_forbidden(self, files, tls, key):
        (files.folder / "text.pem").chmod(0)
        assert "Permission denied" in self.told(files, tls, key, "text.pem")

    @pytest.mark.parametrize("key", KEYS)
    @pytest.mark.parametrize(
        ("name", "fix"), [("text.pem", "-----BEGIN"), ("keystore.pem", "keytool"), ("der.pem", "openssl")]
    )
    def test_not_pem(self, files, tls, key, name, fix):
        told = self.told(files, tls, key, name)
        assert "is not a PEM file" in told
        assert fix in told

    @pytest.mark.parametrize(
        ("key", "name"), [("ca_file", "key.pem"), ("cert_file", "key.pem"), ("key_file", "cert.pem")]
    )
    def test_the_wrong_pem(self, files, tls, key, name):
        what = "a private key" if key == "key_file" else "a certificate"
        assert f"is not a PEM file that holds {what}" in self.told(files, tls, key, name)

    @pytest.mark.parametrize(
        ("key", "name", "problem"),
        [
            ("ca_file", "damaged.pem", "not accepted by OpenSSL"),
            ("cert_file", "damaged.pem", "holds a damaged certificate"),
            ("key_file", "damaged_key.pem", "not accepted by OpenSSL"),
        ],
    )
    def test_damaged(self, files, tls, key, name, problem):
        assert problem in self.told(files, tls, key, name)

    def test_an_impossible_name(self, files, tls):
        assert "no such name" in files.refused(tls(ca_file="a\0b"))


def handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> dict:
    """Let two contexts meet in memory; what the server learns of the client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(3):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[1].getpeercert()


MOMENTS = st.datetimes(datetime.datetime(1951, 1, 1), datetime.datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)


class TestDates:
    CA = trustme.CA()

    @settings(max_examples=25)
    @given(
        first=MOMENTS,
        second=MOMENTS,
        names=st.lists(st.from_regex(r"[a-z]{1,60}\.org", fullmatch=True), min_size=1, max_size=9),
    )
    def test_are_those_that_another_library_reads(self, first, second, names):
        """Before and after 2050 the dates are written in two ways (RFC 5280, 4.1.2.5)."""
        begin, end = sorted([first, second])
        issued = self.CA.issue_cert(*names, not_before=begin, not_after=end).cert_chain_pems[0].bytes()
        read = x509.load_pem_x509_certificate(issued)
        assert certificate_validity(ssl.PEM_cert_to_DER_cert(issued.decode())) == (
            read.not_valid_before_utc,
            read.not_valid_after_utc,
        )
        assert read.not_valid_after_utc == end.replace(tzinfo=datetime.UTC)

    @given(st.binary(max_size=80))
    def test_of_garbage_are_refused(self, garbage):
        with pytest.raises(ValueError):
            certificate_validity(garbage)

    @given(cut=st.integers(0, 60))
    def test_of_a_certificate_cut_short_are_refused(self, cut):
        der = ssl.PEM_cert_to_DER_cert(self.CA.cert_pem.bytes().decode())
        with pytest.raises(ValueError):
            certificate_validity(der[:cut])


def test_systems_settings_are_untouched(files, tls, monkeypatch):
    """The environment given is the only one that is asked."""
    monkeypatch.setenv("KEY_PASSWORD", "x")
    path = files.write(tls(cert_file="cert.pem", key_file="key.pem", key_password="${KEY_PASSWORD}"))
    with pytest.raises(Exception, match="KEY_PASSWORD, which is not set"):
        load_kafka_config(path, {})
