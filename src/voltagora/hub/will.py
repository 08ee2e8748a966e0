"""The last will: what the hub publishes for a client that went without a word."""

from __future__ import annotations

from dataclasses import dataclass

from voltagora.hub.topics import topic_levels
from voltagora.hub.wire import publish
from voltagora.hub.wire.connect import WillPacket
from voltagora.hub.wire.properties import Property


@dataclass(frozen=True, slots=True)
class Will:
    """A will in the words of the core.

    Attributes:
        topic: where.
        payload: what.
        qos: quality of service.
        retain: whether it is to be kept.
        properties: what travels along, stamped with the client's user.
        delay: seconds that the client has to come back.
        expiry: seconds the message lives once published; None: no end.
    """

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: bytes
    delay: float
    expiry: int | None


def will_of(packet: WillPacket, stamped: bytes) -> Will:
    """Take a will from CONNECT.

    Raises:
        PacketError: its topic is no topic name.
    """
    topic_levels(packet.topic)
    given = packet.properties
    return Will(
        packet.topic,
        packet.payload,
        packet.qos,
        packet.retain,
        publish.travelling(given, stamped),
        float(given.get(Property.WILL_DELAY, 0)),
        given.get(Property.MESSAGE_EXPIRY),
    )
