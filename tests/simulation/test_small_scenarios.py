"""Whole small markets, drawn at random: what must hold after every delivery and at the end."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_market import (
    Played,
    always,
    availability_is_the_complement,
    batteries_keep_their_books,
    beliefs_equal_the_books,
    bills_add_up,
    digest,
    every_need_ends,
    grid_limits_hold,
    messages_are_bounded,
    pictures_equal_the_books,
    play,
)

from voltagora.domain.records import SessionRecord
from voltagora.scenario.deviation import deviate
from voltagora.scenario.settings import (
    AreaSettings,
    BroadcastSettings,
    ChoiceSettings,
    DriverSettings,
    ForecastSettings,
    GridSettings,
    NegotiationSettings,
    NetworkSettings,
    PricingSettings,
    RecommendationSettings,
    Scenario,
    SchedulingSettings,
    StationSettings,
    TripSettings,
    VehicleSettings,
)
from voltagora.simulation.faults import Faults

FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

STARTS = {
    "UTC": [date(2020, 1, 1), date(2020, 2, 28)],
    "Europe/Athens": [date(2020, 3, 28), date(2020, 10, 24), date(2020, 6, 1)],
    "America/St_Johns": [date(2020, 3, 7), date(2020, 10, 31)],
}


@st.composite
def scenarios(draw: st.DrawFn, *, drivers: bool = False, bargains: bool = False) -> Scenario:
    """A few vehicles, one or two stations, one to three days, any strategies."""
    share = st.sampled_from([0.0, 0.2, 0.5])
    zone = draw(st.sampled_from(sorted(STARTS)))
    networks = draw(st.integers(1, 2))
    behaviour = draw(st.sampled_from(["drivers", "trips"]))
    slack = draw(st.booleans())
    return Scenario(
        seed=draw(st.integers(0, 2**20)),
        days=draw(st.integers(1, 3)),
        start=draw(st.sampled_from(STARTS[zone])),
        time_zone=zone,
        step_minutes=draw(st.sampled_from([5, 15, 30, 60])),
        horizon_days=draw(st.integers(1, 2)),
        placement="disc",
        grid=GridSettings(history_days=8, kw_per_mw=0.05),
        areas=(AreaSettings(id="a", networks=tuple(NetworkSettings(id=f"n{i}") for i in range(networks))),),
        vehicles=VehicleSettings(
            count=draw(st.integers(1, 8)),
            behaviour=behaviour,
            idle_hours=draw(st.sampled_from([0.0, 2.0, 4.0])),
            charge_efficiency=draw(st.sampled_from([1.0, 0.93])),
            discharge_efficiency=draw(st.sampled_from([1.0, 0.9])),
            v2g_share=draw(st.sampled_from([0.0, 1.0])),
            min_sell_share=draw(share),
            min_sell_eur_kwh=0.15,
            loyal_share=draw(share),
        ),
        trips=TripSettings(plug_in_soc=0.95, long_trip_share=draw(st.sampled_from([0.05, 0.6]))),
        stations=StationSettings(
            count=draw(st.integers(1, 2)),
            connectors_per_kind=1,
            grid_limit_share=1.0 if slack else draw(st.sampled_from([0.3, 0.1, 0.04])),
            report_confidence=draw(st.booleans()),
        ),
        pricing=_pricing(draw),
        scheduling=SchedulingSettings(
            strategy=draw(st.sampled_from(["first_slot", "lowest_price", "v2g", "station"]))
        ),
        recommendation=RecommendationSettings(
            strategy=draw(st.sampled_from(["nearest", "cheapest", "balanced"])),
            at_most=draw(st.integers(1, 3)),
        ),
        choice=ChoiceSettings(strategy=draw(st.sampled_from(["first", "cheapest", "utility", "random"]))),
        negotiation=NegotiationSettings(stations_start=bargains, rounds=draw(st.integers(1, 3))),
        forecast=ForecastSettings(
            strategy=draw(st.sampled_from(["perfect", "persistence", "weekday_hour_mean"]))
        ),
        broadcast=BroadcastSettings(
            always=draw(st.booleans()), threshold_kwh=draw(st.sampled_from([0.0, 0.5, 5.0]))
        ),
        drivers=_drivers(draw, share) if drivers else DriverSettings(),
    )


def _pricing(draw: st.DrawFn) -> PricingSettings:
    name = draw(st.sampled_from(["nrgcoin", "adaptive", "flat", "time_of_use", "market"]))
    more: dict[str, Any] = {"estimate_alpha": draw(st.booleans())} if name == "adaptive" else {}
    return PricingSettings(strategy=name, parameters=more)


def _drivers(draw: st.DrawFn, share: st.SearchStrategy[float]) -> DriverSettings:
    return DriverSettings(
        late_share=draw(share),
        late_minutes=draw(st.sampled_from([10.0, 45.0])),
        early_share=draw(share),
        early_minutes=draw(st.sampled_from([10.0, 90.0])),
        absent_share=draw(share),
        cancel_share=draw(share),
        change_share=draw(share),
        change_minutes=draw(st.sampled_from([30.0, 600.0])),
    )


def check_all(played: Played, *, costs: bool, in_time: bool = True) -> None:
    pictures_equal_the_books(played)
    availability_is_the_complement(played)
    beliefs_equal_the_books(played, costs=costs)
    every_need_ends(played)
    batteries_keep_their_books(played)
    if played.scenario.scheduling.strategy != "station" or not deviate(played.scenario.drivers):
        grid_limits_hold(played)
    bills_add_up(played, in_time=in_time)
    assert played.simulation.exchange.awaited == 0


def bills_are_believed(scenario: Scenario) -> bool:
    """Vehicles are told of every change of their bill, but not when a station plans all anew together."""
    return scenario.scheduling.strategy != "station"


@FEW
@given(scenarios())
def test_a_market_whose_drivers_keep_faith_keeps_its_books(scenario: Scenario) -> None:
    played = play(scenario, check=always)
    check_all(played, costs=bills_are_believed(scenario))
    messages_are_bounded(played)


@FEW
@given(scenarios(drivers=True, bargains=True))
def test_a_market_whose_drivers_change_their_minds_keeps_its_books(scenario: Scenario) -> None:
    played = play(scenario, check=always)
    check_all(played, costs=False)
    messages_are_bounded(played)


@FEW
@given(
    scenarios(drivers=True),
    st.builds(
        Faults,
        loss=st.sampled_from([0.0, 0.1, 0.3]),
        duplication=st.sampled_from([0.0, 0.3]),
        delay=st.sampled_from([0.0, 0.3]),
        longest_delay_seconds=st.sampled_from([5, 60]),
    ),
)
def test_a_market_over_a_bad_transport_keeps_its_books(scenario: Scenario, faults: Faults) -> None:
    played = play(scenario, faults=faults, check=always)
    check_all(played, costs=False, in_time=False)


@settings(FEW, max_examples=5)
@given(scenarios(drivers=True, bargains=True))
def test_the_same_scenario_gives_the_same_result(scenario: Scenario) -> None:
    assert digest(play(scenario).result().tables) == digest(play(scenario).result().tables)


@pytest.mark.parametrize("strategy", ["first_slot", "lowest_price", "v2g", "station"])
def test_every_scheduling_strategy_takes_part_in_a_market(strategy: str) -> None:
    scenario = Scenario(
        days=2,
        vehicles=VehicleSettings(count=30),
        stations=StationSettings(count=1, connectors_per_kind=2, grid_limit_share=0.2),
        scheduling=SchedulingSettings(strategy=strategy),
    )
    played = play(scenario, check=always)
    check_all(played, costs=bills_are_believed(scenario))
    assert len(played.of(SessionRecord)) > 5
