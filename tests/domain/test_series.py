"""Numbers over slots, and the hours that a stay spends in each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries, PriceSeries, ScheduleSeries, hours_in_slots

steps = st.sampled_from([5, 15, 30, 60])


@given(steps, st.integers(0, 100_000), st.integers(1, 200_000))
def test_hours_in_slots_are_the_overlap_with_each_slot(step: int, start: int, stay: int) -> None:
    seconds = step * 60
    first = start // seconds * seconds
    hours = hours_in_slots(start, start + stay, first, seconds)

    expected, slot = [], first
    while slot < start + stay:
        inside = min(start + stay, slot + seconds) - max(start, slot)
        expected.append(inside / 3600)
        slot += seconds
    assert hours == pytest.approx(np.array(expected), abs=1e-12)
    assert (hours > 0).all()
    assert hours.sum() == pytest.approx(stay / 3600, abs=1e-9)


@given(steps, st.integers(1, 30), st.integers(-5, 35), st.integers(1, 3000), st.integers(0, 3599))
def test_between_gives_every_slot_touched_or_nothing(
    step: int, length: int, ahead: int, stay: int, shift: int
) -> None:
    seconds = step * 60
    begin = 1_000 * 3600
    series = PriceSeries.of(begin, step, np.arange(length, dtype=np.float64))
    start = begin + ahead * seconds + shift
    end = start + stay

    touched = [
        n for n in range(-2_000, 2_000) if begin + n * seconds < end and start < begin + (n + 1) * seconds
    ]
    found = series.between(start, end)
    if all(0 <= n < length for n in touched):
        assert found is not None
        assert found.tolist() == touched
    else:
        assert found is None


def test_a_series_cannot_be_changed_from_outside() -> None:
    given_values = np.array([1.0, 2.0])
    series = EnergySeries.of(0, 60, given_values)
    given_values[0] = 99
    assert series.values.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        series.values[0] = 5


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (EnergySeries, [1, -1e-3], r"supply.values\[1\]: got -0.001, must be a number of at least 0 in kWh"),
        (EnergySeries, [np.nan], r"supply.values\[0\]: got nan"),
        (ScheduleSeries, [0, 0, np.inf], r"supply.values\[2\]: got inf, must be a number in kWh"),
        (PriceSeries, [-2e9], r"supply.values\[0\]: got -2000000000.0, must be a number in EUR/kWh"),
        (
            EnergySeries,
            np.zeros(100_001),
            "supply.values: got '100001 values', must be at most 100000 values",
        ),
    ],
)
def test_a_value_out_of_bounds_is_named(kind: type[EnergySeries], values: object, message: str) -> None:
    series = kind(start=0, step_minutes=60, values=np.array(values, dtype=np.float64))
    with pytest.raises(InputError, match=message):
        series.checked("supply")


def test_what_is_nearly_zero_below_is_below() -> None:
    series = EnergySeries(start=0, step_minutes=60, values=np.array([-1e-12]))
    with pytest.raises(InputError):
        series.checked("supply")


def test_series_are_equal_by_kind_place_and_values() -> None:
    one, same = EnergySeries.of(0, 60, np.array([1.0])), EnergySeries.of(0, 60, np.array([1.0]))
    assert one == same
    assert hash(one) == hash(same)
    for other in (
        EnergySeries.of(3600, 60, np.array([1.0])),
        EnergySeries.of(0, 30, np.array([1.0])),
        EnergySeries.of(0, 60, np.array([2.0])),
        EnergySeries.of(0, 60, np.array([1.0, 1.0])),
        ScheduleSeries.of(0, 60, np.array([1.0])),
    ):
        assert one != other


def test_the_end_is_the_first_instant_after_the_last_slot() -> None:
    assert PriceSeries.of(7200, 15, np.zeros(8)).end == 7200 + 2 * 3600
