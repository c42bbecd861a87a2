"""Certificates as a user has them, and files with settings."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from pytest_eng5.errors import UsageError
from pytest_eng5.kafka_config import KafkaConfig, load_kafka_config

DAY = datetime.timedelta(days=1)
KEY_PASSWORD = "öffne-mich"


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass(frozen=True)
class Pems:
    """PEM files of one folder: a CA, a client's certificate with its key in several forms, and bad ones."""

    folder: Path
    password: str

    def __getattr__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"


@pytest.fixture(scope="session")
def pems(tmp_path_factory: pytest.TempPathFactory) -> Pems:
    """ca, cert, key, encrypted_key, traditional_key (encrypted), combined, other_key, expired, future..."""
    folder = tmp_path_factory.mktemp("pems")
    ca = trustme.CA()
    cert, other = ca.issue_cert("client.example.org"), ca.issue_cert("other.example.org")
    old = ca.issue_cert("old.example.org", not_before=now() - 9 * DAY, not_after=now() - 2 * DAY)
    young = ca.issue_cert("young.example.org", not_before=now() + DAY, not_after=now() + 9 * DAY)
    key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)

    def encrypted(form: serialization.PrivateFormat) -> bytes:
        closed = serialization.BestAvailableEncryption(KEY_PASSWORD.encode())
        return key.private_bytes(serialization.Encoding.PEM, form, closed)

    chain = b"".join(pem.bytes() for pem in cert.cert_chain_pems)
    files = {
        "ca": ca.cert_pem.bytes(),
        "cert": chain,
        "key": cert.private_key_pem.bytes(),
        "encrypted_key": encrypted(serialization.PrivateFormat.PKCS8),
        "traditional_key": encrypted(serialization.PrivateFormat.TraditionalOpenSSL),
        "combined": cert.private_key_pem.bytes() + chain,
        "other_key": other.private_key_pem.bytes(),
        "expired": old.cert_chain_pems[0].bytes(),
        "expired_key": old.private_key_pem.bytes(),
        "future": young.cert_chain_pems[0].bytes(),
        "future_key": young.private_key_pem.bytes(),
        "text": b"not a PEM\n",
        "keystore": bytes.fromhex("feedfeed0000000200000001"),
        "der": bytes.fromhex("308201f0") + b"\0" * 20,
        "damaged": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "damaged_key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    }
    for name, content in files.items():
        (folder / f"{name}.pem").write_bytes(content)
    return Pems(folder, KEY_PASSWORD)


@dataclass(frozen=True)
class Files:
    """Writes settings and loads them."""

    folder: Path

    def write(self, text: str | bytes, name: str = "kafka.toml") -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(self, text: str | bytes, name: str = "kafka.toml", **environ: str) -> KafkaConfig:
        return load_kafka_config(self.write(text, name), environ)

    def refused(self, text: str | bytes, name: str = "kafka.toml", **environ: str) -> str:
        """What the error says; it names the file and a fix, and is a mistake of use."""
        with pytest.raises(UsageError) as caught:
            self.load(text, name, **environ)
        assert str(caught.value).startswith(str(self.folder / name))
        assert caught.value.fix
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        return str(caught.value)


@pytest.fixture
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """In a folder whose name says nothing of the test, since tests look for words in messages."""
    return Files(tmp_path_factory.mktemp("settings"))


@pytest.fixture
def tls(files: Files, pems: Pems) -> Callable[..., str]:
    """The text of settings with section ssl; the files are beside it, so that relative paths do."""
    for path in pems.folder.iterdir():
        (files.folder / path.name).write_bytes(path.read_bytes())

    def text(**keys: str | bool) -> str:
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        return "\n".join(['security_protocol = "SSL"', "[ssl]", *lines])

    return text
