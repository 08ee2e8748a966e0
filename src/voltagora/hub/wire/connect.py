"""CONNECT, CONNACK and DISCONNECT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import (
    DISCONNECT_FROM_CLIENT,
    RETURN_CODES,
    SERVER_UNAVAILABLE_3,
    Reason,
)
from voltagora.hub.wire import primitive, properties
from voltagora.hub.wire.primitive import malformed, protocol_error
from voltagora.hub.wire.properties import Properties, Property

V3: Final = 4
"""Protocol level of MQTT 3.1.1."""
V5: Final = 5
"""Protocol level of MQTT 5."""


@dataclass(slots=True)
class WillPacket:
    """The will as CONNECT carries it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties


@dataclass(slots=True)
class Connect:
    """What a client says first."""

    version: int
    client: str
    clean: bool
    keep_alive: int
    """Seconds; 0: none."""
    user: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: WillPacket | None = None
    properties: Properties = field(default_factory=dict)


def decode_connect(data: bytes, at: int, end: int) -> Connect:
    """Read the body of CONNECT.

    Raises:
        PacketError: with the reason UNSUPPORTED_PROTOCOL_VERSION for levels other than 4 and 5.
    """
    name, at = primitive.take_binary(data, at, end)
    if name not in (b"MQTT", b"MQIsdp"):
        raise malformed("the protocol is not named MQTT")
    version, at = primitive.take_byte(data, at, end)
    if name != b"MQTT" or version not in (V3, V5):
        raise PacketError(Reason.UNSUPPORTED_PROTOCOL_VERSION, f"protocol level {version}")
    flags, at = primitive.take_byte(data, at, end)
    _check_flags(flags, version)
    keep_alive, at = primitive.take_short(data, at, end)
    given: Properties = {}
    if version == V5:
        given, at = properties.take_properties(data, at, end, properties.IN_CONNECT)
        if Property.AUTHENTICATION_DATA in given and Property.AUTHENTICATION_METHOD not in given:
            raise protocol_error("authentication data without a method")
    client, at = primitive.take_text(data, at, end)
    connect = Connect(version, client, bool(flags & 0x02), keep_alive, properties=given)
    if flags & 0x04:
        connect.will, at = _take_will(data, at, end, flags, version)
    if flags & 0x80:
        connect.user, at = primitive.take_text(data, at, end)
    if flags & 0x40:
        connect.password, at = primitive.take_binary(data, at, end)
    if at != end:
        raise malformed("CONNECT has bytes after its end")
    return connect


def _check_flags(flags: int, version: int) -> None:
    if flags & 0x01:
        raise malformed("the reserved flag of CONNECT is set")
    if not flags & 0x04 and flags & 0x38:
        raise malformed("CONNECT has the QoS or retain flag of a will, but no will")
    if flags & 0x18 == 0x18:
        raise malformed("the will has QoS 3")
    if version == V3 and flags & 0x40 and not flags & 0x80:
        raise malformed("CONNECT has a password but no user name")


def _take_will(data: bytes, at: int, end: int, flags: int, version: int) -> tuple[WillPacket, int]:
    given: Properties = {}
    if version == V5:
        given, at = properties.take_properties(data, at, end, properties.IN_WILL)
    topic, at = primitive.take_text(data, at, end)
    payload, at = primitive.take_binary(data, at, end)
    return WillPacket(topic, payload, flags >> 3 & 3, bool(flags & 0x20), given), at


def connack(version: int, reason: Reason, *, present: bool = False, given: Properties | None = None) -> bytes:
    """Write CONNACK in the words of the client's version."""
    if version != V5:
        return bytes((0x20, 2, present, RETURN_CODES.get(reason, SERVER_UNAVAILABLE_3)))
    raw = properties.block(properties.written(given or {}))
    return primitive.packet(0x20, bytes((present, reason)) + raw)


@dataclass(slots=True)
class Disconnect:
    """How a client leaves."""

    reason: Reason = Reason.SUCCESS
    session_expiry: int | None = None


def decode_disconnect(data: bytes, at: int, end: int, version: int) -> Disconnect:
    """Read the body of DISCONNECT."""
    if at == end:
        return Disconnect()
    if version != V5:
        raise malformed("DISCONNECT of 3.1.1 has no body")
    code, at = primitive.take_byte(data, at, end)
    if code not in DISCONNECT_FROM_CLIENT:
        raise protocol_error(f"a client may not disconnect with reason {code}")
    given: Properties = {}
    if at < end:
        given, at = properties.take_properties(data, at, end, properties.IN_DISCONNECT)
    if at != end:
        raise malformed("DISCONNECT has bytes after its end")
    return Disconnect(Reason(code), given.get(Property.SESSION_EXPIRY))


def disconnect(reason: Reason) -> bytes:
    """Write DISCONNECT of version 5; 3.1.1 has none from the server."""
    return bytes((0xE0, 1, reason))
