"""Session records as columns, settled to the last day's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voltagora.domain.records import SessionRecord
from voltagora.domain.units import Floats, Integers

TEXTS = ("reservation", "area", "network", "vehicle", "station", "connector", "state")
TIMES = ("arrival", "departure", "first_slot")
COUNTS = ("revision", "step_minutes")
NUMBERS = (
    "energy_kwh",
    "capacity_kwh",
    "soc_at_arrival",
    "charge_efficiency",
    "discharge_efficiency",
    "power_kw",
    "compensation_eur",
    "cost_eur",
)
SUMS = (
    "charged_kwh",
    "discharged_kwh",
    "charged_by_end_kwh",
    "discharged_by_end_kwh",
    "gained_by_end_kwh",
    "cost_by_end_eur",
)
SERIES = ("schedule_kwh", "buy_eur_per_kwh", "sell_eur_per_kwh")


@dataclass(frozen=True)
class SessionColumns:
    """Many sessions: one value a session in each column, and their series end to end."""

    texts: dict[str, list[str]]
    integers: dict[str, Integers]
    numbers: dict[str, Floats]
    v2g: list[bool]
    lengths: Integers  # slots of each session
    series: dict[str, Floats] | None  # None: not kept

    @classmethod
    def of(cls, records: Sequence[SessionRecord], end: int, *, keep_series: bool) -> SessionColumns:
        """Lay records out as columns and settle the slots that start before `end`, seconds UTC."""
        series = {name: joined([getattr(record, name) for record in records]) for name in SERIES}
        lengths = np.array([len(record.schedule_kwh) for record in records], dtype=np.int64)
        integers = {
            name: np.array([int(getattr(record, name)) for record in records], dtype=np.int64)
            for name in (*TIMES, *COUNTS)
        }
        numbers = {
            name: np.array([getattr(record, name) for record in records], dtype=np.float64)
            for name in NUMBERS
        }
        numbers |= settled(series, lengths, integers, numbers, end)
        texts = {name: [str(getattr(record, name)) for record in records] for name in TEXTS}
        v2g = [bool(record.v2g) for record in records]
        return cls(texts, integers, numbers, v2g, lengths, series if keep_series else None)


def settled(
    series: dict[str, Floats],
    lengths: Integers,
    integers: dict[str, Integers],
    numbers: dict[str, Floats],
    end: int,
) -> dict[str, Floats]:
    """Sum what each session charged, discharged, gained and cost, in kWh at the connector and EUR.

    Columns with `by_end` take only the slots that start before `end`. Source of the cost:
    domain.md section 3, "Settlement".

    Returns:
        One array of shape (sessions,) for each name of `SUMS`.
    """
    count = len(lengths)
    session = np.repeat(np.arange(count), lengths)
    first = np.cumsum(lengths) - lengths
    place = np.arange(len(session)) - first[session]
    slot_start = integers["first_slot"][session] + place * integers["step_minutes"][session] * 60
    counts = slot_start < end

    def total(values: Floats) -> Floats:
        # bincount adds in order, so a sum is the same on every processor.
        sums: Floats = np.bincount(session, weights=values, minlength=count).astype(np.float64)
        return sums

    charged = np.maximum(series["schedule_kwh"], 0.0)
    discharged = np.maximum(-series["schedule_kwh"], 0.0)
    charged_by_end, discharged_by_end = np.where(counts, charged, 0.0), np.where(counts, discharged, 0.0)
    paid = charged_by_end * _or_zero(series["buy_eur_per_kwh"], charged_by_end)
    earned = discharged_by_end * _or_zero(series["sell_eur_per_kwh"], discharged_by_end)
    begun = integers["first_slot"] < end
    compensation = np.where(begun, numbers["compensation_eur"], 0.0)
    gained = (
        charged_by_end * numbers["charge_efficiency"][session]
        - discharged_by_end / numbers["discharge_efficiency"][session]
    )
    return {
        "charged_kwh": total(charged),
        "discharged_kwh": total(discharged),
        "charged_by_end_kwh": total(charged_by_end),
        "discharged_by_end_kwh": total(discharged_by_end),
        "gained_by_end_kwh": total(gained),
        "cost_by_end_eur": total(paid - earned) - compensation,
    }


def joined(arrays: Sequence[Floats]) -> Floats:
    """Lay arrays end to end; none give an empty one."""
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _or_zero(prices: Floats, energy_kwh: Floats) -> Floats:
    """Give the price where energy flows and 0 elsewhere: an unknown price of no energy costs nothing."""
    return np.where(energy_kwh > 0, prices, 0.0)
