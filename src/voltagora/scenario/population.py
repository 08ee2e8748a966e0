"""Who takes part in a run: the vehicles, stations, producers and consumers of each grid area."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec

from voltagora.domain.errors import InputError, InputErrors
from voltagora.domain.fleet import ProfilePlan, StationPlan, VehiclePlan
from voltagora.domain.series import PriceSeries
from voltagora.scenario.areas import Area, areas
from voltagora.scenario.driver import Driver
from voltagora.scenario.driver_file import read_drivers
from voltagora.scenario.driver_fleet import driver_fleet
from voltagora.scenario.grid import grid_of, profiles
from voltagora.scenario.grid_profile import GridProfile
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.listed_fleet import listed_fleet
from voltagora.scenario.market import market_prices
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
    market: PriceSeries | None  # day-ahead prices of the run and its horizon, if pricing is `market`
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
    market = market_prices(scenario, horizon, data.grid)
    return Population(areas=plans, market=market, notices=data.grid.notices)


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
    if scenario.vehicles.driver_file is None:
        return synthetic_drivers(scenario.seed, horizon.calendar, scenario.start, scenario.days)
    later = (scenario.start - (scenario.vehicles.driver_start or scenario.start)).days
    drivers = read_drivers(Path(scenario.vehicles.driver_file), horizon.calendar, later)
    errors = [error for driver in drivers if (error := _cover_error(driver, scenario, later)) is not None]
    if errors:
        raise InputErrors(errors)
    return drivers


def _cover_error(driver: Driver, scenario: Scenario, later: int) -> InputError | None:
    first, last = scenario.start, scenario.start + timedelta(days=scenario.days - 1)
    assert driver.first_day is not None
    assert driver.last_day is not None
    if driver.first_day <= first and last <= driver.last_day:
        return None
    back = timedelta(days=later)
    return InputError(
        "vehicles.driver_file",
        f"{driver.first_day - back} to {driver.last_day - back} of driver {driver.id}",
        f"every day from {first - back} to {last - back}, which the run plays",
    )
