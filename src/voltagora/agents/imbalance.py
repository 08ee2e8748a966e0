"""EI, the electricity imbalance agent: total supply and demand of its grid area, past and expected."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import ClassVar

import msgspec
import numpy as np

from voltagora.agents.agent import Answer, Memo, Turn, refuse
from voltagora.agents.picture import AREA_HANDLERS, DAYS_KEPT, AreaAgent, DayEnergy
from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.records import EnergyDayRecord
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import MICRO, Floats, Integers, Time, micro
from voltagora.protocols.cp06_imbalance import (
    ElectricityImbalance,
    ElectricityImbalanceRequest,
    ImbalanceBroadcast,
)
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.message import Message, Refusal
from voltagora.protocols.topic import Kind
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.energy import (
    CHANGE_SIGNATURE,
    TOTALS_SIGNATURE,
    day_totals,
    largest_change,
)

OPENS_AFTER_SECONDS = 3600
"""After midnight EI publishes the day that has come into the horizon."""


class BroadcastRule(msgspec.Struct, frozen=True, kw_only=True):
    """When EI and MD speak up."""

    threshold_kwh: float = 1.0  # EI: a slot must have changed by more
    always: bool = False  # the published experiment: each accepted CP8 is followed by all days of the horizon


class _Published(msgspec.Struct):
    """A day as it was last looked at, and as it was last broadcast."""

    revision: int
    totals: Floats  # supply and demand, kWh, shape (2, slots)
    supply: EnergySeries
    demand: EnergySeries
    told: Floats | None = None  # the totals of the last broadcast


class ImbalanceAgent(AreaAgent):
    """Adds up who makes and who uses electricity in each slot, and says so when it changes."""

    kind: ClassVar[Kind] = Kind.IMBALANCE

    def __init__(
        self, id: str, grid_area: str, calendar: Calendar, *, horizon_days: int, broadcast: BroadcastRule
    ) -> None:
        super().__init__(id, grid_area, calendar)
        self.horizon_days = horizon_days
        self.broadcast = broadcast
        self._published: dict[date, _Published] = {}
        self._recorded: Day | None = None

    def start(self, turn: Turn) -> None:
        """Open the days of the horizon an hour after midnight."""
        today = self.calendar.day_at(turn.now)
        for ahead in range(self.horizon_days + 1):
            self.day_energy(self.calendar.day_after(today, ahead))
        turn.wake(max(turn.now, today.start + OPENS_AFTER_SECONDS), ("open", True))
        turn.wake(today.end, ("midnight",))

    def wake(self, turn: Turn, memo: Memo) -> None:
        """Open a day to the public, or close the one that is over."""
        today = self.calendar.day_at(turn.now)
        if memo[0] == "midnight":
            self._record_until(turn, today)
            oldest = self.calendar.day_after(today, -DAYS_KEPT)
            self.forget_before(oldest)
            self._published = {day: held for day, held in self._published.items() if day >= oldest.date}
            turn.wake(today.end, ("midnight",))
            turn.wake(today.start + OPENS_AFTER_SECONDS, ("open", False))
            return
        first_day = memo[1]
        for ahead in range(0 if first_day else self.horizon_days, self.horizon_days + 1):
            self._broadcast(turn, self.day_energy(self.calendar.day_after(today, ahead)))

    def schedule_taken(self, turn: Turn, request: UpdatedChargingSchedule, station: str) -> None:
        """Broadcast the days that a new schedule changed enough, or all of the horizon."""
        if self.broadcast.always:
            today = self.calendar.day_at(turn.now)
            for ahead in range(self.horizon_days + 1):
                self._broadcast(turn, self.day_energy(self.calendar.day_after(today, ahead)))
            return
        schedule = request.schedule
        for day in self.calendar.days_of(schedule.start, schedule.end):
            self._broadcast_if_changed(turn, day)

    def expected_taken(self, turn: Turn, day: Day) -> None:
        """Broadcast a day that a new forecast changed enough."""
        self._broadcast_if_changed(turn, day)

    def imbalance_of(self, turn: Turn, request: ElectricityImbalanceRequest, asker: str) -> Answer:
        """CP6: give a day's supply and demand as they stand."""
        if request.grid_area != self.grid_area:
            return None
        day = self.calendar.day_after(self.calendar.day_at(turn.now), request.day_index)
        held = self.days.get(day.date)
        if held is None:
            return refuse(ElectricityImbalance, request, self.id, Refusal.NO_DATA)
        newest = self._newest(held)
        return ElectricityImbalance(
            in_reply_to=request.msg_id,
            responder=self.id,
            grid_area=self.grid_area,
            day=day.date,
            revision=newest.revision,
            supply=newest.supply,
            demand=newest.demand,
        )

    def finish(self, turn: Turn) -> None:
        """Record the days that ended with the run."""
        self._record_until(turn, self.calendar.day_at(turn.now))

    def _broadcast_if_changed(self, turn: Turn, day: Day) -> None:
        last = self._published.get(day.date)
        if last is None or last.told is None:
            return  # Not open yet: the hour of opening will tell.
        held = self.day_energy(day)
        change = compiled(largest_change, CHANGE_SIGNATURE)(last.told, self._newest(held).totals)
        if micro(change) > micro(self.broadcast.threshold_kwh):
            self._broadcast(turn, held)

    def _broadcast(self, turn: Turn, held: DayEnergy) -> None:
        newest = self._newest(held)
        newest.told = newest.totals
        turn.publish(
            ImbalanceBroadcast(
                msg_id=self.next_id(),
                grid_area=self.grid_area,
                day=held.day.date,
                revision=newest.revision,
                supply=newest.supply,
                demand=newest.demand,
            )
        )

    def _newest(self, held: DayEnergy) -> _Published:
        """Give the day's totals; their revision is one more each time they are found changed."""
        day = held.day
        last = self._published.get(day.date)
        if last is not None and not held.is_changed:
            return last
        held.is_changed = False
        totals = np.empty((2, day.slots))
        change = compiled(day_totals, TOTALS_SIGNATURE)(
            held.counts, totals if last is None else last.totals, totals
        )
        totals.setflags(write=False)
        if last is None:
            last = self._published[day.date] = _Published(
                self.numbered_after + 1, totals, *self._series(day, totals)
            )
        elif change:
            last.revision += 1
            last.totals = totals
            last.supply, last.demand = self._series(day, totals)
        return last

    def _series(self, day: Day, totals: Floats) -> tuple[EnergySeries, EnergySeries]:
        start, step = Time(day.start), self.calendar.step_minutes
        supply, demand = totals
        return (
            EnergySeries(start=start, step_minutes=step, values=supply),
            EnergySeries(start=start, step_minutes=step, values=demand),
        )

    def _record_until(self, turn: Turn, day: Day) -> None:
        """Record every day before one that is not recorded yet."""
        for held in sorted(self.days.values(), key=lambda held: held.day.start):
            if held.day.end > day.start or (self._recorded and held.day.start <= self._recorded.start):
                continue
            self._recorded = held.day
            turn.record(
                EnergyDayRecord(
                    area=self.grid_area,
                    day=held.day.date,
                    start=held.day.start,
                    step_minutes=self.calendar.step_minutes,
                    production_kwh=kwh(held.production),
                    consumption_kwh=kwh(held.consumption),
                    charging_kwh=kwh(held.charging),
                    discharging_kwh=kwh(held.discharging),
                )
            )

    handles: ClassVar[dict[type[Message], Callable[..., Answer]]] = {
        **AREA_HANDLERS,
        ElectricityImbalanceRequest: imbalance_of,
    }


def kwh(energy: Integers) -> Floats:
    """Turn whole 1e-6 kWh into kWh, read-only."""
    values: Floats = energy / MICRO
    values.setflags(write=False)
    return values
