"""Rounding as the wire does, and times that are whole seconds UTC."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.domain.units import (
    LATEST,
    Time,
    micro,
    money_units,
    round_array,
    round_energy,
    round_half_even,
    round_money,
)

amounts = st.floats(min_value=-1e12, max_value=1e12)
decimals = st.sampled_from([3, 5, 6])


def rounded_exactly(value: float, places: int) -> float:
    """Restate rint(x·10ⁿ)/10ⁿ in exact fractions, each step then turned into the nearest double."""
    product = Fraction(float(Fraction(value) * 10**places))
    below = product.numerator // product.denominator
    rest = product - below
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1):
        below += 1
    return float(Fraction(below, 10**places))


@given(amounts, decimals)
def test_rounding_is_rint_of_the_scaled_double(value: float, places: int) -> None:
    assert round_half_even(value, places) == rounded_exactly(value, places)


@given(st.integers(-10_000_000, 10_000_000), decimals)
def test_a_half_goes_to_the_even_neighbour(whole: int, places: int) -> None:
    half = (2 * whole + 1) / 2 / 10.0**places
    assert round_half_even(half, places) == rounded_exactly(half, places)


@given(st.lists(amounts, max_size=20), decimals)
def test_arrays_round_to_the_bit_as_single_numbers_do(values: list[float], places: int) -> None:
    rounded = round_array(np.array(values, dtype=np.float64), places)
    assert rounded.tobytes() == np.array([round_half_even(v, places) for v in values]).tobytes()


@pytest.mark.parametrize("value", [-0.0, -1e-9, -4.9e-7])
def test_minus_zero_is_zero(value: float) -> None:
    for rounded in (round_energy(value), round_money(value), float(round_array(np.array([value]), 6)[0])):
        assert rounded == 0
        assert math.copysign(1, rounded) == 1


@given(amounts, decimals)
def test_a_rounded_number_stays_as_it_is(value: float, places: int) -> None:
    once = round_half_even(value, places)
    assert round_half_even(once, places) == once


@given(st.lists(st.integers(-(10**9), 10**9), max_size=50))
def test_sums_of_rounded_amounts_are_exact_as_integers(units: list[int]) -> None:
    assert sum(micro(round_energy(unit / 1e6)) for unit in units) == sum(units)
    assert sum(money_units(round_money(unit / 1e5)) for unit in units) == sum(units)


@given(st.integers(0, LATEST))
def test_a_time_reads_back_as_it_was_written(seconds: int) -> None:
    text = str(Time(seconds))
    assert Time.parse(text) == seconds
    assert text == (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat().replace(
        "+00:00", "Z"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2020-01-01",
        "2020-01-01T08:00:00",
        "2020-01-01T08:00:00z",
        "2020-01-01t08:00:00Z",
        "2020-01-01 08:00:00Z",
        "2020-01-01T08:00Z",
        "2020-01-01T08:00:00.5Z",
        "2020-01-01T08:00:00+00:00",
        "2020-01-01T10:00:00+02:00",
        "2020-01-01T08:00:00ZZ",
        "2020-01-01T08:00:00Z\n",
        "2020-1-1T08:00:00Z",
        "2020-13-01T08:00:00Z",
        "2020-02-30T08:00:00Z",
        "2019-02-29T08:00:00Z",
        "2020-01-01T24:00:00Z",
        "2020-01-01T08:60:00Z",
        "2016-12-31T23:59:60Z",
        "1969-12-31T23:59:59Z",
        "٢٠٢٠-01-01T08:00:00Z",
        "0000-01-01T00:00:00Z",
    ],
)
def test_anything_but_whole_utc_seconds_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a UTC time"):
        Time.parse(text)


def test_the_last_day_of_february_exists_in_leap_years() -> None:
    assert Time.parse("2020-02-29T00:00:00Z") + 86_400 == Time.parse("2020-03-01T00:00:00Z")
