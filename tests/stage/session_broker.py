"""A broker in memory that keeps a session for each client, and lines to it that can be cut at any moment."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable

from voltagora.domain.errors import VoltAgoraError
from voltagora.hub.topics import covers, parse_filter, topic_levels
from voltagora.live.transport import Arrival, Listener, Publication


class Killed(BaseException):
    """Raised where a process is killed; nothing of it acts after that."""


class Doom:
    """Kills a process at a boundary between two effects.

    Args:
        at: the number of the boundary, from 1; None: never.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.passed: list[str] = []
        self.is_dead = False
        self.died = asyncio.Event()

    def pass_by(self, where: str) -> None:
        if self.is_dead:
            raise Killed
        self.passed.append(where)
        if len(self.passed) == self.at:
            self.is_dead = True
            self.died.set()
            raise Killed


class Session:
    """What a broker keeps of one client: its filters, and what it has not acknowledged."""

    def __init__(self, broker: SessionBroker) -> None:
        self.broker = broker
        self.filters: set[str] = set()
        self.queue: deque[Arrival] = deque()
        self.line: SessionTransport | None = None
        self._cache: dict[str, bool] = {}
        self._is_due = False

    def subscribe(self, filters: Iterable[str]) -> None:
        new = set(filters) - self.filters
        self.filters |= new
        self._cache.clear()
        for topic, payload in self.broker.retained.items():
            if any(_covers(each, topic) for each in new):
                self.queue.append(Arrival(topic=topic, payload=payload, retained=True))
        self.ring()

    def reads(self, topic: str) -> bool:
        if topic not in self._cache:
            self._cache[topic] = any(_covers(each, topic) for each in self.filters)
        return self._cache[topic]

    def ring(self) -> None:
        if self.queue and not self._is_due:
            self._is_due = True
            self.broker.soon(self._deliver)

    def _deliver(self) -> None:
        self._is_due = False
        line = self.line
        if line is None or not self.queue:
            return
        batch = [self.queue[place] for place in range(self.broker.chance.randint(1, min(8, len(self.queue))))]
        if line.hand(batch):
            for _ in batch:
                self.queue.popleft()
        self.ring()


class SessionBroker:
    """Delivers in order to each client, and between clients in any order.

    Args:
        chance: how long everything takes.
        repeats: share of publications that are delivered twice.
    """

    def __init__(self, chance: random.Random, repeats: float = 0.0) -> None:
        self.chance = chance
        self.repeats = repeats
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, bytes] = {}
        self.seen: list[tuple[str, bytes]] = []

    def soon(self, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.chance.uniform(0.0, 0.04), act)

    def take(self, publication: Publication) -> None:
        arrival = Arrival(topic=publication.topic, payload=publication.payload)
        self.seen.append((arrival.topic, arrival.payload))
        if publication.retain:
            self.retained[publication.topic] = publication.payload
        for session in self.sessions.values():
            if session.reads(publication.topic):
                for _ in range(2 if self.chance.random() < self.repeats else 1):
                    session.queue.append(arrival)
                session.ring()

    def forget(self, client: str) -> None:
        """Lose a client's session."""
        self.sessions.pop(client, None)


class SessionTransport:
    """See `voltagora.live.transport.Transport`."""

    def __init__(self, broker: SessionBroker, client: str, doom: Doom) -> None:
        self.broker = broker
        self.client = client
        self.doom = doom
        self.filters: dict[str, None] = {}
        self.listener: Listener | None = None
        self.is_saved: Callable[[int], bool] = lambda _: True
        """Whether the publication of that number, and all that has been heard, is safe."""
        self._out: deque[Publication] = deque()
        self._is_flowing = False
        self._unheard = 0

    def subscribe(self, filters: Iterable[str]) -> None:
        self.filters.update(dict.fromkeys(filters))

    async def open(self, listener: Listener) -> None:
        self.listener = listener
        self._connect()

    def _connect(self) -> None:
        if self.listener is None or self.doom.is_dead:
            return
        is_known = self.client in self.broker.sessions
        session = self.broker.sessions.setdefault(self.client, Session(self.broker))
        session.line = self
        session.subscribe(self.filters)
        self._guarded(lambda heard: heard.connected(session_present=is_known, stamps=False))
        session.ring()
        self._flow()

    def lose(self) -> None:
        """Lose the connection, and make it again in a second."""
        session = self.broker.sessions.get(self.client)
        if session is not None and session.line is self:
            session.line = None
        self._guarded(lambda heard: heard.disconnected("lost"))
        asyncio.get_running_loop().call_later(1.0, self._connect)

    def hand(self, batch: list[Arrival]) -> bool:
        """Hand over a batch; tell whether it is acknowledged."""
        if self.doom.is_dead or self.listener is None:
            return False
        try:
            self.listener.arrived(batch)
            assert self.is_saved(0), "acknowledged, and not saved"
            self.doom.pass_by("before acknowledgement")
        except Killed:
            return False
        except VoltAgoraError:
            self.lose()
            return False
        return True

    def publish(self, publication: Publication) -> None:
        self.doom.pass_by("before publication")
        assert not publication.number or self.is_saved(publication.number), "said, and not saved"
        self._out.append(publication)
        self._flow()

    @property
    def waiting(self) -> int:
        return len(self._out) + self._unheard

    @property
    def is_up(self) -> bool:
        session = self.broker.sessions.get(self.client)
        return session is not None and session.line is self and not self.doom.is_dead

    def _flow(self) -> None:
        if self._out and not self._is_flowing:
            self._is_flowing = True
            self.broker.soon(self._send)

    def _send(self) -> None:
        self._is_flowing = False
        if not self._out or not self.is_up:
            return
        publication = self._out.popleft()
        self.broker.take(publication)
        self._unheard += 1
        self.broker.soon(lambda: self._acknowledged(publication))
        self._flow()

    def _acknowledged(self, publication: Publication) -> None:
        self._unheard -= 1
        self._guarded(lambda heard: heard.taken(publication.number))

    def _guarded(self, act: Callable[[Listener], None]) -> None:
        if self.listener is not None and not self.doom.is_dead:
            try:
                act(self.listener)
            except Killed:
                return

    async def drain(self, at_most: int) -> None:
        while self.waiting > at_most:
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        session = self.broker.sessions.get(self.client)
        if session is not None and session.line is self:
            session.line = None
        self.listener = None


def _covers(filter: str, topic: str) -> bool:
    return covers(parse_filter(filter).levels, topic_levels(topic))
