"""What the live runtime wants of a connection to a broker, whoever makes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec


class Arrival(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A publication as a broker handed it over."""

    topic: str
    payload: bytes
    retained: bool = False  # it was there before we subscribed
    sender: str | None = None  # the user who published it, if the broker stamps; None: it does not
    redelivered: bool = False  # the broker says (DUP) that it may have handed it over before


class Publication(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A publication to be handed to a broker, always with QoS 1.

    What MQTT 3.1.1 cannot carry (all after `retain`) is left out there, and nothing depends on it.
    """

    number: int  # the transport says by it what the broker has taken
    topic: str
    payload: bytes
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    expiry_seconds: int | None = None
    properties: Mapping[str, str] = {}


class Listener(Protocol):
    """What hears of a connection. All is called in the event loop's thread."""

    def connected(self, *, session_present: bool, stamps: bool | None) -> None:
        """The broker has taken us, again or for the first time; all filters are subscribed.

        Args:
            session_present: whether it had kept our session.
            stamps: whether it is known to stamp publications with their sender; None: not known yet.
        """

    def disconnected(self, why: str) -> None:
        """The connection is gone; the transport tries again by itself."""

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Publications have come, in order. They are acknowledged once this returns."""

    def taken(self, number: int) -> None:
        """The broker has acknowledged the publication of that number."""

    def refused(self, number: int, why: str) -> None:
        """The broker will not take the publication of that number (no right, too large)."""


class Transport(Protocol):
    """One connection of one owner, kept up until it is closed."""

    async def open(self, listener: Listener) -> None:
        """Connect and subscribe, trying until it succeeds.

        Raises:
            VoltAgoraError: the broker refuses for good (password, rights, certificate).
        """

    def subscribe(self, filters: Iterable[str]) -> None:
        """Read these topics from now on, also after each reconnect; may be called before `open`."""

    def publish(self, publication: Publication) -> None:
        """Hand over a publication, in order; while there is no connection it waits, bounded."""

    @property
    def waiting(self) -> int:
        """How many publications the broker has not acknowledged."""

    async def drain(self, at_most: int) -> None:
        """Wait until no more than so many publications are unacknowledged: back-pressure."""

    async def close(self) -> None:
        """Say goodbye, so that no last will is published."""
