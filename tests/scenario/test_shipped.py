"""Every shipped scenario reads, draws and is what its name promises."""

from __future__ import annotations

from collections import Counter

import pytest

import voltagora
from voltagora.domain.errors import InputErrors
from voltagora.scenario import shipped
from voltagora.scenario.population import population
from voltagora.scenario.read import read_scenario


@pytest.mark.parametrize("name", shipped.names())
def test_a_shipped_scenario_is_complete_and_its_names_are_unique(name: str) -> None:
    made = population(read_scenario(name))

    agents = Counter(
        agent
        for plan in made.areas
        for agent in (
            plan.area.imbalance,
            plan.area.pricing,
            *(recommender for recommender, _ in plan.area.recommenders),
            *(vehicle.id for vehicle in plan.vehicles),
            *(station.id for station in plan.stations),
            *(profile.id for profile in plan.profiles),
        )
    )
    assert max(agents.values()) == 1
    assert all(plan.vehicles and plan.stations and plan.profiles for plan in made.areas)
    assert shipped.summary(name).endswith(".")


def test_the_published_experiment_has_the_settings_it_was_published_with() -> None:
    scenario = read_scenario("paper-2020")

    assert (scenario.days, str(scenario.start), scenario.time_zone) == (10, "2020-01-01", "UTC")
    assert (scenario.step_minutes, scenario.horizon_days, scenario.broadcast.always) == (60, 1, True)
    assert (scenario.grid.load_share, scenario.grid.kw_per_mw) == (0.1, 1.0)
    assert (scenario.stations.count, scenario.stations.connectors_per_kind) == (8, 10)
    assert not scenario.stations.report_confidence
    assert [
        getattr(scenario, kind).strategy
        for kind in ("pricing", "scheduling", "recommendation", "choice", "forecast")
    ] == ["nrgcoin", "lowest_price", "nearest", "random", "perfect"]


def test_the_city_has_what_a_city_is_for() -> None:
    scenario = read_scenario("city")

    assert scenario.step_minutes == 15
    assert len(scenario.areas) > 1
    assert all(len(area.networks) > 1 for area in scenario.areas)
    assert scenario.negotiation.stations_start
    assert scenario.scheduling.wear_eur_per_kwh > 0.001
    efficiencies = [
        efficiency
        for plan in population(scenario).areas
        for vehicle in plan.vehicles
        for efficiency in (vehicle.charge_efficiency, vehicle.discharge_efficiency)
    ]
    assert 0.9 <= min(efficiencies) < max(efficiencies) <= 0.95


def test_most_needs_of_the_city_are_met_and_some_flexibility_is_bought() -> None:
    result = voltagora.run("city")
    sessions = result.tables["sessions"].to_pylist()
    paid = [row for row in sessions if row["compensation_eur"] > 0]

    assert 0.88 < result.metrics["need_met_share"] < 0.95
    assert 0.1 < len(paid) / len(sessions) < 0.5
    assert {"completed", "cancelled", "no_show"} <= {row["state"] for row in sessions}
    assert set(result.metrics["refusals"]) == {"infeasible", "no_free_connector", "Reject"}


def test_what_the_city_proposes_to_try_does_what_it_says() -> None:
    def city(**changes: object) -> dict[str, float]:
        changed = {key.replace("__", "."): value for key, value in changes.items()}
        return voltagora.run("city", set={"days": 3, **changed}).metrics

    narrow = city(stations__grid_limit_share=0.1)
    together = city(stations__grid_limit_share=0.1, scheduling__strategy="station")
    equal = city(pricing__strategy="adaptive", pricing__K=0.3, pricing__alpha=-0.0006)

    assert together["bookings_made"] > narrow["bookings_made"]
    assert equal["discharged_kwh"] > 1.5 * narrow["discharged_kwh"]


def test_the_fleet_of_the_village_takes_from_the_surplus_and_gives_to_the_deficit() -> None:
    metrics = voltagora.run("quickstart").metrics
    without = metrics["without_vehicles"]
    at_once = voltagora.run("quickstart", set={"scheduling.strategy": "first_slot"}).metrics

    for name in ("surplus_peak_kwh", "deficit_peak_kwh", "mean_abs_imbalance_kwh"):
        assert metrics[name] < min(without[name], at_once[name])
    assert metrics["discharged_kwh"] > 0.1 * metrics["charged_kwh"]
    assert 0 < metrics["bookings_given_up"]["no_free_connector"] < 0.1 * metrics["bookings_asked"]
    assert metrics["messages"]["CP3"] > 0


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputErrors, match="did you mean 'quickstart'"):
        shipped.text("quikstart")
