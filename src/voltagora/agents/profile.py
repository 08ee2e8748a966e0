"""What producers and consumers have in common: register, then forecast each day and say how sure they are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from voltagora.agents.agent import Agent, Memo, Turn
from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.fleet import ProfilePlan
from voltagora.domain.series import EnergySeries, ScheduleSeries
from voltagora.domain.units import Time, replaced
from voltagora.protocols.cp09_profile_registration import ProfileRegistration
from voltagora.protocols.cp10_expected_energy import ExpectedEnergy
from voltagora.protocols.cp11_confidence import UpdateConfidence
from voltagora.protocols.message import Outcome, Refusal, Request
from voltagora.strategies.forecast.decision import Forecast, ForecastStrategy


class ProfileAgent(Agent):
    """Expects each day of the horizon and tells EI and MD."""

    registration: ClassVar[type[ProfileRegistration]]
    expectation: ClassVar[type[ExpectedEnergy]]

    def __init__(
        self,
        plan: ProfilePlan,
        *,
        grid_area: str,
        calendar: Calendar,
        horizon_days: int,
        forecast: ForecastStrategy,
        imbalance: str,
        pricing: str,
    ) -> None:
        super().__init__(plan.id)
        self.plan = plan
        self.grid_area = grid_area
        self.calendar = calendar
        self.horizon_days = horizon_days
        self.forecast = forecast
        self._address = (plan.id,)
        self._whom = (imbalance, pricing)

    def start(self, turn: Turn) -> None:
        """CP9, then CP10 and CP11 for every day of the horizon."""
        self._introduce(turn, self._whom)
        turn.wake(self.calendar.day_at(turn.now).end, ("midnight",))

    @property
    def relies_on(self) -> tuple[str, ...]:
        """See `Agent.relies_on`."""
        return self._whom

    def returned(self, turn: Turn, peer: str) -> None:
        """See `Agent.returned`."""
        self._introduce(turn, (peer,))

    def _introduce(self, turn: Turn, whom: tuple[str, ...]) -> None:
        self._register(turn, whom)
        today = self.calendar.day_at(turn.now)
        for ahead in range(self.horizon_days + 1):
            self._expect(turn, today, self.calendar.day_after(today, ahead), whom)

    def _register(self, turn: Turn, whom: tuple[str, ...]) -> None:
        request = self.registration(
            msg_id=self.next_id(),
            grid_area=self.grid_area,
            kind=self.plan.kind,
            rated_power_kw=self.plan.rated_power_kw,
            location=self.plan.location,
        )
        turn.tell(request, self._address, whom)

    def wake(self, turn: Turn, memo: Memo) -> None:
        """CP10 and CP11 for the day that has come into the horizon."""
        today = self.calendar.day_at(turn.now)
        self._expect(turn, today, self.calendar.day_after(today, self.horizon_days), self._whom)
        turn.wake(today.end, ("midnight",))

    def told(self, turn: Turn, request: Request, outcome: Outcome) -> None:
        """Register again with one who does not know this agent, then tell it once more."""
        if outcome.reason == Refusal.NOT_REGISTERED:
            self._register(turn, (outcome.responder,))
            turn.tell(replaced(request, msg_id=self.next_id()), self._address, (outcome.responder,))

    def _expect(self, turn: Turn, today: Day, day: Day, whom: tuple[str, ...]) -> None:
        """Forecast a day and tell EI and MD; without history there is nothing to tell."""
        forecast = self.forecast.forecast(
            self._known_before(today), day, self.calendar, self.plan.actual.between(day.start, day.end)
        )
        if not isinstance(forecast, Forecast):
            return
        turn.tell(
            self.expectation(
                msg_id=self.next_id(),
                grid_area=self.grid_area,
                day=day.date,
                revision=1,
                expected=EnergySeries(
                    start=Time(day.start), step_minutes=self.calendar.step_minutes, values=forecast.expected
                ),
            ),
            self._address,
            whom,
        )
        self._tell_confidence(turn, day, forecast, whom)

    def _tell_confidence(self, turn: Turn, day: Day, forecast: Forecast, whom: tuple[str, ...]) -> None:
        start, step = Time(day.start), self.calendar.step_minutes
        request = UpdateConfidence(
            msg_id=self.next_id(),
            grid_area=self.grid_area,
            day=day.date,
            mean=ScheduleSeries(start=start, step_minutes=step, values=forecast.mean),
            std=EnergySeries(start=start, step_minutes=step, values=forecast.std),
        )
        turn.tell(request, self._address, whom)

    def _known_before(self, today: Day) -> EnergySeries:
        """Give what was metered up to last midnight."""
        actual = self.plan.actual
        known = max(0, (today.start - actual.start) // actual.step_seconds)
        values = actual.values[: min(known, len(actual.values))]
        return EnergySeries(start=actual.start, step_minutes=actual.step_minutes, values=np.asarray(values))
