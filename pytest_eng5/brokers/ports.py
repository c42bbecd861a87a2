"""Free loopback ports, held until the broker has them."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Iterator

__all__ = ["LOOPBACK", "hold_port", "reserve_ports"]

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
        ports = [_bind(stack, 0) for _ in range(count)]
        if not sys.platform.startswith("linux"):
            stack.close()
        yield ports


@contextlib.contextmanager
def hold_port(port: int) -> Iterator[int]:
    """The same for a port known before; OSError when somebody has it.

    It also keeps clients that try to connect meanwhile from being given that very port for their own end.
    """
    with contextlib.ExitStack() as stack:
        _bind(stack, port)
        if not sys.platform.startswith("linux"):
            stack.close()
        yield port


def _bind(stack: contextlib.ExitStack, port: int) -> int:
    each = stack.enter_context(socket.socket())
    each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    each.bind((LOOPBACK, port))
    return int(each.getsockname()[1])
