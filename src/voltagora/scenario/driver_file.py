"""Reads what drivers did, hour by hour: where they charged and with what state of charge.

Each driver's rows are contiguous hours. A charge is a run of rows with Status 1; `Arrival` and
`Departure` mark the hours around it and are checked for being 0 or 1, no more, since the runs
already say everything.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputError, InputErrors
from voltagora.domain.units import round_energy
from voltagora.scenario.driver import Driver, DriverSession
from voltagora.scenario.number_table import MOST_ERRORS, header_of, read_text

HEADER = (
    "DriverID",
    "EV_Model",
    "Date",
    "Day_of_Week",
    "Time_of_Day",
    "Status",
    "Arrival",
    "Departure",
    "Soc",
    "Starting_SoC",
    "Ending_SoC",
    "Consumption_Charging(kW)",
    "Charger_Power(kW)",
    "Charger_Type",
    "Mean_Energy_Consumption(kWh/100km)",
    "Battery_Capacity(kWh)",
)
CHARGING = 1


class _Row(NamedTuple):
    """One hour of one driver."""

    line: int
    driver: str
    model: str
    hour: datetime  # when it begins, local clock, no zone
    charging: bool
    starting_soc: float
    ending_soc: float
    power_kw: float
    connector_type: str
    capacity_kwh: float


def read_drivers(path: Path, calendar: Calendar, days_later: int = 0) -> list[Driver]:
    """Read a driver behaviour file; its hours are local to the calendar's zone.

    Args:
        path: the CSV file.
        calendar: gives the zone.
        days_later: how many days later than in the file everything happens.

    Returns:
        The drivers in the order of the file.

    Raises:
        InputErrors: naming file, line, column and value of everything that is wrong.
    """
    errors: list[InputError] = []
    rows = list(_rows(path, errors))
    if not errors:
        errors.extend(_gaps(path, rows))
    if errors:
        raise InputErrors(errors[:MOST_ERRORS])
    later = timedelta(days=days_later)
    rows = [row._replace(hour=row.hour + later) for row in rows] if days_later else rows
    drivers = [
        _driver(path, list(hours), calendar, errors) for _, hours in groupby(rows, key=lambda row: row.driver)
    ]
    if errors:
        raise InputErrors(errors[:MOST_ERRORS])
    return drivers


def _rows(path: Path, errors: list[InputError]) -> Iterator[_Row]:
    text = read_text(path)
    names = header_of(path, text, HEADER)
    lines = list(csv.reader(io.StringIO(text.rstrip())))[1:]
    if not lines:
        errors.append(InputError(f"{path}: line 2", "no rows", "at least one row of values"))
    for line, cells in enumerate(lines, start=2):
        if len(errors) >= MOST_ERRORS:
            return
        if len(cells) != len(names):
            errors.append(
                InputError(f"{path}: line {line}", f"{len(cells)} values", f"{len(names)}, one a column")
            )
            continue
        row = _Cells(path, line, dict(zip(names, cells, strict=True)), errors).row()
        if row is not None:
            yield row


class _Cells:
    """The cells of one line, each read with a word on what it must be."""

    def __init__(self, path: Path, line: int, cells: dict[str, str], errors: list[InputError]) -> None:
        self._path, self._line, self._cells, self._errors = path, line, cells, errors

    def row(self) -> _Row | None:
        """Read the line; None if anything is wrong with it."""
        before = len(self._errors)
        day = self._date()
        hour = self._number("Time_of_Day", 1, 24, whole=True)
        weekday = self._number("Day_of_Week", 1, 7, whole=True)
        status = self._number("Status", 0, 2, whole=True)
        for column in ("Arrival", "Departure"):
            self._number(column, 0, 1, whole=True)
        self._number("Soc", 0, 1)
        charging = status == CHARGING
        starting_soc = self._number("Starting_SoC", 0, 1) if charging else 0.0
        ending_soc = self._number("Ending_SoC", 0, 1) if charging else 0.0
        power_kw = round_energy(self._number("Charger_Power(kW)", 0, 1e6)) if charging else 0.0
        if charging and power_kw == 0:
            self._wrong("Charger_Power(kW)", "above 0 while charging")
        connector_type = self._cells["Charger_Type"].strip()
        if charging and not connector_type:
            self._wrong("Charger_Type", "the name of a connector type while charging")
        capacity_kwh = round_energy(self._number("Battery_Capacity(kWh)", 0, 1e6))
        if capacity_kwh == 0:
            self._wrong("Battery_Capacity(kWh)", "above 0")
        driver = self._cells["DriverID"].strip()
        if not driver:
            self._wrong("DriverID", "the name of a driver")
        if day is not None and len(self._errors) == before and day.isoweekday() != weekday:
            self._wrong("Day_of_Week", f"{day.isoweekday()}, the weekday of {day}")
        if day is None or len(self._errors) > before:
            return None
        return _Row(
            self._line,
            driver,
            self._cells["EV_Model"].strip(),
            datetime(day.year, day.month, day.day) + timedelta(hours=hour - 1),  # noqa: DTZ001
            charging,
            starting_soc,
            ending_soc,
            power_kw,
            connector_type,
            capacity_kwh,
        )

    def _date(self) -> date | None:
        try:
            return datetime.strptime(self._cells["Date"].strip(), "%d-%m-%y").date()  # noqa: DTZ007
        except ValueError:
            self._wrong("Date", "a date as dd-mm-yy, like 31-01-20")
            return None

    def _number(self, column: str, low: float, high: float, whole: bool = False) -> float:
        try:
            value = float(self._cells[column])
        except ValueError:
            value = math.nan
        if not low <= value <= high or (whole and not value.is_integer()):
            what = "a whole number" if whole else "a number"
            self._wrong(column, f"{what} from {low:g} to {high:g}")
        return value

    def _wrong(self, column: str, expected: str) -> None:
        self._errors.append(
            InputError(f"{self._path}: line {self._line}: column {column}", self._cells[column], expected)
        )


def _gaps(path: Path, rows: list[_Row]) -> Iterator[InputError]:
    """Find hours that do not follow the hour before, and drivers whose rows are torn apart."""
    seen: set[str] = set()
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and before.driver == row.driver:
            expected = before.hour + timedelta(hours=1)
            if row.hour != expected:
                yield InputError(
                    f"{path}: line {row.line}: column Time_of_Day",
                    f"{row.hour:%d-%m-%y}, hour {row.hour.hour + 1}",
                    f"{expected:%d-%m-%y}, hour {expected.hour + 1}, the one after the row before",
                )
        elif row.driver in seen:
            yield InputError(
                f"{path}: line {row.line}: column DriverID",
                row.driver,
                "together with the driver's other rows",
            )
        seen.add(row.driver)


def _driver(path: Path, rows: list[_Row], calendar: Calendar, errors: list[InputError]) -> Driver:
    first = rows[0]
    for row in rows:
        if row.capacity_kwh != first.capacity_kwh:
            errors.append(
                InputError(
                    f"{path}: line {row.line}: column Battery_Capacity(kWh)",
                    row.capacity_kwh,
                    f"{first.capacity_kwh:g}, as in the driver's first row",
                )
            )
            break
    runs = [list(run) for charging, run in groupby(rows, key=lambda row: row.charging) if charging]
    usual = runs[0][0] if runs else first
    sessions = []
    for run in runs:
        errors.extend(_uneven(path, run))
        sessions.append(_session(run, usual, calendar))
    return Driver(
        id=first.driver,
        model=first.model or first.driver,
        capacity_kwh=first.capacity_kwh,
        connector_type=usual.connector_type or "none",
        power_kw=usual.power_kw or 1.0,
        sessions=tuple(sessions),
        first_day=(first.hour + timedelta(hours=23)).date(),
        last_day=(rows[-1].hour - timedelta(hours=23)).date(),
    )


def _uneven(path: Path, run: list[_Row]) -> Iterator[InputError]:
    """Within one charge nothing may change, and the battery must not lose."""
    first = run[0]
    for column, field in (
        ("Starting_SoC", "starting_soc"),
        ("Ending_SoC", "ending_soc"),
        ("Charger_Power(kW)", "power_kw"),
        ("Charger_Type", "connector_type"),
    ):
        for row in run[1:]:
            value, wanted = getattr(row, field), getattr(first, field)
            if value != wanted:
                yield InputError(
                    f"{path}: line {row.line}: column {column}",
                    value,
                    f"{wanted}, as in the first row of the charge (line {first.line})",
                )
                break
    if first.ending_soc < first.starting_soc:
        yield InputError(
            f"{path}: line {first.line}: column Ending_SoC",
            first.ending_soc,
            f"at least Starting_SoC ({first.starting_soc:g})",
        )


def _session(run: list[_Row], usual: _Row, calendar: Calendar) -> DriverSession:
    first = run[0]
    other = (first.connector_type, first.power_kw) != (usual.connector_type, usual.power_kw)
    return DriverSession(
        arrival=int(first.hour.replace(tzinfo=ZoneInfo(calendar.zone)).timestamp()),
        charging_seconds=len(run) * 3600,
        starting_soc=first.starting_soc,
        ending_soc=first.ending_soc,
        connector_type=first.connector_type if other else None,
        power_kw=first.power_kw if other else None,
    )
