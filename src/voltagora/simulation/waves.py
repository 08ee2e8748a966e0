"""Simulated time: events at one instant are delivered in waves, each in order of sending.

Everything sent in wave k is delivered before anything sent in wave k + 1; the next instant starts
when a wave is empty. So the result does not depend on how fast anything is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from voltagora.agents.agent import Agent
from voltagora.agents.exchange import Exchange, Flight
from voltagora.agents.market import Market
from voltagora.agents.randomness import SeededRandomness
from voltagora.agents.timetable import Timetable
from voltagora.domain.records import RecordSink

Watcher = Callable[[int, int, Flight], None]
"""Called with time, wave and publication as each is sent."""


class Transport(Protocol):
    """How publications get through: which at once, which later, which never."""

    def carry(self, now: int, flights: list[Flight]) -> tuple[list[Flight], Iterable[tuple[int, Flight]]]:
        """Give those that arrive at once, in order, and those that arrive at a later instant."""


class Simulation:
    """The agents of one grid area, and simulated time.

    Args:
        seed: what all draws and tokens derive from.
        sink: where records go.
        transport: how publications get through; None: all, at once, in order.
        watch: called for each publication.
        after_delivery: called after each delivery (tests check invariants there).
    """

    def __init__(
        self,
        seed: int,
        sink: RecordSink,
        *,
        transport: Transport | None = None,
        watch: Watcher | None = None,
        after_delivery: Callable[[], None] | None = None,
    ) -> None:
        self._timetable = Timetable()
        self.exchange = Exchange(
            SeededRandomness(seed), self._timetable.call_at, sink, may_repeat=transport is not None
        )
        self._transport = transport
        self._watch = watch
        self._after_delivery = after_delivery

    def join(self, agents: Iterable[Agent], markets: Iterable[Market]) -> None:
        """Let agents and the markets that they read from take part."""
        for market in markets:
            self.exchange.attach(market)
        for agent in agents:
            self.exchange.join(agent)

    def start(self, at: int) -> None:
        """Say `start` on `timer`."""
        self._timetable.call_at(at, self.exchange.start)

    def run(self, until: int, tick: Callable[[int], None] | None = None) -> None:
        """Let everything happen that happens before an instant; `tick` hears of each instant."""
        exchange, timetable = self.exchange, self._timetable
        instants = timetable.instants
        while instants and instants[0] < until:
            exchange.now = now = timetable.next_instant()
            timetable.act(now)
            self._deliver_waves(now)
            exchange.settle_instant()
            if tick is not None:
                tick(now)
        exchange.now = until

    def _deliver_waves(self, now: int) -> None:
        exchange = self.exchange
        deliver, checked = exchange.deliver, self._after_delivery
        wave = 1
        while exchange.sent:
            flights, exchange.sent = exchange.sent, []
            if self._watch is not None:
                for flight in flights:
                    self._watch(now, wave, flight)
            if self._transport is not None:
                flights = self._carried(now, flights)
            for flight in flights:
                deliver(flight)
                if checked is not None:
                    checked()
            wave += 1

    def _carried(self, now: int, flights: list[Flight]) -> list[Flight]:
        assert self._transport is not None
        at_once, later = self._transport.carry(now, flights)
        for at, flight in later:
            self._timetable.call_at(at, self.exchange.deliver, flight)
        return at_once
