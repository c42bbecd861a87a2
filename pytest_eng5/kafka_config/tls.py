"""The TLS context of a client, from PEM files that are looked at before anybody connects."""

from __future__ import annotations

import base64
import re
import ssl
import time
from datetime import UTC, datetime
from pathlib import Path

from pytest_eng5.errors import UsageError
from pytest_eng5.kafka_config.settings import Settings

__all__ = ["certificate_validity", "client_context"]

_CERTIFICATE = re.compile(
    rb"-----BEGIN (TRUSTED |X509 |)CERTIFICATE-----(.*?)-----END \1CERTIFICATE-----", re.DOTALL
)
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )?PRIVATE KEY-----")
_ENCRYPTED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED", re.MULTILINE)
_KEYSTORE = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")
_DER = b"\x30"
_UTC_TIME = 0x17


def client_context(settings: Settings) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    """The context for the settings of section ``ssl``, and what weakens it.

    Raises:
        UsageError: A file is missing, cannot be read or is none of what it should be; the own certificate is
            not valid today; the key cannot be opened or belongs to another certificate.
    """
    context, warnings = _trust(settings)
    _own_certificate(settings, context)
    if not settings.flag("ssl.check_hostname", default=True):
        context.check_hostname = False
        warnings = (
            *warnings,
            f"{settings.path}: ssl.check_hostname is false, so any server with a certificate of a trusted CA "
            "is taken for the broker",
        )
    return context, warnings


def _trust(settings: Settings) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    """A context that trusts the given CAs, or those of the system, and what to say about them."""
    key = "ssl.ca_file"
    path = settings.file(key)
    if path is None:
        return ssl.create_default_context(), ()
    content = _content(settings, key, path)
    _must_hold(settings, key, path, content, _CERTIFICATE, "a certificate")
    try:
        context = ssl.create_default_context(cafile=str(path))
    except ssl.SSLError as error:
        raise _refused(settings, key, path, error) from None
    ended = [
        str(each["notAfter"])
        for each in context.get_ca_certs()
        if ssl.cert_time_to_seconds(str(each["notAfter"])) < time.time()
    ]
    return context, tuple(f"{path}: a CA certificate expired on {date}" for date in ended)


def _own_certificate(settings: Settings, context: ssl.SSLContext) -> None:
    certificate, key = settings.file("ssl.cert_file"), settings.file("ssl.key_file")
    if certificate is None:
        for name in ("ssl.key_file", "ssl.key_password"):
            if name in settings.values:
                raise settings.error(
                    name, "is given without ssl.cert_file", fix="add ssl.cert_file with the certificate, PEM"
                )
        return
    content = _content(settings, "ssl.cert_file", certificate)
    _must_hold(settings, "ssl.cert_file", certificate, content, _CERTIFICATE, "a certificate")
    _check_dates(settings, certificate, content)
    _check_key(settings, certificate, content, key)
    _load(settings, context, certificate, key)


def _check_key(settings: Settings, certificate: Path, content: bytes, key: Path | None) -> None:
    if key is None:
        name, path = "ssl.cert_file", certificate
        if not (_KEY.search(content) or _ENCRYPTED.search(content)):
            raise settings.error(
                name, f"{path} holds no private key", fix="add ssl.key_file with the key of this certificate"
            )
    else:
        name, path = "ssl.key_file", key
        content = _content(settings, name, path)
        _must_hold(settings, name, path, content, _KEY, "a private key")
    if _ENCRYPTED.search(content) and settings.text("ssl.key_password") is None:
        raise settings.error(
            name,
            f"{path} is encrypted and there is no ssl.key_password",
            fix='add it, such as "${KEY_PASSWORD}"',
        )


def _load(settings: Settings, context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    password = settings.text("ssl.key_password")
    name, path = ("ssl.cert_file", certificate) if key is None else ("ssl.key_file", key)
    try:
        # Always with a password, since OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, lambda: password or "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise settings.error(
                name, f"{path} is the key of another certificate", fix=f"give the key that fits {certificate}"
            ) from None
        if _ENCRYPTED.search(path.read_bytes()):
            raise _wrong_password(settings, path) from None
        raise _refused(settings, name, path, error) from None
    except ValueError:  # longer than OpenSSL allows
        raise _wrong_password(settings, path) from None


def _wrong_password(settings: Settings, path: Path) -> UsageError:
    return settings.error(
        "ssl.key_password",
        f"does not open {path}",
        fix=f"check the password, for example with: openssl pkey -noout -in {path}",
    )


def _check_dates(settings: Settings, path: Path, content: bytes) -> None:
    """The first certificate of the file is the client's own."""
    first = _CERTIFICATE.findall(content)[0]
    try:
        begin, end = certificate_validity(base64.b64decode(first[1]))
    except ValueError:
        raise settings.error(
            "ssl.cert_file", f"{path} holds a damaged certificate", fix="copy the file again, as text"
        ) from None
    now = datetime.now(UTC)
    if now > end:
        what = f"{path} expired on {end:%Y-%m-%d %H:%M} UTC"
        raise settings.error(
            "ssl.cert_file", what, fix="ask for a new certificate; the broker refuses this one"
        )
    if now < begin:
        what = f"{path} is not valid before {begin:%Y-%m-%d %H:%M} UTC"
        raise settings.error("ssl.cert_file", what, fix="wait, or set the clock of this machine")


def _content(settings: Settings, key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        problem = f"names {path}, which does not exist"
    except (OSError, ValueError) as error:
        problem = f"names {path}, which cannot be read: {getattr(error, 'strerror', None) or 'no such name'}"
    raise settings.error(
        key, problem, fix="correct the path (relative ones are relative to the settings) or its permissions"
    )


def _must_hold(
    settings: Settings, key: str, path: Path, content: bytes, marker: re.Pattern[bytes], what: str
) -> None:
    if marker.search(content):
        return
    fix = "give a text file with -----BEGIN ...----- lines"
    if content.startswith(_KEYSTORE):
        fix = "this is a Java keystore: export it with keytool and openssl pkcs12 to PEM"
    elif content.startswith(_DER):
        fix = "this looks like DER or PKCS #12: convert it with openssl x509, openssl pkey or openssl pkcs12"
    raise settings.error(key, f"{path} is not a PEM file that holds {what}", fix=fix)


def _refused(settings: Settings, key: str, path: Path, error: ssl.SSLError) -> UsageError:
    reason = (error.reason or "unreadable").replace("_", " ").lower()
    return settings.error(
        key,
        f"{path} is not accepted by OpenSSL: {reason}",
        fix="the file is damaged or too weak; make it anew",
    )


def certificate_validity(der: bytes) -> tuple[datetime, datetime]:
    """First and last moment of a certificate (RFC 5280, 4.1), which the standard library tells of CAs only.

    Raises:
        ValueError: Not a certificate.
    """
    try:
        _, body, _ = _element(_element(der)[1])
        tag, _, rest = _element(body)
        fields = rest if tag == 0xA0 else body  # an explicit version comes first
        for _ in range(3):  # serial number, signature algorithm, issuer
            _, _, fields = _element(fields)
        begin_tag, begin, rest = _element(_element(fields)[1])
        end_tag, end, _ = _element(rest)
    except IndexError:
        raise ValueError("not a certificate") from None
    return _moment(begin_tag, begin), _moment(end_tag, end)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows of the first DER element."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    return data[0], data[start : start + length], data[start + length :]


def _moment(tag: int, content: bytes) -> datetime:
    text = content.decode("ascii")
    if tag == _UTC_TIME:
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
