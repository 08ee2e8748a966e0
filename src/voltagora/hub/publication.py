"""What was published, and where: publications and the topics that remember the last of them."""

from __future__ import annotations

from typing import Any

from voltagora.hub.rights import owner_of
from voltagora.hub.wire import primitive, publish
from voltagora.hub.wire.connect import V5
from voltagora.hub.wire.properties import Properties, Property


class Topic:
    """A topic name that was used, with what the hub remembers about it."""

    __slots__ = ("last", "levels", "name", "retained", "route", "route_version", "wire")

    def __init__(self, name: str, levels: tuple[str, ...]) -> None:
        self.name = name
        self.levels = levels
        self.wire = primitive.string(name)
        """The name with its length, as on the wire."""
        self.last: Publication | None = None
        self.retained: Publication | None = None
        self.route: tuple[Any, ...] = ()
        self.route_version = -1


class Publication:
    """One message with its origin.

    Attributes:
        topic: where.
        payload: what; bytes that the hub never looks into.
        qos: as published.
        retain: whether it is to be kept for later subscribers.
        properties: properties of MQTT 5 that travel along, as on the wire, the stamp included.
        publisher: the user who published.
        time: when the hub took it, seconds since 1970.
        expires: when it must not be delivered any more, on the hub's monotonic clock; or None.
        origin: the session it came from, so that "no local" can be kept; None for the hub itself.
        row: its row in the store, 0 if none; `rows` counts the queue entries stored for it.
    """

    __slots__ = (
        "expires",
        "origin",
        "payload",
        "pieces3",
        "pieces5",
        "properties",
        "publisher",
        "qos",
        "retain",
        "row",
        "rows",
        "time",
        "topic",
    )

    def __init__(
        self,
        topic: Topic,
        payload: bytes,
        qos: int,
        retain: bool,
        properties: bytes,
        publisher: str,
        time: float,
        expires: float | None = None,
        origin: object = None,
    ) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.retain = retain
        self.properties = properties
        self.publisher = publisher
        self.time = time
        self.expires = expires
        self.origin = origin
        self.pieces3: tuple[int, bytes, bytes] | None = None
        self.pieces5: tuple[int, bytes, bytes] | None = None
        self.row = 0
        self.rows = 0

    def pieces(self, version: int, first: int) -> tuple[int, bytes, bytes]:
        """Give the packet before and after its identifier, encoded once for a whole fan-out."""
        kept = self.pieces5 if version == V5 else self.pieces3
        if kept is not None and kept[0] == first:
            return kept
        before, after = publish.pieces(version, first, self.topic.wire, self.properties, self.payload)
        kept = (first, before, after)
        if version == V5:
            self.pieces5 = kept
        else:
            self.pieces3 = kept
        return kept

    @property
    def details(self) -> Properties:
        """The travelling properties, read."""
        return publish.read_travelling(self.properties)

    @property
    def sender(self) -> str:
        """The publisher's user, as stamped."""
        return owner_of(self.publisher)

    @property
    def response_topic(self) -> str | None:
        """Where an answer is wanted."""
        found: str | None = self.details.get(Property.RESPONSE_TOPIC)
        return found

    def __repr__(self) -> str:
        return f"Publication({self.topic.name!r}, {len(self.payload)} bytes, qos={self.qos})"
