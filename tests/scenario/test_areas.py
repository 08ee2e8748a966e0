"""Areas and networks get their parts, and nothing is lost or given twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.scenario.areas import areas, in_turn, split
from voltagora.scenario.population import population
from voltagora.scenario.settings import (
    AreaSettings,
    NetworkSettings,
    Scenario,
    StationSettings,
    VehicleSettings,
)

WEIGHTS = st.lists(st.integers(0, 20), min_size=1, max_size=6).filter(any)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 500), WEIGHTS)
def test_a_split_gives_everything_out_and_nobody_more_than_one_off(count: int, weights: list[int]) -> None:
    parts = split(count, weights)

    assert sum(parts) == count
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - count * weight / sum(weights)) < 1


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 200), WEIGHTS)
def test_dealing_in_turn_gives_a_network_without_share_nothing(count: int, weights: list[int]) -> None:
    places = in_turn(count, weights)

    assert len(places) == count
    for place, weight in enumerate(weights):
        assert abs(places.count(place) - count * weight / sum(weights)) < len(weights)
        assert weight or place not in places


def test_areas_share_the_grid_and_the_fleet() -> None:
    scenario = Scenario(
        areas=(
            AreaSettings(id="a", vehicle_share=3, generation_share=1, load_share=1),
            AreaSettings(
                id="b",
                generation_share=3,
                load_share=1,
                networks=(NetworkSettings(id="x"), NetworkSettings(id="y")),
            ),
        ),
        vehicles=VehicleSettings(count=40),
        stations=StationSettings(count=8),
    )
    whole = population(Scenario(vehicles=VehicleSettings(count=0))).areas[0]
    a, b = population(scenario).areas

    assert (len(a.vehicles), len(b.vehicles)) == (30, 10)
    assert [station.network for station in b.stations] == ["x", "y", "x", "y"]
    assert b.area.recommenders == (("sr-x", "x"), ("sr-y", "y"))
    assert a.vehicles[3].id == "ev-a-000003"
    assert [profile.id for profile in b.profiles] == ["ep-b-wind", "ep-b-solar", "ec-b-load"]
    for one, other, both in zip(a.profiles, b.profiles, whole.profiles, strict=True):
        assert one.actual.values + other.actual.values == pytest.approx(both.actual.values, abs=2e-6)
    assert b.profiles[0].actual.values == pytest.approx(3 * a.profiles[0].actual.values, abs=4e-6)


def test_one_area_leaves_its_name_out_of_its_agents_names() -> None:
    (area,) = areas(Scenario())

    assert (area.id, area.imbalance, area.pricing) == ("main", "ei-main", "md-main")
    assert (area.vehicle_name(17), area.station_name(3)) == ("ev-000017", "cs-03")
    assert area.recommenders == (("sr-main", "main"),)
