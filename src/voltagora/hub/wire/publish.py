"""PUBLISH: what travels with a message, and the pieces that a fan-out shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from voltagora.hub.errors import PacketError
from voltagora.hub.reasons import Reason
from voltagora.hub.rights import owner_of
from voltagora.hub.wire import primitive, properties
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.primitive import protocol_error
from voltagora.hub.wire.properties import Properties, Property

PUBLISH: Final = 0x30
RETAIN: Final = 0x01
DUPLICATE: Final = 0x08

SENDER: Final = "sender"
"""User property that only the hub may set: the user whose connection published."""

_TRAVELLING: Final = (
    Property.PAYLOAD_FORMAT,
    Property.CONTENT_TYPE,
    Property.RESPONSE_TOPIC,
    Property.CORRELATION_DATA,
)


def stamp(user: str) -> bytes:
    """Write the user property that says who published; which credential it was is nobody's business."""
    return properties.user_properties([(SENDER, owner_of(user))])


def travelling(given: Properties, stamped: bytes) -> bytes:
    """Write what a message takes along to its subscribers, unaltered and in order, plus the stamp.

    The publisher's own `sender`, the alias, the delay and the expiry (which counts down) stay behind.

    Raises:
        PacketError: the response topic is not a topic name.
    """
    response = given.get(Property.RESPONSE_TOPIC)
    if response is not None and (not response or "+" in response or "#" in response):
        raise PacketError(Reason.PROTOCOL_ERROR, "the response topic is no topic name")
    kept: Properties = {name: given[name] for name in _TRAVELLING if name in given}
    pairs = [pair for pair in given.get(Property.USER, ()) if pair[0] != SENDER]
    return properties.written(kept) + properties.user_properties(pairs) + stamped


def read_travelling(raw: bytes) -> Properties:
    """Read back what `travelling` wrote."""
    return properties.take_properties(
        properties.block(raw), 0, len(properties.block(raw)), properties.IN_WILL
    )[0]


def pieces(version: int, first: int, topic: bytes, raw: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """Write a PUBLISH as what stands before and what stands after its packet identifier.

    Args:
        version: protocol level of the receiver.
        first: first byte, flags included.
        topic: topic name with its length, as on the wire.
        raw: properties without the length of the block.
        payload: the payload.
    """
    after = properties.block(raw) + payload if version == V5 else payload
    size = len(topic) + len(after) + (2 if first & 0x06 else 0)
    return bytes((first,)) + primitive.length(size) + topic, after


def delivery_properties(
    identifiers: Sequence[int] = (), expiry: int | None = None, alias: int | None = None
) -> bytes:
    """Write the properties that differ from subscriber to subscriber."""
    given: Properties = {}
    if expiry is not None:
        given[Property.MESSAGE_EXPIRY] = expiry
    if alias is not None:
        given[Property.TOPIC_ALIAS] = alias
    if identifiers:
        given[Property.SUBSCRIPTION_IDENTIFIER] = identifiers
    return properties.written(given)


def check_alias(alias: int, maximum: int) -> None:
    """Refuse an alias that was not agreed on."""
    if not 1 <= alias <= maximum:
        raise PacketError(Reason.TOPIC_ALIAS_INVALID, f"topic alias {alias} of {maximum}")


def check_identifier(packet: int) -> None:
    """Refuse packet identifier 0."""
    if not packet:
        raise protocol_error("packet identifier 0")
