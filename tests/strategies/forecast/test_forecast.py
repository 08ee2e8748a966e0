"""What is expected of a day, against a slow count over every slot of the history by the local clock."""

import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries
from voltagora.strategies import registry
from voltagora.strategies.forecast.decision import Forecast, NoHistory

ZONES = ["UTC", "Europe/Lisbon", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
GRID_FILE = Path(__file__).parents[4] / "shared" / "data" / "grid_profile_4_years_hourly.csv"


def forecasted(name, history, day, calendar, actual=None):
    return registry.build("forecast", name).forecast(history, day, calendar, actual)


def a_history(calendar, first, slots, seed=0, skip=0):
    start = calendar.day(first).start + skip * calendar.step_seconds
    values = np.random.default_rng(seed).integers(0, 10**9, slots) / 1e6
    return EnergySeries.of(start, calendar.step_minutes, values)


# The oracle: every slot is named by its date, its clock time and how often that time came that day.


def named_slots(start, end, zone, step_minutes):
    names, moment = [], start
    while moment < end:
        local = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone))
        before = [
            name
            for name in names[-60 * 24 // step_minutes - 60 :]
            if name[:2] == (local.date(), local.time())
        ]
        names.append((local.date(), local.time(), len(before)))
        moment += step_minutes * 60
    return names


def known_slots(history, day, zone):
    names = named_slots(history.start, min(history.end, day.start), zone, history.step_minutes)
    whole_day = datetime.fromtimestamp(history.start, UTC).astimezone(ZoneInfo(zone))
    assert whole_day.hour * 60 + whole_day.minute < 120, "the oracle counts repeated hours from midnight on"
    return dict(zip(names, history.values.tolist(), strict=False))


def value_on(known, other, clock, time):
    return known.get((other, clock, time), known.get((other, clock, 0)))


def slow_persistence(known, targets):
    found = []
    for this, clock, time in targets:
        earlier = sorted({name[0] for name in known}, reverse=True)
        candidates = [this - timedelta(days=7), *earlier]
        values = [value_on(known, other, clock, time) for other in candidates]
        values = [value for value in values if value is not None]
        if not values:
            return None
        found.append(values[0])
    return found


def slow_like_days(known, targets):
    samples = []
    for this, clock, time in targets:
        like = sorted({name[0] for name in known if name[0].weekday() == this.weekday()})
        values = [value_on(known, other, clock, time) for other in like]
        samples.append([value for value in values if value is not None])
    return samples


def slow_mean(values):
    return math.fsum(values) / len(values)


def slow_std(values):
    if len(values) < 2:
        return 0.0
    middle = slow_mean(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def check(history, day, calendar):
    """Compare all three strategies with the oracle."""
    known = known_slots(history, day, calendar.zone)
    targets = named_slots(day.start, day.end, calendar.zone, calendar.step_minutes)
    samples = slow_like_days(known, targets)
    actual = np.arange(day.slots) + 0.5
    persisted = slow_persistence(known, targets)
    means = [slow_mean(values) for values in samples] if all(samples) else None
    for name, expected in (("persistence", persisted), ("weekday_hour_mean", means), ("perfect", actual)):
        found = forecasted(name, history, day, calendar, actual)
        if expected is None:
            assert found == NoHistory()
            continue
        assert isinstance(found, Forecast)
        assert found.expected == pytest.approx(expected, abs=1.1e-6)
        mean = [slow_mean(values) if values else expected[place] for place, values in enumerate(samples)]
        assert found.mean == pytest.approx(mean, abs=1.1e-6)
        assert found.std == pytest.approx([slow_std(values) for values in samples], abs=1.1e-6)
        for values in (found.expected, found.mean, found.std):
            assert values.tolist() == [round(value, 6) for value in values.tolist()]
    return persisted, means


@given(
    zone=st.sampled_from(
        ["UTC", "Europe/Lisbon", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu"]
    ),
    step=st.sampled_from([15, 30, 60]),
    first=st.dates(date(2020, 1, 1), date(2020, 12, 31)),
    days=st.integers(0, 24),
    cut=st.integers(0, 95),
    ahead=st.integers(-3, 12),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_every_forecast_is_what_a_slow_count_finds(zone, step, first, days, cut, ahead, seed) -> None:
    if zone == "Australia/Lord_Howe" and step == 60:
        step = 30  # its days may be half an hour longer
    calendar = Calendar(zone, step)
    history = a_history(calendar, first, days * 24 + cut, seed)
    day = calendar.day(max(first, first + timedelta(days=days + ahead)))

    check(history, day, calendar)


@pytest.mark.parametrize("step", [5, 60])
@pytest.mark.parametrize("ahead", [0, 7, 14, 21])
@pytest.mark.parametrize("change", [date(2020, 3, 29), date(2020, 10, 25)])
def test_days_of_23_and_25_hours_are_matched_by_the_clock(change, ahead, step) -> None:
    """The day itself, and the same weekdays after it, which look back at it."""
    calendar = Calendar("Europe/Lisbon", step)
    history = a_history(calendar, change - timedelta(days=8), 32 * 24 * 60 // step)

    persisted, means = check(history, calendar.day(change + timedelta(days=ahead)), calendar)

    assert persisted is not None
    assert means is not None


def test_both_times_of_a_repeated_hour_look_back_at_the_one_hour_of_the_week_before() -> None:
    calendar = Calendar("Europe/Lisbon")
    day = calendar.day(date(2020, 10, 25))
    week_before = EnergySeries.of(calendar.day(date(2020, 10, 18)).start, 60, np.arange(24.0))

    found = forecasted("persistence", week_before, day, calendar)

    assert found.expected.tolist() == [0, 1, 1, *range(2, 24)]


def test_a_skipped_hour_is_taken_from_the_latest_day_that_has_it() -> None:
    calendar = Calendar("Europe/Lisbon")
    start = calendar.day(date(2020, 3, 28)).start
    history = EnergySeries.of(
        start, 60, np.concatenate([np.full(24, 28.0), np.full(23, 29.0), np.full(24, 30.0)])
    )

    found = forecasted("persistence", history, calendar.day(date(2020, 4, 5)), calendar)

    assert found.expected.tolist() == [29.0, 30.0, *[29.0] * 22]


def test_without_a_week_of_history_the_latest_day_stands_in() -> None:
    calendar = Calendar()
    history = EnergySeries.of(calendar.day(date(2020, 1, 1)).start, 60, np.arange(36.0))

    found = forecasted("persistence", history, calendar.day(date(2020, 1, 4)), calendar)

    assert found.expected.tolist() == [*range(24, 36), *range(12, 24)]
    assert found.mean.tolist() == found.expected.tolist()
    assert found.std.tolist() == [0.0] * 24


def test_half_a_day_of_history_is_not_enough_for_a_day() -> None:
    calendar = Calendar()
    history = EnergySeries.of(calendar.day(date(2020, 1, 1)).start, 60, np.arange(12.0))
    empty = EnergySeries.of(history.start, 60, np.empty(0))
    day = calendar.day(date(2020, 1, 8))

    for name in ("persistence", "weekday_hour_mean"):
        assert forecasted(name, history, day, calendar) == NoHistory()
        assert forecasted(name, empty, day, calendar) == NoHistory()


def test_the_spread_of_like_days_is_the_sample_s() -> None:
    calendar = Calendar()
    values = np.zeros(24 * 15)
    values[0], values[7 * 24], values[14 * 24] = 1.0, 2.0, 6.0  # midnight of three Wednesdays
    history = EnergySeries.of(calendar.day(date(2020, 1, 1)).start, 60, values)

    two = forecasted("weekday_hour_mean", history, calendar.day(date(2020, 1, 15)), calendar)
    three = forecasted("weekday_hour_mean", history, calendar.day(date(2020, 1, 22)), calendar)

    assert (two.mean[0], two.std[0]) == (1.5, 0.707107)
    assert (three.mean[0], three.std[0]) == (3.0, 2.645751)


def test_nothing_of_the_day_itself_or_later_is_looked_at() -> None:
    calendar = Calendar()
    known = a_history(calendar, date(2020, 1, 1), 24 * 20)
    changed = known.values.copy()
    changed[24 * 14 :] = 7.0
    other = EnergySeries.of(known.start, 60, changed)
    day = calendar.day(date(2020, 1, 15))

    for name in ("persistence", "weekday_hour_mean"):
        one, two = (forecasted(name, history, day, calendar) for history in (known, other))
        assert np.array_equal(one.expected, two.expected)
        assert np.array_equal(one.std, two.std)


def test_perfect_is_what_the_day_brings_and_nothing_without_it() -> None:
    calendar = Calendar()
    history = a_history(calendar, date(2020, 1, 1), 24 * 8)
    day = calendar.day(date(2020, 1, 9))
    actual = np.linspace(0, 1, 24)

    assert np.allclose(forecasted("perfect", history, day, calendar, actual).expected, actual, atol=5e-7)
    assert forecasted("perfect", history, day, calendar) == NoHistory()
    with pytest.raises(InputError, match=r"actual: .*the 24 slots of 2020-01-09"):
        forecasted("perfect", history, day, calendar, np.ones(25))


def test_a_history_off_the_slots_of_the_calendar_is_refused() -> None:
    calendar = Calendar("Europe/Lisbon", 60)
    day = calendar.day(date(2020, 6, 1))

    with pytest.raises(InputError, match=r"history\.start"):
        forecasted("persistence", EnergySeries.of(day.start - 86_400 + 1800, 60, np.ones(24)), day, calendar)
    with pytest.raises(InputError, match=r"history\.step_minutes"):
        forecasted("persistence", EnergySeries.of(day.start - 86_400, 30, np.ones(48)), day, calendar)


@pytest.mark.skipif(not GRID_FILE.exists(), reason="the user's own grid profile is not here")
def test_four_years_of_a_real_profile_are_forecast_as_the_slow_count_finds() -> None:
    wind = np.loadtxt(GRID_FILE, delimiter=",", skiprows=1, usecols=7)
    calendar = Calendar()
    history = EnergySeries.of(calendar.day(date(2017, 1, 1)).start, 60, np.maximum(wind, 0.0))
    day = calendar.day(date(2020, 12, 30))
    rows = wind[: (day.start - history.start) // 3600].clip(0).reshape(-1, 24)
    like = rows[len(rows) % 7 :: 7]

    found = forecasted("weekday_hour_mean", history, day, calendar)

    assert len(like) == 208
    assert found.mean == pytest.approx(np.mean(like, axis=0), abs=1e-6)
    assert found.std == pytest.approx(np.std(like, axis=0, ddof=1), abs=1e-6)
