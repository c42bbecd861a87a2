#!/opt/eng5/bin/python
"""One published port for all workers of a service: `forward.py PORT HOST:PORT` passes connections on.

The name is looked up for each connection, so those of a scaled service take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import socket
import sys


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to any of the addresses that answers."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = sorted({info[4][0] for info in found})
    random.shuffle(addresses)
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(addresses[-1], port)


async def forward(host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        there, to = await connect(host, port)
        try:
            await asyncio.gather(copy(reader, to), copy(there, writer))
        finally:
            to.close()
    except OSError as error:
        print(f"{host}:{port}: {error}", file=sys.stderr, flush=True)
    finally:
        writer.close()


async def main() -> None:
    port, (host, _, target) = int(sys.argv[1]), sys.argv[2].rpartition(":")
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await asyncio.start_server(lambda reader, writer: forward(host, int(target), reader, writer), None, port)
    await over.wait()


if __name__ == "__main__":
    asyncio.run(main())
