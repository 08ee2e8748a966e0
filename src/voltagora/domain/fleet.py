"""What a scenario says of each thing that takes part, before any of it acts."""

from __future__ import annotations

from typing import Literal

import msgspec

from voltagora.domain.location import Location
from voltagora.domain.series import EnergySeries
from voltagora.domain.station import Connector


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One stay a driver will want to book; times are seconds UTC."""

    asks_at: int
    arrival: int
    departure: int
    energy_kwh: float  # what the battery must gain
    soc: float  # as at arrival
    location: Location | None = None  # where the driver looks for a station; None: the vehicle's own place
    connector_type: str | None = None  # None: the vehicle's own
    power_kw: float | None = None  # asked of the connector; None: the vehicle's own
    plugs_in_at: int | None = None  # None: at arrival
    unplugs_at: int | None = None  # None: at departure
    absent: bool = False  # never comes
    changes_at: int | None = None  # when the driver's plan changes, if it does
    changed_departure: int | None = None  # what the driver then wishes instead
    changed_energy_kwh: float | None = None
    cancels: bool = False  # the change is that the stay is not wanted any more


class VehiclePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One vehicle and all its needs, in order of `asks_at`."""

    id: str
    vehicle_type: str
    location: Location
    connector_type: str
    power_kw: float  # asked of the connector
    capacity_kwh: float
    min_soc: float
    max_soc: float
    max_charge_kw: float
    max_discharge_kw: float
    charge_efficiency: float = 1.0
    discharge_efficiency: float = 1.0
    v2g_allowed: bool = True
    network: str | None = None  # None: any
    min_sell_eur_kwh: float | None = None
    needs: tuple[Need, ...] = ()


class StationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One charging station."""

    id: str
    network: str
    location: Location
    connectors: tuple[Connector, ...]
    grid_limit_kw: float


class ProfilePlan(msgspec.Struct, frozen=True, kw_only=True):
    """One producer or consumer with what it really makes or uses, history included."""

    id: str
    role: Literal["EP", "EC"]
    kind: str  # solar, wind, lignite, gas, import...; residential, commercial, industrial...
    rated_power_kw: float
    location: Location
    actual: EnergySeries  # kWh a slot, from any history before the run to the end of the last day foreseen
