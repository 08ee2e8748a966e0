"""`perfect`: what will really come, for experiments."""

from __future__ import annotations

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.errors import InputError, Verbatim
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Floats
from voltagora.strategies.forecast.confidence import with_confidence
from voltagora.strategies.forecast.decision import Forecast, ForecastStrategy, NoHistory
from voltagora.strategies.forecast.like_days import LikeDays


class Perfect(ForecastStrategy, frozen=True, kw_only=True):
    """Expect exactly what the day will bring, which only an experiment can know.

    Source: domain.md section 3; the forecast of the published experiment.

    """

    def forecast(
        self, history: EnergySeries, day: Day, calendar: Calendar, actual: Floats | None
    ) -> Forecast | NoHistory:
        """See `ForecastStrategy.forecast`; without `actual` there is nothing to forecast from."""
        if actual is None:
            return NoHistory()
        if actual.shape != (day.slots,):
            raise InputError(
                "actual", Verbatim(f"{actual.size} slots"), f"the {day.slots} slots of {day.date}"
            )
        return with_confidence(actual, LikeDays(history, day, calendar))
