"""The decision: what a producer or consumer expects of a day, slot by slot."""

from __future__ import annotations

import msgspec

from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Floats
from voltagora.strategies.strategy import Strategy


class ForecastStrategy(Strategy, frozen=True, kw_only=True):
    """Expects a day from the days before it."""

    def forecast(
        self, history: EnergySeries, day: Day, calendar: Calendar, actual: Floats | None
    ) -> Forecast | NoHistory:
        """Forecast every slot of a day.

        Args:
            history: kWh a slot, as far as known; slots of the day itself and later ones are ignored.
            day: the local day to forecast.
            calendar: the calendar that the day is of; its slots are as long as those of the history.
            actual: what the day will really bring, kWh, shape (slots,), where an experiment knows it.

        Returns:
            The forecast, or `NoHistory` if any slot of the day has nothing to be told from.

        Raises:
            InputError: the slots of the history do not fall on those of the calendar.
        """
        raise NotImplementedError


class Forecast(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A day as expected; arrays of shape (slots,), kWh, rounded to 6 decimals.

    `mean` and `std` are of the like days before: the same weekday and clock time; `std` is the
    sample's (n − 1), 0 for a single one. A slot without any has the expected value and 0.
    """

    expected: Floats
    mean: Floats
    std: Floats


class NoHistory(msgspec.Struct, frozen=True):
    """Nothing is known to forecast from."""

    reason: str = "no_history"
