"""From options to a broker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_eng5.brokers.container import ContainerBroker
from pytest_eng5.brokers.embedded import EmbeddedBroker
from pytest_eng5.brokers.external import ExternalBroker
from pytest_eng5.brokers.model import KINDS, Broker, BrokerKind, BrokerOptions
from pytest_eng5.errors import UsageError

__all__ = ["attach", "create_broker", "resolve_kind"]


def resolve_kind(kind: str | None, bootstrap_servers: str | None) -> BrokerKind:
    """``auto`` (or None) means external if bootstrap servers are given, else embedded; a kind named wins.

    Raises:
        UsageError: Not a kind.
    """
    if kind in (None, "", "auto"):
        return "external" if bootstrap_servers else "embedded"
    for known in KINDS:
        if kind == known:
            return known
    raise UsageError(f"no broker is called {kind!r}", fix=f"use one of auto, {', '.join(KINDS)}")


def create_broker(options: BrokerOptions) -> Broker:
    """The broker that the options ask for, not yet started.

    Raises:
        UsageError: The options do not fit together.
    """
    kind = resolve_kind(options.kind, options.bootstrap_servers)
    if kind == "external":
        return ExternalBroker(options)
    return EmbeddedBroker(options) if kind == "embedded" else ContainerBroker(options)


def attach(record: Mapping[str, Any], options: BrokerOptions | None = None) -> Broker:
    """The broker that another process started, from its `record`; whoever attaches may stop it.

    Args:
        record: What ``broker.record()`` returned.
        options: The source of what a record never holds: of an external broker the client options, of an
            embedded one its security.
    """
    if record["kind"] == "embedded":
        return EmbeddedBroker.attach(record, options)
    if record["kind"] == "container":
        return ContainerBroker.attach(record)
    if record["kind"] != "external":
        raise UsageError(f"no broker of kind {record['kind']!r} can be attached")
    return ExternalBroker(
        BrokerOptions(
            kind="external",
            bootstrap_servers=record["bootstrap_servers"],
            client_options=options.client_options if options else {},
            may_create_topics=bool(record["may_create_topics"]),
        )
    )
