"""A part of our own process that subscribes, without a socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from voltagora.hub.publication import Publication
from voltagora.hub.trie import Subscription

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker

Receive = Callable[[Publication, bool], None]
"""Called with a publication, and whether it is a retained one from before."""


class LocalSubscription:
    """One filter whose messages a function gets at once; `close` ends it.

    Args:
        user: whose rights hold; None: the hub's own, everything.
    """

    __slots__ = ("_broker", "_receive", "_trusted", "closed", "subscription", "user")

    def __init__(
        self, broker: Broker, subscription: Subscription, receive: Receive, user: str | None
    ) -> None:
        self._broker = broker
        self._receive = receive
        self._trusted = user is None
        self.user = user or ""
        self.subscription = subscription
        self.closed = False

    @property
    def online(self) -> bool:
        """Always."""
        return True

    def may_receive(self, topic: str) -> bool:
        """Whether rights let it; the hub's own may receive everything."""
        return self._trusted or self._broker.rights.may_receive(self.user, topic)

    def deliver(
        self,
        publication: Publication,
        qos: int,  # noqa: ARG002
        retain: bool,
        identifiers: tuple[int, ...],  # noqa: ARG002
    ) -> int:
        """Hand a message over; one that the function cannot bear is counted, and others go on."""
        if self.closed:
            return 0
        broker = self._broker
        if not self.may_receive(publication.topic.name):
            broker.counters.refused["delivery not authorized"] += 1
            return 0
        try:
            self._receive(publication, retain)
        except Exception as error:
            broker.counters.dropped["subscriber failed"] += 1
            broker.report("subscriber failed", filter=self.subscription.filter.text, error=repr(error))
        return 0

    def close(self) -> None:
        """Receive nothing more, from this moment on."""
        if not self.closed:
            self.closed = True
            self._broker.forget_local(self)
