"""MQTT over TCP, with TLS or without: one protocol object of the loop per line."""

from __future__ import annotations

import asyncio
from typing import Final

from voltagora.hub.line import Line

CHUNK: Final = 64 * 1024
"""Bytes taken from one client before it is another's turn."""

_BUFFER: Final = memoryview(bytearray(CHUNK))
# Shared by all lines of the process: the loop fills it and calls `buffer_updated` at once.


class TcpLine(Line, asyncio.BufferedProtocol):
    """A socket whose bytes are the packets."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Say where bytes are to be put."""
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes have come."""
        assert self._connection is not None
        self._connection.receive(bytes(_BUFFER[:nbytes]))

    def send(self, data: bytes) -> None:
        """Send bytes."""
        assert self._transport is not None
        self._transport.write(data)
