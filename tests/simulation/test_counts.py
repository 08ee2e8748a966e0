"""How many messages a market sends: the numbers of the published experiment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import voltagora
from voltagora.scenario.listed import ListedNeed, ListedVehicle
from voltagora.scenario.run import run
from voltagora.scenario.settings import (
    BroadcastSettings,
    PricingSettings,
    Scenario,
    VehicleSettings,
)

GRID_FILE = Path(__file__).parents[3] / "shared" / "data" / "grid_profile_4_years_hourly.csv"
ON_THE_FILE = pytest.param(
    {"grid.file": str(GRID_FILE), "grid.profile_start": "2017-01-01"},
    id="file",
    marks=pytest.mark.skipif(not GRID_FILE.exists(), reason="the grid profile is a user's own input"),
)
PROFILES = pytest.mark.parametrize("profile", [pytest.param({}, id="synthetic"), ON_THE_FILE])


def counts(**keys: Any) -> Any:
    return voltagora.run("paper-2020", set=keys).metrics["messages"]


@PROFILES
@pytest.mark.parametrize(
    ("stations", "horizon_days", "total"), [(8, 1, 262), (8, 2, 282), (1, 1, 234), (40, 1, 390)]
)
def test_without_vehicles(profile: dict[str, Any], stations: int, horizon_days: int, total: int) -> None:
    keys = {"vehicles.count": 0, "stations.count": stations, "horizon_days": horizon_days}
    found = counts(**(keys | profile))
    assert found == {
        "timer": 1,
        "CP1": 0,
        "CP2": 0,
        "CP3": 0,
        "CP4": 4 * stations,
        "CP5": 0,
        "CP6": 10 + horizon_days,
        "CP7": 10 + horizon_days,
        "CP8": 0,
        "CP9": 9,
        "CP10": 9 * (10 + horizon_days),
        "CP11": 9 * (10 + horizon_days),
        "CP12": 0,
    }
    assert sum(found.values()) == total


@PROFILES
@pytest.mark.parametrize(("vehicles", "reference", "within"), [(100, 17_320, 100), (300, 51_030, 300)])
def test_a_vehicle_sends_as_many_as_in_the_reference(
    profile: dict[str, Any], vehicles: int, reference: int, within: int
) -> None:
    result = voltagora.run("paper-2020", set={"vehicles.count": vehicles} | profile)
    assert result.metrics["messages_total"] == pytest.approx(reference, abs=within)
    assert result.metrics["bookings_made"] / vehicles == pytest.approx(11.4, abs=0.2)
    assert not result.metrics["refusals"].keys() - {"no_free_connector"}
    assert "CP7" in result.metrics["messages"]


def test_growth_is_linear() -> None:
    totals = {n: voltagora.run("paper-2020", set={"vehicles.count": n}).metrics for n in (10, 40, 160)}
    each = [(m["messages_total"] - 262) / m["bookings_made"] for m in totals.values()]
    assert each == pytest.approx([15.0] * 3, abs=0.2)


def a_day(*, always: bool, pricing: str = "nrgcoin") -> Any:
    """One vehicle with one stay, in the experiment's market."""
    stay = ListedNeed(
        arrival=datetime(2020, 1, 1, 8, tzinfo=UTC),
        departure=datetime(2020, 1, 1, 10, tzinfo=UTC),
        energy_kwh=6.0,
        soc=0.5,
    )
    vehicle = ListedVehicle(
        id="ev-1",
        latitude=0.0,
        longitude=0.0,
        connector_type="Single phase 32A",
        power_kw=7.4,
        capacity_kwh=40.0,
        needs=(stay,),
    )
    scenario = Scenario(
        days=1,
        vehicles=VehicleSettings(count=0, list=(vehicle,)),
        broadcast=BroadcastSettings(always=always, threshold_kwh=1e9),
        pricing=PricingSettings(strategy=pricing),
    )
    return run(scenario).metrics


def test_a_booking_takes_eleven_messages_and_fifteen_with_its_broadcasts() -> None:
    base = 1 + 4 * 8 + 9 + 18 * 2 + 4
    quiet = a_day(always=False, pricing="flat")
    assert quiet["bookings_made"] == 1
    assert sum(quiet["messages"].values()) == base + 11
    assert {code: quiet["messages"][code] for code in ("CP1", "CP2", "CP5", "CP8", "CP12")} == {
        "CP1": 2,
        "CP2": 2,
        "CP5": 2,
        "CP8": 3,
        "CP12": 2,
    }
    for pricing in ("nrgcoin", "flat"):
        loud = a_day(always=True, pricing=pricing)
        assert sum(loud["messages"].values()) == base + 15
        assert (loud["messages"]["CP6"], loud["messages"]["CP7"]) == (4, 4)
