"""Vehicles that make trips want only what can be, and no two of them live alike."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from voltagora.domain.calendar import Calendar
from voltagora.domain.fleet import VehiclePlan
from voltagora.domain.location import Location, distance_km
from voltagora.domain.station import CONNECTOR_KINDS
from voltagora.scenario.population import population
from voltagora.scenario.read import read_scenario

KINDS = {kind.connector_type for kind in CONNECTOR_KINDS}


def fleet(seed: int = 1, **changes: object) -> list[VehiclePlan]:
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    made = population(read_scenario("city", overrides, seed))
    return [vehicle for plan in made.areas for vehicle in plan.vehicles]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_need_is_possible_for_an_unhindered_charger(seed: int) -> None:
    for vehicle in fleet(seed):
        for need in vehicle.needs:
            assert 0 < need.soc < 1
            assert need.energy_kwh > 0
            assert need.soc * vehicle.capacity_kwh + need.energy_kwh <= vehicle.capacity_kwh
            power_kw = min(need.power_kw or vehicle.power_kw, vehicle.max_charge_kw)
            hours = (need.departure - need.arrival) / 3600
            assert need.energy_kwh <= vehicle.charge_efficiency * power_kw * hours
            assert (need.connector_type or vehicle.connector_type) in KINDS


def test_a_battery_never_gains_between_two_stays() -> None:
    for vehicle in fleet():
        stays = sorted(vehicle.needs, key=lambda need: need.arrival)
        for before, after in pairwise(stays):
            assert before.departure <= after.arrival
            assert after.soc <= before.soc + before.energy_kwh / vehicle.capacity_kwh + 1e-3


def test_vehicles_charge_about_what_they_drive() -> None:
    """Workday commutes, errands, long trips of 210 km on the days without a commute."""
    scenario = read_scenario("city")
    trips = scenario.trips
    workdays = trips.commuter_share * 5 / 7
    daily_km = workdays * trips.commute_km + trips.errand_km + (1 - workdays) * trips.long_trip_share * 210
    vehicles = fleet()

    asked = sum(need.energy_kwh for vehicle in vehicles for need in vehicle.needs)
    assert asked / len(vehicles) / scenario.days == pytest.approx(
        daily_km * trips.consumption_kwh_per_100km / 100, rel=0.2
    )


def test_every_stay_is_asked_for_when_its_prices_are_known() -> None:
    scenario = read_scenario("city")
    calendar = Calendar(scenario.time_zone, scenario.step_minutes)
    first = calendar.day(scenario.start)
    for vehicle in fleet():
        assert [need.asks_at for need in vehicle.needs] == sorted(need.asks_at for need in vehicle.needs)
        for need in vehicle.needs:
            day = max(calendar.day_after(calendar.day_at(need.departure - 1), -1).start, first.start)
            assert day + 2 * 3600 <= need.asks_at <= need.arrival - 3600


def test_vehicles_stand_within_their_area() -> None:
    scenario = read_scenario("city")
    for settings, plan in zip(scenario.areas, population(scenario).areas, strict=True):
        centre = Location(latitude=settings.latitude, longitude=settings.longitude)
        places = [vehicle.location for vehicle in plan.vehicles] + [
            station.location for station in plan.stations
        ]
        away = [distance_km(centre, place) for place in places]
        assert max(away) <= settings.radius_km * 1.01
        # Evenly over a disc, half of them are beyond 0.7 of its radius.
        assert 0.3 < sum(d > 0.707 * settings.radius_km for d in away) / len(away) < 0.7


def test_vehicles_differ_in_cars_habits_and_terms() -> None:
    vehicles = fleet()

    assert len({vehicle.vehicle_type for vehicle in vehicles}) == 5
    assert len({need.arrival for vehicle in vehicles for need in vehicle.needs}) > 500
    shares = Counter(vehicle.v2g_allowed for vehicle in vehicles)
    assert shares[True] / len(vehicles) == pytest.approx(0.7, abs=0.08)
    loyal = sum(vehicle.network is not None for vehicle in vehicles)
    assert loyal / len(vehicles) == pytest.approx(0.2, abs=0.06)


def test_a_vehicle_is_the_same_in_a_larger_fleet() -> None:
    few = fleet(vehicles__count=30)
    many = {vehicle.id: vehicle for vehicle in fleet(vehicles__count=300)}

    assert all(many[vehicle.id] == vehicle for vehicle in few)


def test_no_vehicles_is_a_fleet_too() -> None:
    assert fleet(vehicles__count=0) == []
