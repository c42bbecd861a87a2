"""A TCP proxy in front of a broker that knows where Kafka's messages begin and end.

It can lose everything both ways while all connections stay open (a partition of the network), hold it back
and deliver it later, end connections, and let a test look at each request and response, change it or lose it.
A connection that has lost bytes never works again, as behind a firewall that forgot it.

Kafka clients connect to the address that the broker advertises, so the proxy puts its own port in the place
of the broker's wherever an answer names it. Clients that know the broker's own port go past the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["API_VERSIONS", "FETCH", "INIT_PRODUCER_ID", "PRODUCE", "KafkaProxy"]

PRODUCE, FETCH, METADATA, FIND_COORDINATOR, API_VERSIONS, INIT_PRODUCER_ID = 0, 1, 3, 10, 18, 22
_CHUNK = 1 << 16

Hook = Callable[[int, bytes], bytes | None]
Look = Callable[[bytes], bytes | None]


class KafkaProxy:
    """Listens on a free port of 127.0.0.1 in a thread of its own.

    Args:
        target: Port of the broker's own listener on 127.0.0.1; may be set later.

    Attributes:
        on_request: Called with API key and frame (without its length); returns what goes on, or ``None``.
        on_response: The same for what comes back.
    """

    def __init__(self, target: int | None = None) -> None:
        self.target = target
        self.on_request: Hook = lambda _, frame: frame
        self.on_response: Hook = lambda _, frame: frame
        self.bytes_to_clients = 0
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._losing = False
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def lose(self) -> None:
        """From now on nothing arrives on either side; every connection stays open, new ones are accepted."""
        self._call(self._set(losing=True, flowing=True))

    def hold(self) -> None:
        """From now on nothing arrives, but nothing is lost either."""
        self._call(self._set(losing=False, flowing=False))

    def heal(self) -> None:
        """New connections work, and so do those that have lost nothing."""
        self._call(self._set(losing=False, flowing=True))

    def cut(self) -> None:
        """End all connections."""
        self._call(self._cut())

    def close(self) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _listen(self) -> asyncio.Server:
        self._flowing.set()
        return await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def _set(self, *, losing: bool, flowing: bool) -> None:
        self._losing = losing
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()
        for link in self._links if losing else ():
            link.deaf = True

    async def _cut(self) -> None:
        for link in list(self._links):
            link.end()

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(self, writer, deaf=self._losing)
        self._links.add(link)
        try:
            await link.run(reader)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._links.discard(link)
            link.end()


def _endpoint(port: int | None) -> bytes:
    return b"127.0.0.1" + struct.pack(">i", port or 0)


class _Link:
    """One connection of a client and the one to the broker that belongs to it."""

    def __init__(self, proxy: KafkaProxy, client: asyncio.StreamWriter, *, deaf: bool) -> None:
        self.proxy, self.client, self.deaf = proxy, client, deaf
        self.broker: asyncio.StreamWriter | None = None
        self.pending: dict[int, int] = {}

    def end(self) -> None:
        for writer in (self.client, self.broker):
            if writer is not None:
                with contextlib.suppress(OSError, RuntimeError):
                    writer.transport.abort()

    async def run(self, reader: asyncio.StreamReader) -> None:
        if self.deaf:
            while await reader.read(_CHUNK):
                pass
            return
        answers, self.broker = await asyncio.open_connection("127.0.0.1", self.proxy.target)
        ways = [
            asyncio.create_task(self._pump(reader, self.broker, self._request)),
            asyncio.create_task(self._pump(answers, self.client, self._response)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Look) -> None:
        while True:
            size = struct.unpack(">i", await reader.readexactly(4))[0]
            frame = look(await reader.readexactly(size))
            await self.proxy._flowing.wait()
            if frame is None or self.deaf:
                continue
            writer.write(struct.pack(">i", len(frame)) + frame)
            await writer.drain()

    def _request(self, frame: bytes) -> bytes | None:
        key, _, correlation = struct.unpack_from(">hhi", frame)
        self.pending[correlation] = key
        return self.proxy.on_request(key, frame)

    def _response(self, frame: bytes) -> bytes | None:
        self.proxy.bytes_to_clients += len(frame)
        key = self.pending.pop(struct.unpack_from(">i", frame)[0], -1)
        if key in (METADATA, FIND_COORDINATOR):
            frame = frame.replace(_endpoint(self.proxy.target), _endpoint(self.proxy.port))
        return self.proxy.on_response(key, frame)
