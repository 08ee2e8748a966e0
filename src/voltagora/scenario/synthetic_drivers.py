"""Ten drivers made up of habits, for a scenario without a file of real ones.

Each has a car, a kind of connector and hours of the week at which it is usually charged; the
hour and the energy of each charge are drawn. The habits are set so that in the published
experiment (ten days from 2020-01-01, four idle hours) a vehicle makes about 11.3 bookings: the
ten make 114 charges, of which the van's second charge of a Wednesday is left out whenever its
first stay lasted longer than three hours, once in two.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import NamedTuple

from voltagora.domain.calendar import Calendar
from voltagora.domain.station import CONNECTOR_KINDS
from voltagora.scenario.draws import Draws
from voltagora.scenario.driver import Driver, DriverSession

_EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
_WORKDAYS = (1, 2, 3, 4, 5)


class _Habit(NamedTuple):
    """A time of the week at which a car is charged."""

    weekdays: tuple[int, ...]  # 1 Monday .. 7 Sunday
    hour: int  # local
    spread_hours: int  # it may be so many hours earlier or later


class _DriverType(NamedTuple):
    """A car and the habits of who drives it."""

    id: str
    capacity_kwh: float
    kind: int  # place in CONNECTOR_KINDS
    least_kwh: float  # a charge gains between these
    most_kwh: float
    habits: tuple[_Habit, ...]


DRIVER_TYPES: tuple[_DriverType, ...] = (
    _DriverType("home-socket", 24, 0, 6, 13, (_Habit(_EVERY_DAY, 18, 1),)),
    _DriverType("plug-in-hybrid", 12, 1, 4, 9, (_Habit(_WORKDAYS, 8, 1), _Habit(_EVERY_DAY, 18, 1))),
    _DriverType("charges-at-work", 40, 2, 8, 20, (_Habit(_WORKDAYS, 8, 1), _Habit((6, 7), 11, 1))),
    _DriverType("family-errands", 52, 2, 8, 24, (_Habit(_EVERY_DAY, 10, 1),)),
    _DriverType("work-and-home", 62, 3, 10, 24, (_Habit(_WORKDAYS, 9, 1), _Habit((2, 4, 7), 20, 1))),
    _DriverType("home-at-night", 75, 3, 12, 30, (_Habit(_EVERY_DAY, 20, 1),)),
    _DriverType("in-town-at-noon", 52, 4, 10, 28, (_Habit(_EVERY_DAY, 12, 1),)),
    _DriverType("delivery-van", 55, 5, 15, 35, (_Habit((1, 2, 3, 4, 5, 6), 13, 0), _Habit((3,), 16, 0))),
    _DriverType("taxi", 64, 6, 20, 45, (_Habit(_EVERY_DAY, 14, 1), _Habit((5, 6), 22, 1))),
    _DriverType("long-distance", 90, 7, 25, 60, (_Habit(_EVERY_DAY, 11, 1),)),
)


def synthetic_drivers(seed: int, calendar: Calendar, first_day: date, days: int) -> list[Driver]:
    """Make the ten drivers for a stretch of days.

    Args:
        seed: the scenario's seed; a driver's charges of one date depend on nothing else.
        calendar: gives the days of the scenario's time zone.
        first_day: the first local day.
        days: how many days to make.

    Returns:
        The drivers in the order of `DRIVER_TYPES`, each with its sessions by arrival.
    """
    return [_driver(kind, seed, calendar, first_day, days) for kind in DRIVER_TYPES]


def _driver(kind: _DriverType, seed: int, calendar: Calendar, first_day: date, days: int) -> Driver:
    connector = CONNECTOR_KINDS[kind.kind]
    draws = Draws(seed, "driver", kind.id)
    sessions = []
    for offset in range(days):
        day = first_day + timedelta(days=offset)
        for place, habit in enumerate(kind.habits):
            if day.isoweekday() in habit.weekdays:
                sessions.append(_session(kind, habit, draws, calendar, day, place))
    return Driver(
        id=kind.id,
        model=kind.id,
        capacity_kwh=float(kind.capacity_kwh),
        connector_type=connector.connector_type,
        power_kw=connector.power_kw,
        sessions=tuple(sorted(sessions, key=lambda session: session.arrival)),
    )


def _session(
    kind: _DriverType, habit: _Habit, draws: Draws, calendar: Calendar, day: date, place: int
) -> DriverSession:
    """Draw one charge: its hour within the habit's spread, its energy within the type's range."""
    row = day.toordinal()
    hour = habit.hour + int(draws.whole(-habit.spread_hours, habit.spread_hours, row, 2 * place))
    energy_kwh = float(draws.between(kind.least_kwh, kind.most_kwh, row, 2 * place + 1))
    # Whole percents, as a driver reads them off the dashboard; the energy follows exactly.
    soc = round(1 - energy_kwh / kind.capacity_kwh, 2)
    power_kw = CONNECTOR_KINDS[kind.kind].power_kw
    hours = int(-(-(1 - soc) * kind.capacity_kwh // power_kw))
    return DriverSession(
        arrival=calendar.day(day).start + hour * 3600,
        charging_seconds=hours * 3600,
        starting_soc=soc,
        ending_soc=1.0,
    )
