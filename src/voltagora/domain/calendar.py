"""Local days, and the slots that fill them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from voltagora.domain.errors import InputError


class Day(NamedTuple):
    """One local day and its slots."""

    date: date
    start: int  # local midnight, seconds UTC
    end: int  # the next local midnight, seconds UTC
    slots: int
    ordinal: int  # of the date, to count days with


class Calendar:
    """The days of a time zone cut into slots of equal length.

    A day runs from local midnight to local midnight, so it has 23 or 25 hours when clocks
    change. Slots are counted from local midnight and named by their UTC start.
    """

    def __init__(self, zone: str = "UTC", step_minutes: int = 60) -> None:
        self.zone = zone
        self.step_minutes = step_minutes
        self.step_seconds = step_minutes * 60
        self._zone = ZoneInfo(zone)
        self._days: dict[int, Day] = {}
        # The day last looked up: nearly every question is about the same few days.
        self._latest = self.day(date(1970, 1, 2))

    def __reduce__(self) -> tuple[type[Calendar], tuple[str, int]]:
        return Calendar, (self.zone, self.step_minutes)

    def day(self, day: date) -> Day:
        """Give a local day by its date.

        Raises:
            InputError: slots of this length do not fill it.
        """
        ordinal = day.toordinal()
        found = self._days.get(ordinal)
        if found is None:
            found = self._days[ordinal] = self._day(day)
        return found

    def _midnight(self, day: date) -> int:
        return int(datetime.combine(day, time(), self._zone).timestamp())

    def _day(self, day: date) -> Day:
        start, end = self._midnight(day), self._midnight(day + timedelta(days=1))
        slots, rest = divmod(end - start, self.step_seconds)
        if rest:
            raise InputError(
                "step_minutes",
                self.step_minutes,
                f"a divisor of every day's length; {day} in {self.zone} has {(end - start) // 60} minutes",
            )
        return Day(day, start, end, slots, day.toordinal())

    def day_at(self, moment: int) -> Day:
        """Give the local day that holds an instant."""
        latest = self._latest
        if latest.start <= moment < latest.end:
            return latest
        found = self.day(datetime.fromtimestamp(moment, UTC).astimezone(self._zone).date())
        self._latest = found
        return found

    def day_after(self, day: Day, days: int) -> Day:
        """Give the day that many days later (or earlier, if negative)."""
        found = self._days.get(day.ordinal + days)
        return found if found is not None else self.day(day.date + timedelta(days=days))

    def slot_start(self, moment: int) -> int:
        """Give the start of the slot that holds an instant, seconds UTC."""
        start = self.day_at(moment).start
        return start + (moment - start) // self.step_seconds * self.step_seconds

    def days_of(self, start: int, end: int) -> list[Day]:
        """List the days that share time with `[start, end)`."""
        days = [self.day_at(start)]
        while days[-1].end < end:
            days.append(self.day_after(days[-1], 1))
        return days

    def local_hours(self, day: Day) -> list[float]:
        """Give the local clock hour (0 to 24, a fraction within the hour) at which each slot begins."""
        moments = (
            datetime.fromtimestamp(day.start + i * self.step_seconds, UTC).astimezone(self._zone)
            for i in range(day.slots)
        )
        return [moment.hour + moment.minute / 60 for moment in moments]
