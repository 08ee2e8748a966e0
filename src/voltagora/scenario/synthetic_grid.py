"""A made-up grid profile, for a scenario without a file of a real one.

It has the columns of the file format and the magnitudes of the Greek system of 2017 to 2020:
load 3 to 10 GW (mean 5.8), wind 0 to 2.6 GW (mean 0.64), solar 0 to 2.1 GW (mean 0.42). What
differs: here the weather lasts. Wind of one hour resembles that of the hour before, a cloudy
day is cloudy from morning to evening. Each day depends on (seed, date) alone, so a longer or
shifted run sees the same weather on the same date.
"""

from __future__ import annotations

from datetime import date

import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.scenario.draws import Draws
from voltagora.scenario.grid_profile import HOURS, GridProfile

# Means of the year's months, January first.
_WIND_MW = (659, 697, 720, 531, 493, 446, 515, 743, 710, 579, 750, 808)
_LOAD_MW = (6649, 6179, 5552, 5076, 5050, 5806, 6637, 6420, 5691, 5059, 5464, 6032)
_SOLAR_NOON_MW = (950, 1120, 1340, 1500, 1560, 1640, 1700, 1690, 1560, 1380, 990, 870)
_DAYLIGHT_HOURS = (9.8, 10.7, 11.9, 13.2, 14.2, 14.8, 14.5, 13.6, 12.4, 11.2, 10.1, 9.5)
_LIGNITE_MW = (1954, 1706, 1252, 1069, 1080, 1274, 1404, 1382, 1166, 1197, 1488, 1630)
_GAS_MW = (2467, 1921, 1305, 1361, 1510, 1964, 2384, 2271, 2112, 1969, 1956, 2070)
_IMPORT_MW = (1326, 1537, 1852, 1637, 1468, 1590, 1764, 1459, 1209, 920, 1013, 1300)

# Load by hour of the day relative to the day's mean, hours 1 to 24.
_LOAD_BY_HOUR = np.array(
    [
        [0.83, 0.80, 0.78, 0.77, 0.78, 0.82, 0.90, 0.98, 1.06, 1.10, 1.14, 1.15],
        [1.14, 1.10, 1.08, 1.07, 1.07, 1.10, 1.14, 1.15, 1.12, 1.04, 0.98, 0.90],
    ]
).reshape(24)
_LOAD_BY_WEEKDAY = (1.00, 1.025, 1.02, 1.025, 1.02, 0.985, 0.92)  # Monday first
_SOLAR_MIDDAY_HOUR = 12.7
_WIND_MEMORY = 0.94  # correlation of one hour's wind with the next's
_WIND_LOOK_BACK_HOURS = 96  # beyond, less than 0.3 % of an hour's weather is left


def synthetic_grid(seed: int, first_day: date, days: int) -> GridProfile:
    """Make a profile of whole days, in whole MW.

    Args:
        seed: the scenario's seed.
        first_day: date of the first 24 hours.
        days: how many days.
    """
    ordinals = np.arange(first_day.toordinal(), first_day.toordinal() + days)
    months = np.array([date.fromordinal(o).month for o in ordinals.tolist()]) - 1
    load = _load(seed, ordinals, months)
    solar = _solar(seed, ordinals, months)
    wind = _wind(seed, ordinals, months)
    columns = {
        "lignite": _dispatched("lignite", _LIGNITE_MW, 0.35, seed, ordinals, months),
        "gas": _dispatched("gas", _GAS_MW, 0.3, seed, ordinals, months),
        "solar": solar,
        "wind": wind,
        "load": load,
        "import": _dispatched("import", _IMPORT_MW, 0.7, seed, ordinals, months),
    }
    return GridProfile(
        source="synthetic",
        first_day=first_day,
        columns_mw={name: _whole(values) for name, values in columns.items()},
    )


def _load(seed: int, ordinals: Integers, months: Integers) -> Floats:
    """Month, weekday and hour shape the load; a day is up to 10 % off, an hour some 4 % more."""
    draws = Draws(seed, "grid", "load")
    by_weekday = np.array(_LOAD_BY_WEEKDAY)[(ordinals - 1) % 7]
    by_day = np.array(_LOAD_MW)[months] * by_weekday * (1 + 0.05 * draws.normal(ordinals, 0))
    by_hour = _LOAD_BY_HOUR * (1 + 0.04 * draws.normal(ordinals[:, None], 1 + HOURS))
    return _clipped(by_day[:, None] * by_hour, 2500, 10_500)


def _solar(seed: int, ordinals: Integers, months: Integers) -> Floats:
    """A parabola over the hours of daylight, dimmed by the day's clouds and by each hour's."""
    draws = Draws(seed, "grid", "solar")
    half = np.array(_DAYLIGHT_HOURS)[months][:, None] / 2
    height = 1 - ((HOURS + 0.5 - _SOLAR_MIDDAY_HOUR) / half) ** 2
    clear = np.maximum(height, 0) * np.sqrt(np.maximum(height, 0))
    clouds = draws.uniform(ordinals, 0) ** 2 * 0.7
    flicker = 1 - 0.25 * draws.uniform(ordinals[:, None], 1 + HOURS)
    noon = np.array(_SOLAR_NOON_MW)[months]
    return _clipped((noon * (1 - clouds))[:, None] * clear * flicker * 1.48, 0, 2200)


def _wind(seed: int, ordinals: Integers, months: Integers) -> Floats:
    """A lasting bell-shaped weather, squared and scaled so that calm hours are many and gales few."""
    draws = Draws(seed, "grid", "wind")
    hour = ordinals[:, None] * 24 + HOURS
    first = int(hour[0, 0]) - _WIND_LOOK_BACK_HOURS
    gusts = draws.normal(0, np.arange(first, int(hour[-1, -1]) + 1))
    fade = _WIND_MEMORY ** np.arange(_WIND_LOOK_BACK_HOURS, -1, -1)
    # A sum over a fixed stretch of past hours, so that no date depends on where the run begins.
    windows = np.lib.stride_tricks.sliding_window_view(gusts, len(fade))
    weather = (windows * fade).sum(axis=1) / np.sqrt((fade**2).sum())
    # (1.35 + z/2)^2 has the mean 1.35^2 + 1/4 and about the spread of the real column.
    strength = np.maximum(1.35 + 0.5 * weather, 0.05) ** 2 / (1.35**2 + 0.25)
    return _clipped(np.array(_WIND_MW)[months][:, None] * strength.reshape(hour.shape), 0, 2700)


def _dispatched(
    name: str, means: tuple[int, ...], spread: float, seed: int, ordinals: Integers, months: Integers
) -> Floats:
    """Power stations and trade follow the month, with a spread of the day and of the hour."""
    draws = Draws(seed, "grid", name)
    by_day = 1 + spread * 0.7 * draws.normal(ordinals, 0)
    by_hour = spread * 0.7 * draws.normal(ordinals[:, None], 1 + HOURS)
    values = np.array(means)[months][:, None] * (by_day[:, None] + by_hour)
    return _clipped(values, -2800 if name == "import" else 0, 6000)


def _clipped(values: Floats, low: float, high: float) -> Floats:
    clipped: Floats = np.clip(values, low, high)
    return clipped


def _whole(values: Floats) -> Floats:
    """Whole MW, like the file: it also hides that the last bits of sums differ between machines."""
    whole: Floats = np.rint(values).reshape(-1) + 0.0
    whole.setflags(write=False)
    return whole
