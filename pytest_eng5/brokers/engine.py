"""The container engine: reach it, have an image, and say what is in the way in words of our own.

Imports of docker and testcontainers are lazy: both come with the extra ``container`` only.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_eng5.brokers.errors import BrokerError
from pytest_eng5.brokers.ports import LOOPBACK

__all__ = [
    "ContainerImageMissing",
    "ContainerImageUnusable",
    "ContainerSupportMissing",
    "NoContainerEngine",
    "client_host",
    "connect",
    "full_image_name",
    "has_image",
    "have_image",
    "remove_container",
    "require_packages",
    "unusable",
]

_CONFLICT = 409
_FIRST_ANSWER_SECONDS = 10
_PATIENCE_SECONDS = 600  # an engine that copies whole layers (vfs) takes minutes for a large image
_REPORT_SECONDS = 5.0
_DEFAULT_SOCKET = "unix:///var/run/docker.sock"
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1", "localhost.localdomain"})
_OTHER_WAYS = (
    "or use --eng5-broker embedded, which needs no engine, or a running Kafka with "
    "--eng5-broker external --eng5-bootstrap-servers HOST:PORT"
)


class ContainerSupportMissing(BrokerError):
    """The Python packages that talk to a container engine are not installed."""


class NoContainerEngine(BrokerError):
    """No container engine is installed, running, or willing to talk to this user."""


class ContainerImageMissing(BrokerError):
    """The image is not on the engine and its registry does not give it."""


class ContainerImageUnusable(BrokerError):
    """The image is there but cannot be run as a Kafka."""


def require_packages() -> None:
    """Raise ContainerSupportMissing unless docker and testcontainers can be imported."""
    missing = [name for name in ("docker", "testcontainers") if importlib.util.find_spec(name) is None]
    if missing:
        raise ContainerSupportMissing(
            f"a container needs the Python packages {' and '.join(missing)}, which are not installed",
            fix=f"pip install 'pytest-eng5[container]'; {_OTHER_WAYS}",
        )


def connect() -> Any:
    """The engine of ``DOCKER_HOST``, else of the current context, else of this machine.

    Raises:
        NoContainerEngine: Saying which of the many reasons it is.
    """
    from docker.errors import DockerException
    from testcontainers.core.docker_client import DockerClient

    try:
        client = DockerClient(timeout=_FIRST_ANSWER_SECONDS)
    except (DockerException, OSError, ValueError) as error:
        raise _no_engine(error) from error
    client.client.api.timeout = _PATIENCE_SECONDS
    return client


def _address() -> str:
    from testcontainers.core.docker_client import get_docker_host

    return get_docker_host() or _DEFAULT_SOCKET


def _no_engine(error: Exception) -> NoContainerEngine:
    address = _address()
    cause = _system_error(error)
    what, fix = _explained(address, cause.errno if cause else None, error)
    return NoContainerEngine(what, where=address, fix=f"{fix}; {_OTHER_WAYS}")


def _explained(address: str, number: int | None, error: Exception) -> tuple[str, str]:
    """What is the matter with the engine at this address, and what to do about it."""
    local = address.startswith("unix://")
    start = "start it (`sudo systemctl start docker`, or Docker Desktop)"
    if number == errno.ENOENT and local:
        if shutil.which("docker") or shutil.which("dockerd") or shutil.which("podman"):
            return "the container engine is not running: its socket does not exist", start
        return (
            "there is no container engine on this machine",
            "install Docker (https://docs.docker.com/engine/install/), or set DOCKER_HOST to another machine",
        )
    if number == errno.ECONNREFUSED:
        return "the container engine is not running: nobody listens at its address", start
    if number in (errno.EACCES, errno.EPERM) and local:
        group = _group_of(address)
        return (
            "this user has no permission to use the container engine",
            f"`sudo usermod -aG {group} $USER` and log in anew, or use a rootless engine and set DOCKER_HOST",
        )
    told = str(error).splitlines()[-1] if str(error) else type(error).__name__
    return (
        f"the container engine does not answer: {told}",
        "check DOCKER_HOST, DOCKER_TLS_VERIFY and `docker context ls`",
    )


def _group_of(address: str) -> str:
    try:
        return Path(address.removeprefix("unix://")).group()
    except (KeyError, OSError):
        return "docker"


def _system_error(error: BaseException) -> OSError | None:
    """The error of the operating system that requests, urllib3 and docker have wrapped."""
    waiting, seen = [error], set[int]()
    while waiting:
        now = waiting.pop(0)
        if id(now) in seen:
            continue
        seen.add(id(now))
        if isinstance(now, OSError) and now.errno is not None:
            return now
        linked = (now.__cause__, now.__context__, getattr(now, "reason", None), *now.args)
        waiting += [each for each in linked if isinstance(each, BaseException)]
    return None


def client_host(client: Any) -> str | None:
    """The host under which clients here reach published ports; None if only a started container can tell.

    A process inside a container may have the engine's socket mounted (the engine is outside, and so are the
    published ports) or run an engine of its own (they are on its loopback): what tells them apart is whether
    the engine has our host name.
    """
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.utils import inside_container

    if testcontainers_config.tc_host_override:
        return testcontainers_config.tc_host_override
    if not _address().startswith("unix://"):
        host = str(client.host())
        return LOOPBACK if host in _LOCAL_NAMES else host
    if not inside_container() or client.client.info().get("Name") == socket.gethostname():
        return LOOPBACK
    return None


def full_image_name(image: str) -> str:
    """With the prefix that ``TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX`` asks for."""
    from testcontainers.core.config import testcontainers_config

    return f"{testcontainers_config.hub_image_name_prefix}{image}"


def has_image(client: Any, image: str) -> bool:
    """Whether the image is on the engine already."""
    from docker.errors import APIError, NotFound

    try:
        client.client.api.inspect_image(image)
    except NotFound:
        return False
    except APIError as error:
        raise unusable(image, error) from error
    return True


def have_image(client: Any, image: str, report: Callable[[str], None]) -> bool:
    """Make sure that the engine has the image; True if it had to be pulled.

    Raises:
        ContainerImageMissing: With what the registry said.
        ContainerImageUnusable: It is not the name of an image.
    """
    from docker.errors import APIError

    if has_image(client, image):
        return False
    report(f"pulling the image {image} (once)")
    try:
        for line in _reported(client.client.api.pull(image, stream=True, decode=True), image, report):
            if "error" in line:
                raise _missing(image, str(line["error"]))
    except APIError as error:
        raise _missing(image, _words(error)) from error
    return True


def _reported(
    lines: Iterable[Mapping[str, Any]], image: str, report: Callable[[str], None]
) -> Iterator[Mapping[str, Any]]:
    """Pass the lines of a pull on, and say now and then how far it is."""
    layers: dict[str, tuple[int, int]] = {}
    told = time.monotonic()
    for line in lines:
        detail = line.get("progressDetail") or {}
        if line.get("status") == "Downloading" and detail.get("total"):
            layers[line["id"]] = (detail["current"], detail["total"])
        if time.monotonic() - told > _REPORT_SECONDS:
            told = time.monotonic()
            done = sum(current for current, _ in layers.values()) / 1e6
            whole = sum(total for _, total in layers.values()) / 1e6
            report(f"pulling the image {image}: {done:.0f} of {whole:.0f} MB")
        yield line


def _missing(image: str, words: str) -> ContainerImageMissing:
    return ContainerImageMissing(
        f"the image is not on the engine and cannot be pulled: {words}",
        where=image,
        fix=f"`docker pull {image}` where there is a network (a private registry: `docker login`), or choose "
        f"another with --eng5-kafka-image; {_OTHER_WAYS}",
    )


def unusable(image: str, error: Exception) -> ContainerImageUnusable:
    """The error for an image from which the engine makes no running container."""
    return ContainerImageUnusable(
        f"the engine cannot run the image: {_words(error)}",
        where=image,
        fix="use apache/kafka-native, apache/kafka or one made like them with --eng5-kafka-image; "
        f"{_OTHER_WAYS}",
    )


def remove_container(client: Any, name: str) -> None:
    """Take a container away with its data, running or not; harmless if there is none."""
    from docker.errors import APIError, NotFound

    with contextlib.suppress(NotFound):
        container = client.client.containers.get(name)
        try:
            container.remove(force=True, v=True)
        except APIError as error:
            if error.status_code != _CONFLICT:  # somebody else removes it right now
                raise


def _words(error: Exception) -> str:
    """What the engine or the registry itself said."""
    return str(getattr(error, "explanation", None) or error).strip()
