"""The fleet of the published experiment obeys every rule of it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from math import floor

import pytest

from voltagora.domain.fleet import Need, VehiclePlan
from voltagora.domain.station import CONNECTOR_KINDS
from voltagora.scenario.driver_fleet import mean_bookings
from voltagora.scenario.population import AreaPlan, population
from voltagora.scenario.read import read_scenario
from voltagora.scenario.settings import Scenario
from voltagora.scenario.synthetic_drivers import DRIVER_TYPES

DAY = 86_400
START = int(datetime(2020, 1, 1, tzinfo=UTC).timestamp())


def experiment(**changes: object) -> AreaPlan:
    overrides = {key.replace("__", "."): value for key, value in changes.items()}
    return population(read_scenario("paper-2020", overrides)).areas[0]


def prices_known(need: Need, horizon_days: int) -> int:
    """P of the rule, said with whole days since the start instead of a calendar."""
    last_day = (need.departure - 1 - START) // DAY
    return START + max(0, last_day - horizon_days) * DAY + 2 * 3600


def by_arrival(vehicle: VehiclePlan) -> list[Need]:
    return sorted(vehicle.needs, key=lambda need: need.arrival)


CASES = [(0, 1), (2, 1), (4, 1), (24, 2)]


@pytest.mark.parametrize(("idle_hours", "horizon_days"), CASES)
def test_every_stay_is_asked_for_when_its_prices_are_known(idle_hours: int, horizon_days: int) -> None:
    plan = experiment(vehicles__idle_hours=idle_hours, horizon_days=horizon_days)

    for vehicle in plan.vehicles:
        for need in vehicle.needs:
            known = prices_known(need, horizon_days)
            assert known <= need.asks_at
            notice = need.arrival - need.asks_at
            assert 3600 <= notice <= 12 * 3600
            assert START + 4 * 3600 <= need.arrival < START + 10 * DAY


@pytest.mark.parametrize(("idle_hours", "horizon_days"), CASES)
def test_a_stay_lasts_as_long_as_charging_and_some_idle_hours(idle_hours: int, horizon_days: int) -> None:
    plan = experiment(vehicles__idle_hours=idle_hours, horizon_days=horizon_days)

    for vehicle in plan.vehicles:
        for need in vehicle.needs:
            charging = -(-need.energy_kwh // vehicle.power_kw) * 3600
            assert 0 <= need.departure - need.arrival - charging <= idle_hours * 3600


@pytest.mark.parametrize("idle_hours", [4, 24])
def test_no_vehicle_is_at_two_places(idle_hours: int) -> None:
    for vehicle in experiment(vehicles__idle_hours=idle_hours, horizon_days=2).vehicles:
        stays = by_arrival(vehicle)
        assert all(a.departure <= b.arrival for a, b in pairwise(stays))


def test_vehicles_of_a_type_never_ask_in_one_wave_at_first() -> None:
    # More than 3600, so that the seconds begin anew.
    for number, vehicle in enumerate(experiment(vehicles__count=3700).vehicles):
        first = by_arrival(vehicle)[0]
        assert first.arrival - first.asks_at == 2 * 3600 - number % 3600


def test_batteries_are_as_the_experiment_says() -> None:
    for vehicle in experiment().vehicles:
        assert (vehicle.charge_efficiency, vehicle.discharge_efficiency, vehicle.min_soc) == (1, 1, 0.1)
        assert vehicle.max_discharge_kw == vehicle.max_charge_kw == vehicle.power_kw
        for need in vehicle.needs:
            # Full at departure, to the millionth of a kWh.
            assert need.soc * vehicle.capacity_kwh + need.energy_kwh == pytest.approx(
                vehicle.capacity_kwh, abs=5e-7
            )
            assert need.soc > vehicle.min_soc


@pytest.mark.parametrize("count", [0, 1, 7, 10, 23, 100])
def test_vehicle_n_is_of_type_ten_n_over_count(count: int) -> None:
    vehicles = experiment(vehicles__count=count).vehicles

    assert [vehicle.vehicle_type for vehicle in vehicles] == [
        DRIVER_TYPES[floor(10 * number / count)].id for number in range(count)
    ]
    assert [vehicle.id for vehicle in vehicles] == [f"ev-{number:06d}" for number in range(count)]


def test_things_stand_at_latitude_n_mod_10() -> None:
    plan = experiment(stations__count=12)

    assert [vehicle.location.latitude for vehicle in plan.vehicles] == [n % 10 for n in range(100)]
    assert [station.location.latitude for station in plan.stations] == [n % 10 for n in range(12)]
    assert {thing.location.longitude for thing in (*plan.vehicles, *plan.stations)} == {0.0}


@pytest.mark.parametrize(("count", "each"), [(8, 10), (1, 100)])
def test_stations_have_connectors_of_all_kinds_and_a_limit_of_their_sum(count: int, each: int) -> None:
    stations = experiment(stations__count=count, stations__connectors_per_kind=each).stations

    assert len(stations) == count
    for station in stations:
        assert [(c.connector_type, c.power_kw, c.level) for c in station.connectors] == [
            (kind.connector_type, kind.power_kw, kind.level) for kind in CONNECTOR_KINDS for _ in range(each)
        ]
        assert station.grid_limit_kw == pytest.approx(each * (3 + 3.7 + 7.4 + 11 + 22 + 43 + 50 + 120))
        assert len({connector.id for connector in station.connectors}) == 8 * each


def test_about_eleven_bookings_are_wanted_in_ten_days() -> None:
    """The reference totals: 17,320 publications with 100 vehicles, 51,030 with 300, each ± 100."""
    for count, reference in ((100, 17_320), (300, 51_030)):
        plan = experiment(vehicles__count=count)
        wanted = sum(len(vehicle.needs) for vehicle in plan.vehicles)
        assert abs(262 + 15 * wanted - reference) <= 100


@pytest.mark.parametrize("seed", range(0, 60, 7))
def test_the_calibration_holds_for_any_seed(seed: int) -> None:
    scenario = read_scenario("paper-2020", {"vehicles.count": 300}, seed=seed)

    assert 11.2 <= mean_bookings(population(scenario).areas[0].vehicles) <= 11.4


def test_equal_scenarios_give_equal_populations() -> None:
    assert experiment() == experiment()
    assert experiment() != experiment(seed=12)


def test_a_vehicle_is_the_same_in_a_larger_fleet_of_its_type() -> None:
    """Types move with the count by the rule, everything else must not: 0 to 9 of 100 and of 200."""
    few, many = experiment(vehicles__count=100).vehicles, experiment(vehicles__count=200).vehicles

    assert few[:10] == many[:10]


def test_switching_late_drivers_on_moves_no_stay() -> None:
    punctual, late = experiment(), experiment(drivers__late_share=1.0, drivers__change_share=0.5)

    for before, after in zip(punctual.vehicles, late.vehicles, strict=True):
        assert [(n.asks_at, n.arrival, n.departure, n.energy_kwh) for n in before.needs] == [
            (n.asks_at, n.arrival, n.departure, n.energy_kwh) for n in after.needs
        ]
        assert all(
            n.plugs_in_at is not None and n.arrival <= n.plugs_in_at < n.departure for n in after.needs
        )


def test_drivers_depart_from_their_bookings_about_as_often_as_asked() -> None:
    plan = experiment(
        vehicles__count=300,
        drivers__late_share=0.3,
        drivers__early_share=0.2,
        drivers__absent_share=0.1,
        drivers__cancel_share=0.1,
        drivers__change_share=0.4,
    )
    needs = [need for vehicle in plan.vehicles for need in vehicle.needs]

    def share(flags: list[bool]) -> float:
        return sum(flags) / len(needs)

    assert share([need.absent for need in needs]) == pytest.approx(0.1, abs=0.03)
    assert share([need.cancels for need in needs]) == pytest.approx(0.09, abs=0.03)
    assert share([need.changed_departure is not None for need in needs]) == pytest.approx(0.324, abs=0.04)
    assert share([need.plugs_in_at is not None for need in needs]) == pytest.approx(0.243, abs=0.04)
    for need in needs:
        plugged, unplugged = need.plugs_in_at or need.arrival, need.unplugs_at or need.departure
        assert need.arrival <= plugged < unplugged <= need.departure
        if need.changes_at is not None:
            assert need.asks_at < need.changes_at <= need.arrival
        if need.changed_departure is not None:
            assert need.changed_departure > need.arrival
            assert need.changed_energy_kwh is not None
            assert need.changed_energy_kwh >= 0


def test_the_run_needs_its_days_and_its_horizon_of_the_profile() -> None:
    for horizon_days in (1, 2):
        for profile in experiment(horizon_days=horizon_days).profiles:
            assert profile.actual.start == START
            assert profile.actual.end == START + (10 + horizon_days) * DAY


def test_no_vehicles_make_an_area_without_them() -> None:
    plan = population(Scenario()).areas[0]
    empty = experiment(vehicles__count=0)

    assert empty.vehicles == ()
    assert len(plan.vehicles) == 100
