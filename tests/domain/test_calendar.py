"""Local days cut into slots, against a walk through the time zone minute by quarter hour."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputError

QUARTER = 900
ZONES = ["UTC", "Europe/Athens", "America/New_York", "America/Sao_Paulo", "Atlantic/Azores", "Asia/Kathmandu"]


def walked(zone: str, day: date) -> tuple[int, int]:
    """Find a local day's first instant and the first after it, by looking at every quarter hour."""
    clock = ZoneInfo(zone)
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    moments = range(noon - 40 * 3600, noon + 40 * 3600, QUARTER)
    inside = [moment for moment in moments if datetime.fromtimestamp(moment, clock).date() == day]
    return inside[0], inside[-1] + QUARTER


days = st.one_of(
    st.dates(date(1990, 1, 1), date(2037, 12, 31)),
    # Days on which some of the zones change their clocks.
    st.sampled_from(
        [
            date(2020, 3, 29),
            date(2020, 10, 25),
            date(2020, 3, 8),
            date(2020, 11, 1),
            date(2018, 11, 4),
            date(2018, 2, 17),
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), days, st.sampled_from([5, 15, 30, 60]))
def test_a_day_runs_from_local_midnight_to_local_midnight(zone: str, day: date, step: int) -> None:
    start, end = walked(zone, day)
    found = Calendar(zone, step).day(day)
    assert (found.date, found.start, found.end) == (day, start, end)
    assert found.slots * step * 60 == end - start


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2020, 3, 29), 23), (date(2020, 10, 25), 25), (date(2020, 6, 1), 24)]
)
@pytest.mark.parametrize("step", [5, 15, 30, 60])
def test_days_have_23_or_25_hours_when_clocks_change(day: date, hours: int, step: int) -> None:
    assert Calendar("Europe/Athens", step).day(day).slots == hours * 60 // step


def test_the_repeated_hour_comes_twice_and_the_missing_one_never() -> None:
    calendar = Calendar("Europe/Athens")
    assert calendar.local_hours(calendar.day(date(2020, 3, 29)))[2:4] == [2, 4]
    assert calendar.local_hours(calendar.day(date(2020, 10, 25)))[2:5] == [2, 3, 3]


def test_a_step_that_does_not_fit_a_day_is_refused() -> None:
    with pytest.raises(InputError, match="step_minutes: got 60, must be a divisor of every day's length"):
        Calendar("Australia/Lord_Howe", 60).day(date(2020, 4, 5))
    assert Calendar("Australia/Lord_Howe", 30).day(date(2020, 4, 5)).slots == 49


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ZONES), st.integers(631_152_000, 2_145_916_800), st.sampled_from([5, 15, 30, 60]))
def test_every_instant_has_its_day_and_its_slot(zone: str, moment: int, step: int) -> None:
    calendar = Calendar(zone, step)
    day = calendar.day_at(moment)
    assert day.start <= moment < day.end
    assert day.date == datetime.fromtimestamp(moment, ZoneInfo(zone)).date()
    slot = calendar.slot_start(moment)
    assert slot <= moment < slot + step * 60
    assert (slot - day.start) % (step * 60) == 0


def test_the_day_last_looked_up_does_not_stick() -> None:
    calendar = Calendar("Europe/Athens")
    first = calendar.day(date(2020, 3, 29))
    assert calendar.day_at(first.start) == first
    assert calendar.day_at(first.end).date == date(2020, 3, 30)
    assert calendar.day_at(first.start - 1).date == date(2020, 3, 28)


@given(st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(-400, 400))
def test_days_follow_each_other_without_a_gap(day: date, away: int) -> None:
    calendar = Calendar("America/New_York")
    here = calendar.day(day)
    assert calendar.day_after(here, 1).start == here.end
    assert calendar.day_after(here, away).date == day + timedelta(days=away)


def test_days_of_a_stay_are_those_it_shares_time_with() -> None:
    calendar = Calendar("Europe/Athens")
    saturday, sunday = calendar.day(date(2020, 3, 28)), calendar.day(date(2020, 3, 29))
    assert calendar.days_of(saturday.start, saturday.end) == [saturday]
    assert calendar.days_of(saturday.end - 1, saturday.end + 1) == [saturday, sunday]


def test_a_calendar_can_be_sent_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(Calendar("Europe/Athens", 15)))
    assert (copy.zone, copy.step_minutes) == ("Europe/Athens", 15)
    assert copy.day(date(2020, 3, 29)).slots == 92
