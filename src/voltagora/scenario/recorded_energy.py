"""What an imbalance agent knew of its grid area, from what it is on record to have accepted."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import msgspec
import numpy as np

from voltagora.domain.records import EnergyDayRecord
from voltagora.domain.series import EnergySeries, ScheduleSeries
from voltagora.domain.units import MICRO, Floats, Integers
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp09_profile_registration import ProfileRegistration
from voltagora.protocols.cp10_expected_energy import ExpectedEnergy


class RecordedDay(msgspec.Struct, frozen=True, kw_only=True):
    """A local day as the area's agents cut it."""

    date: date
    start: int  # seconds UTC
    slots: int
    step_minutes: int

    @property
    def end(self) -> int:
        """The next local midnight, seconds UTC."""
        return self.start + self.slots * self.step_minutes * 60


class Expected(msgspec.Struct, frozen=True):
    """The newest forecast of one producer or consumer for one day."""

    revision: int
    start: int
    energy: Integers  # shape (slots,), whole 1e-6 kWh


class ExpectedBook:
    """The newest accepted forecasts, by the start of the day and who makes them."""

    def __init__(self) -> None:
        self.roles: dict[str, str] = {}  # "EP" or "EC"
        self.days: dict[int, dict[str, Expected]] = {}

    def register(self, profile: str, role: str, request: ProfileRegistration) -> Expected | None:
        """CP9: note who it is, and today's forecast if it brings the first one."""
        self.roles[profile] = role
        series = request.expected
        if not isinstance(series, EnergySeries) or profile in self.days.get(int(series.start), {}):
            return None
        return self._keep(profile, 0, series)

    def update(self, profile: str, request: ExpectedEnergy) -> tuple[Expected | None, Expected | None]:
        """CP10: take a forecast; gives the old one and the new one, None if it is not newer."""
        held = self.days.get(int(request.expected.start), {}).get(profile)
        if held is not None and request.revision <= held.revision:
            return held, None
        return held, self._keep(profile, request.revision, request.expected)

    def _keep(self, profile: str, revision: int, series: EnergySeries) -> Expected:
        expected = Expected(revision, int(series.start), np.rint(series.values * MICRO).astype(np.int64))
        self.days.setdefault(expected.start, {})[profile] = expected
        return expected


class EnergyBook:
    """Energy of each slot of one grid area, whole 1e-6 kWh, so that sums are exact.

    A slot stands as it was when its day ended; later schedules do not change it.
    """

    def __init__(self) -> None:
        self.expected = ExpectedBook()
        self._production: defaultdict[int, int] = defaultdict(int)  # by start of slot
        self._consumption: defaultdict[int, int] = defaultdict(int)
        self._charging: defaultdict[int, int] = defaultdict(int)
        self._discharging: defaultdict[int, int] = defaultdict(int)
        self._schedules: dict[str, tuple[int, ScheduleSeries]] = {}
        self._closed_until = 0

    def register(self, profile: str, role: str, request: ProfileRegistration) -> None:
        """CP9: note a producer or consumer, with today's forecast if it gives one."""
        new = self.expected.register(profile, role, request)
        if new is not None:
            self._add_expected(role, new, request.expected, 1)

    def update_expected(self, profile: str, role: str, request: ExpectedEnergy) -> None:
        """CP10: replace a forecast."""
        self.expected.roles.setdefault(profile, role)
        old, new = self.expected.update(profile, request)
        if new is None:
            return
        if old is not None:
            self._add_expected(role, old, request.expected, -1)
        self._add_expected(role, new, request.expected, 1)

    def _add_expected(
        self, role: str, expected: Expected, series: EnergySeries | msgspec.UnsetType, sign: int
    ) -> None:
        assert isinstance(series, EnergySeries)
        totals = self._production if role == "EP" else self._consumption
        for place, energy in enumerate(expected.energy.tolist()):
            slot = expected.start + place * series.step_seconds
            if slot >= self._closed_until:
                totals[slot] += sign * energy

    def update_schedule(self, request: UpdatedChargingSchedule) -> None:
        """CP8: replace a session."""
        held = self._schedules.get(request.reservation)
        if held is not None:
            if request.revision <= held[0]:
                return
            self._add_schedule(held[1], -1)
        self._schedules[request.reservation] = (request.revision, request.schedule)
        self._add_schedule(request.schedule, 1)

    def _add_schedule(self, schedule: ScheduleSeries, sign: int) -> None:
        for place, energy_kwh in enumerate(schedule.values.tolist()):
            slot = schedule.start + place * schedule.step_seconds
            energy = round(energy_kwh * MICRO)
            if energy and slot >= self._closed_until:
                totals = self._charging if energy > 0 else self._discharging
                totals[slot] += sign * abs(energy)

    def close(self, until: int) -> None:
        """Let the slots before an instant stand."""
        self._closed_until = max(self._closed_until, until)

    def record(self, area: str, day: RecordedDay) -> EnergyDayRecord:
        """Give a day as it stands."""
        slots = [day.start + place * day.step_minutes * 60 for place in range(day.slots)]

        def kwh(totals: defaultdict[int, int]) -> Floats:
            values: Floats = np.array([totals.get(slot, 0) for slot in slots], dtype=np.int64) / MICRO
            values.setflags(write=False)
            return values

        return EnergyDayRecord(
            area=area,
            day=day.date,
            start=day.start,
            step_minutes=day.step_minutes,
            production_kwh=kwh(self._production),
            consumption_kwh=kwh(self._consumption),
            charging_kwh=kwh(self._charging),
            discharging_kwh=kwh(self._discharging),
        )
