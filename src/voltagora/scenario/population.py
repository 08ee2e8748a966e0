"""Who takes part in a run: the vehicles, stations, producers and consumers of each grid area."""

from __future__ import annotations

from pathlib import Path

import msgspec

from voltagora.domain.fleet import ProfilePlan, StationPlan, VehiclePlan
from voltagora.scenario.areas import Area, areas
from voltagora.scenario.driver import Driver
from voltagora.scenario.driver_file import read_drivers
from voltagora.scenario.driver_fleet import driver_fleet
from voltagora.scenario.grid import grid_of, profiles
from voltagora.scenario.grid_profile import GridProfile
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.listed_fleet import listed_fleet
from voltagora.scenario.settings import Scenario
from voltagora.scenario.stations import stations
from voltagora.scenario.synthetic_drivers import synthetic_drivers
from voltagora.scenario.trip_fleet import trip_fleet


class AreaPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that takes part in one grid area."""

    area: Area
    vehicles: tuple[VehiclePlan, ...]
    stations: tuple[StationPlan, ...]
    profiles: tuple[ProfilePlan, ...]


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that takes part in a run."""

    areas: tuple[AreaPlan, ...]
    notices: tuple[str, ...]  # what was put right in the data, in sentences


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The profile and the drivers that all areas of a run draw from."""

    grid: GridProfile
    drivers: tuple[Driver, ...]


def population(scenario: Scenario) -> Population:
    """Make everything that takes part; equal scenarios give equal populations.

    Raises:
        InputErrors: a data file is wrong or does not cover the run.
    """
    horizon = Horizon(scenario)
    data = data_of(scenario, horizon)
    plans = tuple(
        AreaPlan(
            area=area,
            vehicles=tuple(vehicles(scenario, area, horizon, data)),
            stations=tuple(stations(scenario, area)),
            profiles=tuple(profiles(scenario, area, horizon, data.grid)),
        )
        for area in areas(scenario)
    )
    return Population(areas=plans, notices=data.grid.notices)


def data_of(scenario: Scenario, horizon: Horizon) -> Data:
    """Read or make the grid profile and the drivers.

    Raises:
        InputErrors: a file is wrong or does not cover the run.
    """
    return Data(grid=grid_of(scenario, horizon), drivers=tuple(_drivers(scenario, horizon)))


def vehicles(scenario: Scenario, area: Area, horizon: Horizon, data: Data) -> list[VehiclePlan]:
    """Make an area's vehicles: first the drawn ones, then the listed ones."""
    if scenario.vehicles.behaviour == "trips":
        drawn = trip_fleet(scenario, area, horizon)
    else:
        drawn = driver_fleet(scenario, area, horizon, data.drivers)
    return drawn + listed_fleet(scenario, area, horizon)


def _drivers(scenario: Scenario, horizon: Horizon) -> list[Driver]:
    if scenario.vehicles.behaviour != "drivers" or not scenario.vehicles.count:
        return []
    if scenario.vehicles.driver_file is not None:
        return read_drivers(Path(scenario.vehicles.driver_file), horizon.calendar)
    return synthetic_drivers(scenario.seed, horizon.calendar, scenario.start, scenario.days)
