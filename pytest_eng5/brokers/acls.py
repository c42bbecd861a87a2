"""What an account lacks, in words and as commands that whoever runs the broker can paste."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_eng5.brokers.errors import AccessDenied
from pytest_eng5.brokers.model import BrokerConnection

__all__ = ["Lack"]

_NAMELESS = "NAME_IN_THE_CERTIFICATE"


@dataclass(slots=True)
class Lack:
    """What is missing, in the order in which it was found.

    Attributes:
        topics: Topics that do not exist.
        hidden: Topics that the account may not even see.
        rights: By operation and kind of resource, the names of the resources.
    """

    topics: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    rights: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def right(self, operation: str, resource: str, *names: str) -> None:
        """Note an operation that is not allowed, in Kafka's spelling, on a topic, group or the cluster."""
        self.rights.setdefault((operation, resource), []).extend(names)

    def error(self, connection: BrokerConnection, group_prefix: str | None = None) -> AccessDenied:
        """The error for missing rights; names what else is missing too.

        Args:
            connection: The broker, with the account.
            group_prefix: Advise a rule for all groups whose names begin so.
        """
        user = connection.client_options.get("sasl_plain_username")
        told = [_told(*right, names) for right, names in self.rights.items()]
        what = f"{f'the account {user!r}' if user else 'this client'} may not {'; nor '.join(told)}"
        if self.hidden:
            what += f". It cannot even see {', '.join(self.hidden)}: there may be no such topic either"
        if self.topics:
            what += f". Missing altogether: {', '.join(self.topics)}"
        start = ["kafka-acls.sh", "--bootstrap-server", connection.bootstrap_servers, "--add"]
        start += ["--allow-principal", f"User:{user or _NAMELESS}"]
        commands = [
            shlex.join([*start, "--operation", operation, *_on(resource, names, group_prefix)])
            for (operation, resource), names in self.rights.items()
        ]
        whose = "whoever runs the broker can allow it, with a --command-config of theirs:"
        return AccessDenied(what, where=connection.bootstrap_servers, fix="\n    ".join([whose, *commands]))


def _told(operation: str, resource: str, names: Sequence[str]) -> str:
    if resource == "cluster":
        return f"use an idempotent producer ({operation} on the cluster)"
    return f"{operation} {resource}{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _on(resource: str, names: Sequence[str], group_prefix: str | None) -> list[str]:
    if resource == "cluster":
        return ["--cluster"]
    if resource == "group" and group_prefix is not None:
        return ["--group", group_prefix, "--resource-pattern-type", "prefixed"]
    return [word for name in names for word in (f"--{resource}", name)]
