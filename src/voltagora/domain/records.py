"""What a run leaves behind: one small value a fact, handed by the agents to a sink.

Times are seconds UTC, arrays are read-only and of shape (slots,).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import StrEnum
from typing import TypeAlias

import msgspec

from voltagora.domain.units import Floats


class SessionState(StrEnum):
    """Where a reservation stands."""

    BOOKED = "booked"
    CHARGING = "charging"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    NO_SHOW = "no_show"


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation as it stands at its end, or at the end of the run; one a reservation."""

    reservation: str
    area: str
    network: str
    vehicle: str
    station: str
    connector: str
    arrival: int
    departure: int
    energy_kwh: float  # what the battery must gain
    capacity_kwh: float
    soc_at_arrival: float
    charge_efficiency: float
    discharge_efficiency: float
    power_kw: float  # the connector's
    v2g: bool  # vehicle allows it and connector can
    state: SessionState
    revision: int
    first_slot: int
    step_minutes: int
    schedule_kwh: Floats
    buy_eur_per_kwh: Floats
    sell_eur_per_kwh: Floats
    compensation_eur: float
    cost_eur: float


class NeedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One stay that a vehicle wanted to book, and how that ended; one a need."""

    area: str
    vehicle: str
    need: int  # the vehicle's own count, from 0
    asked_at: int
    arrival: int
    departure: int
    energy_kwh: float
    rounds: int  # times it asked the recommenders
    reservation: str | None  # the booking made, if any
    outcome: str  # "booked", "cancelled", or the reason for which it was given up


class RefusalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One `no` that a vehicle heard, or a reply that never came."""

    at: int
    area: str
    vehicle: str
    need: int
    protocol: str  # "CP1", "CP2", "CP3"
    responder: str  # who refused, or was silent
    reason: str  # the wire word
    field: str | None
    possible_kwh: float | None


class VehicleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A vehicle that took part, whether it booked or not; one a vehicle."""

    vehicle: str
    area: str
    vehicle_type: str
    capacity_kwh: float


class StationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A station that took part; one a station."""

    station: str
    area: str
    network: str
    connectors: int
    grid_limit_kw: float


class DayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A grid area's slots of one local day, once the day is over; one an area and day."""

    area: str
    day: date
    start: int
    step_minutes: int
    production_kwh: Floats
    consumption_kwh: Floats
    charging_kwh: Floats
    discharging_kwh: Floats
    buy_eur_per_kwh: Floats  # the newest of each slot at its start
    sell_eur_per_kwh: Floats


class EnergyDayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """EI's half of a `DayRecord`; the runtime joins both."""

    area: str
    day: date
    start: int
    step_minutes: int
    production_kwh: Floats
    consumption_kwh: Floats
    charging_kwh: Floats
    discharging_kwh: Floats


class PriceDayRecord(msgspec.Struct, frozen=True, kw_only=True):
    """MD's half of a `DayRecord`."""

    area: str
    day: date
    buy_eur_per_kwh: Floats
    sell_eur_per_kwh: Floats


class LedgerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The balance of one account of a mechanism design agent when the run ends."""

    area: str
    account: str  # "MD", "CS/<station>", "EV/<station>" (that station's vehicles), "EP/<id>", "EC/<id>"
    balance_eur: float


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One publication (only kept when a run is asked for its messages)."""

    at: int
    wave: int
    area: str
    protocol: str
    topic: str
    sender: str
    payload: bytes


class MessageCountRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How many publications of one protocol an area saw; one an area and protocol."""

    area: str
    protocol: str  # "CP1" to "CP12", "timer"
    count: int


Record: TypeAlias = (
    SessionRecord
    | NeedRecord
    | RefusalRecord
    | VehicleRecord
    | StationRecord
    | DayRecord
    | EnergyDayRecord
    | PriceDayRecord
    | LedgerRecord
    | MessageRecord
    | MessageCountRecord
)
RecordSink: TypeAlias = Callable[[Record], None]
