"""Three cars, one station, two days: a scenario whose stations, vehicles and stays are all written out.

    python examples/own_fleet.py

prints what each car was booked for, hour by hour: + is charging, - is selling back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import voltagora

SCENARIO = """
title = "three cars"
days = 2
start = 2024-05-14
time_zone = "Europe/Athens"
placement = "disc"

[grid]
producers = ["solar", "wind"]
load_share = 0.1
kw_per_mw = 0.05                  # a country, scaled to a street

[pricing]
strategy = "time_of_use"          # dear from 7 to 11 and from 17 to 21, see `voltagora strategies`

[scheduling]
strategy = "v2g"
wear_eur_per_kwh = 0.02

[[stations.list]]
id = "market-square"
latitude = 37.98
longitude = 23.73

[[stations.list.connectors]]
connector_type = "Single phase 32A"
power_kw = 7.4
count = 2

# Comes home full enough to sell in the evening, and wants it back by morning.
[[vehicles.list]]
id = "anna"
latitude = 37.981
longitude = 23.731
connector_type = "Single phase 32A"
power_kw = 7.4
capacity_kwh = 58
min_soc = 0.3

[[vehicles.list.needs]]
arrival = 2024-05-14T18:00:00
departure = 2024-05-15T07:00:00
soc = 0.6
energy_kwh = 10

# Wants the same connector type at the same time and never discharges.
[[vehicles.list]]
id = "babis"
latitude = 37.982
longitude = 23.729
connector_type = "Single phase 32A"
power_kw = 7.4
capacity_kwh = 36
v2g_allowed = false

[[vehicles.list.needs]]
arrival = 2024-05-14T19:30:00
departure = 2024-05-15T06:30:00
soc = 0.35
energy_kwh = 18

# Comes third: both connectors are taken, so the answer is no.
[[vehicles.list]]
id = "chloe"
latitude = 37.979
longitude = 23.732
connector_type = "Single phase 32A"
power_kw = 7.4
capacity_kwh = 36

[[vehicles.list.needs]]
asks_at = 2024-05-14T18:30:00
arrival = 2024-05-14T20:00:00
departure = 2024-05-15T06:00:00
soc = 0.5
energy_kwh = 9
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "three-cars.toml"
        file.write_text(SCENARIO, encoding="utf-8")
        result = voltagora.run(file)

    for session in result.tables["sessions"].to_pylist():
        print(f"{session['vehicle']} at {session['station']}, connector {session['connector']}:")
        print(f"  {session['energy_kwh']:g} kWh for {session['cost_eur']:.2f} EUR")
        print("  " + " ".join(f"{energy:+.1f}" for energy in session["schedule_kwh"]))
    for refusal in result.tables["refusals"].to_pylist():
        print(f"{refusal['vehicle']} was refused by {refusal['responder']}: {refusal['reason']}")


if __name__ == "__main__":
    main()
