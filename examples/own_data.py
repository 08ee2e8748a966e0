"""Makes up a small grid profile and three drivers as CSV files, and runs own-scenario.toml with them.

    python examples/own_data.py            writes into runs/own-data
    python examples/own_data.py DIR

Replace the two functions by whatever reads your own data, and you have an import.
"""

from __future__ import annotations

import csv
import math
import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import voltagora

FIRST_DAY = date(2023, 5, 1)
DAYS = 16  # a week of history, a week to run, a day of horizon, one to spare

GRID_COLUMNS = [
    "Year", "Month_of_Year", "Day_of_Week", "Time_of_Day",
    "Lignite_Gen(MW)", "FossilGas_Gen(MW)", "Solar_Gen(MW)", "Wind_Gen(MW)", "Total_Load(MW)",
    "Import_Export(MW)",
]  # fmt: skip
DRIVER_COLUMNS = [
    "DriverID", "EV_Model", "Date", "Day_of_Week", "Time_of_Day", "Status", "Arrival", "Departure",
    "Soc", "Starting_SoC", "Ending_SoC", "Consumption_Charging(kW)", "Charger_Power(kW)", "Charger_Type",
    "Mean_Energy_Consumption(kWh/100km)", "Battery_Capacity(kWh)",
]  # fmt: skip

# Name, car, capacity (kWh), connector, its power (kW), first hour of the charge, hours, SoC before and
# after, every n days.
DRIVERS = [
    ("nurse", "small", 40.0, "Single phase 16A", 3.7, 20, 5, 0.45, 0.80, 2),
    ("teacher", "compact", 58.0, "3 phase-16A per phase", 11.0, 9, 2, 0.50, 0.85, 2),
    ("courier", "van", 75.0, "3 phase-32A per phase", 22.0, 18, 2, 0.25, 0.75, 1),
]


def grid_rows() -> Iterator[list[object]]:
    """One row an hour; hour h is the one that ends at h o'clock."""
    for day in range(DAYS):
        today = FIRST_DAY + timedelta(days=day)
        for hour in range(1, 25):
            sun = max(0.0, math.sin((hour - 6.5) / 13 * math.pi)) if 6 < hour < 20 else 0.0
            load = 300 + 60 * math.sin((hour - 9) / 24 * 2 * math.pi) + 50 * (18 <= hour <= 22)
            wind = 70 + 40 * math.sin((24 * day + hour) / 31)
            head = [today.year, today.month, today.isoweekday(), hour]
            yield [*head, 0, 40, round(220 * sun, 1), round(wind, 1), round(load, 1), 0]


def driver_rows() -> Iterator[list[object]]:
    """One row an hour and driver: status 1 while charging, 2 while driving, else 0."""
    for name, model, capacity, connector, power, begins, hours, low, high, every in DRIVERS:
        for day in range(DAYS):
            today = FIRST_DAY + timedelta(days=day)
            for hour in range(1, 25):
                charging = day % every == 0 and begins <= hour < begins + hours
                driving = not charging and hour in (8, 17)
                yield [
                    name, model, today.strftime("%d-%m-%y"), today.isoweekday(), hour,
                    1 if charging else 2 if driving else 0,
                    int(charging and hour == begins), int(charging and hour == begins + hours - 1), low,
                    low if charging else 0, high if charging else 0,
                    power if charging else 0, power if charging else 0, connector if charging else "",
                    17, capacity,
                ]  # fmt: skip


def write(path: Path, columns: list[str], rows: Iterator[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(columns)
        out.writerows(rows)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/own-data")
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "grid.csv", GRID_COLUMNS, grid_rows())
    write(folder / "drivers.csv", DRIVER_COLUMNS, driver_rows())
    scenario = folder / "own-scenario.toml"
    shutil.copyfile(Path(__file__).with_name("own-scenario.toml"), scenario)

    result = voltagora.run(scenario)
    metrics = result.metrics
    print(f"{metrics['bookings_made']} of {metrics['bookings_asked']} stays booked")
    print(f"{metrics['charged_kwh']:.0f} kWh charged, {metrics['discharged_kwh']:.0f} kWh sold back")
    print(f"{metrics['average_cost_eur_per_vehicle']:.2f} EUR per vehicle")
    print(f"Now change {scenario} and: voltagora run {scenario}")


if __name__ == "__main__":
    main()
