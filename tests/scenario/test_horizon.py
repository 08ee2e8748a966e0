"""Prices of a day are known from 02:00, as many days before as the horizon has."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from voltagora.scenario.horizon import Horizon
from voltagora.scenario.settings import Scenario

ATHENS = ZoneInfo("Europe/Athens")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ATHENS).timestamp())


@pytest.mark.parametrize(
    ("departure", "horizon_days", "known"),
    [
        # A stay that ends at midnight has its last slot in the day before.
        ("2020-06-05T00:00", 1, "2020-06-03T02:00"),
        ("2020-06-05T00:01", 1, "2020-06-04T02:00"),
        ("2020-06-05T23:59", 1, "2020-06-04T02:00"),
        ("2020-06-05T12:00", 2, "2020-06-03T02:00"),
        # On day 1 everything up to the horizon becomes known at once, not earlier.
        ("2020-06-01T12:00", 1, "2020-06-01T02:00"),
        ("2020-06-02T12:00", 1, "2020-06-01T02:00"),
        ("2020-06-02T12:00", 2, "2020-06-01T02:00"),
    ],
)
def test_prices_are_known_from_two_oclock(departure: str, horizon_days: int, known: str) -> None:
    scenario = Scenario(start=date(2020, 6, 1), time_zone="Europe/Athens", horizon_days=horizon_days)

    assert Horizon(scenario).prices_known_at([at(departure)]).tolist() == [at(known)]


def test_days_have_the_length_that_clocks_give_them() -> None:
    horizon = Horizon(Scenario(start=date(2020, 3, 28), days=2, time_zone="Europe/Athens"))

    assert [(day.end - day.start) // 3600 for day in horizon.days] == [24, 23, 24]
    assert (horizon.start, horizon.end) == (at("2020-03-28T00:00"), at("2020-03-30T00:00"))
