"""As fast as the broker can: the waves of simulated time, each of them through the broker and back.

The process that holds all agents publishes a wave, waits until every publication of it has come
back, and hands them over in the order in which they were sent. So a live run and a simulation can
be compared exactly.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from voltagora.domain.errors import RunError
from voltagora.domain.units import Time
from voltagora.live.clock import ClockNews
from voltagora.live.events import Arrived, Finished, Started
from voltagora.live.node import Node
from voltagora.live.opening import opened
from voltagora.live.outgoing import Outgoing
from voltagora.live.timekeeping import Word
from voltagora.live.transport import Arrival, Publication, Transport
from voltagora.protocols.access import CLOCK, TIMER, access

PATIENCE_SECONDS: Final = 30.0
"""A wave that has not come back by then never will."""
MOST_UNDER_WAY: Final = 2_000


class Lockstep:
    """Drives the agents of a node from a start to an end, wave after wave.

    It is the `Listener` of its transport.

    Args:
        node: all agents of the market, made with `own_time`.
        transport: the one connection.
        start_now: begin without waiting for the word `start`.
    """

    def __init__(self, node: Node, transport: Transport, *, start_now: bool = True) -> None:
        self.node = node
        self.transport = transport
        self.is_connected = False
        self.arrivals = self.publications = 0
        self._may_go = asyncio.Event()
        if start_now:
            self._may_go.set()
        self._is_stopped = False
        self._left = asyncio.Event()
        self._out: dict[tuple[str, bytes], deque[int]] = {}  # where in the wave each one under way stands
        self._back: list[Arrival | None] = []
        self._missing = 0
        self._strange: list[Arrival] = []
        self._wave_is_back = asyncio.Event()

    async def run(self, start: int, end: int) -> None:
        """Let everything happen that happens before the end.

        Raises:
            RunError: a wave did not come back.
            VoltAgoraError: the broker refuses for good.
        """
        node = self.node
        filters: dict[str, None] = {TIMER: None}
        for agent in node.agents:
            filters.update(dict.fromkeys(access(agent.kind, agent.id).read))
        self.transport.subscribe(filters)
        if not await opened(self.transport, self, self._left):
            return
        try:
            await self._may_go.wait()
            node.timetable.call_at(start, self._start, Started(start))
            await self._instants(end)
            node.apply(Finished(min(end, node.exchange.now) if self._is_stopped else end))
        finally:
            await self.transport.close()

    def _start(self, event: Started) -> None:
        self.node.apply_within_instant(event)

    async def _instants(self, end: int) -> None:
        node, timetable, exchange = self.node, self.node.timetable, self.node.exchange
        instants = timetable.instants
        while instants and instants[0] < end and not self._is_stopped:
            await self._may_go.wait()
            exchange.now = now = timetable.next_instant()
            self._say_time(now)
            timetable.act(now)
            while exchange.sent:
                await self._wave(now, node.take())
            exchange.settle_instant()

    def _say_time(self, now: int) -> None:
        """Let whoever listens know what time it is: it stands still until it jumps."""
        news = ClockNews(start=Time(int(time.time())), speed=0.0, simulated_time=Time(now))
        self.transport.publish(Publication(number=0, topic=CLOCK, payload=news.written(), retain=True))

    async def _wave(self, now: int, wave: Sequence[Outgoing]) -> None:
        """Publish a wave, wait until it is back, hand it over; then what others have said meanwhile."""
        self._back = [None] * len(wave)
        self._missing = len(wave)
        self._wave_is_back.clear()
        for place, words in enumerate(wave):
            self._out.setdefault((words.topic, words.payload), deque()).append(place)
        for words in wave:
            self.publications += 1
            self.transport.publish(words.numbered(self.publications))
            if self.transport.waiting >= MOST_UNDER_WAY:
                await self.transport.drain(MOST_UNDER_WAY // 2)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._wave_is_back.wait()
        except TimeoutError:
            raise RunError(
                f"{self._missing} of {len(wave)} publications did not come back from the broker: "
                "with speed max one process must hold all agents and may read what they publish"
            ) from None
        strange, self._strange = self._strange, []
        for arrival in (*self._back, *strange):
            assert arrival is not None
            self.node.apply_within_instant(Arrived(now, arrival.topic, arrival.payload, arrival.sender))

    # The transport's listener.

    def connected(self, *, session_present: bool, stamps: bool | None) -> None:  # noqa: ARG002
        """See `Listener.connected`."""
        self.is_connected = True

    def disconnected(self, why: str) -> None:  # noqa: ARG002
        """Wait for the connection to come back; the wave is sent again by the transport."""
        self.is_connected = False

    def leave(self) -> None:
        """Stop at the end of this instant."""
        self._left.set()
        self._is_stopped = True
        self._may_go.set()

    def _heed(self, arrival: Arrival) -> None:
        word = arrival.payload
        if word in (Word.START.encode(), Word.RESUME.encode()):
            self._may_go.set()
        elif word == Word.PAUSE.encode() and not arrival.retained:
            self._may_go.clear()
        elif word == Word.STOP.encode() and not arrival.retained:
            self.leave()

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Put what is ours in its place of the wave."""
        for arrival in arrivals:
            if arrival.topic == TIMER:
                self._heed(arrival)
                continue
            if arrival.retained:
                continue  # Left behind by an earlier run.
            self.arrivals += 1
            places = self._out.get((arrival.topic, arrival.payload))
            if not places:
                self._strange.append(arrival)
                continue
            self._back[places.popleft()] = arrival
            if not places:
                del self._out[arrival.topic, arrival.payload]
            self._missing -= 1
        if not self._missing:
            self._wave_is_back.set()

    def taken(self, number: int) -> None:
        """Nothing to keep."""

    def refused(self, number: int, why: str) -> None:
        """The wave will not come back whole; its time limit says so."""
