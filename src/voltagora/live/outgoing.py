"""What an agent said, as it goes over the wire."""

from __future__ import annotations

from typing import Final

import msgspec

from voltagora.agents.exchange import REPLY_SECONDS, Flight
from voltagora.live.transport import Publication
from voltagora.protocols.codec import encode
from voltagora.protocols.message import Broadcast, Reply, Request
from voltagora.protocols.topic import topic_name

_CHASED: Final = frozenset({"CP4", "CP8", "CP9", "CP10", "CP11", "CP12"})
"""Protocols whose requests are sent until they are answered: late is better than never."""


class Outgoing(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A publication before it has its number."""

    topic: str
    payload: bytes
    retain: bool
    agent: str
    protocol: str
    correlation: str
    response_topic: str | None = None
    expiry_seconds: int | None = None

    def numbered(self, number: int) -> Publication:
        """Give it to the transport."""
        return Publication(
            number=number,
            topic=self.topic,
            payload=self.payload,
            retain=self.retain,
            response_topic=self.response_topic,
            correlation=self.correlation.encode(),
            expiry_seconds=self.expiry_seconds,
            properties={"agent": self.agent, "protocol": self.protocol},
        )


def outgoing(flight: Flight) -> Outgoing:
    """Turn what an agent said into topic and bytes."""
    message, address = flight.message, flight.address
    kind = flight.sender.kind
    topic = topic_name(type(message).topic_of(kind), address)
    payload = encode(message)
    if isinstance(message, Reply):
        return Outgoing(topic, payload, False, flight.sender.id, flight.protocol, message.in_reply_to)
    if isinstance(message, Broadcast):
        return Outgoing(topic, payload, True, flight.sender.id, flight.protocol, message.msg_id)
    assert isinstance(message, Request)
    reply = type(message).reply
    asker = message.asker(address)
    response = None
    if len(reply.topics) == 1:
        response = topic_name(reply.topics[0], address if len(address) > 1 else (asker,))
    expiry = None if flight.protocol in _CHASED else REPLY_SECONDS
    return Outgoing(
        topic, payload, False, flight.sender.id, flight.protocol, message.msg_id, response, expiry
    )
