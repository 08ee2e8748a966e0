"""What EI and MD both know of a grid area: who takes part, every session, every day's energy.

Energy is counted in whole 1e-6 kWh, so that sums are exact whatever their order.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import msgspec
import numpy as np

from voltagora.agents.agent import Agent, Answer, Turn, refuse
from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.series import EnergySeries, ScheduleSeries
from voltagora.domain.units import MICRO, Integers
from voltagora.domain.vehicle import FARTHEST_AHEAD_SECONDS
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule, UpdateScheduleOutcome
from voltagora.protocols.cp09_profile_registration import (
    ProfileRegistration,
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import (
    ExpectedEnergy,
    UpdateExpectedConsumption,
    UpdateExpectedProduction,
    UpdateProfileOutcome,
)
from voltagora.protocols.cp11_confidence import UpdateConfidence, UpdateConfidenceOutcome
from voltagora.protocols.message import Message, Refusal
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.energy import (
    COUNT_SIGNATURE,
    LARGEST_SIGNATURE,
    count_session,
    largest,
)

DAYS_KEPT = 7
"""Days before today of which something can still be asked."""

_DAYS_AHEAD = FARTHEST_AHEAD_SECONDS // 86_400
"""A session that ends later is a mistake or an attack."""

_SLACK_KWH = 1e-6
"""A rounded energy may pass a limit by so much."""


class DayEnergy:
    """One day of a grid area; each array is of shape (slots,), whole 1e-6 kWh."""

    __slots__ = ("charging", "consumption", "counts", "day", "discharging", "is_changed", "production")

    def __init__(self, day: Day) -> None:
        self.day = day
        self.counts = np.zeros((4, day.slots), dtype=np.int64)  # the four below, as kernels take them
        self.production, self.consumption, self.charging, self.discharging = self.counts
        self.is_changed = True  # since somebody last took the totals

    @property
    def supply(self) -> Integers:
        """Expected production and discharging: S_t."""
        return self.production + self.discharging

    @property
    def demand(self) -> Integers:
        """Expected consumption and charging: D_t."""
        return self.consumption + self.charging

    def count(self, first: int, schedule: ScheduleSeries, begin: int, slots: int, sign: int) -> None:
        """Add a part of a schedule, or with `sign` −1 take it away."""
        compiled(count_session, COUNT_SIGNATURE)(self.counts, first, schedule.values, begin, slots, sign)
        self.is_changed = True


class KnownSession(msgspec.Struct, frozen=True):
    """The newest schedule of one reservation."""

    station: str
    revision: int
    schedule: ScheduleSeries


class KnownProfile(msgspec.Struct, frozen=True):
    """The newest forecast of one producer or consumer for one day."""

    revision: int
    energy: Integers  # shape (slots,), whole 1e-6 kWh


class AreaAgent(Agent):
    """The part that EI and MD have in common: answering CP4 and CP8 to CP11."""

    def __init__(self, id: str, grid_area: str, calendar: Calendar) -> None:
        super().__init__(id)
        self.grid_area = grid_area
        self.calendar = calendar
        self.stations: dict[str, RegisterChargingStation] = {}
        self._strongest_kw: dict[str, float] = {}  # the most a connector of each station can do
        self.profiles: dict[str, ProfileRegistration] = {}
        self.sessions: dict[str, KnownSession] = {}
        self._ending: dict[int, list[str]] = {}  # sessions by the ordinal of their last day
        self.days: dict[date, DayEnergy] = {}
        self.expected: dict[tuple[str, date], KnownProfile] = {}
        self.confidence: dict[tuple[str, date], UpdateConfidence] = {}

    # CP4 and CP9.

    def register_station(
        self, turn: Turn, request: RegisterChargingStation, station: str
    ) -> RegistrationOutcome | None:
        """CP4: note a station; the same again changes nothing, new content replaces."""
        if request.grid_area != self.grid_area:
            return None
        self.stations[station] = request
        self._strongest_kw[station] = max(connector.power_kw for connector in request.connectors)
        return RegistrationOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    def register_profile(
        self, turn: Turn, request: ProfileRegistration, profile: str
    ) -> RegistrationOutcome | None:
        """CP9: note a producer or consumer, and what it expects of today if it says so."""
        if request.grid_area != self.grid_area:
            return None
        expected = request.expected
        if isinstance(expected, EnergySeries):
            today = self.calendar.day_at(turn.now)
            field = self._wrong_energy(expected, today, request.rated_power_kw)
            if field is not None:
                return refuse(
                    RegistrationOutcome, request, self.id, Refusal.INVALID_REQUEST, f"expected.{field}"
                )
            if (profile, today.date) not in self.expected:
                self._take_expected(profile, request, today, 0, expected)
                self.expected_taken(turn, today)
        self.profiles[profile] = request
        return RegistrationOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    # CP8.

    def update_schedule(
        self, turn: Turn, request: UpdatedChargingSchedule, station: str
    ) -> UpdateScheduleOutcome | None:
        """CP8: replace what was known of a session; an older revision is stale, the same one known."""
        if request.grid_area != self.grid_area:
            return None
        strongest_kw = self._strongest_kw.get(station)
        if strongest_kw is None:
            return refuse(UpdateScheduleOutcome, request, self.id, Refusal.NOT_REGISTERED)
        held = self.sessions.get(request.reservation)
        if held is not None and held.station != station:
            return refuse(UpdateScheduleOutcome, request, self.id, Refusal.UNKNOWN_RESERVATION, "reservation")
        if held is not None and request.revision <= held.revision:
            if request.revision < held.revision:
                return refuse(UpdateScheduleOutcome, request, self.id, Refusal.STALE, "revision")
            return UpdateScheduleOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)
        field = self._wrong_schedule(turn.now, request.schedule, strongest_kw)
        if field is not None:
            return refuse(UpdateScheduleOutcome, request, self.id, Refusal.INVALID_REQUEST, field)
        self._take_schedule(request, station, held)
        self.schedule_taken(turn, request, station)
        return UpdateScheduleOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    def schedule_taken(self, turn: Turn, request: UpdatedChargingSchedule, station: str) -> None:
        """Act on a session that is new or changed; nothing here."""

    def _wrong_schedule(self, now: int, schedule: ScheduleSeries, strongest_kw: float) -> str | None:
        if schedule.step_minutes != self.calendar.step_minutes:
            return "schedule.step_minutes"
        if len(schedule.values) == 0:
            return "schedule.values"
        if not now - DAYS_KEPT * 86_400 < schedule.end <= now + _DAYS_AHEAD * 86_400:
            return "schedule.start"
        if schedule.start != self.calendar.slot_start(schedule.start):
            return "schedule.start"
        most = compiled(largest, LARGEST_SIGNATURE)(schedule.values)
        # Not the grid limit: one session may pass it by what another feeds in.
        limit = strongest_kw * schedule.step_minutes / 60 + _SLACK_KWH
        return "schedule.values" if most > limit else None

    def _take_schedule(
        self, request: UpdatedChargingSchedule, station: str, held: KnownSession | None
    ) -> None:
        if held is not None:
            self._count(held.schedule, -1)
        last_day = self._count(request.schedule, 1)
        self.sessions[request.reservation] = KnownSession(station, request.revision, request.schedule)
        self._ending.setdefault(last_day.ordinal, []).append(request.reservation)

    def _count(self, schedule: ScheduleSeries, sign: int) -> Day:
        """Add a session's energy to the days it touches, or take it away; gives the last of them."""
        slots = len(schedule.values)
        day = self.calendar.day_at(schedule.start)
        first = (schedule.start - day.start) // self.calendar.step_seconds
        place = 0
        while first + slots - place > day.slots:  # It goes on after midnight.
            count = day.slots - first
            self.day_energy(day).count(first, schedule, place, count, sign)
            place += count
            day, first = self.calendar.day_after(day, 1), 0
        self.day_energy(day).count(first, schedule, place, slots - place, sign)
        return day

    # CP10 and CP11.

    def update_expected(
        self, turn: Turn, request: ExpectedEnergy, profile: str
    ) -> UpdateProfileOutcome | None:
        """CP10: replace what is expected of a day."""
        if request.grid_area != self.grid_area:
            return None
        registered = self.profiles.get(profile)
        if registered is None:
            return refuse(UpdateProfileOutcome, request, self.id, Refusal.NOT_REGISTERED)
        held = self.expected.get((profile, request.day))
        if held is not None and request.revision <= held.revision:
            if request.revision < held.revision:
                return refuse(UpdateProfileOutcome, request, self.id, Refusal.STALE, "revision")
            return UpdateProfileOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)
        if not self._may_tell_of(turn.now, request.day):
            return refuse(UpdateProfileOutcome, request, self.id, Refusal.INVALID_REQUEST, "day")
        day = self.calendar.day(request.day)
        field = self._wrong_energy(request.expected, day, registered.rated_power_kw)
        if field is not None:
            return refuse(
                UpdateProfileOutcome, request, self.id, Refusal.INVALID_REQUEST, f"expected.{field}"
            )
        self._take_expected(profile, registered, day, request.revision, request.expected)
        self.expected_taken(turn, day)
        return UpdateProfileOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    def expected_taken(self, turn: Turn, day: Day) -> None:
        """Act on a forecast that is new or changed; nothing here."""

    def update_confidence(
        self, turn: Turn, request: UpdateConfidence, asker: str
    ) -> UpdateConfidenceOutcome | None:
        """CP11: note how sure somebody is of a day."""
        if request.grid_area != self.grid_area:
            return None
        if asker not in self.profiles and asker not in self.stations:
            return refuse(UpdateConfidenceOutcome, request, self.id, Refusal.NOT_REGISTERED)
        if not self._may_tell_of(turn.now, request.day):
            return refuse(UpdateConfidenceOutcome, request, self.id, Refusal.INVALID_REQUEST, "day")
        day = self.calendar.day(request.day)
        for name, series in (("mean", request.mean), ("std", request.std)):
            field = self._wrong_slots(series.start, series.step_minutes, len(series), day)
            if field is not None:
                return refuse(
                    UpdateConfidenceOutcome, request, self.id, Refusal.INVALID_REQUEST, f"{name}.{field}"
                )
        self.confidence[asker, request.day] = request
        return UpdateConfidenceOutcome(in_reply_to=request.msg_id, responder=self.id, accepted=True)

    def _may_tell_of(self, now: int, day: date) -> bool:
        """Tell whether a day is near enough to today that anybody may ask or foresee anything of it."""
        return -DAYS_KEPT <= day.toordinal() - self.calendar.day_at(now).ordinal <= _DAYS_AHEAD

    def _wrong_energy(self, series: EnergySeries, day: Day, rated_power_kw: float) -> str | None:
        field = self._wrong_slots(series.start, series.step_minutes, len(series), day)
        if field is None and series.values.max() > rated_power_kw * series.step_minutes / 60 + _SLACK_KWH:
            return "values"
        return field

    def _wrong_slots(self, start: int, step_minutes: int, count: int, day: Day) -> str | None:
        if step_minutes != self.calendar.step_minutes:
            return "step_minutes"
        if start != day.start:
            return "start"
        return "values" if count != day.slots else None

    def _take_expected(
        self, profile: str, registered: ProfileRegistration, day: Day, revision: int, series: EnergySeries
    ) -> None:
        energy = np.rint(series.values * MICRO).astype(np.int64)
        held = self.expected.get((profile, day.date))
        change = energy if held is None else energy - held.energy
        known = self.day_energy(day)
        if isinstance(registered, RegisterElectricityProducer):
            known.production += change
        else:
            known.consumption += change
        known.is_changed = True
        self.expected[profile, day.date] = KnownProfile(revision, energy)

    # What is known of days.

    def day_energy(self, day: Day) -> DayEnergy:
        """Give the record of a day, opened if it is the first time that anything touches it."""
        held = self.days.get(day.date)
        if held is None:
            held = self.days[day.date] = DayEnergy(day)
        return held

    def forget_before(self, day: Day) -> None:
        """Drop what nobody can ask of any more: days before one, and sessions that ended before it."""
        self.days = {date_: held for date_, held in self.days.items() if date_ >= day.date}
        self.expected = {key: held for key, held in self.expected.items() if key[1] >= day.date}
        self.confidence = {key: held for key, held in self.confidence.items() if key[1] >= day.date}
        for ordinal in [ordinal for ordinal in self._ending if ordinal < day.ordinal]:
            for name in self._ending.pop(ordinal):
                held = self.sessions.get(name)
                if held is not None and held.schedule.end <= day.start:  # Else it was moved to a later day.
                    del self.sessions[name]


AREA_HANDLERS: dict[type[Message], Callable[..., Answer]] = {
    RegisterChargingStation: AreaAgent.register_station,
    RegisterElectricityProducer: AreaAgent.register_profile,
    RegisterElectricityConsumer: AreaAgent.register_profile,
    UpdatedChargingSchedule: AreaAgent.update_schedule,
    UpdateExpectedProduction: AreaAgent.update_expected,
    UpdateExpectedConsumption: AreaAgent.update_expected,
    UpdateConfidence: AreaAgent.update_confidence,
}
"""The methods above by the messages they take."""
