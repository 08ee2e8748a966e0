"""A transport that loses, doubles and delays publications, from a seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from voltagora.agents.exchange import Flight
from voltagora.agents.randomness import SeededRandomness
from voltagora.domain.units import Share


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad a transport is."""

    loss: Share = 0.0
    duplication: Share = 0.0
    delay: Share = 0.0  # of publications that arrive later
    longest_delay_seconds: Annotated[int, Meta(ge=1)] = 30


class FaultyTransport:
    """Decides the fate of each publication, for each of its receivers by itself.

    Broadcasts are only delayed, so that readers which share a market stay of one mind; a lost
    one is what a late joiner meets.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self.faults = faults
        self.lost = self.doubled = self.delayed = 0
        self._randomness = SeededRandomness(seed)

    def carry(self, now: int, flights: list[Flight]) -> tuple[list[Flight], Iterable[tuple[int, Flight]]]:
        """See `Transport.carry`."""
        at_once: list[Flight] = []
        later: list[tuple[int, Flight]] = []
        for flight in flights:
            for copy in self._copies(flight):
                if self._happens(self.faults.delay):
                    self.delayed += 1
                    pause = 1 + int(self._draw() * self.faults.longest_delay_seconds)
                    later.append((now + pause, copy))
                else:
                    at_once.append(copy)
        return at_once, later

    def _copies(self, flight: Flight) -> Iterable[Flight]:
        if not flight.receivers:
            yield flight
            return
        for receiver in flight.receivers:
            if self._happens(self.faults.loss):
                self.lost += 1
                continue
            yield msgspec.structs.replace(flight, receivers=(receiver,))
            if self._happens(self.faults.duplication):
                self.doubled += 1
                yield msgspec.structs.replace(flight, receivers=(receiver,))

    def _happens(self, share: float) -> bool:
        return share > 0 and self._draw() < share

    def _draw(self) -> float:
        return self._randomness.draw("transport")
