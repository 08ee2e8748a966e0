"""Where the vehicles of a fleet are driven, day by day, and when they want a charge."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from voltagora.domain.units import Floats, Integers
from voltagora.scenario.areas import Area
from voltagora.scenario.draws import Draws
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.settings import Scenario

EMPTIEST_SOC = 0.12
"""Nobody arrives with less: the driver would have charged, or walked."""
LOW_SOC = 0.4
"""Who usually charges at work plugs in at home, too, below this."""
FAST_TARGET_SOC = 0.8
"""Fast charging is slow beyond, so drivers stop there."""
FITTING_SHARE = 0.9
"""Of what a stay could charge at full power, the most a driver asks for."""


class Occasion(IntEnum):
    """Up to three times a day when a car may be charged, in the order of the day."""

    WORK = 0
    WAY = 1
    HOME = 2


class _Habit(IntEnum):
    """What is drawn once a vehicle."""

    COMMUTER = 0
    CHARGES_AT_WORK = 1
    COMMUTE_KM = 2
    CONSUMPTION = 3
    FIRST_SOC = 4
    TARGET_SOC = 5
    WORK_HOUR = 6
    HOME_HOUR = 7


class _Chance(IntEnum):
    """What is drawn every day."""

    LONG_TRIP = 0
    LONG_KM = 1
    ERRAND_KM = 2
    WORK_HOUR = 3
    WORK_HOURS = 4
    HOME_HOUR = 5
    LEAVE_HOUR = 6
    WAY_HOUR = 7
    WAY_HOURS = 8


class Trips:
    """The stays of an area's vehicles; stay 3·d + o is occasion o of day d.

    Attributes:
        wanted: whether there is such a stay, shape (vehicles, stays), as all the others.
        arrival: seconds UTC.
        departure: seconds UTC.
        energy_kwh: what the battery is to gain.
        soc: as at arrival.
    """

    def __init__(
        self,
        scenario: Scenario,
        area: Area,
        horizon: Horizon,
        capacity_kwh: Floats,
        usual_kw: Floats,
        fast_kw: Floats,
    ) -> None:
        self._settings = scenario.trips
        self._capacity_kwh, self._usual_kw, self._fast_kw = capacity_kwh, usual_kw, fast_kw
        self._efficiency = scenario.vehicles.charge_efficiency - scenario.vehicles.efficiency_spread
        numbers = np.arange(len(capacity_kwh))
        habits = Draws(scenario.seed, "habit", area.id)
        self._habit = habits.uniform(numbers[:, None], np.arange(len(_Habit))).T
        shape = (len(numbers), len(Occasion) * len(horizon.run_days))
        self.wanted = np.zeros(shape, dtype=np.bool_)
        self.arrival: Integers = np.zeros(shape, dtype=np.int64)
        self.departure: Integers = np.zeros(shape, dtype=np.int64)
        self.energy_kwh: Floats = np.zeros(shape)
        self.soc: Floats = np.zeros(shape)
        self._now_soc: Floats = 0.5 + 0.4 * self._habit[_Habit.FIRST_SOC]
        chances = Draws(scenario.seed, "trip", area.id)
        for place, day in enumerate(horizon.run_days):
            columns = day.date.toordinal() * len(_Chance) + np.arange(len(_Chance))
            chance = chances.uniform(numbers[:, None], columns).T
            self._drive(place, day.start, day.date.isoweekday() <= 5, chance)

    def _drive(self, day: int, midnight: int, workday: bool, chance: Floats) -> None:
        """Live one day: to work or on a long trip, back, on errands, and home for the night."""
        settings, habit = self._settings, self._habit
        commutes = (habit[_Habit.COMMUTER] < settings.commuter_share) & workday
        at_work = habit[_Habit.CHARGES_AT_WORK] < settings.work_charging_share
        way_km = np.where(commutes, settings.commute_km * (0.4 + 1.2 * habit[_Habit.COMMUTE_KM]) / 2, 0.0)
        self._use(way_km)
        hour = 7.25 + 1.5 * habit[_Habit.WORK_HOUR] + 0.5 * chance[_Chance.WORK_HOUR]
        hours = 7.5 + 1.5 * chance[_Chance.WORK_HOURS]
        plugs_in = commutes & at_work & (self._now_soc < settings.plug_in_soc)
        self._stay(day, Occasion.WORK, plugs_in, midnight, hour, hours)
        self._use(way_km)
        self._long_trip(day, midnight, ~commutes, chance)
        # Squared, most days see short errands and some long ones; the mean is errand_km.
        self._use(settings.errand_km * 3 * chance[_Chance.ERRAND_KM] ** 2)
        hour = 17.0 + 2.5 * habit[_Habit.HOME_HOUR] + 1.5 * chance[_Chance.HOME_HOUR]
        hours = 24 + 6.0 + 1.0 * habit[_Habit.WORK_HOUR] + 0.25 * chance[_Chance.LEAVE_HOUR] - hour
        enough = np.where(at_work & (habit[_Habit.COMMUTER] < settings.commuter_share), LOW_SOC, 1.0)
        plugs_in = self._now_soc < np.minimum(settings.plug_in_soc, enough)
        self._stay(day, Occasion.HOME, plugs_in, midnight, hour, hours)

    def _long_trip(self, day: int, midnight: int, free: np.ndarray, chance: Floats) -> None:
        travels = free & (chance[_Chance.LONG_TRIP] < self._settings.long_trip_share) & (self._fast_kw > 0)
        half_km = np.where(travels, 60 + 90 * chance[_Chance.LONG_KM], 0.0)
        self._use(half_km)
        hour = 10.5 + 4.5 * chance[_Chance.WAY_HOUR]
        hours = 0.5 + 0.5 * chance[_Chance.WAY_HOURS]
        self._stay(day, Occasion.WAY, travels & (self._now_soc < 0.7), midnight, hour, hours)
        self._use(half_km)

    def _use(self, driven_km: Floats) -> None:
        per_km = (
            self._settings.consumption_kwh_per_100km / 100 * (0.8 + 0.4 * self._habit[_Habit.CONSUMPTION])
        )
        self._now_soc = np.maximum(self._now_soc - driven_km * per_km / self._capacity_kwh, EMPTIEST_SOC)

    def _stay(
        self,
        day: int,
        occasion: Occasion,
        wanted: np.ndarray,
        midnight: int,
        hour: Floats,
        hours: Floats,
    ) -> None:
        """Note one stay of every vehicle that wants it, and charge its battery as asked."""
        place = len(Occasion) * day + occasion
        fast = occasion is Occasion.WAY
        target = FAST_TARGET_SOC if fast else 0.85 + 0.1 * self._habit[_Habit.TARGET_SOC]
        # Thousandths of the capacity, so that energy and state of charge agree exactly.
        soc = np.rint(self._now_soc * 1000) / 1000
        power_kw = self._fast_kw if fast else self._usual_kw
        fitting = FITTING_SHARE * self._efficiency * power_kw * hours / self._capacity_kwh
        gain = np.floor(np.minimum(target - soc, fitting) * 1000) / 1000
        wanted = wanted & (gain >= 0.02)
        self.wanted[:, place] = wanted
        # Whole minutes, as people name them.
        self.arrival[:, place] = midnight + np.rint(hour * 60).astype(np.int64) * 60
        self.departure[:, place] = self.arrival[:, place] + np.rint(hours * 60).astype(np.int64) * 60
        self.energy_kwh[:, place] = np.rint(gain * self._capacity_kwh * 1e6) / 1e6
        self.soc[:, place] = soc
        self._now_soc = np.where(wanted, soc + gain, self._now_soc)
