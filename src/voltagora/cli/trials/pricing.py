"""`try pricing`: {supply, demand, history?, market?, time_zone?} -> {buy, sell}."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from voltagora.cli.trials.calendars import calendar_of
from voltagora.cli.trials.slots import MAX_INPUT_BYTES, Energies, Prices, as_series, like
from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries, PriceSeries
from voltagora.domain.units import Floats
from voltagora.protocols.codec import decode
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The day before, slot by slot."""

    prices: Prices
    charging_kwh: Energies


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A day to price; plain lists start at local midnight."""

    supply: Energies
    demand: Energies
    history: History | UnsetType = UNSET
    market: Prices | UnsetType = UNSET
    time_zone: str = "UTC"


def decide(strategy: PricingStrategy, payload: bytes) -> dict[str, Any]:
    """Price the slots that a JSON document describes; the answer has the shape of its `supply`."""
    question = decode(payload, Question, MAX_INPUT_BYTES)
    buy, sell = strategy.price(_day(question))
    return {"buy": like(question.supply, PriceSeries, buy), "sell": like(question.supply, PriceSeries, sell)}


def _day(question: Question) -> PricingDay:
    supply = as_series(question.supply, EnergySeries, "supply")
    demand = as_series(question.demand, EnergySeries, "demand")
    if isinstance(question.supply, EnergySeries) and isinstance(question.demand, EnergySeries):
        for name in ("start", "step_minutes"):
            ours, theirs = getattr(supply, name), getattr(demand, name)
            if ours != theirs:
                raise InputError(f"demand.{name}", theirs, f"that of supply, {ours}")
    prices, charging = _history(question.history)
    return PricingDay(
        start=supply.start,
        step_minutes=supply.step_minutes,
        supply_kwh=supply.values,
        demand_kwh=demand.values,
        local_hours=_local_hours(question, supply),
        history_prices=prices,
        history_charging_kwh=charging,
        market_eur_per_kwh=(
            None if question.market is UNSET else as_series(question.market, PriceSeries, "market").values
        ),
    )


def _history(history: History | UnsetType) -> tuple[Floats | None, Floats | None]:
    if history is UNSET:
        return None, None
    return (
        as_series(history.prices, PriceSeries, "history.prices").values,
        as_series(history.charging_kwh, EnergySeries, "history.charging_kwh").values,
    )


def _local_hours(question: Question, supply: EnergySeries) -> Floats:
    calendar = calendar_of(question.time_zone, supply.step_minutes)
    if not isinstance(question.supply, EnergySeries):
        return np.arange(len(supply)) * supply.step_minutes / 60.0 % 24.0
    days = calendar.days_of(supply.start, max(supply.end, supply.start + 1))
    hours = {
        day.start + place * calendar.step_seconds: hour
        for day in days
        for place, hour in enumerate(calendar.local_hours(day))
    }
    starts = range(supply.start, supply.end, supply.step_seconds)
    if not all(start in hours for start in starts):
        raise InputError("supply.start", supply.start, f"the start of a slot in {question.time_zone}")
    return np.array([hours[start] for start in starts])
