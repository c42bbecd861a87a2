"""A broker that somebody else runs: nothing is started, nothing is stopped."""

from __future__ import annotations

import re
from typing import Any

from pytest_eng5.brokers.errors import BrokerError
from pytest_eng5.brokers.model import BrokerCapabilities, BrokerConnection, BrokerKind, BrokerOptions
from pytest_eng5.brokers.probe import probe, run_blocking
from pytest_eng5.errors import UsageError

__all__ = ["ExternalBroker"]

_ANSWER_SECONDS = 10.0
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:;,/\[\]]+):(?P<port>[0-9]{1,5})")


class ExternalBroker:
    """Bootstrap servers given by the user; `start` only makes sure that they answer."""

    kind: BrokerKind = "external"

    def __init__(self, options: BrokerOptions) -> None:
        servers = parse_bootstrap_servers(options.bootstrap_servers)
        self._connection = BrokerConnection(",".join(servers), dict(options.client_options))
        self._may_create = options.may_create_topics
        self._timeout = options.start_timeout or _ANSWER_SECONDS

    @property
    def capabilities(self) -> BrokerCapabilities:
        """Topics only with permission; the rest is as the broker is."""
        return BrokerCapabilities(
            create_topics=self._may_create,
            delete_topics=self._may_create,
            tls=True,
            sasl=True,
            durable_restart=True,
        )

    @property
    def connection(self) -> BrokerConnection:
        """The servers as given."""
        return self._connection

    def start(self) -> BrokerConnection:
        """Return when the broker has answered; BrokerUnreachable within seconds otherwise."""
        run_blocking(probe(self._connection, self._timeout))
        return self._connection

    def stop(self) -> None:
        """Leave it alone."""

    def failure(self) -> str | None:
        """None, or why the broker does not answer right now (asks it, at most a few seconds)."""
        try:
            self.start()
        except BrokerError as error:
            return str(error)
        return None

    def describe(self) -> str:
        """One line for a report header, without secrets."""
        options = self._connection.client_options
        how = [str(options[key]) for key in ("security_protocol", "sasl_mechanism") if key in options]
        if "sasl_plain_username" in options:
            how.append(f"as {options['sasl_plain_username']}")
        secured = f" ({' '.join(how)})" if how else ""
        return f"external broker at {self._connection.bootstrap_servers}{secured}"

    def record(self) -> dict[str, Any]:
        """Plain JSON without secrets; `attach` takes the client options from the options again."""
        return {
            "kind": self.kind,
            "bootstrap_servers": self._connection.bootstrap_servers,
            "may_create_topics": self._may_create,
        }


def parse_bootstrap_servers(text: str | None) -> list[str]:
    """The ``host:port`` entries of a comma-separated list; UsageError names the first bad one."""
    entries = [entry.strip() for entry in (text or "").split(",") if entry.strip()]
    for entry in entries:
        found = _HOST_PORT.fullmatch(entry)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise UsageError("not a host:port", where=f"bootstrap servers {text!r}, {entry!r}", fix=_EXAMPLE)
    if not entries:
        raise UsageError("an external broker needs its bootstrap servers", fix=_EXAMPLE)
    return entries


_EXAMPLE = (
    "give --eng5-bootstrap-servers HOST:PORT[,HOST:PORT...] (or KAFKA_BOOTSTRAP_SERVERS, or "
    "bootstrap_servers in the file of --eng5-kafka-config)"
)
