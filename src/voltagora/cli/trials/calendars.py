"""The calendar of a question."""

from __future__ import annotations

from zoneinfo import ZoneInfoNotFoundError

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputError


def calendar_of(time_zone: str, step_minutes: int) -> Calendar:
    """Give the calendar of a time zone.

    Raises:
        InputError: there is no such zone.
    """
    try:
        return Calendar(time_zone, step_minutes)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("time_zone", time_zone, "a name like UTC or Europe/Lisbon") from None
