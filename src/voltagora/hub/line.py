"""What every line has in common, whatever carries it: a socket on one side, a `Connection` on the other."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker
    from voltagora.hub.connection import Connection

LINGER_SECONDS: Final = 5.0
"""A client has this long to read the last words; then the line is cut."""


class Line(asyncio.BaseProtocol):
    """One client's line; a subclass takes its bytes and writes them."""

    __slots__ = ("_broker", "_connection", "_lines", "_transport")

    def __init__(self, broker: Broker, lines: set[Any]) -> None:
        self._broker = broker
        self._lines = lines
        self._connection: Connection | None = None
        self._transport: asyncio.Transport | None = None

    # Called by the loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has opened a line."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=self._broker.limits.unsent_bytes)
        self._lines.add(self)
        self._connection = self._broker.connect(self, address_of(transport))

    def eof_received(self) -> bool:
        """The client will say no more: the line is over."""
        return False

    def pause_writing(self) -> None:
        """The socket holds too much."""
        assert self._connection is not None
        self._connection.congested = True

    def resume_writing(self) -> None:
        """The socket has caught up."""
        assert self._connection is not None
        self._connection.flowing()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The line is gone."""
        self._lines.discard(self)
        self._lose()

    # Called by the connection.

    def send(self, data: bytes) -> None:
        """Send bytes."""
        raise NotImplementedError

    def close(self, *, abort: bool) -> None:
        """End the line, after what was sent or at once."""
        transport = self._transport
        if transport is None:
            return
        if abort:
            transport.abort()
            return
        self._say_goodbye()
        transport.close()
        self._broker.timers.at(self._broker.clock.monotonic() + LINGER_SECONDS, transport.abort)

    def pause_reading(self) -> None:
        """Take no more bytes for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take bytes again."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _say_goodbye(self) -> None:
        """Send what the carrier itself says at the end; nothing here."""

    def _lose(self) -> None:
        if self._connection is not None:
            self._connection.lost()
            self._broker.flush()


def address_of(transport: asyncio.BaseTransport) -> str:
    """Give the client's address for logs and back-off; the port is of no use there."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else "unknown"
