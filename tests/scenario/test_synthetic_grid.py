"""The made-up profile resembles the real one and depends on nothing but seed and date."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from voltagora.scenario.synthetic_grid import synthetic_grid

# Means and deviations of the four real years, MW.
REAL = {
    "wind": (638, 473),
    "solar": (417, 576),
    "load": (5802, 1138),
    "lignite": (1382, 647),
    "gas": (1942, 830),
}


@pytest.mark.parametrize("column", REAL)
def test_a_column_has_the_size_and_spread_of_the_real_one(column: str) -> None:
    values = synthetic_grid(3, date(2017, 1, 1), 1461).columns_mw[column]
    mean, deviation = REAL[column]

    assert values.mean() == pytest.approx(mean, rel=0.08)
    assert values.std() == pytest.approx(deviation, rel=0.25)
    assert values.min() >= 0


def test_the_sun_does_not_shine_at_night() -> None:
    solar = synthetic_grid(1, date(2020, 1, 1), 366).columns_mw["solar"].reshape(366, 24)

    assert solar[:, [0, 1, 2, 3, 22, 23]].max() == 0
    assert (solar[:, 12] > 50).all()


def test_weather_lasts_from_hour_to_hour() -> None:
    wind = synthetic_grid(1, date(2020, 1, 1), 366).columns_mw["wind"]

    assert np.corrcoef(wind[:-1], wind[1:])[0, 1] > 0.85


def test_a_date_has_the_same_weather_wherever_the_profile_begins() -> None:
    whole = synthetic_grid(5, date(2020, 1, 1), 30)
    part = synthetic_grid(5, date(2020, 1, 11), 10)

    for column, values in part.columns_mw.items():
        assert np.array_equal(values, whole.columns_mw[column][240:480])


def test_another_seed_is_another_world() -> None:
    one, other = (synthetic_grid(seed, date(2020, 1, 1), 10).columns_mw["wind"] for seed in (1, 2))

    assert not np.array_equal(one, other)
    assert synthetic_grid(1, date(2020, 1, 1), 3).last_day == date(2020, 1, 1) + timedelta(days=2)
