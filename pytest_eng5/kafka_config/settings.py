"""The keys of the file, the values given for them, and what to say about a key that is none."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_eng5.errors import UsageError

__all__ = ["FLAGS", "KEYS", "SECTIONS", "Settings", "advice_for", "typed"]

KEYS = (
    "security_protocol",
    "bootstrap_servers",
    "ssl.ca_file",
    "ssl.cert_file",
    "ssl.key_file",
    "ssl.key_password",
    "ssl.check_hostname",
    "sasl.mechanism",
    "sasl.username",
    "sasl.password",
)
"""Every key; a dot stands for a section."""

FLAGS = frozenset({"ssl.check_hostname"})
"""The keys whose value is true or false; all others are text."""

SECTIONS = frozenset(key.partition(".")[0] for key in KEYS if "." in key)

# Names that Java clients, librdkafka and aiokafka have for the same things, with dots for all separators.
_ELSEWHERE = {
    "enable.ssl.certificate.verification": "ssl.ca_file",
    "metadata.broker.list": "bootstrap_servers",
    "sasl.jaas.config": "sasl.username and sasl.password",
    "sasl.mechanisms": "sasl.mechanism",
    "sasl.plain.password": "sasl.password",
    "sasl.plain.username": "sasl.username",
    "sasl.user": "sasl.username",
    "ssl.ca.certs": "ssl.ca_file",
    "ssl.ca.location": "ssl.ca_file",
    "ssl.ca.pem": "ssl.ca_file",
    "ssl.cafile": "ssl.ca_file",
    "ssl.certfile": "ssl.cert_file",
    "ssl.certificate.location": "ssl.cert_file",
    "ssl.certificate.pem": "ssl.cert_file",
    "ssl.endpoint.identification.algorithm": "ssl.check_hostname",
    "ssl.key.location": "ssl.key_file",
    "ssl.key.pem": "ssl.key_file",
    "ssl.keyfile": "ssl.key_file",
    "ssl.keystore.certificate.chain": "ssl.cert_file",
    "ssl.keystore.key": "ssl.key_file",
    "ssl.keystore.location": "ssl.cert_file and ssl.key_file, both PEM",
    "ssl.keystore.password": "ssl.key_password",
    "ssl.password": "ssl.key_password",
    "ssl.truststore.certificates": "ssl.ca_file",
    "ssl.truststore.location": "ssl.ca_file, a PEM",
    "ssl.truststore.password": "ssl.ca_file, a PEM, which needs none",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Values by key, references resolved; every key is known and every value has its type.

    Attributes:
        path: The file.
        values: Text, or a truth value for `FLAGS`; not shown, since passwords are among them.
    """

    path: Path
    values: Mapping[str, str | bool] = field(repr=False)

    def text(self, key: str) -> str | None:
        """The text given for a key; UsageError if it is empty."""
        value = self.values.get(key)
        if value == "":
            raise self.error(key, "is empty", fix="give a value, or leave the key out")
        return None if value is None else str(value)

    def flag(self, key: str, default: bool) -> bool:
        """The truth value given for a key."""
        return bool(self.values.get(key, default))

    def choice(self, key: str, allowed: tuple[str, ...]) -> str | None:
        """The text given for a key, one of those allowed."""
        value = self.text(key)
        if value is None or value in allowed:
            return value
        # The value is not shown: somebody may have put a password on the wrong line.
        raise self.error(key, "is none of the values it may have", fix=f"use {' or '.join(allowed)}")

    def given(self, section: str) -> list[str]:
        """The keys of a section that are given, in the order of the documentation."""
        return [key for key in KEYS if key in self.values and key.startswith(f"{section}.")]

    def file(self, key: str) -> Path | None:
        """The path given for a key, relative to the folder of the settings; it need not exist."""
        value = self.text(key)
        return None if value is None else self.path.parent / Path(value).expanduser()

    def error(self, key: str, what: str, *, fix: str) -> UsageError:
        """An error about one key."""
        return UsageError(f"{key} {what}", where=str(self.path), fix=fix)


def advice_for(key: str) -> str:
    """What to write instead of a key that is not known."""
    if key in SECTIONS:
        return f"{key} is a section: put {', '.join(k for k in KEYS if k.startswith(key + '.'))} in it"
    instead = _nearest(key)
    return f"did you mean {instead}?" if instead else f"the keys are {', '.join(KEYS)}"


def _nearest(key: str) -> str | None:
    dotted = re.sub(r"[-_.]+", ".", key.lower())
    known = {name.replace("_", "."): name for name in KEYS}
    # `mechanism` without its section counts too, unless it is the name of a key at the top.
    known |= {name.rpartition(".")[2].replace("_", "."): name for name in KEYS if "." in name}
    names = _ELSEWHERE | known
    found = difflib.get_close_matches(dotted, names, n=1, cutoff=0.6)
    return names[found[0]] if found else None


def typed(key: str, value: Any, settings: Settings) -> str | bool:
    """A value as its key wants it; UsageError otherwise, without the value."""
    if key in FLAGS:
        if not isinstance(value, bool):
            raise settings.error(key, "must be true or false", fix="write it without quotes")
        return value
    if isinstance(value, str):
        return value
    raise settings.error(
        key, "must be one text", fix='put the value in quotes, such as "secret" or "${NAME}"; no lists'
    )
