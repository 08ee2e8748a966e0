"""A station's sessions: who is booked on which connector, and what each draws in which slot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET, UnsetType

from voltagora.agents.book import Book
from voltagora.agents.market import Prices
from voltagora.domain.calendar import Calendar
from voltagora.domain.fleet import StationPlan
from voltagora.domain.records import SessionRecord, SessionState
from voltagora.domain.series import PriceSeries, ScheduleSeries, hours_in_slots
from voltagora.domain.station import Connector
from voltagora.domain.terms import Terms
from voltagora.domain.units import MICRO, Floats, Time, replaced, round_array, round_money
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.energy import COST_SIGNATURE, energy_cost
from voltagora.strategies.scheduling.decision import Infeasible, Planned, SchedulingStrategy, Session
from voltagora.strategies.scheduling.station import Station as JointStrategy


@dataclass(slots=True)
class Booking:
    """One reservation as it now stands."""

    reservation: str
    vehicle: str
    connector: Connector
    preferences: Preferences  # arrival, departure and energy as now agreed
    battery: Battery
    schedule: ScheduleSeries
    buy: PriceSeries
    sell: PriceSeries
    cost_eur: float
    compensation_eur: float = 0.0
    revision: int = 1
    plugged_in: bool = False
    plugged_in_at: int | None = None  # None: has not come yet
    offered: Terms | None = None  # what the station last said it would take
    counters: int = 0  # how often in a row it has countered what the vehicle proposed
    negotiating: bool = False
    unanswered: Terms | None = None  # what the station proposed and the vehicle may have agreed to unheard

    @property
    def arrival(self) -> int:
        """Start of the stay, seconds UTC."""
        return self.preferences.arrival

    @property
    def departure(self) -> int:
        """End of the stay, seconds UTC."""
        return self.preferences.departure

    def close_talks(self) -> None:
        """Let what was offered stand no more."""
        self.offered = None
        self.counters = 0

    def terms(self) -> Terms:
        """Give what is agreed, as terms."""
        preferences = self.preferences
        return Terms(
            arrival=preferences.arrival,
            departure=preferences.departure,
            energy_kwh=preferences.energy_kwh,
            compensation_eur=self.compensation_eur,
        )


class SessionBook:
    """All bookings of one station; no two share a connector at any instant."""

    def __init__(self, plan: StationPlan, calendar: Calendar, strategy: SchedulingStrategy) -> None:
        self.plan = plan
        self.calendar = calendar
        self.strategy = strategy
        self.connectors = {connector.id: connector for connector in plan.connectors}
        self.books = {connector.id: Book() for connector in plan.connectors}
        self.bookings: dict[str, Booking] = {}
        self._by_vehicle: dict[str, list[Booking]] = {}
        # By slot start, whole 1e-6 kWh booked: drawn by some sessions, fed in by others.
        self._drawn: dict[int, int] = {}
        self._fed: dict[int, int] = {}
        # Where all connectors at full power stay within the limit, it never binds.
        self.is_limited = sum(c.power_kw for c in plan.connectors) > plan.grid_limit_kw * (1 + 1e-9)

    # Planning: nothing is changed.

    def session(
        self,
        preferences: Preferences,
        battery: Battery,
        connector: Connector,
        prices: Prices,
        without: Iterable[Booking] = (),
    ) -> Session:
        """Put together what is to be scheduled, within what others leave of the grid limit."""
        first_slot = self.calendar.slot_start(preferences.arrival)
        charge, discharge = self.headroom_kw(first_slot, len(prices[0]), without)
        if charge is not None and discharge is not None:
            hours = hours_in_slots(
                preferences.arrival, preferences.departure, first_slot, self.calendar.step_seconds
            )
            charge, discharge = charge * hours, discharge * hours
        return Session.of(
            preferences,
            battery,
            connector_power_kw=connector.power_kw,
            connector_v2g=connector.v2g_capable,
            first_slot=first_slot,
            step_seconds=self.calendar.step_seconds,
            buy=prices[0],
            sell=prices[1],
            headroom_charge_kwh=charge,
            headroom_discharge_kwh=discharge,
        )

    def headroom_kw(
        self, first_slot: int, slots: int, without: Iterable[Booking] = ()
    ) -> tuple[Floats | None, Floats | None]:
        """Give the power that each slot may still draw and feed in, kW; None where the limit cannot bind.

        Nobody counts on what another session does the other way, as that one may be cancelled.
        """
        if not self.is_limited:
            return None, None
        drawn, fed = self._booked(first_slot, slots, without)
        limit_kw, slot_hours = self.plan.grid_limit_kw, self.calendar.step_seconds / 3600
        return np.maximum(limit_kw - drawn / slot_hours, 0.0), np.maximum(limit_kw - fed / slot_hours, 0.0)

    def net(self, first_slot: int, slots: int, without: Iterable[Booking] = ()) -> Floats:
        """Sum the booked energy of each slot, kWh at the grid connection, some bookings left out."""
        drawn, fed = self._booked(first_slot, slots, without)
        return drawn - fed

    def _booked(self, first_slot: int, slots: int, without: Iterable[Booking]) -> tuple[Floats, Floats]:
        """Sum what is drawn and what is fed in, kWh a slot, some bookings left out."""
        step = self.calendar.step_seconds
        starts = [first_slot + i * step for i in range(slots)]
        drawn, fed = (
            np.array([booked.get(start, 0) for start in starts], dtype=np.int64)
            for booked in (self._drawn, self._fed)
        )
        for booking in without:
            for slot, energy in _by_slot(booking):
                place = (slot - first_slot) // step
                if 0 <= place < slots:
                    drawn[place] -= max(energy, 0)
                    fed[place] -= max(-energy, 0)
        return drawn / MICRO, fed / MICRO

    def plan_new(
        self, session: Session, now: int
    ) -> tuple[Planned | Infeasible, list[tuple[Booking, Planned]]]:
        """Schedule a new session; with the `station` strategy the others to come are scheduled with it.

        Returns:
            The answer, and the changed schedules of other bookings.
        """
        if not isinstance(self.strategy, JointStrategy) or not self.is_limited:
            return self.strategy.plan(session), []
        others = [b for b in self.bookings.values() if b.arrival > now and not b.negotiating]
        sessions = [
            self.session(b.preferences, b.battery, b.connector, (b.buy.values, b.sell.values)) for b in others
        ]
        sessions = [
            replaced(s, headroom_charge_kwh=None, headroom_discharge_kwh=None) for s in [*sessions, session]
        ]
        first = min(s.first_slot for s in sessions)
        last = max(s.first_slot + len(s.buy) * s.step_seconds for s in sessions)
        fixed = self.net(first, (last - first) // self.calendar.step_seconds, others)
        *changed, answer = self.strategy.plan_station(
            sessions, self.plan.grid_limit_kw, self.calendar.step_seconds, fixed
        )
        if isinstance(answer, Infeasible) or not all(isinstance(plan, Planned) for plan in changed):
            return answer, []
        return answer, [
            (booking, plan)
            for booking, plan in zip(others, changed, strict=True)
            if isinstance(plan, Planned) and not np.array_equal(plan.schedule_kwh, booking.schedule.values)
        ]

    def holds_any(self, vehicle: str, start: int, end: int, without: Booking | None = None) -> bool:
        """Tell whether a vehicle is booked here for any moment of `[start, end)`, one booking left out."""
        return any(
            booking.arrival < end and start < booking.departure and booking is not without
            for booking in self._by_vehicle.get(vehicle, ())
        )

    # Keeping: each method changes the books in one place.

    def add(self, booking: Booking) -> None:
        """Enter a booking.

        Raises:
            ValueError: its connector is taken; nothing is entered.
        """
        self.books[booking.connector.id].add(booking.arrival, booking.departure, booking.reservation)
        self.bookings[booking.reservation] = booking
        self._by_vehicle.setdefault(booking.vehicle, []).append(booking)
        self._count(booking, 1)

    def reschedule(
        self,
        booking: Booking,
        schedule: ScheduleSeries,
        *,
        prices: tuple[PriceSeries, PriceSeries] | None = None,
        preferences: Preferences | None = None,
        compensation_eur: float | None = None,
    ) -> None:
        """Give a booking another schedule, and with it other times, prices or compensation."""
        self._count(booking, -1)
        if preferences is not None and preferences is not booking.preferences:
            book = self.books[booking.connector.id]
            book.remove(booking.arrival, booking.reservation)
            book.add(preferences.arrival, preferences.departure, booking.reservation)
            booking.preferences = preferences
        booking.schedule = schedule
        if prices is not None:
            booking.buy, booking.sell = prices
        if compensation_eur is not None:
            booking.compensation_eur = compensation_eur
        booking.cost_eur = round_money(
            energy_cost_eur(schedule, (booking.buy, booking.sell)) - booking.compensation_eur
        )
        booking.revision += 1
        booking.close_talks()
        self._count(booking, 1)

    def release(self, booking: Booking) -> None:
        """Strike out a booking; its schedule becomes zero and it costs nothing."""
        self._count(booking, -1)
        self.books[booking.connector.id].remove(booking.arrival, booking.reservation)
        self._take_out(booking)
        booking.schedule = replaced(booking.schedule, values=np.zeros(len(booking.schedule)))
        booking.compensation_eur = 0.0
        booking.cost_eur = 0.0
        booking.revision += 1

    def close(self, booking: Booking) -> None:
        """Take out a booking that is over; what it drew is no longer of use to plan with."""
        self._count(booking, -1)
        self._take_out(booking)
        self.books[booking.connector.id].forget(booking.departure)

    def _take_out(self, booking: Booking) -> None:
        del self.bookings[booking.reservation]
        others = self._by_vehicle[booking.vehicle]
        others.remove(booking)
        if not others:
            del self._by_vehicle[booking.vehicle]

    def _count(self, booking: Booking, sign: int) -> None:
        if self.is_limited:
            for slot, energy in _by_slot(booking):
                booked = self._drawn if energy > 0 else self._fed
                total = booked.get(slot, 0) + sign * abs(energy)
                if total:
                    booked[slot] = total
                else:
                    booked.pop(slot, None)

    def record(self, booking: Booking, state: SessionState, area: str) -> SessionRecord:
        """Say how a booking stands."""
        preferences, battery, schedule = booking.preferences, booking.battery, booking.schedule
        return SessionRecord(
            reservation=booking.reservation,
            area=area,
            network=self.plan.network,
            vehicle=booking.vehicle,
            station=self.plan.id,
            connector=booking.connector.id,
            arrival=int(preferences.arrival),
            departure=int(preferences.departure),
            energy_kwh=preferences.energy_kwh,
            capacity_kwh=battery.capacity_kwh,
            soc_at_arrival=battery.soc,
            charge_efficiency=battery.charge_efficiency,
            discharge_efficiency=battery.discharge_efficiency,
            power_kw=booking.connector.power_kw,
            v2g=preferences.v2g_allowed and booking.connector.v2g_capable,
            state=state,
            revision=booking.revision,
            first_slot=int(schedule.start),
            step_minutes=schedule.step_minutes,
            schedule_kwh=schedule.values,
            buy_eur_per_kwh=booking.buy.values,
            sell_eur_per_kwh=booking.sell.values,
            compensation_eur=booking.compensation_eur,
            cost_eur=booking.cost_eur,
        )


def energy_cost_eur(schedule: ScheduleSeries, prices: tuple[PriceSeries, PriceSeries]) -> float:
    """Sum what a schedule's charging costs less what its discharging earns, EUR, unrounded."""
    return compiled(energy_cost, COST_SIGNATURE)(schedule.values, prices[0].values, prices[1].values)


def agreed_terms(terms: Terms, booked: Preferences) -> Preferences:
    """Apply terms to what a driver had asked for.

    Raises:
        ValueError: the stay would end before it begins.
    """
    changes: dict[str, Time | float | UnsetType] = {
        name: value
        for name in ("arrival", "departure", "energy_kwh")
        if (value := getattr(terms, name)) is not UNSET
    }
    result: Preferences = replaced(booked, **changes, desired_soc=UNSET)
    return result


def series_of(values: Floats, first_slot: int, calendar: Calendar) -> ScheduleSeries:
    """Wrap a schedule that is rounded already."""
    return ScheduleSeries(start=Time(first_slot), step_minutes=calendar.step_minutes, values=values)


def prices_of(prices: Prices, first_slot: int, calendar: Calendar) -> tuple[PriceSeries, PriceSeries]:
    """Wrap prices that are rounded already."""
    start, step = Time(first_slot), calendar.step_minutes
    return (
        PriceSeries(start=start, step_minutes=step, values=prices[0]),
        PriceSeries(start=start, step_minutes=step, values=prices[1]),
    )


def cut_at(booking: Booking, moment: int) -> ScheduleSeries:
    """Keep what a booking's schedule draws before an instant and nothing after it.

    Within the slot that holds the instant, power is taken as even over the stay's part of it.
    """
    schedule, step = booking.schedule, booking.schedule.step_seconds
    values = schedule.values.copy()
    since = max(booking.arrival, booking.plugged_in_at or 0)
    for place in range(len(values)):
        begin = max(since, schedule.start + place * step)
        end = min(booking.departure, schedule.start + (place + 1) * step)
        if begin < end:
            values[place] *= min(1.0, max(0.0, (moment - begin) / (end - begin)))
    values = round_array(values, 6)
    values.setflags(write=False)
    return ScheduleSeries(start=schedule.start, step_minutes=schedule.step_minutes, values=values)


def _by_slot(booking: Booking) -> Sequence[tuple[int, int]]:
    schedule = booking.schedule
    step = schedule.step_seconds
    return [
        (schedule.start + place * step, round(energy * MICRO))
        for place, energy in enumerate(schedule.values.tolist())
        if energy
    ]
