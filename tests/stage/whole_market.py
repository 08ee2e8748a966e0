"""Plays a scenario with everything within reach, and states what must hold of any market.

The laws here restate domain.md in other words: from what the agents hold and what they recorded,
never by calling the code that they check.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from voltagora.agents.agent import Agent
from voltagora.agents.exchange import Flight, protocol_counts
from voltagora.domain.fleet import Need, VehiclePlan
from voltagora.domain.records import MessageCountRecord, NeedRecord, Record, SessionRecord, SessionState
from voltagora.protocols.codec import decode, encode
from voltagora.results.collector import Collector, Span
from voltagora.results.result import Result
from voltagora.scenario.build import AreaAgents, build_area
from voltagora.scenario.consistency import inconsistencies
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.population import AreaPlan, Population, population
from voltagora.scenario.run import manifest_of
from voltagora.scenario.settings import Scenario
from voltagora.simulation.days import DayJoiner
from voltagora.simulation.faults import Faults, FaultyTransport
from voltagora.simulation.waves import Simulation

SETTLING_SECONDS = 3 * 3600
"""How long a market is given to come to rest once its transport has healed."""


@dataclass
class Played:
    """A market after its last day."""

    scenario: Scenario
    plan: AreaPlan
    people: Population
    agents: AreaAgents
    simulation: Simulation
    collector: Collector
    records: list[Record]
    now: int
    needs: dict[tuple[str, int], NeedRecord] = field(default_factory=dict)

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def counts(self) -> dict[str, int]:
        return protocol_counts(self.simulation.exchange)

    def result(self) -> Result:
        return Result.of(self.collector, manifest_of(self.scenario, self.people))

    def need(self, vehicle: str, number: int) -> Need:
        return self.vehicle(vehicle).needs[number]

    def vehicle(self, vehicle: str) -> VehiclePlan:
        return next(plan for plan in self.plan.vehicles if plan.id == vehicle)

    def need_of(self, reservation: str) -> Need | None:
        """The need for which a reservation was made, if its vehicle ever heard of it."""
        for record in self.of(NeedRecord):
            if record.reservation == reservation:
                return self.need(record.vehicle, record.need)
        return None


class CodecTransport:
    """Carries what a decoder made of the bytes that were sent, as a real broker's clients would."""

    def carry(self, now: int, flights: list[Flight]) -> tuple[list[Flight], Iterable[tuple[int, Flight]]]:
        return [self._carried(flight) for flight in flights], ()

    def _carried(self, flight: Flight) -> Flight:
        message = decode(encode(flight.message), type(flight.message))
        return msgspec.structs.replace(flight, message=message)


def play(
    scenario: Scenario,
    *,
    faults: Faults | None = None,
    transport: Any = None,
    also: Callable[[AreaAgents], Iterable[Agent]] | None = None,
    check: Callable[[AreaAgents], None] | None = None,
    watch: Callable[[int, int, Flight], None] | None = None,
) -> Played:
    """Run the scenario's one area to the end, then let what is under way arrive."""
    assert not inconsistencies(scenario)
    people = population(scenario)
    (plan,) = people.areas
    agents = build_area(scenario, plan, people.market)
    if faults is not None:
        transport = FaultyTransport(faults, scenario.seed)
    horizon = Horizon(scenario)
    span = Span(start=horizon.start, end=horizon.end, time_zone=scenario.time_zone)
    collector = Collector(span, session_series=True)
    records: list[Record] = []

    def sink(record: Record) -> None:
        records.append(record)
        collector(record)

    checked = None if check is None else lambda: check(agents)
    simulation = Simulation(
        scenario.seed, DayJoiner(sink), transport=transport, after_delivery=checked, watch=watch
    )
    others = list(also(agents)) if also else []
    simulation.join([*agents.all(), *others], [agents.market])
    simulation.start(span.start)
    simulation.run(span.end)
    now = span.end
    if faults is not None:
        transport.faults = Faults()
        now += SETTLING_SECONDS
        simulation.run(now)
    simulation.exchange.finish()
    for protocol, count in protocol_counts(simulation.exchange).items():
        collector(MessageCountRecord(area=plan.area.id, protocol=protocol, count=count))
    played = Played(scenario, plan, people, agents, simulation, collector, records, now)
    for need in played.of(NeedRecord):
        played.needs[need.vehicle, need.need] = need
    return played


def digest(tables: Mapping[str, pa.Table]) -> str:
    """Hash what tables say, whatever the version of the library that stores them."""
    told = hashlib.sha256()
    for name in sorted(tables):
        table = tables[name]
        told.update(repr((name, table.schema.names)).encode())
        for column in table.columns:
            told.update(repr(column.to_pylist()).encode())
    return told.hexdigest()


# While it runs.


def no_two_share_a_connector(agents: AreaAgents) -> None:
    """Every reservation of every station against every other on its connector."""
    for station in agents.stations:
        stays = defaultdict(list)
        for booking in station.sessions.bookings.values():
            stays[booking.connector.id].append((int(booking.arrival), int(booking.departure)))
        for connector, held in stays.items():
            held.sort()
            for (_, end), (start, _) in itertools.pairwise(held):
                assert end <= start, f"{station.id}/{connector}: {held}"


def no_vehicle_is_at_two_places(agents: AreaAgents) -> None:
    """What a vehicle believes to hold, and what stations hold for it, never twice at one moment."""
    for vehicle in agents.vehicles:
        held = sorted(
            (int(held.preferences.arrival), int(held.preferences.departure))
            for held in vehicle.stays.held.values()
        )
        for (_, end), (start, _) in itertools.pairwise(held):
            assert end <= start, f"{vehicle.id}: {held}"


def ledger_is_balanced(agents: AreaAgents) -> None:
    assert sum(agents.pricing.ledger.balances.values()) == 0


def always(agents: AreaAgents) -> None:
    """All that must hold after every delivery."""
    no_two_share_a_connector(agents)
    no_vehicle_is_at_two_places(agents)
    ledger_is_balanced(agents)


# Once it is over.


def sessions_of(played: Played) -> dict[str, SessionRecord]:
    """The last word on each reservation, each told once."""
    sessions: dict[str, SessionRecord] = {}
    for record in played.of(SessionRecord):
        assert record.reservation not in sessions, f"{record.reservation} was recorded twice"
        sessions[record.reservation] = record
    return sessions


def micro(values: Any) -> list[int]:
    return [round(value * 1_000_000) for value in np.asarray(values).tolist()]


def pictures_equal_the_books(played: Played) -> None:
    """EI's and MD's slots are the sums of the stations' schedules, in whole 1e-6 kWh."""
    charging: dict[int, int] = defaultdict(int)
    discharging: dict[int, int] = defaultdict(int)
    sessions = sessions_of(played)
    for record in sessions.values():
        for place, energy in enumerate(micro(record.schedule_kwh)):
            slot = record.first_slot + place * record.step_minutes * 60
            charging[slot] += max(energy, 0)
            discharging[slot] += max(-energy, 0)
    for agent in (played.agents.imbalance, played.agents.pricing):
        assert set(agent.sessions) == set(sessions), agent.id
        for day in agent.days.values():
            slots = range(day.day.start, day.day.end, played.scenario.step_minutes * 60)
            assert day.charging.tolist() == [charging[slot] for slot in slots], (agent.id, day.day.date)
            assert day.discharging.tolist() == [discharging[slot] for slot in slots], (agent.id, day.day.date)
        known = {
            slot
            for day in agent.days.values()
            for slot in range(day.day.start, day.day.end, played.scenario.step_minutes * 60)
        }
        assert {slot for slot, energy in charging.items() if energy} <= known


def availability_is_the_complement(played: Played) -> None:
    """A recommender holds taken exactly what the stations of its network have booked."""
    known = {}
    for recommender in played.agents.recommenders:
        for name, station in recommender.stations.items():
            for connector, book in station.books.items():
                known[name, connector] = {entry for entry in book.entries() if entry[1] > played.now}
    for station in played.agents.stations:
        for connector in station.plan.connectors:
            booked = {
                (int(b.arrival), int(b.departure), b.reservation)
                for b in station.sessions.bookings.values()
                if b.connector.id == connector.id and b.departure > played.now
            }
            assert known[station.id, connector.id] == booked, (station.id, connector.id)


def beliefs_equal_the_books(played: Played, *, costs: bool = True) -> None:
    """What a vehicle still holds is what the station holds for it, and the other way round."""
    believed, booked = {}, {}
    for vehicle in played.agents.vehicles:
        for held in vehicle.stays.held.values():
            need = vehicle.plan.needs[held.need]
            if held.preferences.departure > played.now and not need.absent:
                believed[held.reservation] = _stay(vehicle.id, held.preferences, held.cost_eur, costs)
    for station in played.agents.stations:
        for booking in station.sessions.bookings.values():
            need = played.need_of(booking.reservation)
            if booking.departure > played.now and not (need and need.absent):
                cost = booking.cost_eur
                booked[booking.reservation] = _stay(booking.vehicle, booking.preferences, cost, costs)
    assert believed == booked


def _stay(vehicle: str, preferences: Any, cost_eur: float, costs: bool) -> tuple[Any, ...]:
    stay = (vehicle, int(preferences.arrival), int(preferences.departure), preferences.energy_kwh)
    return (*stay, cost_eur) if costs else stay


def every_need_ends(played: Played) -> None:
    """Each need that was due has an outcome; one that is booked names a session that is not cancelled."""
    sessions = sessions_of(played)
    for vehicle in played.plan.vehicles:
        for number, need in enumerate(vehicle.needs):
            record = played.needs.get((vehicle.id, number))
            if need.asks_at >= played.now:
                assert record is None
                continue
            assert record is not None, (vehicle.id, number)
            assert record.outcome, (vehicle.id, number)
            if record.outcome == "booked":
                session = sessions[str(record.reservation)]
                assert session.vehicle == vehicle.id
                assert session.state is not SessionState.CANCELLED
                missed = need.absent or (need.plugs_in_at or 0) >= session.departure - 1
                assert (session.state is SessionState.NO_SHOW) <= missed
            else:
                assert record.reservation is None
    told = {record.reservation for record in played.needs.values() if record.reservation is not None}
    for session in sessions.values():
        if session.state not in (SessionState.CANCELLED, SessionState.NO_SHOW):
            assert session.reservation in told, f"{session.reservation} is booked and no vehicle knows"


def batteries_keep_their_books(played: Played) -> None:
    """Within power and battery bounds in every slot; the need is met where driver and plan kept faith."""
    for record in sessions_of(played).values():
        vehicle = played.vehicle(record.vehicle)
        need = played.need_of(record.reservation)
        capacity = record.capacity_kwh
        stored = record.soc_at_arrival * capacity
        lowest = min(stored, capacity * vehicle.min_soc)
        highest = max(stored, capacity * vehicle.max_soc)
        begin, end = _plugged(record, need, played.now)
        charge_kw = min(record.power_kw, vehicle.max_charge_kw)
        discharge_kw = min(record.power_kw, vehicle.max_discharge_kw) if record.v2g else 0.0
        start_kwh, slack = stored, 1e-6
        for place, energy in enumerate(record.schedule_kwh.tolist()):
            slot = record.first_slot + place * record.step_minutes * 60
            seconds = min(end, slot + record.step_minutes * 60) - max(begin, slot)
            hours = max(0, seconds) / 3600
            assert -discharge_kw * hours - 2e-6 <= energy <= charge_kw * hours + 2e-6, (record, place)
            gained = energy * record.charge_efficiency if energy > 0 else energy / record.discharge_efficiency
            stored += gained
            slack += 2e-6
            assert lowest - slack <= stored <= highest + slack, (record, place)
        kept = need is None or (need.plugs_in_at is None and need.unplugs_at is None)
        if kept and record.state in (SessionState.BOOKED, SessionState.CHARGING, SessionState.COMPLETED):
            assert abs(stored - start_kwh - record.energy_kwh) <= slack, record


def _plugged(record: SessionRecord, need: Need | None, now: int) -> tuple[int, int]:
    """The time that the vehicle was there, as far as the station can know it by now."""
    begin, end = record.arrival, record.departure
    if need is not None and record.state in (SessionState.CHARGING, SessionState.COMPLETED):
        if need.plugs_in_at is not None and need.plugs_in_at < now:
            begin = max(begin, need.plugs_in_at)
        if need.unplugs_at is not None and need.unplugs_at < now:
            end = min(end, need.unplugs_at)
    return begin, end


def grid_limits_hold(played: Played) -> None:
    for station in played.agents.stations:
        net: dict[int, float] = defaultdict(float)
        count = 0
        for record in sessions_of(played).values():
            if record.station == station.id:
                count += 1
                for place, energy in enumerate(record.schedule_kwh.tolist()):
                    net[record.first_slot + place * record.step_minutes * 60] += energy
        limit = station.plan.grid_limit_kw * played.scenario.step_minutes / 60
        for slot, energy in net.items():
            assert abs(energy) <= limit + 1e-6 * (1 + count), (station.id, slot)


def bills_add_up(played: Played, *, in_time: bool = True) -> None:
    """A session costs what its series say, and its vehicles' account holds the sum.

    Where messages may be late, one may come after its session was posted; that is then final.
    """
    owed: dict[str, int] = defaultdict(int)
    for record in sessions_of(played).values():
        exact = sum(
            energy * (buy if energy > 0 else sell)
            for energy, buy, sell in zip(
                record.schedule_kwh.tolist(),
                record.buy_eur_per_kwh.tolist(),
                record.sell_eur_per_kwh.tolist(),
                strict=True,
            )
        )
        assert abs(exact - record.compensation_eur - record.cost_eur) < 1.1e-5, record
        ends = record.first_slot + len(record.schedule_kwh) * record.step_minutes * 60
        if ends <= played.now:
            owed[f"EV/{record.station}"] += round(record.cost_eur * 100_000)
    balances = played.agents.pricing.ledger.balances
    assert sum(balances.values()) == 0
    if not in_time:
        return
    paid = {name: -amount for name, amount in balances.items() if name.startswith("EV/")}
    assert paid == dict(owed.items()) | {name: 0 for name in paid if name not in owed}


def messages_are_bounded(played: Played) -> None:
    """Growth is linear: what each vehicle causes stays within 250 publications."""
    by_booking = {"CP1", "CP2", "CP3", "CP5", "CP6", "CP7", "CP8", "CP12"}
    caused = sum(count for protocol, count in played.counts.items() if protocol in by_booking)
    days = played.scenario.days + played.scenario.horizon_days
    assert caused <= 250 * len(played.plan.vehicles) + 30 * days
