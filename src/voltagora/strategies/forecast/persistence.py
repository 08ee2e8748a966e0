"""`persistence`: as a week ago."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Floats
from voltagora.strategies.forecast.confidence import with_confidence
from voltagora.strategies.forecast.decision import Forecast, ForecastStrategy, NoHistory
from voltagora.strategies.forecast.like_days import LikeDays


class Persistence(ForecastStrategy, frozen=True, kw_only=True):
    """Expect what the same slot brought a week ago, else on the latest earlier day that has it.

    Source: the naive seasonal forecast; domain.md section 3.

    """

    def forecast(
        self,
        history: EnergySeries,
        day: Day,
        calendar: Calendar,
        actual: Floats | None,  # noqa: ARG002
    ) -> Forecast | NoHistory:
        """See `ForecastStrategy.forecast`."""
        like = LikeDays(history, day, calendar)
        expected = like.values_of([like.week_before()])[0]
        other = day.date
        while np.isnan(expected).any():
            other -= timedelta(days=1)
            if other < like.earliest():
                return NoHistory()
            expected = np.where(np.isnan(expected), like.values_of([other])[0], expected)
        return with_confidence(expected, like)
