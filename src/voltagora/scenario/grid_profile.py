"""The grid profile: what each source produced and the load used, hour by hour, in MW.

The file has no dates: its rows are whole days of 24 hours in order, so the place of a row says
when it was. The first row's date is `grid.first_day`; left out, it is the first of that row's
month, provided its weekday agrees (35,064 rows from a Sunday in January 2017 thus cover
2017-01-01 to 2020-12-31).
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.errors import InputError, InputErrors
from voltagora.domain.units import Floats, Integers
from voltagora.scenario.number_table import NumberTable, read_number_table

HOURS: Integers = np.arange(24)

YEAR, MONTH, WEEKDAY, HOUR = "Year", "Month_of_Year", "Day_of_Week", "Time_of_Day"
ENERGY_COLUMNS = {
    "lignite": "Lignite_Gen(MW)",
    "gas": "FossilGas_Gen(MW)",
    "solar": "Solar_Gen(MW)",
    "wind": "Wind_Gen(MW)",
    "load": "Total_Load(MW)",
    "import": "Import_Export(MW)",
}
HEADER = (YEAR, MONTH, WEEKDAY, HOUR, *ENERGY_COLUMNS.values())
GENERATION = ("lignite", "gas", "solar", "wind")


class GridProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Whole days of 24 rows from `first_day` on."""

    source: str
    first_day: date
    columns_mw: dict[str, Floats]  # each of shape (24 · days,), none of a generator below 0
    notices: tuple[str, ...] = ()  # what was put right, in sentences

    @property
    def days(self) -> int:
        """How many days the profile covers."""
        return len(self.columns_mw["load"]) // 24

    @property
    def last_day(self) -> date:
        """The last day it covers."""
        return self.first_day + timedelta(days=self.days - 1)

    def hourly_mw(self, column: str) -> Floats:
        """Give a column as power, MW, never below 0; exports are no production."""
        values: Floats = np.maximum(self.columns_mw[column], 0.0)
        return values

    def energy_kwh(
        self, column: str, profile_start: date, calendar: Calendar, days: list[Day], kw_per_mw: float
    ) -> Floats:
        """Spread a column over the slots of local days.

        Every day takes the 24 rows of one day of the profile: an hour that the clocks repeat
        uses its row twice, one that they skip goes unused. A slot shorter than an hour takes
        its part of the hour's energy.

        Args:
            column: `wind`, `solar`, `load`...
            profile_start: the day of the profile that plays the first of `days`.
            calendar: gives the slots' local hours.
            days: consecutive local days.
            kw_per_mw: kW that stand for one MW.

        Returns:
            kWh a slot, shape (slots of all days,).
        """
        first = (profile_start - self.first_day).days * 24
        rows = np.concatenate(
            [
                first + 24 * place + np.floor(calendar.local_hours(day)).astype(np.int64)
                for place, day in enumerate(days)
            ]
        )
        energy: Floats = self.hourly_mw(column)[rows] * (kw_per_mw * calendar.step_minutes / 60.0)
        return energy


def read_grid_profile(path: Path, first_day: date | None = None) -> GridProfile:
    """Read a grid profile file.

    Args:
        path: the CSV file.
        first_day: date of its first row, if the row itself does not tell.

    Raises:
        InputErrors: naming file, line, column and value of what is wrong.
    """
    table = read_number_table(path, HEADER)
    _check_hours(table)
    start = _first_day(table, first_day)
    _check_dates(table, start)
    notices = []
    columns = {}
    for name, column in ENERGY_COLUMNS.items():
        values = table.columns[column]
        negative = int((values < 0).sum()) if name in GENERATION else 0
        if negative:
            notices.append(f"{path.name}: {negative} negative values of {column} count as 0.")
            values = np.maximum(values, 0.0)
        columns[name] = values
    return GridProfile(source=path.name, first_day=start, columns_mw=columns, notices=tuple(notices))


def _check_hours(table: NumberTable) -> None:
    """Hours run 1 to 24, day after day: anything else is a gap or a row out of place."""
    hours = table.columns[HOUR]
    expected = HOURS[np.arange(len(hours)) % 24] + 1
    wrong = np.flatnonzero(hours != expected)
    if len(wrong):
        row = int(wrong[0])
        raise InputErrors(
            [table.error(row, HOUR, f"{expected[row]}, the hour after the row before (hours run 1 to 24)")]
        )
    if len(hours) % 24:
        row = len(hours) - 1
        raise InputErrors([table.error(row, HOUR, "24: the last day must be whole")])


def _first_day(table: NumberTable, first_day: date | None) -> date:
    weekday = int(table.columns[WEEKDAY][0])
    if first_day is not None:
        if first_day.isoweekday() != weekday:
            raise InputError(
                "grid.first_day",
                str(first_day),
                f"a day of the weekday {weekday} that the first row of {table.path.name} has",
            )
        return first_day
    year, month = table.columns[YEAR][0], table.columns[MONTH][0]
    if not (1 <= year <= 9999 and year % 1 == 0):
        raise InputErrors([table.error(0, YEAR, "a year")])
    if month not in range(1, 13):
        raise InputErrors([table.error(0, MONTH, "a month, 1 to 12")])
    guess = date(int(year), int(month), 1)
    if guess.isoweekday() != weekday:
        raise InputErrors(
            [
                table.error(
                    0,
                    WEEKDAY,
                    f"{guess.isoweekday()}, the weekday of {guess}, or grid.first_day the row's date",
                )
            ]
        )
    return guess


def _check_dates(table: NumberTable, start: date) -> None:
    """Compare year, month and weekday of every row with the date its place gives it."""
    dates = np.datetime64(start, "D") + np.arange(len(table.columns[HOUR])) // 24
    months = dates.astype("datetime64[M]").astype(np.int64)
    expected = {
        WEEKDAY: (dates.astype(np.int64) + 3) % 7 + 1,
        MONTH: months % 12 + 1,
        YEAR: months // 12 + 1970,
    }
    for column, values in expected.items():
        wrong = np.flatnonzero(table.columns[column] != values)
        if len(wrong):
            row = int(wrong[0])
            raise InputErrors(
                [table.error(row, column, f"{values[row]}: by its place the row is of {dates[row]}")]
            )
