"""Metrics against a slow recomputation that shares no code with them, and cases worked by hand."""

from __future__ import annotations

import itertools
import math
from datetime import date
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.records import (
    DayRecord,
    LedgerRecord,
    MessageCountRecord,
    NeedRecord,
    RefusalRecord,
    SessionRecord,
    SessionState,
    StationRecord,
    VehicleRecord,
)
from voltagora.results import metrics, tables
from voltagora.results.collector import Span


def of_kind(records: list[Any], kind: type, area: str | None = None) -> list[Any]:
    return [it for it in records if type(it) is kind and (area is None or it.area == area)]


def slow_cost(session: SessionRecord, end: int) -> float:
    cost = 0.0
    for n, k in enumerate(session.schedule_kwh):
        if session.first_slot + n * session.step_minutes * 60 < end:
            cost += k * session.buy_eur_per_kwh[n] if k > 0 else k * session.sell_eur_per_kwh[n]
    return cost - (session.compensation_eur if session.first_slot < end else 0.0)


def slow_energy(session: SessionRecord, end: int) -> tuple[float, float, float]:
    into = out = gained = 0.0
    for n, k in enumerate(session.schedule_kwh):
        if session.first_slot + n * session.step_minutes * 60 < end:
            if k > 0:
                into += k
                gained += k * session.charge_efficiency
            else:
                out -= k
                gained += k / session.discharge_efficiency
    return into, out, gained


def slow_balance(supply: list[float], demand: list[float]) -> dict[str, float | None]:
    gaps = [s - d for s, d in zip(supply, demand, strict=True)]
    steps = [abs(b - a) for a, b in itertools.pairwise(gaps)]
    return {
        "surplus_peak_kwh": max(gaps),
        "deficit_peak_kwh": max(-gap for gap in gaps),
        "mean_abs_imbalance_kwh": sum(abs(gap) for gap in gaps) / len(gaps),
        "peak_to_average_demand": max(demand) * len(demand) / sum(demand),
        "largest_step_kwh": max(steps) if steps else None,
    }


def slow_slots(days: list[DayRecord], *names: str) -> list[float]:
    """The sum of some series over areas, slot by slot."""
    sums: dict[int, float] = {}
    for day in days:
        for name in names:
            for n, value in enumerate(getattr(day, name)):
                at = day.start + n * day.step_minutes * 60
                sums[at] = sums.get(at, 0.0) + value
    return [sums[at] for at in sorted(sums)]


def slow_metrics(records: list[Any], span: Span, area: str | None = None) -> dict[str, Any]:
    """Restate domain.md's report with loops and dictionaries."""
    end = span.end
    sessions = of_kind(records, SessionRecord, area)
    needs = of_kind(records, NeedRecord, area)
    days = of_kind(records, DayRecord, area)
    vehicles = of_kind(records, VehicleRecord, area)
    energies = [slow_energy(session, end) for session in sessions]
    charged, discharged = sum(e[0] for e in energies), sum(e[1] for e in energies)
    gained = {s.reservation: e[2] for s, e in zip(sessions, energies, strict=True)}
    costs = [sum(slow_cost(s, end) for s in sessions if s.vehicle == v.vehicle) for v in vehicles]
    cycles = [
        sum(e[0] + e[1] for s, e in zip(sessions, energies, strict=True) if s.vehicle == v.vehicle)
        / 2
        / v.capacity_kwh
        for v in vehicles
    ]
    asked = [need for need in needs if need.departure <= end]
    base_supply, base_demand = slow_slots(days, "production_kwh"), slow_slots(days, "consumption_kwh")
    charging = slow_slots(days, "charging_kwh")
    in_surplus = sum(c for c, s, d in zip(charging, base_supply, base_demand, strict=True) if s >= d)
    n, mean = len(costs), sum(costs) / len(costs) if costs else 0.0
    spread = sum(abs(x - y) for x in costs for y in costs)
    counts = of_kind(records, MessageCountRecord, area)
    connectors = sum(station.connectors for station in of_kind(records, StationRecord, area))
    reserved = sum(
        max(0, min(s.departure, end) - max(s.arrival, span.start)) / 3600
        for s in sessions
        if s.state not in (SessionState.CANCELLED, SessionState.NO_SHOW)
    )
    refusals: dict[str, int] = {}
    for refusal in of_kind(records, RefusalRecord, area):
        refusals[refusal.reason] = refusals.get(refusal.reason, 0) + 1
    return {
        "average_cost_eur_per_vehicle": mean if costs else None,
        "cost_eur_per_kwh_charged": sum(slow_cost(s, end) for s in sessions) / charged if charged else None,
        "charged_kwh": charged,
        "discharged_kwh": discharged,
        "bookings_asked": len(needs),
        "bookings_made": sum(need.reservation is not None for need in needs),
        "refusals": refusals,
        "need_met_share": (
            sum(gained[need.reservation] for need in asked if need.reservation)
            / sum(need.energy_kwh for need in asked)
            if asked
            else None
        ),
        **slow_balance(
            slow_slots(days, "production_kwh", "discharging_kwh"),
            slow_slots(days, "consumption_kwh", "charging_kwh"),
        ),
        "charging_in_surplus_share": in_surplus / sum(charging) if sum(charging) else None,
        "md_balance_eur": sum(
            it.balance_eur for it in of_kind(records, LedgerRecord, area) if it.account == "MD"
        ),
        "station_revenue_eur": sum(
            s.cost_eur for s in sessions if s.state not in (SessionState.BOOKED, SessionState.CHARGING)
        ),
        "occupancy_share": reserved / (connectors * (end - span.start) / 3600),
        "full_cycles": sum(cycles) / n if n else None,
        "cost_gini": spread / (2 * n * n * abs(mean)) if mean else None,
        "messages_total": sum(it.count for it in counts),
        "without_vehicles": slow_balance(base_supply, base_demand),
    }


def agree(got: Any, expected: Any, place: str = "") -> None:
    if isinstance(expected, dict):
        for name, value in expected.items():
            agree(got[name], value, f"{place}.{name}")
    elif expected is None or isinstance(expected, int):
        assert got == expected, place
    else:
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-8), place


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    vehicles=st.integers(0, 9),
    days=st.integers(1, 3),
    areas=st.integers(1, 3),
    step_minutes=st.sampled_from([15, 60, 1440]),
)
def test_every_metric_equals_a_slow_recomputation(
    world: Any, gathered: Any, seed: int, vehicles: int, days: int, areas: int, step_minutes: int
) -> None:
    made = world(seed, vehicles=vehicles, days=days, areas=areas, step_minutes=step_minutes)

    got = metrics.compute(tables.build(gathered(made.records, made.span)), made.span)

    agree(got, slow_metrics(made.records, made.span))
    assert ("areas" in got) == (areas > 1)
    for area, of_area in got.get("areas", {}).items():
        agree(of_area, slow_metrics(made.records, made.span, area), area)


def test_metrics_do_not_need_the_series_of_sessions(world: Any, gathered: Any) -> None:
    made = world(5, areas=2)

    with_series, without = (
        tables.build(gathered(made.records, made.span, session_series=keep)) for keep in (True, False)
    )

    assert "schedule_kwh" in with_series["sessions"].column_names
    assert "schedule_kwh" not in without["sessions"].column_names
    assert metrics.compute(with_series, made.span) == metrics.compute(without, made.span)


HOUR = 3600
TWO_HOURS = Span(start=0, end=2 * HOUR)


def a_session(**changes: Any) -> SessionRecord:
    """Charge 8 kWh at 0.25, then sell 2 kWh at 0.5, and, after the end, charge 4 at 1.0."""
    session = SessionRecord(
        reservation="SR-1",
        area="a",
        network="n",
        vehicle="EV1",
        station="CS1",
        connector="c1",
        arrival=0,
        departure=3 * HOUR,
        energy_kwh=10.0,
        capacity_kwh=20.0,
        soc_at_arrival=0.25,
        charge_efficiency=0.5,
        discharge_efficiency=0.8,
        power_kw=11.0,
        v2g=True,
        state=SessionState.CHARGING,
        revision=1,
        first_slot=0,
        step_minutes=60,
        schedule_kwh=np.array([8.0, -2.0, 4.0]),
        buy_eur_per_kwh=np.array([0.25, 9.0, 1.0]),
        sell_eur_per_kwh=np.array([9.0, 0.5, 9.0]),
        compensation_eur=0.25,
        cost_eur=4.75,
    )
    return msgspec.structs.replace(session, **changes)


def a_day() -> DayRecord:
    """Supply 10 and 20 against demand 12 and 10 without the fleet."""
    return DayRecord(
        area="a",
        day=date(1970, 1, 1),
        start=0,
        step_minutes=60,
        production_kwh=np.array([10.0, 20.0, 99.0]),
        consumption_kwh=np.array([12.0, 10.0, 0.0]),
        charging_kwh=np.array([8.0, 0.0, 4.0]),
        discharging_kwh=np.array([0.0, 2.0, 0.0]),
        buy_eur_per_kwh=np.array([math.nan, 0.2, 0.2]),
        sell_eur_per_kwh=np.array([math.nan, 0.1, 0.1]),
    )


def a_need(reservation: str | None, departure: int, number: int = 0) -> NeedRecord:
    return NeedRecord(
        area="a",
        vehicle="EV1",
        need=number,
        asked_at=0,
        arrival=0,
        departure=departure,
        energy_kwh=10.0,
        rounds=1,
        reservation=reservation,
        outcome="booked" if reservation else "no_station",
    )


def test_a_booking_that_is_cancelled_is_one_need_asked_for_and_made(gathered: Any) -> None:
    booked = a_need("SR-1", 3 * HOUR)
    cancelled = msgspec.structs.replace(booked, reservation=None, outcome="cancelled")

    built = tables.build(gathered([a_day(), booked, cancelled], TWO_HOURS))
    got = metrics.compute(built, TWO_HOURS)

    assert (got["bookings_asked"], got["bookings_made"], got["bookings_given_up"]) == (1, 1, {})
    assert built["needs"].to_pylist()[0]["reservation"] == "SR-1"
    assert built["needs"].to_pylist()[0]["outcome"] == "cancelled"


def test_a_session_cut_by_the_end_worked_by_hand(gathered: Any) -> None:
    records = [
        a_session(),
        a_day(),
        *(VehicleRecord(vehicle=f"EV{n}", area="a", vehicle_type="t", capacity_kwh=20.0) for n in (1, 2)),
        StationRecord(station="CS1", area="a", network="n", connectors=2, grid_limit_kw=22.0),
        a_need("SR-1", 3 * HOUR),
    ]

    got = metrics.compute(tables.build(gathered(records, TWO_HOURS)), TWO_HOURS)

    # 8·0.25 − 2·0.5 − 0.25 = 0.75 EUR, over two vehicles, one of which did nothing.
    assert got["average_cost_eur_per_vehicle"] == 0.375
    assert got["cost_eur_per_kwh_charged"] == 0.75 / 8
    assert (got["charged_kwh"], got["discharged_kwh"]) == (8.0, 2.0)
    assert got["full_cycles"] == 10 / 40 / 2
    assert got["cost_gini"] == 0.5
    assert (got["cost_p50_eur"], got["cost_p95_eur"]) == (0.375, 0.7125)
    assert got["occupancy_share"] == 0.5
    # Supply 10, 22; demand 20, 10.
    assert (got["surplus_peak_kwh"], got["deficit_peak_kwh"]) == (12.0, 10.0)
    assert (got["mean_abs_imbalance_kwh"], got["largest_step_kwh"]) == (11.0, 22.0)
    assert got["peak_to_average_demand"] == round(20 / 15, 9)
    assert got["charging_in_surplus_share"] == 0.0
    assert got["without_vehicles"]["deficit_peak_kwh"] == 2.0
    # The stay departs after the end, and the session is not over, so neither is counted.
    assert got["need_met_share"] is None
    assert got["station_revenue_eur"] == 0.0


def test_gained_energy_takes_the_losses_of_the_battery_into_account(gathered: Any) -> None:
    span = Span(start=0, end=3 * HOUR)
    records = [a_session(), a_need("SR-1", 3 * HOUR), a_need(None, HOUR, 1), a_need(None, 4 * HOUR, 2)]

    got = metrics.compute(tables.build(gathered(records, span)), span)

    # 8·0.5 − 2/0.8 + 4·0.5 = 3.5 of the 20 kWh asked in time.
    assert got["need_met_share"] == 3.5 / 20
    assert (got["bookings_asked"], got["bookings_made"]) == (3, 1)
    assert got["bookings_given_up"] == {"no_station": 2}


@pytest.mark.parametrize(
    ("state", "revenue", "occupied"),
    [
        ("booked", 0.0, 1.0),
        ("charging", 0.0, 1.0),
        ("completed", 4.75, 1.0),
        ("cancelled", 4.75, 0.0),
        ("no_show", 4.75, 0.0),
    ],
)
def test_what_is_over_is_billed_and_what_is_released_holds_no_connector(
    gathered: Any, state: str, revenue: float, occupied: float
) -> None:
    records = [
        a_session(state=SessionState(state)),
        StationRecord(station="CS1", area="a", network="n", connectors=1, grid_limit_kw=22.0),
    ]

    got = metrics.compute(tables.build(gathered(records, TWO_HOURS)), TWO_HOURS)

    assert (got["station_revenue_eur"], got["occupancy_share"]) == (revenue, occupied)


def test_a_session_that_begins_after_the_end_costs_nothing(gathered: Any) -> None:
    later = a_session(arrival=2 * HOUR, first_slot=2 * HOUR, departure=5 * HOUR)
    vehicle = VehicleRecord(vehicle="EV1", area="a", vehicle_type="t", capacity_kwh=20.0)

    got = metrics.compute(tables.build(gathered([later, vehicle], TWO_HOURS)), TWO_HOURS)

    assert got["average_cost_eur_per_vehicle"] == 0.0
    assert got["charged_kwh"] == 0.0


def test_a_metric_without_a_denominator_is_null(gathered: Any) -> None:
    got = metrics.compute(tables.build(gathered([], TWO_HOURS)), TWO_HOURS)

    null = {name for name, value in got.items() if value is None}
    assert null == {
        "average_cost_eur_per_vehicle", "cost_eur_per_kwh_charged", "need_met_share", "surplus_peak_kwh",
        "deficit_peak_kwh", "mean_abs_imbalance_kwh", "peak_to_average_demand", "largest_step_kwh",
        "charging_in_surplus_share", "md_balance_eur", "occupancy_share", "full_cycles", "cost_gini",
        "cost_p50_eur", "cost_p95_eur",
    }  # fmt: skip
    assert (got["bookings_asked"], got["messages_total"], got["refusals"]) == (0, 0, {})


def test_a_slot_whose_supply_just_covers_demand_counts_as_surplus(gathered: Any) -> None:
    balanced = msgspec.structs.replace(a_day(), production_kwh=np.array([12.0, 9.0, 0.0]))

    got = metrics.compute(tables.build(gathered([balanced], TWO_HOURS)), TWO_HOURS)

    assert got["charging_in_surplus_share"] == 1.0


def test_costs_that_cancel_out_have_no_gini(gathered: Any) -> None:
    sessions = [
        a_session(
            reservation=f"SR-{n}", vehicle=f"EV{n}", compensation_eur=0.0, schedule_kwh=np.array(schedule)
        )
        for n, schedule in enumerate(([4.0, 0.0, 0.0], [0.0, -2.0, 0.0]))
    ]
    vehicles = [
        VehicleRecord(vehicle=f"EV{n}", area="a", vehicle_type="t", capacity_kwh=20.0) for n in (0, 1)
    ]

    got = metrics.compute(tables.build(gathered([*sessions, *vehicles], TWO_HOURS)), TWO_HOURS)

    assert got["average_cost_eur_per_vehicle"] == 0.0
    assert got["cost_gini"] is None


def test_first_slot_is_compared_only_when_it_was_run(world: Any, gathered: Any) -> None:
    run, at_once = (tables.build(gathered(it.records, it.span)) for it in (world(1), world(2)))

    plain = metrics.compute(run, world(1).span)
    compared = metrics.compute(run, world(1).span, at_once["slots"])

    assert "with_first_slot" not in plain
    alone = metrics.compute(at_once, world(2).span)
    assert compared["with_first_slot"] == {name: alone[name] for name in plain["without_vehicles"]}
