"""What runs inside the project's own image of Kafka: the part of apache/kafka's interface that others use.

``python -m pytest_eng5.brokers.image`` is behind ``/etc/kafka/docker/run`` there. As in apache/kafka, a
variable ``KAFKA_X_Y`` is the property ``x.y`` (three underscores are a dash, two are an underscore),
``/mnt/shared/config/server.properties`` comes before the variables, ``CLUSTER_ID`` names the cluster,
``KAFKA_HEAP_OPTS`` and ``KAFKA_OPTS`` are flags of the runtime, and without any setting it is a single node
for clients on localhost:9092.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_eng5.brokers.aot import StartupCache
from pytest_eng5.brokers.errors import BrokerStopped
from pytest_eng5.brokers.jars import fetched_jars
from pytest_eng5.brokers.java import find_java
from pytest_eng5.brokers.server import java_command, java_environment, server_properties, write_properties
from pytest_eng5.errors import Eng5Error

__all__ = ["main", "properties_of", "write_settings"]

_MOUNTED = Path("/mnt/shared/config/server.properties")
_DATA = "/tmp/kafka-logs"  # Kafka's own default, also in the images of Apache
_DEFAULT_CLUSTER = "5L6g3nShT-eMCtK--X86sw"
# Settings of the scripts of apache/kafka, not of the broker.
_NOT_PROPERTIES = frozenset(
    {
        *("KAFKA_VERSION", "KAFKA_HEAP_OPTS", "KAFKA_OPTS", "KAFKA_JMX_OPTS", "KAFKA_JMX_PORT"),
        *("KAFKA_JMX_HOSTNAME", "KAFKA_GC_LOG_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_LOG4J_OPTS"),
        *("KAFKA_LOG4J_CMD_OPTS", "KAFKA_LOG4J_LOGGERS", "KAFKA_LOG4J_ROOT_LOGLEVEL"),
        "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    }
)


def properties_of(environment: Mapping[str, str]) -> dict[str, str]:
    """The broker's properties that the variables of a container stand for."""
    return {
        _property(name): value
        for name, value in sorted(environment.items())
        if name.startswith("KAFKA_") and name not in _NOT_PROPERTIES
    }


def _property(variable: str) -> str:
    name = variable.removeprefix("KAFKA_").lower().replace("_", ".")
    return name.replace("...", "-").replace("..", "_")


def write_settings(path: Path, environment: Mapping[str, str], mounted: str = "") -> None:
    """Write the broker's ``server.properties``.

    Args:
        path: The file.
        environment: Variables of the container.
        mounted: Properties that come before them; the last one of a name counts.
    """
    given = properties_of(environment)
    if not given and not mounted.strip():
        given = server_properties(_DATA, 9092, 9093) | {
            "listeners": "PLAINTEXT://:9092,CONTROLLER://localhost:9093",
            "advertised.listeners": "PLAINTEXT://localhost:9092",
        }
    write_properties(path, given)
    path.write_text(f"{mounted.rstrip()}\n{path.read_text('ascii')}".lstrip(), encoding="utf-8")


def _format(command: Sequence[str]) -> None:
    """Make the data folder of a cluster, unless it is one."""
    answer = subprocess.run(
        command,
        env=java_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if answer.returncode:
        words = "\n".join(line for line in answer.stdout.splitlines() if not line.startswith("\tat "))
        raise BrokerStopped(
            f"Kafka's StorageTool failed (exit {answer.returncode}):\n{words}",
            fix="check the KAFKA_* variables and CLUSTER_ID",
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Write the settings, format the storage, become Kafka; arguments are variables, ``NAME=value``."""
    arguments = sys.argv[1:] if argv is None else argv
    environment = os.environ | dict(argument.split("=", 1) for argument in arguments if "=" in argument)
    folder = Path(tempfile.mkdtemp(prefix="eng5-kafka-"))
    properties = folder / "server.properties"
    mounted = _MOUNTED.read_text(encoding="utf-8") if _MOUNTED.exists() else ""
    write_settings(properties, environment, mounted)
    java, jars = find_java(), fetched_jars(print)
    cache = StartupCache.of(java, jars)
    flags = [*(cache.use_flags() if cache.ready else ()), *_flags(environment)]
    cluster = environment.get("CLUSTER_ID", _DEFAULT_CLUSTER)
    tool = ["kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", cluster, "-c", str(properties)]
    _format(java_command(java, jars, tool, flags))
    command = java_command(java, jars, ["kafka.Kafka", str(properties)], flags)
    os.execve(command[0], command, java_environment())


def _flags(environment: Mapping[str, str]) -> list[str]:
    return [*environment.get("KAFKA_HEAP_OPTS", "").split(), *environment.get("KAFKA_OPTS", "").split()]


if __name__ == "__main__":
    try:
        main()
    except Eng5Error as error:
        sys.exit(str(error))
