"""Stations and vehicles written out by hand take part just as written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from voltagora.domain.fleet import Need, VehiclePlan
from voltagora.domain.location import Location
from voltagora.scenario.population import AreaPlan, population
from voltagora.scenario.read import read_scenario

BY_HAND = """
time_zone = "Europe/Athens"
start = 2020-06-01
days = 2

[[areas]]
id = "a"
networks = [{ id = "n1" }, { id = "n2" }]

[[stations.list]]
id = "harbour-1"
latitude = 37.9
longitude = 23.6
network = "n2"
grid_limit_kw = 20
connectors = [
  { connector_type = "Single phase 32A", power_kw = 7.4, count = 2 },
  { connector_type = "3 phase-DC", power_kw = 50, level = 3, v2g_capable = false },
]

[[vehicles.list]]
id = "van"
latitude = 37.91
longitude = 23.61
connector_type = "Single phase 32A"
power_kw = 7.4
capacity_kwh = 40
max_discharge_kw = 3
min_sell_eur_kwh = 0.2

[[vehicles.list.needs]]          # asked for when it may be
arrival = 2020-06-01T08:00:00    # local time
departure = 2020-06-01T12:00:00Z
energy_kwh = 9
soc = 0.5

[[vehicles.list.needs]]
asks_at = 2020-06-01T07:00:00Z
arrival = 2020-06-02T05:00:00Z
departure = 2020-06-02T06:00:00Z
energy_kwh = 20
soc = 0.2
connector_type = "3 phase-DC"
power_kw = 50
changes_at = 2020-06-01T12:00:00Z
cancels = true
"""


def made(tmp_path: Path) -> AreaPlan:
    path = tmp_path / "mine.toml"
    path.write_text(BY_HAND, encoding="utf-8")
    return population(read_scenario(path)).areas[0]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def test_a_station_has_the_connectors_written_and_no_others(tmp_path: Path) -> None:
    (station,) = made(tmp_path).stations

    assert (station.id, station.network, station.grid_limit_kw) == ("harbour-1", "n2", 20)
    assert [(c.id, c.power_kw, c.level, c.v2g_capable) for c in station.connectors] == [
        ("c0", 7.4, 2, True),
        ("c1", 7.4, 2, True),
        ("c2", 50, 3, False),
    ]


def test_a_vehicle_has_the_needs_written_in_order_of_asking(tmp_path: Path) -> None:
    (van,) = made(tmp_path).vehicles

    assert van == VehiclePlan(
        id="van",
        vehicle_type="listed",
        location=Location(latitude=37.91, longitude=23.61),
        connector_type="Single phase 32A",
        power_kw=7.4,
        capacity_kwh=40,
        min_soc=0.1,
        max_soc=1,
        max_charge_kw=7.4,
        max_discharge_kw=3,
        min_sell_eur_kwh=0.2,
        needs=(
            # Two hours ahead; 02:00 in Athens, when prices are known, is 23:00 UTC the day before.
            Need(
                asks_at=at("2020-06-01T03:00:00"),
                arrival=at("2020-06-01T05:00:00"),
                departure=at("2020-06-01T12:00:00"),
                energy_kwh=9,
                soc=0.5,
            ),
            Need(
                asks_at=at("2020-06-01T07:00:00"),
                arrival=at("2020-06-02T05:00:00"),
                departure=at("2020-06-02T06:00:00"),
                energy_kwh=20,
                soc=0.2,
                connector_type="3 phase-DC",
                power_kw=50,
                changes_at=at("2020-06-01T12:00:00"),
                cancels=True,
            ),
        ),
    )
