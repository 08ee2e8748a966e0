"""The packets a client writes and reads, MQTT 5 and 3.1.1, on the codec of the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from voltagora.hub.wire import primitive, properties
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.properties import Properties, Property
from voltagora.hub.wire.publish import SENDER
from voltagora.live.transport import Arrival, Publication

V311: Final = 4
CONNACK: Final = 2
PUBLISH: Final = 3
PUBACK: Final = 4
SUBACK: Final = 9
PINGRESP: Final = 13
DISCONNECT: Final = 14
"""Kinds of packets: the upper half of the first byte."""

PING: Final = b"\xc0\x00"
REFUSED: Final = 0x80
"""Reason codes from here on are refusals."""

_SHORTS: Final = (Property.RECEIVE_MAXIMUM, Property.TOPIC_ALIAS_MAXIMUM, Property.SERVER_KEEP_ALIVE)
_LONGS: Final = (Property.SESSION_EXPIRY, Property.MAXIMUM_PACKET_SIZE)
_BYTES: Final = (
    Property.MAXIMUM_QOS,
    Property.RETAIN_AVAILABLE,
    Property.WILDCARD_AVAILABLE,
    Property.SUBSCRIPTION_IDENTIFIER_AVAILABLE,
    Property.SHARED_AVAILABLE,
)
_TEXTS: Final = (
    Property.ASSIGNED_CLIENT,
    Property.REASON_STRING,
    Property.RESPONSE_INFORMATION,
    Property.SERVER_REFERENCE,
    Property.AUTHENTICATION_METHOD,
)
_STAMP: Final = b"\x26" + primitive.string(SENDER)
_QOS1: Final = 0x02
_RETAIN: Final = 0x01
_AGAIN: Final = 0x08
_NO_NAME: Final = re.compile("[+#\\0]")


class Connack(NamedTuple):
    """The answer to CONNECT."""

    session_present: bool
    reason: int
    given: Properties


def connect(
    version: int,
    client: str,
    *,
    user: str | None,
    password: str | None,
    will: tuple[str, bytes] | None,
    clean: bool,
    keepalive: int,
    given: Properties,
) -> bytes:
    """Write CONNECT; the will is retained, QoS 1."""
    flags = 0x02 if clean else 0
    tail = b""
    if will is not None:
        flags |= 0x2C
        tail += (b"\x00" if version == V5 else b"") + primitive.string(will[0]) + primitive.binary(will[1])
    if user is not None:
        flags |= 0x80
        tail += primitive.string(user)
    if password is not None:
        flags |= 0x40
        tail += primitive.string(password)
    head = primitive.string("MQTT") + bytes((version, flags)) + primitive.short(keepalive)
    block = properties.block(properties.written(given)) if version == V5 else b""
    return primitive.packet(0x10, head + block + primitive.string(client) + tail)


def subscribe(version: int, packet: int, filters: Sequence[str], *, only_new: bool) -> bytes:
    """Write SUBSCRIBE with QoS 1.

    Args:
        version: protocol level.
        packet: packet identifier.
        filters: topic filters.
        only_new: retained messages only for filters the session did not have; 3.1.1 sends all.
    """
    options = bytes((0x11 if only_new and version == V5 else 0x01,))
    body = b"".join(primitive.string(each) + options for each in filters)
    return primitive.packet(0x82, primitive.short(packet) + (b"\x00" if version == V5 else b"") + body)


def publish(version: int, packet: int, publication: Publication, *, again: bool) -> bytes:
    """Write PUBLISH with QoS 1.

    Args:
        version: protocol level.
        packet: packet identifier.
        publication: what.
        again: whether the broker may have it already.

    Raises:
        ValueError, OverflowError: no broker would take it, and each would close the connection.
    """
    first = 0x30 | _QOS1 | (_RETAIN if publication.retain else 0) | (_AGAIN if again else 0)
    topic = _name(publication.topic)
    block = _about(publication) if version == V5 else b""
    size = len(topic) + 2 + len(block) + len(publication.payload)
    return b"".join(
        (
            bytes((first,)),
            primitive.length(size),
            topic,
            packet.to_bytes(2, "big"),
            block,
            publication.payload,
        )
    )


def _about(publication: Publication) -> bytes:
    raw = _pairs(tuple(publication.properties.items()))
    if publication.correlation is not None:
        raw = b"\x09" + primitive.binary(publication.correlation) + raw
    if publication.response_topic is not None:
        raw = b"\x08" + _name(publication.response_topic) + raw
    if publication.expiry_seconds is not None:
        raw = b"\x02" + publication.expiry_seconds.to_bytes(4, "big") + raw
    return primitive.length(len(raw)) + raw


def _name(topic: str) -> bytes:
    if not topic or _NO_NAME.search(topic):
        raise ValueError(f"{topic!r} is no topic to publish on")
    return primitive.string(topic)


@lru_cache(maxsize=4_096)
def _pairs(pairs: tuple[tuple[str, str], ...]) -> bytes:
    if any("\0" in text for pair in pairs for text in pair):
        raise ValueError("a user property contains U+0000")
    return properties.user_properties(pairs)


def puback(packet: int) -> bytes:
    """Write PUBACK, success."""
    return b"\x40\x02" + packet.to_bytes(2, "big")


def disconnect(version: int, *, forget: bool) -> bytes:
    """Write DISCONNECT, after which no will is published.

    Args:
        version: protocol level.
        forget: let the broker end our session now; 3.1.1 cannot say so.
    """
    if version == V311:
        return b"\xe0\x00"
    return b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00" if forget else b"\xe0\x02\x00\x00"


# What a broker sends.


def read_connack(version: int, data: bytes, at: int, end: int) -> Connack:
    """Read CONNACK; a broker that does not know our version answers in its own, without properties."""
    flags, at = primitive.take_byte(data, at, end)
    reason, at = primitive.take_byte(data, at, end)
    given: Properties = {}
    if version == V5 and at < end:
        given = _connack_properties(data, at, end)
    return Connack(bool(flags & 1), reason, given)


def _connack_properties(data: bytes, at: int, end: int) -> Properties:
    """Read what only a server may say, which the hub's reader of clients does not know."""
    size, at = primitive.take_length(data, at, end)
    stop = at + size
    if stop > end:
        raise primitive.malformed("the packet ends within its properties")
    given: Properties = {}
    while at < stop:
        name, at = primitive.take_byte(data, at, stop)
        if name == Property.USER:
            key, at = primitive.take_text(data, at, stop)
            value, at = primitive.take_text(data, at, stop)
            given.setdefault(Property.USER, []).append((key, value))
        elif name in _SHORTS:
            given[name], at = primitive.take_short(data, at, stop)
        elif name in _LONGS:
            given[name], at = primitive.take_long(data, at, stop)
        elif name in _BYTES:
            given[name], at = primitive.take_byte(data, at, stop)
        elif name in _TEXTS:
            given[name], at = primitive.take_text(data, at, stop)
        elif name == Property.AUTHENTICATION_DATA:
            given[name], at = primitive.take_binary(data, at, stop)
        else:
            raise primitive.malformed(f"property {name} may not stand in CONNACK")
    return given


def read_puback(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read PUBACK: packet identifier and reason."""
    packet, at = primitive.take_short(data, at, end)
    return packet, data[at] if at < end else 0


def read_suback(version: int, data: bytes, at: int, end: int) -> tuple[int, bytes]:
    """Read SUBACK: packet identifier and a code for each filter."""
    packet, at = primitive.take_short(data, at, end)
    if version == V5:
        size, at = primitive.take_length(data, at, end)
        at += size
    return packet, bytes(data[at:end])


def read_publish(
    version: int, first: int, data: bytes, at: int, end: int, *, stamps: bool
) -> tuple[int | None, Arrival]:
    """Read PUBLISH: packet identifier, None with QoS 0, and what came.

    Of the properties only the sender is read, and only if the broker stamps it: then it is the last
    text in the block, after all that a publisher wrote.
    """
    topic, at = primitive.take_text(data, at, end)
    packet = None
    if first & 0x06:
        packet, at = primitive.take_short(data, at, end)
    sender = None
    if version == V5:
        size, at = primitive.take_length(data, at, end)
        if at + size > end:
            raise primitive.malformed("the packet ends within its properties")
        if stamps:
            found = data.rfind(_STAMP, at, at + size)
            if found >= 0:
                sender, _ = primitive.take_text(data, found + len(_STAMP), at + size)
        at += size
    return packet, Arrival(
        topic=topic,
        payload=bytes(data[at:end]),
        retained=bool(first & _RETAIN),
        redelivered=bool(first & _AGAIN),
        sender=sender,
    )


def read_head(first: int, data: bytes, at: int, end: int) -> tuple[int | None, str]:
    """Read packet identifier and topic of a PUBLISH of which only the beginning was kept."""
    topic, at = primitive.take_text(data, at, end)
    return (primitive.take_short(data, at, end)[0] if first & 0x06 else None), topic
