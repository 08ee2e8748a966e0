"""Numbers over consecutive slots, and the slots themselves."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from voltagora.domain.errors import InputError
from voltagora.domain.units import (
    ENERGY_DECIMALS,
    MONEY_DECIMALS,
    Floats,
    StepMinutes,
    Time,
    round_array,
)


class Series(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One number a slot from `start` on; `values` is a read-only array of shape (slots,)."""

    unit: ClassVar[str]
    decimals: ClassVar[int]
    minimum: ClassVar[float]
    limit: ClassVar[float] = 1e12
    longest: ClassVar[int] = 100_000

    start: Time
    step_minutes: StepMinutes
    values: np.ndarray[Any, np.dtype[np.float64]]

    @classmethod
    def of(cls, start: int, step_minutes: int, values: Floats) -> Self:
        """Round the values as the wire does and wrap them."""
        rounded = round_array(values, cls.decimals)
        rounded.setflags(write=False)
        return cls(start=Time(start), step_minutes=step_minutes, values=rounded)

    def checked(self, field: str) -> Self:
        """Give the series with its values rounded.

        Raises:
            InputError: a value is below the minimum of this kind of series or beyond any grid.
        """
        values = self.values
        if len(values) > self.longest:
            raise InputError(f"{field}.values", f"{len(values)} values", f"at most {self.longest} values")
        wrong = np.flatnonzero(~((values >= self.minimum) & (np.abs(values) <= self.limit)))
        if len(wrong):
            place = int(wrong[0])
            low = "a number" if self.minimum < 0 else f"a number of at least {self.minimum:g}"
            raise InputError(f"{field}.values[{place}]", float(values[place]), f"{low} in {self.unit}")
        return self.of(self.start, self.step_minutes, values)

    @property
    def step_seconds(self) -> int:
        """Length of a slot, seconds."""
        return self.step_minutes * 60

    @property
    def end(self) -> int:
        """The first instant after the last slot, seconds UTC."""
        return self.start + self.step_minutes * 60 * len(self.values)

    def between(self, start: int, end: int) -> Floats | None:
        """Give the values of every slot that shares time with `[start, end)`, or None if any is missing."""
        step = self.step_minutes * 60
        first = (start - self.start) // step
        stop = -((self.start - end) // step)
        if first < 0 or stop > len(self.values):
            return None
        return self.values[first:stop]

    def __len__(self) -> int:
        return len(self.values)

    def __eq__(self, other: object) -> bool:
        return (
            type(self) is type(other)
            and isinstance(other, Series)
            and self.start == other.start
            and self.step_minutes == other.step_minutes
            and np.array_equal(self.values, other.values)
        )

    def __hash__(self) -> int:
        return hash((self.start, self.step_minutes, self.values.tobytes()))


class ScheduleSeries(Series, frozen=True, kw_only=True, eq=False):
    """Energy at a connector, kWh a slot: above 0 into the vehicle (G2V), below 0 out of it (V2G)."""

    unit: ClassVar[str] = "kWh"
    decimals: ClassVar[int] = ENERGY_DECIMALS
    minimum: ClassVar[float] = -1e12


class EnergySeries(Series, frozen=True, kw_only=True, eq=False):
    """Energy, kWh a slot, never negative."""

    unit: ClassVar[str] = "kWh"
    decimals: ClassVar[int] = ENERGY_DECIMALS
    minimum: ClassVar[float] = 0.0


class PriceSeries(Series, frozen=True, kw_only=True, eq=False):
    """Prices, EUR/kWh a slot; they may be negative."""

    unit: ClassVar[str] = "EUR/kWh"
    decimals: ClassVar[int] = MONEY_DECIMALS
    minimum: ClassVar[float] = -1e9
    limit: ClassVar[float] = 1e9


def hours_in_slots(start: int, end: int, first_slot: int, step_seconds: int) -> Floats:
    """Measure how long `[start, end)` lasts inside each slot it touches: the w_t of the formulas.

    Args:
        start: arrival, seconds UTC.
        end: departure, seconds UTC, after `start`.
        first_slot: start of the slot that holds `start`.
        step_seconds: length of a slot.

    Returns:
        Hours, shape (slots,), each above 0.
    """
    count = -((first_slot - end) // step_seconds)
    hours: Floats = np.full(count, step_seconds / 3600.0)
    hours[0] -= (start - first_slot) / 3600.0
    hours[-1] -= (first_slot + count * step_seconds - end) / 3600.0
    return hours
