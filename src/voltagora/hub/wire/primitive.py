"""Numbers, strings and lengths of MQTT (section 1.5 of version 5), read strictly.

Every `take_` function reads at `at`, never beyond `end`, and gives the value and where the next begins.
"""

from __future__ import annotations

from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import Reason


def malformed(what: str) -> PacketError:
    """Give the error for bytes that are no packet."""
    return PacketError(Reason.MALFORMED_PACKET, what)


def protocol_error(what: str) -> PacketError:
    """Give the error for a packet that may not be sent, or not now."""
    return PacketError(Reason.PROTOCOL_ERROR, what)


def take_byte(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read one byte."""
    if at >= end:
        raise malformed("the packet ends within a byte")
    return data[at], at + 1


def take_short(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a two byte integer."""
    if at + 2 > end:
        raise malformed("the packet ends within a two byte integer")
    return data[at] << 8 | data[at + 1], at + 2


def take_long(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a four byte integer."""
    if at + 4 > end:
        raise malformed("the packet ends within a four byte integer")
    return int.from_bytes(data[at : at + 4], "big"), at + 4


def take_binary(data: bytes, at: int, end: int) -> tuple[bytes, int]:
    """Read binary data with its two byte length."""
    length, at = take_short(data, at, end)
    if at + length > end:
        raise malformed("the packet ends within binary data or a string")
    return data[at : at + length], at + length


def take_text(data: bytes, at: int, end: int) -> tuple[str, int]:
    """Read a UTF-8 string with its two byte length."""
    raw, at = take_binary(data, at, end)
    return text(raw), at


def text(raw: bytes) -> str:
    """Decode UTF-8 as the standard wants it: well formed, no surrogates, no U+0000."""
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        raise malformed("a string is not valid UTF-8") from None
    if "\0" in decoded:
        raise malformed("a string contains U+0000")
    return decoded


def take_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a variable byte integer of up to four bytes, in its shortest form."""
    value = shift = 0
    while True:
        byte, at = take_byte(data, at, end)
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            break
        shift += 7
        if shift > 21:
            raise malformed("a variable byte integer has more than four bytes")
    if shift and not byte:
        raise malformed("a variable byte integer is not in its shortest form")
    return value, at


def short(value: int) -> bytes:
    """Write a two byte integer."""
    return value.to_bytes(2, "big")


def binary(value: bytes) -> bytes:
    """Write binary data with its length."""
    return len(value).to_bytes(2, "big") + value


def string(value: str) -> bytes:
    """Write a UTF-8 string with its length."""
    return binary(value.encode())


def length(value: int) -> bytes:
    """Write a variable byte integer."""
    if value < 0x80:
        return value.to_bytes(1, "big")
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def packet(first: int, body: bytes) -> bytes:
    """Write a packet: first byte, remaining length, body."""
    return bytes((first,)) + length(len(body)) + body
