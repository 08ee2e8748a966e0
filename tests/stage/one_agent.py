"""A stage for one agent: the test plays everybody else, by hand and in any order.

`Stage` is the `Turn` that the agent is given. What the agent does with it is written down here;
a handler that has to wait becomes a `Talk`, whose questions the test answers.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from voltagora.agents.agent import Agent, Ask
from voltagora.agents.market import Market
from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.fleet import Need, StationPlan, VehiclePlan
from voltagora.domain.location import Location
from voltagora.domain.series import EnergySeries, PriceSeries, ScheduleSeries
from voltagora.domain.station import Connector, Recommendation
from voltagora.domain.units import Time
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.protocols.cp04_station_registration import RegisterChargingStation
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.message import Broadcast, Message, Outcome, Reply, Request

HOUR = 3600
DAY = date(2020, 1, 1)
MIDNIGHT = 1_577_836_800  # of that day, UTC
HERE = Location(latitude=0.0, longitude=0.0)
PLUG = "Single phase 32A"


def at(hours: float) -> Time:
    """An instant so many hours after the first midnight."""
    return Time(round(MIDNIGHT + hours * HOUR))


class Asked(NamedTuple):
    """What a conversation waits for."""

    request: Any
    address: tuple[str, ...]
    responders: tuple[str, ...]


class Talk:
    """A conversation of the agent: `asked` is what it waits for, `result` what came of it."""

    def __init__(self, conversation: Generator[Ask, list[Any], Any]) -> None:
        self._conversation = conversation
        self.asked: Asked | None = None
        self.result: Any = None
        self._go_on(None)

    @property
    def request(self) -> Any:
        assert self.asked is not None, "the agent waits for nothing"
        return self.asked.request

    @property
    def is_over(self) -> bool:
        return self.asked is None

    def answer(self, *replies: Any) -> Talk:
        """Reply as each responder; None for silence."""
        assert self.asked is not None
        assert len(replies) == len(self.asked.responders)
        self._go_on(list(replies))
        return self

    def _go_on(self, replies: list[Any] | None) -> None:
        try:
            ask = next(self._conversation) if replies is None else self._conversation.send(replies)
            self.asked = Asked(*ask)
        except StopIteration as ended:
            self.asked, self.result = None, ended.value


class Stage:
    """Everything an agent may want of the world, written down."""

    def __init__(self, agent: Agent, now: int = MIDNIGHT, draws: tuple[float, ...] = ()) -> None:
        self.agent = agent
        self.now = int(now)
        self.published: list[Any] = []
        self.told: list[tuple[Any, tuple[str, ...]]] = []
        self.talks: list[Talk] = []
        self.wakes: list[tuple[int, tuple[Any, ...]]] = []
        self.records: list[Any] = []
        self.plugs: list[tuple[int, str, str, bool]] = []
        self._draws = list(draws)
        self._tokens = 0

    # The agent's side.

    def publish(self, broadcast: Broadcast) -> None:
        self.published.append(broadcast)

    def tell(self, request: Request, address: tuple[str, ...], responders: tuple[str, ...]) -> None:
        self.told.append((request, responders))

    def begin(self, conversation: Generator[Ask, list[Any], None]) -> None:
        self.talks.append(Talk(conversation))

    def wake(self, at: int, memo: tuple[Any, ...]) -> None:
        assert at >= self.now, "nobody is woken in the past"
        self.wakes.append((int(at), memo))

    def draw(self) -> float:
        return self._draws.pop(0) if self._draws else 0.5

    def token(self) -> str:
        self._tokens += 1
        return f"{self._tokens:032d}"

    def plug(self, station: str, reservation: str, plugged_in: bool) -> None:
        self.plugs.append((self.now, station, reservation, plugged_in))

    def record(self, record: Any) -> None:
        self.records.append(record)

    # The test's side.

    def deliver(self, message: Message, *address: str) -> Any:
        """Hand the agent a message; give its reply, its Talk, or None."""
        handler = self.agent.handles[type(message)]
        answer: Any = handler(self.agent, self, message, *address)
        return Talk(answer) if isinstance(answer, Generator) else answer

    def pass_until(self, moment: int) -> None:
        """Let time pass, waking the agent whenever it asked to be."""
        while due := [wake for wake in self.wakes if wake[0] <= moment]:
            first = min(due, key=lambda wake: wake[0])
            self.wakes.remove(first)
            self.now = max(self.now, first[0])
            self.agent.wake(self, first[1])
        self.now = int(moment)

    def told_of(self, kind: type) -> list[Any]:
        return [request for request, _ in self.told if isinstance(request, kind)]

    def recorded(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


def accepted(kind: type[Outcome], request: Any, responder: str, **more: Any) -> Any:
    return kind(in_reply_to=request.msg_id, responder=responder, accepted=True, **more)


def refused(kind: type[Reply], request: Any, responder: str, reason: str, **more: Any) -> Any:
    if issubclass(kind, Outcome):
        more["accepted"] = False
    return kind(in_reply_to=request.msg_id, responder=responder, reason=reason, **more)


# Things to talk about.


def a_connector(id: str = "c1", **more: Any) -> Connector:
    given = {"connector_type": PLUG, "power_kw": 7.4, "level": 2, "v2g_capable": True}
    return Connector(id=id, **(given | more))


def a_station_plan(*connectors: Connector, id: str = "cs-1", grid_limit_kw: float = 1000.0) -> StationPlan:
    return StationPlan(
        id=id,
        network="net",
        location=HERE,
        connectors=connectors or (a_connector(),),
        grid_limit_kw=grid_limit_kw,
    )


def a_registration(*connectors: Connector, msg_id: str = "r1", **more: Any) -> RegisterChargingStation:
    given = {"network": "net", "grid_area": "main", "location": HERE, "grid_limit_kw": 1000.0}
    return RegisterChargingStation(msg_id=msg_id, connectors=connectors or (a_connector(),), **(given | more))


def preferences(arrival: float, departure: float, energy_kwh: float = 7.0, **more: Any) -> Preferences:
    given = {"connector_type": PLUG, "power_kw": 7.4, "v2g_allowed": False, "min_soc": 0.1}
    return Preferences(arrival=at(arrival), departure=at(departure), energy_kwh=energy_kwh, **(given | more))


def a_battery(**more: Any) -> Battery:
    given = {"capacity_kwh": 40.0, "soc": 0.5, "min_soc": 0.1, "max_soc": 1.0}
    return Battery(**({"max_charge_kw": 7.4, "max_discharge_kw": 7.4} | given | more))


def a_recommendation(
    arrival: float, departure: float, energy_kwh: float = 7.0, id: str = "sr-net-1", **more: Any
) -> Recommendation:
    given: dict[str, Any] = {
        "token": "0123456789abcdef" * 2,
        "recommender": "sr-net",
        "network": "net",
        "vehicle": "ev-1",
        "station": "cs-1",
        "connector": "c1",
        "connector_type": PLUG,
        "power_kw": 7.4,
        "v2g_capable": True,
        "location": HERE,
        "distance_km": 0.0,
        "issued_at": at(3),
        "expires_at": at(3) + 600,
    }
    given["expires_at"] = Time(given["expires_at"])
    return Recommendation(
        id=id, arrival=at(arrival), departure=at(departure), energy_kwh=energy_kwh, **(given | more)
    )


def a_market(step_minutes: int = 60, zone: str = "UTC") -> Market:
    return Market("main", Calendar(zone, step_minutes))


def priced(market: Market, day: date = DAY, buy: Any = 0.2, sell: Any = 0.1, revision: int = 1) -> None:
    """Let a market know the prices of a day; a number is the price of every slot."""
    market.read_prices(prices_of(market.calendar.day(day), market.calendar.step_minutes, buy, sell, revision))


def prices_of(day: Day, step_minutes: int, buy: Any, sell: Any, revision: int = 1) -> PricesBroadcast:
    def series(price: Any) -> PriceSeries:
        return PriceSeries.of(day.start, step_minutes, np.broadcast_to(np.asarray(price, float), day.slots))

    return PricesBroadcast(
        msg_id=f"p{revision}",
        grid_area="main",
        day=day.date,
        revision=revision,
        buy=series(buy),
        sell=series(sell),
    )


def a_schedule(
    start: float,
    energies: list[float],
    *,
    reservation: str = "sr-net-1",
    revision: int = 1,
    cost_eur: float = 0.0,
    price: float = 0.2,
    step_minutes: int = 60,
    msg_id: str = "u1",
) -> UpdatedChargingSchedule:
    prices = PriceSeries.of(at(start), step_minutes, np.full(len(energies), price))
    return UpdatedChargingSchedule(
        msg_id=msg_id,
        grid_area="main",
        reservation=reservation,
        revision=revision,
        schedule=ScheduleSeries.of(at(start), step_minutes, np.array(energies, float)),
        buy=prices,
        sell=prices,
        cost_eur=cost_eur,
    )


def energies(day: Day, step_minutes: int, values: Any) -> EnergySeries:
    return EnergySeries.of(day.start, step_minutes, np.broadcast_to(np.asarray(values, float), day.slots))


def a_need(asks: float, arrival: float, departure: float, energy_kwh: float = 7.0, **more: Any) -> Need:
    return Need(
        asks_at=int(at(asks)),
        arrival=int(at(arrival)),
        departure=int(at(departure)),
        energy_kwh=energy_kwh,
        soc=0.5,
        **more,
    )


def a_vehicle_plan(*needs: Need, **more: Any) -> VehiclePlan:
    given: dict[str, Any] = {
        "id": "ev-1",
        "vehicle_type": "small",
        "location": HERE,
        "connector_type": PLUG,
        "power_kw": 7.4,
        "capacity_kwh": 40.0,
        "min_soc": 0.1,
        "max_soc": 1.0,
        "max_charge_kw": 7.4,
        "max_discharge_kw": 7.4,
    }
    return VehiclePlan(needs=needs, **(given | more))
