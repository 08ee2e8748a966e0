"""SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voltagora.hub.wire import primitive, properties
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.primitive import malformed, protocol_error
from voltagora.hub.wire.properties import Property


@dataclass(slots=True)
class Wish:
    """One filter of a SUBSCRIBE with its options (section 3.8.3.1)."""

    filter: str
    qos: int
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    """0: send retained messages; 1: only if the subscription is new; 2: never."""


@dataclass(slots=True)
class Subscribe:
    """What a client wants to receive."""

    packet: int
    wishes: list[Wish]
    identifier: int | None


def decode_subscribe(data: bytes, at: int, end: int, version: int) -> Subscribe:
    """Read the body of SUBSCRIBE."""
    packet, at = take_packet_identifier(data, at, end)
    identifier = None
    if version == V5:
        given, at = properties.take_properties(data, at, end, properties.IN_SUBSCRIBE)
        identifier = given.get(Property.SUBSCRIPTION_IDENTIFIER)
    wishes = []
    while at < end:
        wanted, at = primitive.take_text(data, at, end)
        options, at = primitive.take_byte(data, at, end)
        wishes.append(_wish(wanted, options, version))
    if not wishes:
        raise protocol_error("SUBSCRIBE without a filter")
    return Subscribe(packet, wishes, identifier)


def _wish(wanted: str, options: int, version: int) -> Wish:
    if options & 3 == 3:
        raise malformed("a subscription asks for QoS 3")
    if options & (0xC0 if version == V5 else 0xFC):
        raise malformed("reserved bits of subscription options are set")
    if options & 0x30 == 0x30:
        raise protocol_error("retain handling 3")
    return Wish(wanted, options & 3, bool(options & 4), bool(options & 8), options >> 4 & 3)


def decode_unsubscribe(data: bytes, at: int, end: int, version: int) -> tuple[int, list[str]]:
    """Read the body of UNSUBSCRIBE: packet identifier and filters."""
    packet, at = take_packet_identifier(data, at, end)
    if version == V5:
        _, at = properties.take_properties(data, at, end, properties.IN_UNSUBSCRIBE)
    filters = []
    while at < end:
        unwanted, at = primitive.take_text(data, at, end)
        filters.append(unwanted)
    if not filters:
        raise protocol_error("UNSUBSCRIBE without a filter")
    return packet, filters


def take_packet_identifier(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a packet identifier, which is never 0."""
    packet, at = primitive.take_short(data, at, end)
    if not packet:
        raise protocol_error("packet identifier 0")
    return packet, at


def suback(packet: int, codes: Sequence[int], version: int) -> bytes:
    """Write SUBACK; 3.1.1 knows but one failure."""
    if version == V5:
        return primitive.packet(0x90, primitive.short(packet) + b"\0" + bytes(codes))
    return primitive.packet(0x90, primitive.short(packet) + bytes(min(code, 0x80) for code in codes))


def unsuback(packet: int, codes: Sequence[int], version: int) -> bytes:
    """Write UNSUBACK; 3.1.1 has no codes."""
    if version == V5:
        return primitive.packet(0xB0, primitive.short(packet) + b"\0" + bytes(codes))
    return primitive.packet(0xB0, primitive.short(packet))
