"""A market to be measured live: vehicles that ask at an even pace, a transport that looks at its watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from voltagora.live.mqtt import MqttTransport
from voltagora.live.transport import Arrival, Listener, Publication
from voltagora.scenario.live import LiveRun, Pace, Stage
from voltagora.scenario.read import read_scenario

SPEED: Final = 60.0
"""Simulated seconds a second: recommendations stay valid for ten real seconds."""
OPENING_SECONDS: Final = 3 * 3600
"""After so much simulated time prices are known and bookings begin."""


class Watched(MqttTransport):
    """Notes when each vehicle asked its recommenders and when its station answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.asked: dict[str, float] = {}
        self.took: list[float] = []
        self.last_arrival = 0.0

    def publish(self, publication: Publication) -> None:
        if publication.topic.endswith("/RequestChargingRecommendations"):
            self.asked.setdefault(publication.topic.split("/")[1], time.perf_counter())
        super().publish(publication)

    async def open(self, listener: Listener) -> None:
        await super().open(_Looking(listener, self))


class _Looking:
    """Hands everything on, and looks at the clock when an outcome passes."""

    def __init__(self, listener: Listener, watched: Watched) -> None:
        self._listener = listener
        self._watched = watched

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        self._listener.arrived(arrivals)
        now = self._watched.last_arrival = time.perf_counter()
        for arrival in arrivals:
            if arrival.topic.endswith("/ReservationOutcome"):
                asked = self._watched.asked.pop(arrival.topic.split("/")[1], None)
                if asked is not None:
                    self._watched.took.append(now - asked)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)


async def opened(run: LiveRun) -> None:
    """Wait until the market has begun, then let its first hours be over at once."""
    while run.process is None or not run.process.has_started:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    run.process.clock.set(run.horizon.start + OPENING_SECONDS - 2 * SPEED, SPEED)


def evenly(vehicles: int, bookings: int, a_second: float) -> LiveRun:
    """Make a market whose first vehicles ask once each, so many in a real second."""
    sets = [
        f"vehicles.count={vehicles}",
        "stations.count=40",
        "stations.connectors_per_kind=30",
        "days=2",
        "choice.strategy=first",
    ]
    scenario = read_scenario("paper-2020", sets, None)
    run = LiveRun(scenario, Stage(pace=Pace(SPEED), start_now=True))
    first = run.horizon.start + OPENING_SECONDS
    asking = [agent for agent in run.cast.agents if agent.kind == "EV"]
    for number, agent in enumerate(asking):
        vehicle: Any = agent
        needs: Iterable[Any] = vehicle.plan.needs[:1] if number < bookings else ()
        asks_at = first + int(number * SPEED / a_second)
        vehicle.plan = msgspec.structs.replace(
            vehicle.plan, needs=tuple(_moved(need, asks_at) for need in needs)
        )
    return run


def _moved(need: Any, asks_at: int) -> Any:
    """Ask at a given moment for a stay in the evening of the first day."""
    arrival = asks_at - asks_at % 86_400 + 14 * 3600
    return msgspec.structs.replace(
        need, asks_at=asks_at, arrival=arrival, departure=arrival + 8 * 3600, energy_kwh=7.0, soc=0.3
    )
