"""Cuts what a socket gives into packets, without ever holding one that is too large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from voltagora.hub.wire import primitive

HEAD_BYTES: Final = 5 + 2 + 65_535 + 2
"""So much of a packet holds its topic and its identifier, whatever their size."""


class Frame(NamedTuple):
    """A packet: its first byte, and where in `data` its body stands."""

    first: int
    data: bytes
    at: int
    end: int
    is_whole: bool = True  # False: it was too large, and only its head was kept


class Frames:
    """Collects the bytes of one connection.

    A packet above the limit is read past: on MQTT 5 the broker is told the limit and sends none, 3.1.1
    has no word for it, and who closed the connection instead would be sent the same packet for ever.

    Args:
        largest: bytes of the largest packet that is kept whole.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = 0  # nothing can be read before so many bytes are here
        self._oversized: Frame | None = None
        self._to_skip = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what has come and give the packets that are complete.

        Raises:
            PacketError: a remaining length is malformed.
        """
        if self._oversized is not None:
            if self._to_skip > len(data):
                self._to_skip -= len(data)
                return
            frame, self._oversized = self._oversized, None
            data = data[self._to_skip :]
            yield frame
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return
        data = data if len(self._parts) == 1 else b"".join(self._parts)
        yield from self._cut(data)

    def _cut(self, data: bytes) -> Iterator[Frame]:
        at, self._needed = 0, 0
        while at < len(data):
            body, size = _body(data, at)
            if size is None:
                break
            end = body + size
            if end - at > self._largest:
                head = min(end, at + HEAD_BYTES)
                if len(data) < head:
                    self._needed = head - at
                    break
                frame = Frame(data[at], data[at:head], body - at, head - at, is_whole=False)
                if len(data) < end:
                    self._oversized, self._to_skip = frame, end - len(data)
                    at = len(data)
                    break
                yield frame
            elif end > len(data):
                self._needed = end - at
                break
            else:
                yield Frame(data[at], data, body, end)
            at = end
        rest = data[at:]
        self._parts = [rest] if rest else []
        self._size = len(rest)


def _body(data: bytes, at: int) -> tuple[int, int | None]:
    """Find where the body of the packet at `at` begins and its size; None: that is not all there yet."""
    size = shift = 0
    place = at + 1
    while place < len(data):
        byte = data[place]
        place += 1
        size |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return place, size
        shift += 7
        if shift > 21:
            raise primitive.malformed("a remaining length has more than four bytes")
    return place, None
