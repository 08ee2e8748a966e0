"""The decision when a session charges and discharges: what goes in, what comes out, who decides.

A session goes in with its battery, powers, prices and bounds; out comes either its schedule or
how much energy would be possible, never part of what was asked.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import msgspec
import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies.kernels.session_schedule import TOLERANCE_KWH


class Session(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One stay to schedule.

    Times are seconds UTC; arrays have one value for each slot that shares time with
    `[arrival, departure)`, shape (slots,), are contiguous and are only read.

    Source: domain.md section 3, "Scheduling".
    """

    arrival: int
    departure: int
    first_slot: int  # start of the slot that holds the arrival
    step_seconds: int  # length of a slot
    buy: Floats  # EUR/kWh that charging pays
    sell: Floats  # EUR/kWh that discharging earns
    energy_kwh: float  # E, what the battery must gain
    start_kwh: float  # e_0, stored at arrival
    low_kwh: float  # c_min
    high_kwh: float  # c_max
    charge_kw: float  # Pc at the connector
    discharge_kw: float = 0.0  # Pd at the connector; 0 if V2G is not allowed or not possible
    charge_efficiency: float = 1.0  # η_c
    discharge_efficiency: float = 1.0  # η_d
    min_sell_eur_kwh: float = -math.inf  # no discharging where `sell` is below it
    headroom_charge_kwh: Floats | None = None  # the most the slot may draw; None: no limit
    headroom_discharge_kwh: Floats | None = None  # the most the slot may feed in; None: no limit

    @classmethod
    def of(
        cls,
        preferences: Preferences,
        battery: Battery,
        *,
        connector_power_kw: float,
        connector_v2g: bool,
        first_slot: int,
        step_seconds: int,
        buy: Floats,
        sell: Floats,
        headroom_charge_kwh: Floats | None = None,
        headroom_discharge_kwh: Floats | None = None,
    ) -> Self:
        """Put together what a vehicle asks, its battery and the connector."""
        capacity = battery.capacity_kwh
        start = battery.soc * capacity
        v2g = preferences.v2g_allowed and connector_v2g
        least_sell = preferences.min_sell_eur_kwh
        return cls(
            arrival=int(preferences.arrival),
            departure=int(preferences.departure),
            first_slot=int(first_slot),
            step_seconds=step_seconds,
            buy=buy,
            sell=sell,
            energy_kwh=preferences.energy_kwh,
            start_kwh=start,
            low_kwh=min(start, capacity * max(battery.min_soc, preferences.min_soc)),
            high_kwh=max(start, capacity * battery.max_soc),
            charge_kw=min(connector_power_kw, battery.max_charge_kw, preferences.power_kw),
            discharge_kw=min(connector_power_kw, battery.max_discharge_kw) if v2g else 0.0,
            charge_efficiency=battery.charge_efficiency,
            discharge_efficiency=battery.discharge_efficiency,
            min_sell_eur_kwh=least_sell if isinstance(least_sell, float) else -math.inf,
            headroom_charge_kwh=headroom_charge_kwh,
            headroom_discharge_kwh=headroom_discharge_kwh,
        )


class Planned(msgspec.Struct, frozen=True, eq=False):
    """A schedule that meets the need."""

    schedule_kwh: Floats  # at the connector, 6 decimals, > 0 into the vehicle; shape (slots,)
    cost_eur: float  # as settled on the rounded schedule without compensation, 5 decimals
    objective_eur: float  # of the unrounded schedule, wear included


class Infeasible(msgspec.Struct, frozen=True):
    """The need cannot be met by departure."""

    possible_kwh: float  # the most the battery could gain, 6 decimals


class SessionBatch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Many sessions, their slots end to end: those of session i lie in `offsets[i]:offsets[i + 1]`."""

    stays: Integers  # shape (sessions, 4): arrival, departure, first slot, step; seconds
    terms: Floats  # shape (sessions, 10): the numbers of a Session from `energy_kwh` on, wear before the last
    offsets: Integers  # shape (sessions + 1,)
    buy: Floats  # EUR/kWh, shape (slots of all,)
    sell: Floats
    headroom_charge_kwh: Floats  # shape (slots of all,), or (0,) if none has a limit
    headroom_discharge_kwh: Floats

    @classmethod
    def of(cls, sessions: Sequence[Session]) -> Self:
        """Lay sessions end to end."""
        counts = [len(session.buy) for session in sessions]
        return cls(
            stays=np.array(
                [(s.arrival, s.departure, s.first_slot, s.step_seconds) for s in sessions], np.int64
            ),
            terms=np.array([_numbers(s) for s in sessions], np.float64),
            offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))),
            buy=np.concatenate([s.buy for s in sessions]),
            sell=np.concatenate([s.sell for s in sessions]),
            headroom_charge_kwh=_joined([s.headroom_charge_kwh for s in sessions], counts),
            headroom_discharge_kwh=_joined([s.headroom_discharge_kwh for s in sessions], counts),
        )

    def session(self, index: int) -> Session:
        """Give one session of the batch by itself."""
        ours = slice(self.offsets[index], self.offsets[index + 1])
        arrival, departure, first_slot, step_seconds = (int(moment) for moment in self.stays[index])
        terms = [float(number) for number in self.terms[index]]
        return Session(
            arrival=arrival,
            departure=departure,
            first_slot=first_slot,
            step_seconds=step_seconds,
            buy=self.buy[ours],
            sell=self.sell[ours],
            energy_kwh=terms[0],
            start_kwh=terms[1],
            low_kwh=terms[2],
            high_kwh=terms[3],
            charge_kw=terms[4],
            discharge_kw=terms[5],
            charge_efficiency=terms[6],
            discharge_efficiency=terms[7],
            min_sell_eur_kwh=terms[9],
            headroom_charge_kwh=self.headroom_charge_kwh[ours] if len(self.headroom_charge_kwh) else None,
            headroom_discharge_kwh=self.headroom_discharge_kwh[ours]
            if len(self.headroom_discharge_kwh)
            else None,
        )


class PlannedBatch(msgspec.Struct, frozen=True, eq=False):
    """The answers to a batch, in its order."""

    feasible: np.ndarray[tuple[int], np.dtype[np.bool_]]  # shape (sessions,)
    possible_kwh: Floats  # shape (sessions,), 6 decimals; NaN where feasible
    schedule_kwh: Floats  # shape (slots of all,), zero where infeasible
    cost_eur: Floats  # shape (sessions,); NaN where infeasible
    objective_eur: Floats  # likewise


class SchedulingStrategy(msgspec.Struct, frozen=True):
    """Decides when sessions charge and discharge; its fields are its parameters."""

    name: ClassVar[str]

    @abstractmethod
    def plan(self, session: Session) -> Planned | Infeasible:
        """Schedule one session within its own bounds and headroom."""

    @abstractmethod
    def plan_batch(self, batch: SessionBatch) -> PlannedBatch:
        """Schedule many sessions, each by itself; the same answers as `plan` gives one by one."""


def possible_departure(session: Session, latest: int, headroom_charge_kw: Floats | None = None) -> int | None:
    """Find the earliest whole second at which leaving would have the need met.

    Staying longer helps only charging, so neither prices nor discharging matter.

    Args:
        session: the stay; its own departure and arrays are not looked at.
        latest: the last departure that the connector's next booking and the known prices allow.
        headroom_charge_kw: the power that each slot from `first_slot` to `latest` may draw, kW,
            shape (slots,); None for no limit.

    Returns:
        Seconds UTC, or None if the battery is too small or `latest` too early.
    """
    needed = session.energy_kwh - TOLERANCE_KWH
    if needed > session.high_kwh - session.start_kwh:
        return None
    if needed <= 0:
        return session.arrival + 1
    slot, slots = session.first_slot, 0
    gained = 0.0
    while slot < latest:
        begin, end = max(session.arrival, slot), min(latest, slot + session.step_seconds)
        power_kw = session.charge_kw
        if headroom_charge_kw is not None:
            power_kw = min(power_kw, max(0.0, float(headroom_charge_kw[slots])))
        seconds = _seconds_until(session.charge_efficiency * power_kw, needed - gained, end - begin)
        if seconds is not None:
            return begin + seconds
        gained += session.charge_efficiency * (power_kw * ((end - begin) / 3600.0))
        slot, slots = slot + session.step_seconds, slots + 1
    return None


def _seconds_until(stored_kw: float, missing_kwh: float, at_most: int) -> int | None:
    """Count the whole seconds of charging within a slot that gain so much, 1 at least."""
    if stored_kw * (at_most / 3600.0) < missing_kwh:
        return None
    seconds = min(at_most, max(1, math.ceil(missing_kwh / stored_kw * 3600.0)))
    # The quotient may be off by its rounding: the gain decides.
    while stored_kw * (seconds / 3600.0) < missing_kwh:
        seconds += 1
    while seconds > 1 and stored_kw * ((seconds - 1) / 3600.0) >= missing_kwh:
        seconds -= 1
    return seconds


def _joined(rooms: Sequence[Floats | None], counts: Sequence[int]) -> Floats:
    if all(room is None for room in rooms):
        return np.empty(0)
    return np.concatenate(
        [np.full(count, np.inf) if room is None else room for room, count in zip(rooms, counts, strict=True)]
    )


def _numbers(session: Session) -> tuple[float, ...]:
    return (
        session.energy_kwh,
        session.start_kwh,
        session.low_kwh,
        session.high_kwh,
        session.charge_kw,
        session.discharge_kw,
        session.charge_efficiency,
        session.discharge_efficiency,
        0.0,  # the wear is the strategy's
        session.min_sell_eur_kwh,
    )
