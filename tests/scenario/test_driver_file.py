"""A driver behaviour file gives each driver's charges, or says where it is wrong."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputErrors
from voltagora.scenario.driver_file import HEADER, read_drivers
from voltagora.scenario.population import population
from voltagora.scenario.read import read_scenario

UTC_HOURS = Calendar("UTC", 60)
Rows = list[dict[str, str]]


def rows_of(driver: str, first: date, days: int, charges: dict[int, tuple[int, float, float]]) -> Rows:
    """Hourly rows of one driver; `charges` maps the first hour, from 0, to hours, start and end SoC."""
    rows = []
    for hour in range(24 * days):
        day = first + timedelta(days=hour // 24)
        charge = next((c for start, c in charges.items() if start <= hour < start + c[0]), None)
        rows.append(
            {
                "DriverID": driver,
                "EV_Model": f"model of {driver}",
                "Date": f"{day:%d-%m-%y}",
                "Day_of_Week": str(day.isoweekday()),
                "Time_of_Day": str(hour % 24 + 1),
                "Status": "1" if charge else "0",
                "Arrival": "1" if hour in charges else "0",
                "Departure": "0",
                "Soc": "0.5",
                "Starting_SoC": str(charge[1]) if charge else "",
                "Ending_SoC": str(charge[2]) if charge else "",
                "Consumption_Charging(kW)": "7.4" if charge else "0",
                "Charger_Power(kW)": "7.4" if charge else "0",
                "Charger_Type": "Single phase 32A" if charge else "",
                "Mean_Energy_Consumption(kWh/100km)": "15",
                "Battery_Capacity(kWh)": "40.0" if hour % 2 else "40",
            }
        )
    return rows


def saved(path: Path, rows: Rows, header: tuple[str, ...] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def two_drivers() -> Rows:
    start = date(2020, 1, 1)
    return rows_of("d1", start, 3, {18: (3, 0.4, 0.9), 42: (2, 0.6, 0.9)}) + rows_of(
        "d2", start, 3, {8: (4, 0.25, 0.75)}
    )


def test_a_charge_is_a_run_of_rows_with_status_1(tmp_path: Path) -> None:
    first, second = read_drivers(saved(tmp_path / "d.csv", two_drivers()), UTC_HOURS)

    assert (first.id, first.model, first.capacity_kwh) == ("d1", "model of d1", 40)
    assert (first.connector_type, first.power_kw) == ("Single phase 32A", 7.4)
    assert [
        (datetime.fromtimestamp(s.arrival, UTC).isoformat(), s.charging_seconds, s.starting_soc, s.ending_soc)
        for s in (*first.sessions, *second.sessions)
    ] == [
        ("2020-01-01T18:00:00+00:00", 3 * 3600, 0.4, 0.9),
        ("2020-01-02T18:00:00+00:00", 2 * 3600, 0.6, 0.9),
        ("2020-01-01T08:00:00+00:00", 4 * 3600, 0.25, 0.75),
    ]


def test_hours_are_local_to_the_zone(tmp_path: Path) -> None:
    driver = read_drivers(saved(tmp_path / "d.csv", two_drivers()), Calendar("Europe/Athens", 60))[0]

    assert datetime.fromtimestamp(driver.sessions[0].arrival, UTC).hour == 16


def test_a_charge_elsewhere_asks_for_the_other_connector(tmp_path: Path) -> None:
    rows = two_drivers()
    for row in rows[42:44]:
        row.update({"Charger_Type": "3 phase-DC", "Charger_Power(kW)": "50"})
    first, second = read_drivers(saved(tmp_path / "d.csv", rows), UTC_HOURS)[0].sessions

    assert (first.connector_type, first.power_kw) == (None, None)
    assert (second.connector_type, second.power_kw) == ("3 phase-DC", 50)


def edited(row: int, column: str, value: str) -> Callable[[Rows], Rows]:
    def edit(rows: Rows) -> Rows:
        rows[row][column] = value
        return rows

    return edit


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (
            edited(5, "Date", "2020-01-01"),
            "line 7: column Date: got '2020-01-01', must be a date as dd-mm-yy",
        ),
        (edited(5, "Date", "31-02-20"), "line 7: column Date: got '31-02-20', must be a date"),
        (
            edited(5, "Day_of_Week", "4"),
            "line 7: column Day_of_Week: got '4', must be 3, the weekday of 2020",
        ),
        (edited(5, "Time_of_Day", "0"), "line 7: column Time_of_Day: got '0', must be a whole number from 1"),
        (edited(5, "Time_of_Day", "7"), "line 7: column Time_of_Day: got '01-01-20, hour 7', must be '01-01"),
        (edited(5, "Status", "3"), "line 7: column Status: got '3', must be a whole number from 0 to 2"),
        (
            edited(5, "Arrival", "yes"),
            "line 7: column Arrival: got 'yes', must be a whole number from 0 to 1",
        ),
        (edited(5, "Soc", "55"), "line 7: column Soc: got '55', must be a number from 0 to 1"),
        (edited(5, "Soc", "nan"), "line 7: column Soc: got 'nan', must be a number from 0 to 1"),
        (
            edited(18, "Starting_SoC", ""),
            "line 20: column Starting_SoC: got '', must be a number from 0 to 1",
        ),
        (edited(18, "Charger_Type", ""), "line 20: column Charger_Type: got '', must be the name of"),
        (edited(18, "Charger_Power(kW)", "0"), "line 20: column Charger_Power(kW): got '0', must be above 0"),
        (
            edited(19, "Ending_SoC", "0.8"),
            "line 21: column Ending_SoC: got 0.8, must be 0.9, as in the first",
        ),
        (
            edited(5, "Battery_Capacity(kWh)", "41"),
            "line 7: column Battery_Capacity(kWh): got 41.0, must be 40",
        ),
        (lambda rows: rows[:5] + rows[6:], "line 7: column Time_of_Day: got '01-01-20, hour 7', must be"),
        (lambda rows: rows + rows[:24], "line 146: column DriverID: got 'd1', must be together"),
        (lambda rows: [], "line 2: got 'no rows', must be at least one row"),
    ],
)
def test_a_wrong_row_is_told_by_line_column_and_value(
    tmp_path: Path, edit: Callable[[Rows], Rows], complaint: str
) -> None:
    path = saved(tmp_path / "d.csv", edit(two_drivers()))
    with pytest.raises(InputErrors) as caught:
        read_drivers(path, UTC_HOURS)

    # What would be right of the hour that does not follow is told without quotes.
    assert complaint.replace("must be '01-01", "must be 01-01") in str(caught.value)


def test_a_battery_that_loses_while_charging_is_refused(tmp_path: Path) -> None:
    rows = rows_of("d1", date(2020, 1, 1), 2, {5: (2, 0.9, 0.4)})
    with pytest.raises(
        InputErrors, match=r"line 7: column Ending_SoC: got 0\.4, must be at least Starting_SoC"
    ):
        read_drivers(saved(tmp_path / "d.csv", rows), UTC_HOURS)


def test_a_missing_column_is_told(tmp_path: Path) -> None:
    header = tuple(column for column in HEADER if column != "Charger_Type")
    with pytest.raises(InputErrors, match="column Charger_Type: got 'no such column'"):
        read_drivers(saved(tmp_path / "d.csv", two_drivers(), header), UTC_HOURS)


def test_the_fleet_copies_the_drivers_of_the_file(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.csv", two_drivers())
    overrides = {"vehicles.driver_file": str(path), "vehicles.count": 5, "days": 3, "vehicles.idle_hours": 2}
    vehicles = population(read_scenario("paper-2020", overrides)).areas[0].vehicles

    # Vehicle n of 5 copies driver ⌊2·n/5⌋ of 2.
    assert [v.vehicle_type for v in vehicles] == ["model of d1"] * 3 + ["model of d2"] * 2
    assert [sorted(round(n.energy_kwh, 6) for n in v.needs) for v in vehicles] == [[12, 20]] * 3 + [[20]] * 2
    for vehicle in vehicles:
        for need in vehicle.needs:
            hours = (need.departure - need.arrival) / 3600
            rows = {12.0: 2, 20.0: 3 if vehicle.vehicle_type == "model of d1" else 4}[need.energy_kwh]
            assert rows <= hours <= rows + 2


def test_a_file_of_another_time_can_play_the_run(tmp_path: Path) -> None:
    path = saved(tmp_path / "d.csv", rows_of("d1", date(2018, 5, 1), 3, {18: (3, 0.4, 0.9)}))
    overrides: dict[str, object] = {"vehicles.driver_file": str(path), "vehicles.count": 1, "days": 3}

    with pytest.raises(InputErrors, match="got '2018-05-01 to 2018-05-03 of driver d1', must be every day"):
        population(read_scenario("paper-2020", overrides))
    overrides["vehicles.driver_start"] = date(2018, 5, 1)
    need = population(read_scenario("paper-2020", overrides)).areas[0].vehicles[0].needs[0]
    assert datetime.fromtimestamp(need.arrival, UTC).isoformat() == "2020-01-01T18:00:00+00:00"
