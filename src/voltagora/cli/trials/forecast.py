"""`try forecast`: {history, day, time_zone?, actual?} -> {expected, mean, std}, or {reason}."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from voltagora.cli.trials.calendars import calendar_of
from voltagora.cli.trials.slots import DEFAULT_STEP_MINUTES, MAX_INPUT_BYTES, Energies, as_series
from voltagora.domain.calendar import Day
from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Floats
from voltagora.protocols.codec import decode, to_builtins
from voltagora.strategies.forecast.decision import ForecastStrategy, NoHistory


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A day to forecast; a plain list of history is the hours up to that day."""

    history: Energies
    day: date
    time_zone: str = "UTC"
    actual: Energies | UnsetType = UNSET  # what `perfect` knows; else the history's own, if any


def decide(strategy: ForecastStrategy, payload: bytes) -> dict[str, Any]:
    """Forecast the day of a JSON document; series or plain lists come out as the history went in."""
    question = decode(payload, Question, MAX_INPUT_BYTES)
    given = question.history
    step = given.step_minutes if isinstance(given, EnergySeries) else DEFAULT_STEP_MINUTES
    calendar = calendar_of(question.time_zone, step)
    day = calendar.day(question.day)
    start = day.start if isinstance(given, EnergySeries) else day.start - len(given) * calendar.step_seconds
    history = as_series(given, EnergySeries, "history", start)
    forecast = strategy.forecast(history, day, calendar, _actual(question, history, day))
    if isinstance(forecast, NoHistory):
        return {"reason": forecast.reason}
    found = {"expected": forecast.expected, "mean": forecast.mean, "std": forecast.std}
    if not isinstance(given, EnergySeries):
        return {name: values.tolist() for name, values in found.items()}
    return {name: to_builtins(EnergySeries.of(day.start, step, values)) for name, values in found.items()}


def _actual(question: Question, history: EnergySeries, day: Day) -> Floats | None:
    if question.actual is UNSET:
        return history.between(day.start, day.end)
    actual = as_series(question.actual, EnergySeries, "actual", day.start)
    if actual.start != day.start:
        raise InputError("actual.start", actual.start, f"the start of {day.date}")
    return actual.values
