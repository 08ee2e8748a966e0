"""PUBACK, PUBREC, PUBREL and PUBCOMP."""

from __future__ import annotations

from typing import Final

from voltagora.hub.wire import primitive, properties
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.primitive import malformed, protocol_error
from voltagora.hub.wire.subscribe import take_packet_identifier

PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x62
PUBCOMP: Final = 0x70
"""First bytes, flags included."""

_PUBLISHED: Final = frozenset({0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99})
_RELEASED: Final = frozenset({0x00, 0x92})
_REASONS: Final = {PUBACK: _PUBLISHED, PUBREC: _PUBLISHED, PUBREL: _RELEASED, PUBCOMP: _RELEASED}


def decode_acknowledgement(first: int, data: bytes, at: int, end: int, version: int) -> tuple[int, int]:
    """Read the body of any of the four: packet identifier and reason code."""
    packet, at = take_packet_identifier(data, at, end)
    if at == end:
        return packet, 0
    if version != V5:
        raise malformed("an acknowledgement of 3.1.1 has two bytes")
    code, at = primitive.take_byte(data, at, end)
    if code not in _REASONS[first]:
        raise protocol_error(f"reason {code} in an acknowledgement")
    if at < end:
        _, at = properties.take_properties(data, at, end, properties.IN_ACK)
    if at != end:
        raise malformed("an acknowledgement has bytes after its end")
    return packet, code


def acknowledgement(first: int, packet: int, reason: int = 0, version: int = V5) -> bytes:
    """Write any of the four; a success, and everything of 3.1.1, in its short form."""
    if not reason or version != V5:
        return bytes((first, 2, packet >> 8, packet & 0xFF))
    return bytes((first, 3, packet >> 8, packet & 0xFF, reason))
