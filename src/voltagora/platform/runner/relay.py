"""The one way out of a sandbox: connections to its door, carried to the broker or the package index."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine
from typing import Final, Protocol
from urllib.parse import urlsplit

_PIECE: Final = 64 * 1024
_HEAD: Final = 16 * 1024
_HEAD_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 10.0

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way(Protocol):
    """Where a connection is carried."""

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Line | None:
        """Connect for one who knocked; None: it may not, and was told if there is a way to tell."""


class ToBroker:
    """Always the same address, which may change between two connections."""

    def __init__(self, host: str, port: int, source_address: str) -> None:
        self.host, self.port = host, port
        self._source = source_address

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Line | None:  # noqa: ARG002
        """Connect to the broker, from an address of the service's own where the broker is on loopback."""
        source = (self._source, 0) if self._source and self.host.startswith("127.") else None
        return await asyncio.open_connection(self.host, self.port, local_addr=source)


class ToIndex:
    """A proxy of HTTP that reaches the hosts of the package index and nothing else."""

    def __init__(self, hosts: list[str], tell: Callable[[str], None]) -> None:
        self._hosts = frozenset(hosts)
        self._tell = tell

    async def open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Line | None:
        """Read what is asked for, and connect if that is the index."""
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _HEAD_SECONDS)
        first, _, rest = head.partition(b"\r\n")
        words = first.decode("ascii", "replace").split(" ")
        if len(words) != 3:
            return None
        method, target, version = words
        tunnel = method == "CONNECT"
        parts = urlsplit(f"//{target}" if tunnel else target)
        try:
            host, port = (parts.hostname or ""), parts.port or (443 if tunnel else 80)
        except ValueError:
            return None
        if f"{host}:{port}" not in self._hosts or (not tunnel and parts.scheme != "http"):
            self._tell(f"The build asked for {host[:200]}:{port}, which is not the package index: refused.\n")
            writer.write(b"HTTP/1.1 403 Only the package index is reached\r\nConnection: close\r\n\r\n")
            return None
        line = await asyncio.open_connection(host, port)
        if tunnel:
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            path = parts.path or "/"
            path = f"{path}?{parts.query}" if parts.query else path
            line[1].write(f"{method} {path} {version}\r\n".encode() + rest)
        return line


class Relay:
    """Carries connections from a sandbox's door.

    Args:
        way: where to.
        most: connections at once; more are closed at once.
        changed: told how many are carried, at each change.
    """

    def __init__(self, way: Way, most: int, changed: Callable[[int], None]) -> None:
        self._way = way
        self._most = most
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()
        self._carried = 0
        self._server: asyncio.Server | None = None

    async def listen(self, door: socket.socket) -> None:
        """Carry what comes through a door from now on."""
        door.setblocking(False)
        self._server = await asyncio.start_server(self._carry, sock=door, limit=_HEAD)

    async def close(self) -> None:
        """Close the door and all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= self._most:
            writer.close()
            return
        self._tasks.add(task)
        writers = [writer]
        try:
            async with asyncio.timeout(_CONNECT_SECONDS + _HEAD_SECONDS):
                line = await self._way.open(reader, writer)
            if line is not None:
                writers.append(line[1])
                # Who only knocked is not counted as connected.
                self._count(+1)
                await _first_of(_pump(reader, line[1]), _pump(line[0], writer))
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # Whatever went wrong with a line, closing it is all that can be said about it.
            pass
        finally:
            for each in writers:
                each.close()
            for each in writers:
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await each.wait_closed()
            self._tasks.discard(task)
            if len(writers) > 1:
                self._count(-1)

    def _count(self, more: int) -> None:
        self._carried += more
        self._changed(self._carried)


async def _first_of(*pumps: Coroutine[None, None, None]) -> None:
    """Carry until either side is done: a line of which one half is gone is of no use to MQTT."""
    tasks = [asyncio.ensure_future(each) for each in pumps]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
