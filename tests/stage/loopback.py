"""A broker in memory for processes of one event loop: what is published comes back to who reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from voltagora.hub.topics import covers, parse_filter, topic_levels
from voltagora.live.transport import Arrival, Listener, Publication


class LoopbackBroker:
    """Delivers in order, one event loop step later."""

    def __init__(self) -> None:
        self.lines: list[LoopbackTransport] = []
        self.retained: dict[str, bytes] = {}
        self.seen: list[tuple[str, bytes]] = []
        self.lose: Callable[[Publication], bool] = lambda _: False

    def take(self, publication: Publication, user: str | None) -> None:
        self.seen.append((publication.topic, publication.payload))
        if publication.retain:
            self.retained[publication.topic] = publication.payload
        if self.lose(publication):
            return
        for line in list(self.lines):
            if line.reads(publication.topic):
                line.hand(Arrival(topic=publication.topic, payload=publication.payload, sender=user))


class LoopbackTransport:
    """See `voltagora.live.transport.Transport`."""

    def __init__(self, broker: LoopbackBroker, user: str | None = None) -> None:
        self.broker = broker
        self.user = user
        self.filters: set[str] = set()
        self._cache: dict[str, bool] = {}
        self.listener: Listener | None = None
        self.waiting = 0
        self._inbox: list[Arrival] = []
        self._is_due = False

    async def open(self, listener: Listener) -> None:
        self.listener = listener
        self.broker.lines.append(self)
        self._inbox += [
            Arrival(topic=topic, payload=payload, retained=True)
            for topic, payload in self.broker.retained.items()
            if self.reads(topic)
        ]
        listener.connected(session_present=False, stamps=self.user is not None)
        self._ring()

    def subscribe(self, filters: Iterable[str]) -> None:
        self.filters.update(filters)
        self._cache.clear()

    def reads(self, topic: str) -> bool:
        if topic not in self._cache:
            self._cache[topic] = any(
                covers(parse_filter(each).levels, topic_levels(topic)) for each in self.filters
            )
        return self._cache[topic]

    def publish(self, publication: Publication) -> None:
        self.broker.take(publication, self.user)
        assert self.listener is not None
        asyncio.get_running_loop().call_soon(self.listener.taken, publication.number)

    def hand(self, arrival: Arrival) -> None:
        self._inbox.append(arrival)
        self._ring()

    def _ring(self) -> None:
        if self._inbox and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._deliver)

    def _deliver(self) -> None:
        self._is_due = False
        inbox, self._inbox = self._inbox, []
        if self.listener is not None and inbox:
            self.listener.arrived(inbox)

    async def drain(self, at_most: int) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        self.listener = None
        if self in self.broker.lines:
            self.broker.lines.remove(self)
