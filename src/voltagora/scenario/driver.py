"""What a scenario knows of a driver, from a file or made up."""

from __future__ import annotations

from datetime import date

import msgspec


class DriverSession(msgspec.Struct, frozen=True, kw_only=True):
    """One charge of a driver."""

    arrival: int  # seconds UTC
    charging_seconds: int  # without idling
    starting_soc: float
    ending_soc: float
    connector_type: str | None = None  # None: the driver's own
    power_kw: float | None = None


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """A car and its charges, by arrival."""

    id: str
    model: str
    capacity_kwh: float
    connector_type: str
    power_kw: float
    sessions: tuple[DriverSession, ...]
    first_day: date | None = None  # whole local days that the sessions are known for; None: any
    last_day: date | None = None
