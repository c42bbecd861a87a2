"""One KRaft node: its properties, its formatted storage, its command line."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_eng5.brokers.cache import CACHE_VARIABLE, clear_disk_errors, exclusive
from pytest_eng5.brokers.errors import OTHER_WAYS, BrokerError, BrokerStopped
from pytest_eng5.brokers.jars import KafkaJars
from pytest_eng5.brokers.java import Java
from pytest_eng5.brokers.ports import LOOPBACK
from pytest_eng5.errors import UsageError

__all__ = [
    "JVM_FLAGS",
    "check_overrides",
    "class_path_text",
    "format_storage",
    "java_command",
    "java_environment",
    "server_properties",
    "write_properties",
]

JVM_FLAGS = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""Measured on two cores: 310 MB resident, half the start of the default flags."""

_JAVA_VARIABLES = (
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JDK_AOT_VM_OPTIONS",
    "_JAVA_OPTIONS",
)
_NODE_ID = 1
_DECIDED = {
    *("process.roles", "node.id", "broker.id", "log.dir", "log.dirs", "metadata.log.dir"),
    *("listeners", "advertised.listeners", "listener.security.protocol.map", "inter.broker.listener.name"),
    *("controller.listener.names", "controller.quorum.voters", "controller.quorum.bootstrap.servers"),
}
_FORMAT_SECONDS = 120.0
_LOG_LEVEL = "warn"


def check_overrides(properties: Mapping[str, str]) -> None:
    """Refuse overrides of what makes the node this one: its address, its folder, its parts.

    Raises:
        UsageError: Naming the properties.
    """
    refused = sorted(set(properties) & _DECIDED)
    if refused:
        raise UsageError(
            f"the embedded broker decides {', '.join(refused)} itself",
            fix="leave it out; port, data_dir and security are options of their own",
        )


def server_properties(
    data_dir: str, broker_port: int, controller_port: int, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The properties of a node that is broker and controller at once.

    Production defaults but for what one node forces (every replication factor 1) and what a session of
    tests needs: no topic appears unasked, records do not expire, a consumer group does not wait for company.

    Args:
        data_dir: Folder of the records; may be relative to the broker's working folder.
        broker_port: Port of the clients' listener on 127.0.0.1.
        controller_port: Port of the controller's listener on 127.0.0.1.
        overrides: Properties to add or replace.
    """
    clients = f"PLAINTEXT://{LOOPBACK}:{broker_port}"
    return {
        "process.roles": "broker,controller",
        "node.id": str(_NODE_ID),
        "controller.quorum.voters": f"{_NODE_ID}@{LOOPBACK}:{controller_port}",
        "listeners": f"{clients},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": clients,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": data_dir,
        "auto.create.topics.enable": "false",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        "group.initial.rebalance.delay.ms": "0",
        # An event may carry a timestamp of long ago; evidence must not expire for that.
        "log.retention.ms": "-1",
        "log.cleaner.dedupe.buffer.size": "16777216",
        **(overrides or {}),
    }


def write_properties(path: Path, properties: Mapping[str, str]) -> Path:
    """Write a ``.properties`` file: backslashes doubled, whatever is not ASCII as a Unicode escape."""
    lines = [f"{key}={_escaped(value)}\n" for key, value in properties.items()]
    path.touch(mode=0o600)  # it may hold passwords
    path.write_text("".join(lines), encoding="ascii")
    return path


def _escaped(value: str) -> str:
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if 32 <= code < 127 else f"\\u{code:04x}" for code in codes)


def class_path_text(jars: KafkaJars) -> str:
    """The class path as Java wants it: every jar by name, since an AOT cache refuses wildcards."""
    for path in jars.class_path:
        if os.pathsep in str(path):
            raise BrokerError(
                f"Java cannot use a jar whose path holds {os.pathsep!r}",
                where=str(path),
                fix=f"choose another cache folder with the environment variable {CACHE_VARIABLE}",
            )
    return os.pathsep.join(str(path) for path in jars.class_path)


def java_environment() -> dict[str, str]:
    """This process's environment without what would change the broker's flags, in a UTF-8 locale.

    In another locale Java cannot open files whose names are not ASCII.
    """
    environment = {key: value for key, value in os.environ.items() if key not in _JAVA_VARIABLES}
    locale = next((environment[key] for key in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(key)), "")
    if not re.search(r"utf-?8", locale, re.IGNORECASE):
        environment["LC_ALL"] = "C.UTF-8"
    return environment


def java_command(
    java: Java, jars: KafkaJars, arguments: Sequence[str], extra_flags: Sequence[str] = ()
) -> list[str]:
    """The command line of a program in the jars; it logs warnings and errors to standard error."""
    return [
        str(java.binary),
        *JVM_FLAGS,
        *extra_flags,
        *_log_flags(),
        "-cp",
        class_path_text(jars),
        *arguments,
    ]


def _log_flags() -> list[str]:
    """For slf4j-simple, which the fetched jars hold, and for log4j2, which a distribution brings along."""
    return [
        f"-Dorg.slf4j.simpleLogger.defaultLogLevel={_LOG_LEVEL}",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        f"-Dlog4j2.level={_LOG_LEVEL}",
        # The runtime's own warnings go to standard output and are about its cache; errors stay.
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
    ]


def format_storage(java: Java, jars: KafkaJars, data_dir: Path) -> None:
    """Make ``data_dir`` the storage of a fresh one-node cluster.

    What Kafka's own ``StorageTool format`` writes for a node with a fixed quorum is one file with the initial
    feature levels, the same for each cluster of a version, and one with random ids. So the tool runs once
    per version (0.9 s) and its first file is kept; the second is three lines of text with fresh ids.
    """
    with clear_disk_errors(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        _copy_template(java, jars, data_dir / "bootstrap.checkpoint")
        ids = {
            "version": "1",
            "node.id": str(_NODE_ID),
            "cluster.id": _kafka_id(),
            "directory.id": _kafka_id(),
        }
        write_properties(data_dir / "meta.properties", ids)


def _copy_template(java: Java, jars: KafkaJars, target: Path) -> None:
    template = jars.cache / "format" / target.name
    if not template.exists():
        if jars.cache.is_dir() and not os.access(jars.cache, os.W_OK):
            _run_storage_tool(java, jars, target)  # nothing can be kept for later
            return
        with exclusive(jars.cache):
            if not template.exists():
                _run_storage_tool(java, jars, template)
    shutil.copyfile(template, target)


def _kafka_id() -> str:
    """A random id as Kafka writes it: 128 bits, URL-safe base64, no padding, no leading dash."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


def _run_storage_tool(java: Java, jars: KafkaJars, target: Path) -> None:
    """Let Kafka format a storage somewhere and put its file of feature levels at ``target``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="format-", dir=target.parent) as folder:
        # The ports are only written down here; nothing listens.
        write_properties(Path(folder) / "properties", server_properties("data", 9092, 9093))
        _check_format(_format_command(java, jars), Path(folder), jars)
        (Path(folder) / "data" / target.name).replace(target)


def _format_command(java: Java, jars: KafkaJars) -> list[str]:
    return java_command(
        java, jars, ["kafka.tools.StorageTool", "format", "-t", _kafka_id(), "-c", "properties"]
    )


def _check_format(command: Sequence[str], folder: Path, jars: KafkaJars) -> None:
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=java_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_FORMAT_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerStopped(
            f"Kafka's StorageTool did not end within {_FORMAT_SECONDS:g} s", where=str(jars.origin)
        ) from error
    except subprocess.CalledProcessError as error:
        raise BrokerStopped(
            f"Kafka's StorageTool failed (exit {error.returncode}):\n{error.stdout.strip()[-2000:]}",
            where=str(jars.origin),
            fix=OTHER_WAYS,
        ) from error
