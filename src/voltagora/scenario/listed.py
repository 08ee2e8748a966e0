"""Stations and vehicles that a scenario writes out one by one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from voltagora.domain.station import Level
from voltagora.domain.units import Efficiency, EurPerKwh, Id, Latitude, Longitude, Share, Word

PositiveKw = Annotated[float, Meta(gt=0, le=1e12, description="kW")]
WHEN = "with an offset or Z, or without one in the scenario's time zone; whole seconds"


class Listed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table inside a list of the scenario file."""


class ListedConnector(Listed, frozen=True, kw_only=True):
    """`[[stations.list.connectors]]`: one plug, or several equal ones."""

    connector_type: Annotated[Word, Meta(description="Kind of plug, by name.")]
    power_kw: Annotated[PositiveKw, Meta(description="Rated power, kW.")]
    level: Annotated[Level, Meta(description="Charging level: 1 and 2 AC, 3 fast.")] = 2
    v2g_capable: Annotated[bool, Meta(description="It can discharge a vehicle.")] = True
    count: Annotated[int, Meta(ge=1, le=10_000, description="So many equal ones.")] = 1


class ListedStation(Listed, frozen=True, kw_only=True):
    """`[[stations.list]]`: one station."""

    id: Annotated[Id, Meta(description="Its name, unique over all kinds of agents.")]
    latitude: Latitude
    longitude: Longitude
    connectors: Annotated[
        tuple[ListedConnector, ...], Meta(min_length=1, description="Its plugs, at least one.")
    ]
    area: Annotated[Id | None, Meta(description="Its grid area; absent: the first.")] = None
    network: Annotated[Id | None, Meta(description="Its network; absent: the area's first.")] = None
    grid_limit_kw: Annotated[
        PositiveKw | None,
        Meta(description="Limit of its grid connection, kW; absent: the sum of its powers."),
    ] = None


class ListedNeed(Listed, frozen=True, kw_only=True):
    """`[[vehicles.list.needs]]`: one stay that the driver wants to book."""

    arrival: Annotated[datetime, Meta(description=f"When the stay begins: {WHEN}.")]
    departure: Annotated[datetime, Meta(description=f"When it ends, after arrival: {WHEN}.")]
    energy_kwh: Annotated[float, Meta(ge=0, le=1e12, description="What the battery must gain, kWh.")]
    soc: Annotated[Share, Meta(description="State of charge at arrival, 0 to 1.")]
    asks_at: Annotated[
        datetime | None,
        Meta(description=f"When the driver asks: {WHEN}; absent: 2 h before arrival, with prices known."),
    ] = None
    connector_type: Annotated[Word | None, Meta(description="Absent: the vehicle's own.")] = None
    power_kw: Annotated[
        PositiveKw | None, Meta(description="Asked power, kW; absent: the vehicle's own.")
    ] = None
    plugs_in_at: Annotated[datetime | None, Meta(description="Absent: at arrival.")] = None
    unplugs_at: Annotated[datetime | None, Meta(description="Absent: at departure.")] = None
    absent: Annotated[bool, Meta(description="The driver never comes.")] = False
    changes_at: Annotated[datetime | None, Meta(description="When the plan changes, if it does.")] = None
    changed_departure: Annotated[datetime | None, Meta(description="The departure then wished instead.")] = (
        None
    )
    changed_energy_kwh: Annotated[
        Annotated[float, Meta(ge=0, le=1e12)] | None, Meta(description="The energy then wished instead, kWh.")
    ] = None
    cancels: Annotated[bool, Meta(description="The change is that the stay is not wanted any more.")] = False


class ListedVehicle(Listed, frozen=True, kw_only=True):
    """`[[vehicles.list]]`: one vehicle with its stays."""

    id: Annotated[Id, Meta(description="Its name, unique over all kinds of agents.")]
    latitude: Latitude
    longitude: Longitude
    connector_type: Annotated[Word, Meta(description="Kind of plug, by name.")]
    power_kw: Annotated[PositiveKw, Meta(description="Power asked of a connector, kW.")]
    capacity_kwh: Annotated[float, Meta(gt=0, le=1e12, description="Usable battery capacity, kWh.")]
    area: Annotated[Id | None, Meta(description="Its grid area; absent: the first.")] = None
    vehicle_type: Annotated[Word, Meta(description="A name for vehicles alike, for reports.")] = "listed"
    min_soc: Annotated[Share, Meta(description="Never discharged below, 0 to 1.")] = 0.1
    max_soc: Annotated[Share, Meta(description="Never charged above, 0 to 1.")] = 1.0
    max_charge_kw: Annotated[
        Annotated[float, Meta(ge=0, le=1e12)] | None,
        Meta(description="What the battery takes, kW; absent: power_kw."),
    ] = None
    max_discharge_kw: Annotated[
        Annotated[float, Meta(ge=0, le=1e12)] | None,
        Meta(description="What the battery gives, kW; absent: as max_charge_kw."),
    ] = None
    charge_efficiency: Annotated[Efficiency, Meta(description="Energy stored per energy charged.")] = 1.0
    discharge_efficiency: Annotated[Efficiency, Meta(description="Energy fed back per energy drawn.")] = 1.0
    v2g_allowed: Annotated[bool, Meta(description="The driver allows discharging.")] = True
    network: Annotated[Id | None, Meta(description="The only network it uses; absent: any.")] = None
    min_sell_eur_kwh: Annotated[
        EurPerKwh | None, Meta(description="Least price for discharging, EUR/kWh.")
    ] = None
    needs: Annotated[tuple[ListedNeed, ...], Meta(description="Its stays.")] = ()
