"""Attacks the WebSocket line: any bytes, in pieces, before and after its opening.

An input is a number of pieces and the bytes. No exception gets out, what goes to the transport stops
when it is closed, a bystander is served, and in the end nothing is left behind.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hub" / "proof" / "stage"))

import driver

with driver.watched():
    from voltagora.hub.broker import Broker
    from voltagora.hub.clock import Clock
    from voltagora.hub.limits import Limits
    from voltagora.hub.rights import Everyone
    from voltagora.hub.websocket import WebSocketLine

OPENING = (
    b"GET /mqtt HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)
LIMITS = Limits(packet_bytes=2_000)
LONG = 10_000_000.0


class Wire(asyncio.Transport):
    """A transport that counts what is written, and does nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing."""

    def write(self, data: Any) -> None:
        self.written += len(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nothing."""

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing."""

    def resume_reading(self) -> None:
        """Nothing."""


def attack(data: bytes) -> None:
    """Play one input: its first byte says how long the pieces are and whether the line is open already."""
    if not data:
        return
    now = [1_000.0]
    broker = Broker(Everyone(), Clock(lambda: now[0], lambda: now[0]), lambda: "made", LIMITS)
    lines: set[Any] = set()
    line, wire = WebSocketLine(broker, lines, ()), Wire()
    line.connection_made(wire)
    if data[0] & 1:
        line.data_received(OPENING)
    size = (data[0] >> 1) + 1
    for at in range(1, len(data), size):
        if wire.closed:
            break
        line.data_received(data[at : at + size])
    line.connection_lost(None)
    for _ in range(2):
        now[0] += LONG
        broker.tick()
    assert not lines
    assert not broker.half_open
    assert len(broker.sessions) == 0
    assert broker.router.trie.size == 0
    assert broker.timers.next_due is None
    assert sum(broker.counters.closed.values()) == 1


def frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    """Write a masked frame, as a browser does."""
    size = len(payload)
    head = bytes((opcode | final << 7, 0x80 | (size if size < 126 else 126)))
    if size >= 126:
        head += struct.pack(">H", size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def seeds() -> list[bytes]:
    """Give openings, and frames with lawful conversations in them."""
    from seeds import connects, others

    found = [b"\xfe" + OPENING, b"\x06" + OPENING]
    closing = frame(8, struct.pack(">H", 1000) + b"bye")
    for hello in connects():
        for each in others():
            found.append(b"\xff" + frame(2, hello) + frame(2, each))
    hello, (ping, *_) = connects()[3], others()
    found.append(b"\xff" + frame(2, hello[:5], final=False) + frame(0, hello[5:]) + frame(9, b"x") + closing)
    found.append(b"\x05" + frame(2, hello + ping * 50) + frame(10, b"") + closing)
    found.append(b"\xff" + frame(1, b"text") + closing)
    return found


if __name__ == "__main__":
    driver.run(attack, seeds())
