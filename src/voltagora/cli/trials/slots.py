"""Numbers over slots as people type them: a series of the contract, or a plain list."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np

from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries, PriceSeries, ScheduleSeries, Series
from voltagora.domain.units import Floats, Time
from voltagora.protocols.codec import to_builtins

DEFAULT_STEP_MINUTES = 60
"""The length of a slot of a plain list."""

MAX_INPUT_BYTES = 64 * 1024 * 1024
"""A user's own file may be far longer than a message: decades of history."""

Numbers: TypeAlias = tuple[float, ...]
Energies: TypeAlias = EnergySeries | Numbers
Prices: TypeAlias = PriceSeries | Numbers
Balances: TypeAlias = ScheduleSeries | Numbers  # kWh that may be negative

S = TypeVar("S", bound=Series)


def as_series(given: S | Numbers, kind: type[S], field: str, start: int = 0) -> S:
    """Check what was given; a plain list becomes a series of hours from `start` on.

    Raises:
        InputError: a value is out of bounds.
    """
    if isinstance(given, Series):
        return given.checked(field)
    listed = kind(
        start=Time(start), step_minutes=DEFAULT_STEP_MINUTES, values=np.array(given, dtype=np.float64)
    )
    try:
        return listed.checked(field)
    except InputError as error:
        raise InputError(error.field.replace(".values", "", 1), error.got, error.expected) from None


def hour_of(moment: int) -> int:
    """Give the start of the slot of a plain list that holds an instant."""
    return moment - moment % (DEFAULT_STEP_MINUTES * 60)


def like(given: Series | Numbers, kind: type[Series], values: Floats) -> Any:
    """Write values in the shape in which their neighbours were given: as a series, or as a plain list."""
    if isinstance(given, Series):
        return to_builtins(kind.of(given.start, given.step_minutes, values))
    return values.tolist()
