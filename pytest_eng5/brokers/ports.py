"""Free loopback ports, held until the broker has them."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

__all__ = ["LOOPBACK", "can_be_bound", "reserve_ports"]

LOOPBACK = "127.0.0.1"


@contextlib.contextmanager
def reserve_ports(count: int) -> Iterator[list[int]]:
    """``count`` free ports of 127.0.0.1, kept from other processes while the block runs.

    A port found free and let go can be given to anybody before the broker binds it. On Linux the sockets
    therefore stay bound, with ``SO_REUSEADDR`` and without listening: the kernel hands such a port to nobody
    who asks for "any", yet a server that binds it by number with the same flag, as Java does, gets it.
    Elsewhere the flag does not work this way and the ports are let go at once.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind((LOOPBACK, 0))
        ports = [each.getsockname()[1] for each in sockets]
        if not sys.platform.startswith("linux"):
            stack.close()
        yield ports


def can_be_bound(port: int) -> bool:
    """Whether nobody listens on that port of 127.0.0.1 right now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
