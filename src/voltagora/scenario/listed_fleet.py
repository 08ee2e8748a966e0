"""Vehicles that a scenario writes out one by one."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from voltagora.domain.fleet import Need, VehiclePlan
from voltagora.domain.location import Location
from voltagora.domain.units import round_energy, round_money
from voltagora.scenario.areas import Area
from voltagora.scenario.horizon import FIRST_NOTICE_SECONDS, Horizon
from voltagora.scenario.listed import ListedNeed, ListedVehicle
from voltagora.scenario.settings import Scenario


def listed_fleet(scenario: Scenario, area: Area, horizon: Horizon) -> list[VehiclePlan]:
    """Make the listed vehicles that belong to an area; one that names none is in the first."""
    first = scenario.areas[0].id if scenario.areas else area.id
    return [
        _plan(vehicle, horizon) for vehicle in scenario.vehicles.list if (vehicle.area or first) == area.id
    ]


def _plan(vehicle: ListedVehicle, horizon: Horizon) -> VehiclePlan:
    # The wire carries 6 decimals of kWh and kW, 5 of EUR/kWh, and what it carries is what counts.
    power_kw = round_energy(vehicle.power_kw)
    max_charge_kw = power_kw if vehicle.max_charge_kw is None else round_energy(vehicle.max_charge_kw)
    max_discharge_kw = (
        max_charge_kw if vehicle.max_discharge_kw is None else round_energy(vehicle.max_discharge_kw)
    )
    least_sell = vehicle.min_sell_eur_kwh
    needs = [_need(need, horizon) for need in vehicle.needs]
    return VehiclePlan(
        id=vehicle.id,
        vehicle_type=vehicle.vehicle_type,
        location=Location(latitude=vehicle.latitude, longitude=vehicle.longitude),
        connector_type=vehicle.connector_type,
        power_kw=power_kw,
        capacity_kwh=round_energy(vehicle.capacity_kwh),
        min_soc=vehicle.min_soc,
        max_soc=vehicle.max_soc,
        max_charge_kw=max_charge_kw,
        max_discharge_kw=max_discharge_kw,
        charge_efficiency=vehicle.charge_efficiency,
        discharge_efficiency=vehicle.discharge_efficiency,
        v2g_allowed=vehicle.v2g_allowed,
        network=vehicle.network,
        min_sell_eur_kwh=None if least_sell is None else round_money(least_sell),
        needs=tuple(sorted(needs, key=lambda need: need.asks_at)),
    )


def _need(need: ListedNeed, horizon: Horizon) -> Need:
    zone = horizon.calendar.zone
    arrival, departure = seconds(need.arrival, zone), seconds(need.departure, zone)
    if need.asks_at is None:
        known = int(horizon.prices_known_at(np.array([departure]))[0])
        asks_at = min(max(arrival - FIRST_NOTICE_SECONDS, known), arrival)
    else:
        asks_at = seconds(need.asks_at, zone)
    return Need(
        asks_at=asks_at,
        arrival=arrival,
        departure=departure,
        energy_kwh=round_energy(need.energy_kwh),
        soc=need.soc,
        connector_type=need.connector_type,
        power_kw=None if need.power_kw is None else round_energy(need.power_kw),
        plugs_in_at=_maybe(need.plugs_in_at, zone),
        unplugs_at=_maybe(need.unplugs_at, zone),
        absent=need.absent,
        changes_at=_maybe(need.changes_at, zone),
        changed_departure=_maybe(need.changed_departure, zone),
        changed_energy_kwh=(
            None if need.changed_energy_kwh is None else round_energy(need.changed_energy_kwh)
        ),
        cancels=need.cancels,
    )


def seconds(moment: datetime, zone: str) -> int:
    """Give a moment as seconds UTC; one without an offset is local to the zone."""
    return int((moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).timestamp())


def _maybe(moment: datetime | None, zone: str) -> int | None:
    return None if moment is None else seconds(moment, zone)
