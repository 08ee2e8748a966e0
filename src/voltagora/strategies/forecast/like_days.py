"""Finds the slots of earlier days that are like those of a day: at the same time by the local clock.

When clocks are set back an hour comes twice. Its first and second time are like the first and
second time on another such day, and both are like the one time on any other day; a slot of an
ordinary day is like the first time. A slot that an earlier day skipped is like none of that day.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Floats, Integers, Time

ORDINARY_DAY_SECONDS = 86_400
NOWHERE = -1
"""A place that no history has."""


class LikeDays:
    """The earlier days of a history, seen from one day."""

    def __init__(self, history: EnergySeries, day: Day, calendar: Calendar) -> None:
        if history.step_minutes != calendar.step_minutes:
            raise InputError(
                "history.step_minutes", history.step_minutes, f"that of the calendar, {calendar.step_minutes}"
            )
        if (history.start - day.start) % calendar.step_seconds:
            raise InputError("history.start", Time(history.start), "the start of a slot of the calendar")
        self.day = day
        self._calendar = calendar
        self._history = history
        self._values = history.values
        self._places = np.arange(day.slots, dtype=np.int64)
        self._clock: list[tuple[float, int]] | None = None

    def earliest(self) -> date:
        """Give the first day of which the history may know something."""
        return self._calendar.day_at(self._history.start).date

    def values_of(self, days: list[date]) -> Floats:
        """Give what each earlier day had in the slots like this day's.

        Returns:
            kWh, shape (days, slots); nan where the history or the day has no such slot.
        """
        if not days or not len(self._values):
            return np.full((len(days), self.day.slots), np.nan)
        found = [self._calendar.day(each) for each in days]
        step = self._calendar.step_seconds
        starts = np.array([(each.start - self._history.start) // step for each in found], dtype=np.int64)
        places = starts[:, np.newaxis] + self._places
        for row, each in enumerate(found):
            if not (self._is_ordinary(each) and self._is_ordinary(self.day)):
                places[row] = self._matched(each, int(starts[row]))
        known = (places >= 0) & (places < len(self._values))
        return np.where(known, self._values[np.where(known, places, 0)], np.nan)

    def week_before(self) -> date:
        """Give the same weekday one week earlier."""
        return self.day.date - timedelta(days=7)

    def same_weekdays(self) -> list[date]:
        """List every earlier day of the same weekday, the oldest first."""
        weeks = max(0, (self.day.date - self.earliest()).days // 7)
        return [self.day.date - timedelta(days=7 * back) for back in range(weeks, 0, -1)]

    @staticmethod
    def _is_ordinary(day: Day) -> bool:
        return day.end - day.start == ORDINARY_DAY_SECONDS

    def _matched(self, other: Day, start: int) -> Integers:
        """Find, slot by slot, the place in the history of the other day's slot at the same clock time."""
        if self._clock is None:
            self._clock = _clock_times(self._calendar, self.day)
        places = {clock: start + place for place, clock in enumerate(_clock_times(self._calendar, other))}
        return np.array(
            [places.get((hour, time), places.get((hour, 0), NOWHERE)) for hour, time in self._clock],
            dtype=np.int64,
        )


def _clock_times(calendar: Calendar, day: Day) -> list[tuple[float, int]]:
    """Name each slot by its local clock hour and by how often that hour has come before on that day."""
    seen: Counter[float] = Counter()
    named = []
    for hour in calendar.local_hours(day):
        named.append((hour, seen[hour]))
        seen[hour] += 1
    return named
