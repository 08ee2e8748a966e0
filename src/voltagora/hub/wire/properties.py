"""Properties of MQTT 5 (section 2.2.2): which there are, where each may stand, how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final

from voltagora.hub.wire import primitive
from voltagora.hub.wire.primitive import malformed, protocol_error


class Property(IntEnum):
    """Identifiers of the properties."""

    PAYLOAD_FORMAT = 0x01
    MESSAGE_EXPIRY = 0x02
    CONTENT_TYPE = 0x03
    RESPONSE_TOPIC = 0x08
    CORRELATION_DATA = 0x09
    SUBSCRIPTION_IDENTIFIER = 0x0B
    SESSION_EXPIRY = 0x11
    ASSIGNED_CLIENT = 0x12
    SERVER_KEEP_ALIVE = 0x13
    AUTHENTICATION_METHOD = 0x15
    AUTHENTICATION_DATA = 0x16
    REQUEST_PROBLEM_INFORMATION = 0x17
    WILL_DELAY = 0x18
    REQUEST_RESPONSE_INFORMATION = 0x19
    RESPONSE_INFORMATION = 0x1A
    SERVER_REFERENCE = 0x1C
    REASON_STRING = 0x1F
    RECEIVE_MAXIMUM = 0x21
    TOPIC_ALIAS_MAXIMUM = 0x22
    TOPIC_ALIAS = 0x23
    MAXIMUM_QOS = 0x24
    RETAIN_AVAILABLE = 0x25
    USER = 0x26
    MAXIMUM_PACKET_SIZE = 0x27
    WILDCARD_AVAILABLE = 0x28
    SUBSCRIPTION_IDENTIFIER_AVAILABLE = 0x29
    SHARED_AVAILABLE = 0x2A


P = Property
Properties = dict[int, Any]
"""Identifier to value; user properties are a list of pairs, subscription identifiers a list of numbers."""

_ABOUT_MESSAGE: Final = {
    P.PAYLOAD_FORMAT,
    P.MESSAGE_EXPIRY,
    P.CONTENT_TYPE,
    P.RESPONSE_TOPIC,
    P.CORRELATION_DATA,
    P.USER,
}
IN_PUBLISH: Final = frozenset({*_ABOUT_MESSAGE, P.TOPIC_ALIAS})
"""What a client may put into PUBLISH; subscription identifiers come from the server only."""
IN_WILL: Final = frozenset({*_ABOUT_MESSAGE, P.WILL_DELAY})
IN_CONNECT: Final = frozenset(
    {
        P.SESSION_EXPIRY,
        P.RECEIVE_MAXIMUM,
        P.MAXIMUM_PACKET_SIZE,
        P.TOPIC_ALIAS_MAXIMUM,
        P.REQUEST_RESPONSE_INFORMATION,
        P.REQUEST_PROBLEM_INFORMATION,
        P.USER,
        P.AUTHENTICATION_METHOD,
        P.AUTHENTICATION_DATA,
    }
)
IN_SUBSCRIBE: Final = frozenset({P.SUBSCRIPTION_IDENTIFIER, P.USER})
IN_UNSUBSCRIBE: Final = frozenset({P.USER})
IN_ACK: Final = frozenset({P.REASON_STRING, P.USER})
IN_DISCONNECT: Final = frozenset({P.SESSION_EXPIRY, P.REASON_STRING, P.USER})

_FLAGS: Final = {P.PAYLOAD_FORMAT, P.REQUEST_PROBLEM_INFORMATION, P.REQUEST_RESPONSE_INFORMATION}
_NEVER_ZERO: Final = {P.RECEIVE_MAXIMUM, P.MAXIMUM_PACKET_SIZE, P.SUBSCRIPTION_IDENTIFIER}

Take = Callable[[bytes, int, int], tuple[Any, int]]


def _take_pair(data: bytes, at: int, end: int) -> tuple[tuple[str, str], int]:
    name, at = primitive.take_text(data, at, end)
    value, at = primitive.take_text(data, at, end)
    return (name, value), at


_TAKE: Final[dict[int, Take]] = {
    **dict.fromkeys(
        (P.MESSAGE_EXPIRY, P.SESSION_EXPIRY, P.WILL_DELAY, P.MAXIMUM_PACKET_SIZE), primitive.take_long
    ),
    **dict.fromkeys((P.RECEIVE_MAXIMUM, P.TOPIC_ALIAS_MAXIMUM, P.TOPIC_ALIAS), primitive.take_short),
    **dict.fromkeys(
        (P.CONTENT_TYPE, P.RESPONSE_TOPIC, P.AUTHENTICATION_METHOD, P.REASON_STRING), primitive.take_text
    ),
    **dict.fromkeys((P.CORRELATION_DATA, P.AUTHENTICATION_DATA), primitive.take_binary),
    **dict.fromkeys(_FLAGS, primitive.take_byte),
    P.SUBSCRIPTION_IDENTIFIER: primitive.take_length,
    P.USER: _take_pair,
}
"""How to read what a client may send."""


def take_properties(data: bytes, at: int, end: int, allowed: frozenset[Property]) -> tuple[Properties, int]:
    """Read a block of properties with its length.

    Raises:
        PacketError: unknown or not allowed here, given twice, or out of its range.
    """
    size, at = primitive.take_length(data, at, end)
    stop = at + size
    if stop > end:
        raise malformed("the packet ends within its properties")
    found: Properties = {}
    while at < stop:
        # Identifiers are variable byte integers, all of them of one byte.
        identifier, at = primitive.take_length(data, at, stop)
        if identifier not in allowed:
            raise malformed(f"property {identifier} is unknown or not allowed here")
        value, at = _TAKE[identifier](data, at, stop)
        if identifier == P.USER:
            found.setdefault(P.USER, []).append(value)
            continue
        if identifier in found:
            raise protocol_error(f"property {identifier} is given twice")
        _check_range(identifier, value)
        found[identifier] = value
    return found, at


def _check_range(identifier: int, value: Any) -> None:
    if identifier in _FLAGS and value > 1:
        raise protocol_error(f"property {identifier} must be 0 or 1")
    if identifier in _NEVER_ZERO and value == 0:
        raise protocol_error(f"property {identifier} must not be 0")


_NUMBER_SIZES: Final = {
    **dict.fromkeys((P.MESSAGE_EXPIRY, P.SESSION_EXPIRY, P.WILL_DELAY, P.MAXIMUM_PACKET_SIZE), 4),
    **dict.fromkeys((P.RECEIVE_MAXIMUM, P.TOPIC_ALIAS_MAXIMUM, P.TOPIC_ALIAS, P.SERVER_KEEP_ALIVE), 2),
    **dict.fromkeys(
        (
            P.MAXIMUM_QOS,
            P.RETAIN_AVAILABLE,
            P.WILDCARD_AVAILABLE,
            P.SUBSCRIPTION_IDENTIFIER_AVAILABLE,
            P.SHARED_AVAILABLE,
            *_FLAGS,
        ),
        1,
    ),
}


def written(properties: Properties) -> bytes:
    """Write properties without the length of the block, numbers, strings, bytes and lists alike."""
    return b"".join(_one(identifier, value) for identifier, value in properties.items())


def block(raw: bytes) -> bytes:
    """Put the length before written properties."""
    return primitive.length(len(raw)) + raw


def _one(identifier: int, value: Any) -> bytes:
    head = bytes((identifier,))
    if identifier == P.USER:
        return user_properties(value)
    if identifier == P.SUBSCRIPTION_IDENTIFIER:
        return b"".join(head + primitive.length(number) for number in value)
    if isinstance(value, str):
        return head + primitive.string(value)
    if isinstance(value, bytes):
        return head + primitive.binary(value)
    return head + int(value).to_bytes(_NUMBER_SIZES[P(identifier)], "big")


def user_properties(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Write user properties in their order."""
    return b"".join(b"\x26" + primitive.string(name) + primitive.string(value) for name, value in pairs)
