"""What a station has drawn on the days before: the ground of its confidence."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.series import EnergySeries, ScheduleSeries
from voltagora.domain.units import Floats

DAYS_LOOKED_BACK: Final = 28


class OwnProfile:
    """Energy of completed sessions by local day and slot, kWh at the grid connection."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self._days: dict[date, Floats] = {}
        self._since = date.max

    def open(self, day: Day) -> None:
        """Count the days from this one on, those without a session as well."""
        self._since = day.date

    def add(self, schedule: ScheduleSeries) -> None:
        """Count a session that is over."""
        step = self.calendar.step_seconds
        for place, energy in enumerate(schedule.values.tolist()):
            moment = schedule.start + place * step
            day = self.calendar.day_at(moment)
            held = self._days.setdefault(day.date, np.zeros(day.slots))
            held[(moment - day.start) // step] += energy

    def mean_and_std(self, day: Day) -> tuple[ScheduleSeries, EnergySeries]:
        """Average each slot over the days before a day; the std is the sample's, 0 with less than two."""
        past: list[Floats] = []
        for before in range(1, DAYS_LOOKED_BACK + 1):
            earlier = self.calendar.day_after(day, -before)
            if earlier.date >= self._since and earlier.slots == day.slots:
                past.append(self._days.get(earlier.date, np.zeros(day.slots)))
        values = np.array(past) if past else np.zeros((1, day.slots))
        std = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(day.slots)
        self._forget(day)
        return (
            ScheduleSeries.of(day.start, self.calendar.step_minutes, values.mean(axis=0)),
            EnergySeries.of(day.start, self.calendar.step_minutes, std),
        )

    def _forget(self, day: Day) -> None:
        oldest = self.calendar.day_after(day, -DAYS_LOOKED_BACK).date
        self._days = {date_: held for date_, held in self._days.items() if date_ >= oldest}
