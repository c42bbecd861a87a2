"""PEM files as Kafka wants them."""

from __future__ import annotations

from pathlib import Path

from pytest_eng5.errors import UsageError

__all__ = ["pkcs8_pem", "read_pem"]

_PKCS8 = "-----BEGIN PRIVATE KEY-----"


def read_pem(path: Path) -> str:
    """The text of a PEM file.

    Raises:
        UsageError: The file cannot be read, or is not PEM.
    """
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise UsageError(
            f"the file cannot be read: {error.strerror}", where=str(path), fix="correct its path"
        ) from error
    except UnicodeDecodeError:
        text = ""
    if "-----BEGIN " not in text:
        raise UsageError(
            "not a PEM file", where=str(path), fix="openssl x509 and openssl pkey convert to PEM"
        )
    return text


def pkcs8_pem(path: Path) -> str:
    """A private key in the one format that Kafka reads (PKCS #8), converted to it where that is possible.

    Raises:
        UsageError: The file cannot be read, is encrypted, or cannot be converted here.
    """
    text = read_pem(path)
    if _PKCS8 in text:
        return text
    try:
        from cryptography.hazmat.primitives import serialization as forms

        key = forms.load_pem_private_key(text.encode(), password=None)
        plain = forms.NoEncryption()
        return key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, plain).decode()
    except (ImportError, ValueError, TypeError) as error:
        raise UsageError(
            f"Kafka reads private keys in PKCS #8 without a password only ({error})",
            where=str(path),
            fix=f"openssl pkcs8 -topk8 -nocrypt -in {path.name} -out {path.stem}.pkcs8.pem",
        ) from error
