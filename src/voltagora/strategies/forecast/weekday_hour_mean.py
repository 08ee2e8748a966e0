"""`weekday_hour_mean`: the mean of the like days before."""

from __future__ import annotations

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import ENERGY_DECIMALS, Floats, round_array
from voltagora.strategies.forecast.confidence import mean_and_std
from voltagora.strategies.forecast.decision import Forecast, ForecastStrategy, NoHistory
from voltagora.strategies.forecast.like_days import LikeDays


class WeekdayHourMean(ForecastStrategy, frozen=True, kw_only=True):
    """Expect in each slot the mean of the same weekday and clock time on all days before.

    Source: domain.md section 3.

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
        mean, std, count = mean_and_std(like.values_of(like.same_weekdays()))
        if not count.all():
            return NoHistory()
        expected = round_array(mean, ENERGY_DECIMALS)
        return Forecast(expected=expected, mean=expected, std=round_array(std, ENERGY_DECIMALS))
