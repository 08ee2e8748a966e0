"""The field types that messages and values share, each with its unit and bounds.

The wire carries kWh and kW with 6 decimals, prices and EUR with 5; a number rounded so
is an integer of 1e-6 kWh or 1e-5 EUR, and sums of them are exact.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

Floats = npt.NDArray[np.float64]
"""A one-dimensional array of doubles unless a docstring says otherwise."""

Integers = npt.NDArray[np.int64]

ENERGY_DECIMALS: Final = 6
MONEY_DECIMALS: Final = 5
MICRO: Final = 10**ENERGY_DECIMALS
"""Integers of 1e-6 kWh in one kWh."""
CENTI_MILLI: Final = 10**MONEY_DECIMALS
"""Integers of 1e-5 EUR in one EUR."""

# `$` also matches before a final newline in Python, hence the look-ahead.
ID_PATTERN: Final = "^[A-Za-z0-9_-]{1,64}$(?!\n)"

Id = Annotated[str, Meta(pattern=ID_PATTERN, description="a name: 1 to 64 of A-Z a-z 0-9 _ -")]
Word = Annotated[str, Meta(min_length=1, max_length=200, description="free text of 1 to 200 characters")]

_ENERGY = {"decimals": ENERGY_DECIMALS}
_MONEY = {"decimals": MONEY_DECIMALS}

Kwh = Annotated[float, Meta(ge=0, le=1e12, description="kWh", extra=_ENERGY)]
CapacityKwh = Annotated[
    float,
    Meta(gt=0, le=1e12, description="kWh", extra=_ENERGY),
]
Kw = Annotated[float, Meta(ge=0, le=1e12, description="kW", extra=_ENERGY)]
RatedKw = Annotated[
    float,
    Meta(gt=0, le=1e12, description="kW", extra=_ENERGY),
]
Eur = Annotated[float, Meta(ge=-1e12, le=1e12, description="EUR", extra=_MONEY)]
EurPerKwh = Annotated[float, Meta(ge=-1e9, le=1e9, description="EUR/kWh", extra=_MONEY)]
Share = Annotated[float, Meta(ge=0, le=1, description="a share, 0 to 1")]
Efficiency = Annotated[float, Meta(gt=0, le=1, description="energy out per energy in, above 0, at most 1")]
Minutes = Annotated[float, Meta(ge=0, le=1e6, description="minutes")]
Kilometres = Annotated[float, Meta(ge=0, le=20_100, description="km, 3 decimals", extra={"decimals": 3})]
Latitude = Annotated[float, Meta(ge=-90, le=90, description="degrees, WGS84")]
Longitude = Annotated[float, Meta(ge=-180, le=180, description="degrees, WGS84")]
Revision = Annotated[int, Meta(ge=1, le=2**53, description="grows with each change; a lower one is stale")]
Round = Annotated[int, Meta(ge=1, le=1_000, description="round of a negotiation, from 1")]
StepMinutes = Annotated[int, Meta(ge=1, le=1440, description="length of a slot, minutes")]

_WHOLE_SECONDS_UTC: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-2][0-9]:[0-9]{2}:[0-9]{2}Z")

EARLIEST: Final = 0
LATEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z


class Time(int):
    """An instant as whole seconds since 1970-01-01T00:00:00Z; RFC 3339 with `Z` on the wire."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Time:
        """Read `YYYY-MM-DDTHH:MM:SSZ`.

        Raises:
            ValueError: another zone, fractions of a second, a leap second or no such date.
        """
        return _time_of(text)

    def __str__(self) -> str:
        return _text_of(int(self))

    __repr__ = __str__


# The same instants come again and again: slots, arrivals, departures.


@lru_cache(maxsize=65_536)
def _time_of(text: str) -> Time:
    if _WHOLE_SECONDS_UTC.fullmatch(text) is None:
        raise ValueError("a UTC time like 2020-01-31T08:00:00Z, whole seconds, ending in Z")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a UTC time that exists, like 2020-01-31T08:00:00Z") from None
    seconds = int(moment.timestamp())
    if seconds < EARLIEST:
        raise ValueError("a UTC time from 1970 on")
    return Time(seconds)


@lru_cache(maxsize=65_536)
def _text_of(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ID: Final = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Tell whether a text could name an agent."""
    return _ID.match(text) is not None


def round_half_even(value: float, decimals: int) -> float:
    """Round to a decimal as the wire does: rint(x·10ⁿ)/10ⁿ in doubles, −0 as 0.

    Source: domain.md section 2, "Payloads".
    """
    scale = 10.0**decimals
    return round(value * scale) / scale + 0.0


def round_energy(value: float) -> float:
    """Round kWh or kW to 6 decimals."""
    return round_half_even(value, ENERGY_DECIMALS)


def round_money(value: float) -> float:
    """Round EUR or EUR/kWh to 5 decimals."""
    return round_half_even(value, MONEY_DECIMALS)


def round_array(values: Floats, decimals: int) -> Floats:
    """Round every number of an array as the wire does."""
    scale = 10.0**decimals
    rounded: Floats = np.rint(values * scale) / scale + 0.0
    return rounded


def micro(energy_kwh: float) -> int:
    """Count a rounded energy in whole 1e-6 kWh."""
    return round(energy_kwh * MICRO)


def money_units(amount_eur: float) -> int:
    """Count a rounded amount in whole 1e-5 EUR."""
    return round(amount_eur * CENTI_MILLI)


def is_finite(value: float) -> bool:
    """Tell whether a number is neither infinite nor NaN."""
    return math.isfinite(value)


def replaced(value: Any, **changes: Any) -> Any:
    """Copy a frozen value with some fields changed."""
    return msgspec.structs.replace(value, **changes)
