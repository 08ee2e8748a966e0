"""When prices are known: what a driver may ask for, and when at the earliest.

Mechanism design makes the prices of the day `horizon_days` ahead known at 02:00, on the first
day of a run also those of every earlier day.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.units import Floats, Integers
from voltagora.scenario.settings import Scenario

PRICES_KNOWN_AFTER_SECONDS = 2 * 3600
FIRST_ARRIVAL_AFTER_SECONDS = 4 * 3600
LEAST_NOTICE_SECONDS = 3600
MOST_NOTICE_SECONDS = 12 * 3600
FIRST_NOTICE_SECONDS = 2 * 3600


class Horizon:
    """The days of a run and of the horizon beyond its end."""

    def __init__(self, scenario: Scenario) -> None:
        self.calendar = Calendar(scenario.time_zone, scenario.step_minutes)
        self.horizon_days = scenario.horizon_days
        first = self.calendar.day(scenario.start)
        self.days: list[Day] = [first]
        for _ in range(scenario.days + scenario.horizon_days - 1):
            self.days.append(self.calendar.day_after(self.days[-1], 1))
        self.run_days = self.days[: scenario.days]
        self.start = first.start
        self.end = self.run_days[-1].end
        self.last_end = self.days[-1].end
        self._ends = np.array([day.end for day in self.days], dtype=np.int64)
        self._known = np.array(
            [
                self.days[max(0, place - self.horizon_days)].start + PRICES_KNOWN_AFTER_SECONDS
                for place in range(len(self.days))
            ],
            dtype=np.int64,
        )

    def prices_known_at(self, departure: Integers | Sequence[int]) -> Integers:
        """Give the moment from which all prices of stays that end so are known: the P of the rule.

        Args:
            departure: ends of stays, seconds UTC, at most `last_end`.

        Returns:
            Seconds UTC, of the same shape: 02:00 `horizon_days` days before the day of the
            stay's last slot, not before 02:00 of day 1.
        """
        # A stay that ends at midnight has its last slot in the day before.
        place = np.searchsorted(self._ends, np.asarray(departure), side="left")
        known: Integers = self._known[np.minimum(place, len(self._known) - 1)]
        return known

    def bookable(self, arrival: Integers, departure: Integers) -> np.ndarray:
        """Tell which stays have all their prices an hour before they begin."""
        known = self.prices_known_at(departure)
        return (
            (arrival >= self.start + FIRST_ARRIVAL_AFTER_SECONDS)
            & (arrival < self.end)
            & (departure <= self.last_end)
            & (arrival - known >= LEAST_NOTICE_SECONDS)
        )

    def asks_at(self, arrival: Integers, departure: Integers, uniform: Floats) -> Integers:
        """Give when drivers ask: uniform between an hour and 12 h ahead, on a whole second, prices known."""
        most = np.minimum(arrival - self.prices_known_at(departure), MOST_NOTICE_SECONDS)
        notice = LEAST_NOTICE_SECONDS + np.floor(uniform * (most - LEAST_NOTICE_SECONDS + 1))
        asked: Integers = arrival - notice.astype(np.int64)
        return asked
