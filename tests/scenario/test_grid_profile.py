"""The grid profile is read by row order, forgiven where it may be, and refused in words elsewhere."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputError, InputErrors
from voltagora.scenario.grid_profile import HEADER, read_grid_profile
from voltagora.scenario.population import population
from voltagora.scenario.read import read_scenario

REAL = Path(__file__).parents[3] / "shared" / "data" / "grid_profile_4_years_hourly.csv"
real = pytest.mark.skipif(not REAL.exists(), reason="the four-year profile is not on this machine")

Rows = list[list[str]]


def rows_of(first: date, days: int) -> Rows:
    """Rows whose wind is 1000·day + hour, solar 1, load 10·hour, so that a row can be told by its values."""
    rows = []
    for place in range(days):
        day = first + timedelta(days=place)
        for hour in range(1, 25):
            energy = ["5", "6", "1", str(1000 * place + hour), str(10 * hour), "-3"]
            rows.append([str(day.year), str(day.month), str(day.isoweekday()), str(hour), *energy])
    return rows


def saved(path: Path, rows: Rows, header: tuple[str, ...] = HEADER) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([list(header), *rows])
    return path


def refusal(path: Path, first_day: date | None = None) -> str:
    with pytest.raises((InputError, InputErrors)) as caught:
        read_grid_profile(path, first_day)
    return str(caught.value)


def test_rows_are_days_from_the_first_of_the_month_on(tmp_path: Path) -> None:
    profile = read_grid_profile(saved(tmp_path / "g.csv", rows_of(date(2020, 2, 1), 40)))

    assert (profile.first_day, profile.last_day) == (date(2020, 2, 1), date(2020, 3, 11))
    assert profile.hourly_mw("wind")[24 * 29] == 29_001


def test_a_file_that_begins_within_a_month_needs_its_first_day(tmp_path: Path) -> None:
    path = saved(tmp_path / "g.csv", rows_of(date(2020, 2, 12), 3))

    assert "grid.first_day" in refusal(path)
    assert read_grid_profile(path, date(2020, 2, 12)).last_day == date(2020, 2, 14)
    assert "must be a day of the weekday 3" in refusal(path, date(2020, 2, 13))


def drop_column(rows: Rows) -> Rows:
    return [row[:7] + row[8:] for row in rows]


def edited(row: int, column: int, value: str) -> Callable[[Rows], Rows]:
    def edit(rows: Rows) -> Rows:
        rows[row][column] = value
        return rows

    return edit


def without(first: int, stop: int) -> Callable[[Rows], Rows]:
    def edit(rows: Rows) -> Rows:
        return rows[:first] + rows[stop:]

    return edit


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (edited(30, 7, "nan"), "g.csv: line 32: column Wind_Gen(MW): got nan, must be a finite number"),
        (edited(30, 7, "inf"), "g.csv: line 32: column Wind_Gen(MW): got inf, must be a finite number"),
        (edited(30, 7, "much"), "g.csv: line 32: column Wind_Gen(MW): got 'much', must be a finite number"),
        (edited(30, 7, ""), "g.csv: line 32: column Wind_Gen(MW): got '', must be a finite number"),
        (edited(30, 3, "9"), "g.csv: line 32: column Time_of_Day: got 9, must be 7, the hour after"),
        (edited(30, 3, "25"), "g.csv: line 32: column Time_of_Day: got 25, must be 7"),
        (without(30, 31), "g.csv: line 32: column Time_of_Day: got 8, must be 7"),
        (without(24, 48), "g.csv: line 26: column Day_of_Week: got 1, must be 7: by its place the row is of"),
        (
            without(70, 72),
            "g.csv: line 71: column Time_of_Day: got 22, must be 24: the last day must be whole",
        ),
        (edited(30, 1, "3"), "g.csv: line 32: column Month_of_Year: got 3, must be 2"),
        (edited(30, 0, "2021"), "g.csv: line 32: column Year: got 2021, must be 2020"),
        (edited(0, 1, "13"), "g.csv: line 2: column Month_of_Year: got 13, must be a month, 1 to 12"),
        (lambda rows: [*rows[:30], rows[30][:9], *rows[31:]], "g.csv: line 32: got '9 values', must be 10"),
        (lambda rows: [*rows[:30], [], *rows[30:]], "g.csv: line 32: got '0 values', must be 10"),
        (lambda rows: [], "g.csv: line 2: got 'no rows', must be at least one row"),
    ],
)
def test_a_wrong_row_is_told_by_line_column_and_value(
    tmp_path: Path, edit: Callable[[Rows], Rows], complaint: str
) -> None:
    assert complaint in refusal(saved(tmp_path / "g.csv", edit(rows_of(date(2020, 2, 1), 3))))


def test_a_missing_column_is_told_with_the_nearest(tmp_path: Path) -> None:
    header = tuple("Wind_Generation(MW)" if name == "Wind_Gen(MW)" else name for name in HEADER)
    told = refusal(saved(tmp_path / "g.csv", rows_of(date(2020, 2, 1), 1), header))

    assert "line 1: column Wind_Gen(MW): got 'no such column'" in told
    assert "did you mean 'Wind_Generation(MW)'?" in told


def test_the_order_of_columns_is_free_and_others_may_stand_beside(tmp_path: Path) -> None:
    rows = [[*row[::-1], "anything"] for row in rows_of(date(2020, 2, 1), 2)]
    profile = read_grid_profile(saved(tmp_path / "g.csv", rows, (*HEADER[::-1], "Remark")))

    assert profile.hourly_mw("wind")[25] == 1002


def test_a_file_of_another_system_reads_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path / "g.csv", rows_of(date(2020, 2, 1), 1))
    plain = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    path.write_bytes(b"\xef\xbb\xbf" + plain.replace("\n", "\r\n").encode() + b"\r\n\r\n")

    assert read_grid_profile(path).hourly_mw("load").sum() == 10 * 300


def test_negative_generation_counts_as_nothing_and_is_said(tmp_path: Path) -> None:
    profile = read_grid_profile(saved(tmp_path / "g.csv", edited(3, 4, "-2")(rows_of(date(2020, 2, 1), 1))))

    assert profile.hourly_mw("lignite")[3] == 0
    assert profile.notices == ("g.csv: 1 negative values of Lignite_Gen(MW) count as 0.",)
    # Negative import is export: nothing wrong with it, and no production either.
    assert profile.hourly_mw("import").max() == 0


@pytest.mark.parametrize("step_minutes", [5, 15, 30, 60])
def test_shorter_slots_share_the_hour_evenly(tmp_path: Path, step_minutes: int) -> None:
    profile = read_grid_profile(saved(tmp_path / "g.csv", rows_of(date(2020, 2, 1), 2)))
    calendar = Calendar("UTC", step_minutes)
    days = [calendar.day(date(2020, 5, 1)), calendar.day(date(2020, 5, 2))]

    energy = profile.energy_kwh("wind", date(2020, 2, 1), calendar, days, kw_per_mw=2.0)

    hourly = energy.reshape(48, -1)
    assert np.allclose(hourly.sum(axis=1), 2.0 * profile.hourly_mw("wind"))
    assert np.ptp(hourly, axis=1).max() == 0


def test_when_clocks_change_the_missing_hour_is_skipped_and_the_repeated_one_used_twice(
    tmp_path: Path,
) -> None:
    profile = read_grid_profile(saved(tmp_path / "g.csv", rows_of(date(2020, 2, 1), 3)))
    calendar = Calendar("Europe/Athens", 60)

    def hours(day: date) -> list[float]:
        days = [calendar.day(day)]
        return profile.energy_kwh("wind", date(2020, 2, 1), calendar, days, 1.0).tolist()

    # In Athens 3 o'clock is skipped in March and comes twice in October.
    assert hours(date(2020, 3, 29)) == [h for h in range(1, 25) if h != 4]
    assert hours(date(2020, 10, 25)) == sorted([*range(1, 25), 4])


def run_on(path: Path, **changes: object) -> None:
    overrides = {
        "grid.file": str(path),
        "vehicles.count": 0,
        **{k.replace("__", "."): v for k, v in changes.items()},
    }
    population(read_scenario("paper-2020", overrides))


def test_a_profile_shorter_than_the_run_and_its_horizon_is_refused(tmp_path: Path) -> None:
    enough = saved(tmp_path / "enough.csv", rows_of(date(2020, 1, 1), 11))
    short = saved(tmp_path / "short.csv", rows_of(date(2020, 1, 1), 10))

    run_on(enough)
    with pytest.raises(InputErrors, match="got '10 days from 2020-01-01', must be at least 11"):
        run_on(short)
    with pytest.raises(InputErrors, match="got '11 days from 2020-01-01', must be at least 12"):
        run_on(enough, horizon_days=2)
    with pytest.raises(InputErrors, match=r"grid\.profile_start: got '2019-12-31'"):
        run_on(enough, grid__profile_start=date(2019, 12, 31))
    with pytest.raises(InputErrors, match=r"grid\.history_days: got 1, must be at most 0"):
        run_on(enough, grid__history_days=1)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputErrors, match="must be a file that can be read"):
        run_on(tmp_path / "none.csv")


@real
def test_the_four_years_cover_2017_to_2020() -> None:
    profile = read_grid_profile(REAL)

    assert (profile.first_day, profile.last_day) == (date(2017, 1, 1), date(2020, 12, 31))
    assert profile.hourly_mw("lignite").min() == 0
    assert "16 negative values of Lignite_Gen(MW)" in profile.notices[0]


@real
@pytest.mark.parametrize(("profile_start", "row"), [(None, 24 * 1095), (date(2017, 1, 1), 0)])
def test_the_experiment_reads_the_rows_of_its_own_days_or_the_first_ones(
    profile_start: date | None, row: int
) -> None:
    overrides: dict[str, object] = {"grid.file": str(REAL), "vehicles.count": 0}
    if profile_start:
        overrides["grid.profile_start"] = profile_start
    wind, solar, load = population(read_scenario("paper-2020", overrides)).areas[0].profiles
    with REAL.open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))[row : row + 264]

    assert wind.actual.values.tolist() == [float(c["Wind_Gen(MW)"]) for c in cells]
    assert solar.actual.values.tolist() == [float(c["Solar_Gen(MW)"]) for c in cells]
    assert load.actual.values.tolist() == pytest.approx([0.1 * float(c["Total_Load(MW)"]) for c in cells])
    assert (wind.role, load.role, wind.kind) == ("EP", "EC", "wind")
