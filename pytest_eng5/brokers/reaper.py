"""Testcontainers' reaper (Ryuk): a container that removes others once a connection to it is gone.

Started here and not by testcontainers, which would publish the reaper's port on every address of the machine.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

from pytest_eng5.brokers.engine import full_image_name, has_image, have_image

__all__ = ["Reaper"]

_PORT = 8080
_START_SECONDS = 20.0
_ANSWER_SECONDS = 2.0
_RETRY_SECONDS = 0.1


class Reaper:
    """A reaper that is told to take the containers of this process away.

    Args:
        container: It, running.
        line: The connection whose end it waits for.
    """

    def __init__(self, container: Any, line: socket.socket) -> None:
        self._container = container
        self._line = line

    @classmethod
    def start(
        cls, client: Any, host: str | None, address: str, *, pull: bool, report: Callable[[str], None]
    ) -> Reaper | None:
        """A reaper, or None if it is switched off or its image is not on the engine.

        Args:
            client: testcontainers' client of the engine.
            host: Where clients reach published ports; None to ask testcontainers.
            address: Address of the engine's machine to publish its port on.
            pull: Fetch its image if it is missing, as the registry has just been reached.
            report: Told about a pull.
        """
        from testcontainers.core.config import testcontainers_config as config

        wanted = not config.ryuk_disabled
        config.ryuk_disabled = True  # from here on testcontainers starts none of its own
        image = full_image_name(config.ryuk_image)
        if not wanted or not (pull or has_image(client, image)):
            return None
        have_image(client, image, report)
        container = _container(config, address).start()
        try:
            where = host or container.get_container_host_ip()
            port = int(client.port(container.get_container_id(), _PORT))
            return cls(container, _ordered(where, port))
        except BaseException:
            container.stop()
            raise

    def stop(self) -> None:
        """End it; there is nothing left for it to do."""
        self._line.close()
        with contextlib.suppress(Exception):  # it may have ended itself
            self._container.stop()


def _container(config: Any, address: str) -> Any:
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(config.ryuk_image)
    ports: dict[str, Any] = container.ports  # an address with a port is the form that docker takes
    ports[f"{_PORT}/tcp"] = (address, None)
    container.with_volume_mapping(config.ryuk_docker_socket, "/var/run/docker.sock", "rw")
    container.with_env("RYUK_RECONNECTION_TIMEOUT", config.ryuk_reconnection_timeout)
    return container.with_kwargs(privileged=config.ryuk_privileged, auto_remove=True)


def _ordered(host: str, port: int) -> socket.socket:
    """A connection over which the reaper has acknowledged what to take away when it is gone."""
    from testcontainers.core.labels import LABEL_SESSION_ID, SESSION_ID

    order = f"label={LABEL_SESSION_ID}={SESSION_ID}\n".encode()
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            line = socket.create_connection((host, port), _ANSWER_SECONDS)
            line.sendall(order)
            if line.recv(16).startswith(b"ACK"):
                return line
            line.close()
            why = OSError("the reaper does not acknowledge its order")
        except OSError as error:  # the engine's proxy accepts connections before the reaper does
            why = error
        if time.monotonic() > deadline:
            raise why
        time.sleep(_RETRY_SECONDS)
