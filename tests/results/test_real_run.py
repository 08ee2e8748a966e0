"""What a simulated market leaves behind agrees with itself, seen from either side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import voltagora
from voltagora.results.result import Result


@pytest.fixture(scope="module")
def result() -> Result:
    return voltagora.run("quickstart", set={"vehicles.count": 25, "days": 2}, seed=4, messages=True)


def test_the_grid_sees_what_the_stations_booked(result: Result) -> None:
    seen = result.tables["slots"].to_pydict()
    booked = dict.fromkeys(
        ((a, s.timestamp()) for a, s in zip(seen["area"], seen["start"], strict=True)), 0.0
    )
    for session in result.tables["sessions"].to_pylist():
        for place, energy in enumerate(session["schedule_kwh"]):
            slot = (session["area"], session["first_slot"].timestamp() + place * session["step_minutes"] * 60)
            if slot in booked:
                booked[slot] += energy

    net = np.subtract(seen["charging_kwh"], seen["discharging_kwh"])
    assert np.abs(net).sum() > 0
    np.testing.assert_allclose(list(booked.values()), net, atol=1e-6)


def test_what_stations_billed_is_what_vehicles_paid(result: Result) -> None:
    ledger = result.tables["ledger"].to_pylist()
    paid = -sum(row["balance_eur"] for row in ledger if row["account"].startswith("EV/"))

    assert result.metrics["station_revenue_eur"] == pytest.approx(paid, abs=1e-6)
    assert sum(row["balance_eur"] for row in ledger) == pytest.approx(0.0, abs=1e-6)


def test_sessions_that_ended_in_time_cost_what_was_billed(result: Result) -> None:
    over = [row for row in result.tables["sessions"].to_pylist() if row["state"] == "completed"]

    assert over
    for row in over:
        assert row["cost_by_end_eur"] == pytest.approx(row["cost_eur"], abs=6e-6)
        assert row["gained_by_end_kwh"] == pytest.approx(row["energy_kwh"], abs=1e-5)


def test_every_message_is_counted_once(result: Result) -> None:
    kept: dict[str, Any] = result.messages["protocol"].value_counts().to_dict()

    assert kept == {name: count for name, count in result.metrics["messages"].items() if count}
    assert len(result.messages) == result.metrics["messages_total"]


def test_the_run_begins_with_the_word_start(result: Result) -> None:
    first = result.tables["messages"].to_pylist()[0]

    assert (first["topic"], first["payload"], first["protocol"]) == ("timer", "start", "timer")
    assert int(first["at"].timestamp()) == result.span.start


def test_every_stay_is_booked_or_given_up_for_a_reason(result: Result) -> None:
    metrics = result.metrics
    assert metrics["bookings_asked"] == metrics["bookings_made"] + sum(metrics["bookings_given_up"].values())
    assert 0 < metrics["need_met_share"] <= 1
