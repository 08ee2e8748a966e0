"""What a reader of broadcasts knows of its grid area: the newest imbalance and prices of each day.

All readers in one process share one market: a broadcast is held once, never copied per reader.
"""

from __future__ import annotations

from datetime import date

import numpy as np
from msgspec import UNSET, UnsetType

from voltagora.domain.calendar import Calendar
from voltagora.domain.series import PriceSeries, Series
from voltagora.domain.units import Floats, round_money
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp07_prices import ElectricityPrices, PricesBroadcast

Prices = tuple[Floats, Floats]
"""Buy and sell, EUR/kWh, one value a slot."""


class Market:
    """The newest CP6 and CP7 news of one grid area, by day."""

    def __init__(self, grid_area: str, calendar: Calendar) -> None:
        self.grid_area = grid_area
        self.calendar = calendar
        self._prices: dict[date, PricesBroadcast] = {}
        self._imbalance: dict[date, ImbalanceBroadcast] = {}

    def read_prices(self, news: PricesBroadcast) -> None:
        """Take a day's prices unless they are another area's, older than what is held, or not of a day."""
        held = self._prices.get(news.day)
        if news.grid_area != self.grid_area or (held is not None and news.revision < held.revision):
            return
        if are_of_day(self.calendar, news.day, news.buy, news.sell):
            self._prices[news.day] = news

    def read_imbalance(self, news: ImbalanceBroadcast) -> None:
        """Take a day's supply and demand as `read_prices` takes prices."""
        held = self._imbalance.get(news.day)
        if news.grid_area != self.grid_area or (held is not None and news.revision < held.revision):
            return
        if are_of_day(self.calendar, news.day, news.supply, news.demand):
            self._imbalance[news.day] = news

    def read_reply(self, reply: ElectricityPrices) -> None:
        """Take the answer to a question for prices, if it holds any."""
        if reply.reason is UNSET:
            names = ("grid_area", "day", "revision", "buy", "sell")
            self.read_prices(
                PricesBroadcast(msg_id=reply.in_reply_to, **{name: getattr(reply, name) for name in names})
            )

    def prices_between(self, start: int, end: int) -> Prices | None:
        """Give buy and sell of every slot that shares time with `[start, end)`, or None if any is missing."""
        day = self.calendar.day_at(start)
        held = self._prices.get(day.date)
        if held is None:
            return None
        if end <= day.end:
            return _between(held, start, end)
        parts = [_between(held, start, day.end)]
        for later in self.calendar.days_of(day.end, end):
            held = self._prices.get(later.date)
            if held is None:
                return None
            parts.append(_between(held, later.start, min(end, later.end)))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def mean_buy_price(self, start: int, end: int) -> float | UnsetType:
        """Average the known buy prices of a stay, weighted by its hours in each slot.

        Returns:
            EUR/kWh with 5 decimals, or UNSET if no slot of the stay has a known price.

        Source: domain.md section 2, `expected_price_eur_kwh`: Σ w_t·buy_t / Σ w_t.
        """
        total = seconds = 0.0
        day = self.calendar.day_at(start)
        while True:
            held = self._prices.get(day.date)
            first, last = max(start, day.start), min(end, day.end)
            if held is not None:
                total += _price_seconds(held.buy, first, last)
                seconds += last - first
            if end <= day.end:
                return round_money(total / seconds) if seconds else UNSET
            day = self.calendar.day_after(day, 1)

    def prices_known_until(self, start: int, end: int) -> int:
        """Give the end of the unbroken stretch of known prices that begins at `start`, at most `end`."""
        for day in self.calendar.days_of(start, end):
            if day.date not in self._prices:
                return max(start, day.start)
        return end

    def missing_prices(self, start: int, end: int) -> list[date]:
        """List the days of `[start, end)` without known prices."""
        day = self.calendar.day_at(start)
        if end <= day.end:
            return [] if day.date in self._prices else [day.date]
        return [day.date for day in self.calendar.days_of(start, end) if day.date not in self._prices]

    def imbalance_between(self, start: int, end: int) -> Floats | None:
        """Give supply less demand, kWh, of every slot of `[start, end)`, or None if any is missing."""
        parts = []
        for day in self.calendar.days_of(start, end):
            held = self._imbalance.get(day.date)
            if held is None:
                return None
            first, last = max(start, day.start), min(end, day.end)
            supply, demand = held.supply.between(first, last), held.demand.between(first, last)
            if supply is None or demand is None:
                return None
            parts.append(supply - demand)
        return np.concatenate(parts)

    def forget(self, before: date) -> None:
        """Drop the days before one."""
        self._prices = {day: news for day, news in self._prices.items() if day >= before}
        self._imbalance = {day: news for day, news in self._imbalance.items() if day >= before}


def are_of_day(calendar: Calendar, day: date, *series: Series) -> bool:
    """Tell whether series hold one value for each slot of a day, as news of a day must."""
    try:
        known = calendar.day(day)
    except (ValueError, OverflowError):
        return False  # The calendar has no such day, or no end of it.
    step = calendar.step_minutes
    return all(
        each.start == known.start and each.step_minutes == step and len(each.values) == known.slots
        for each in series
    )


def _price_seconds(series: PriceSeries, start: int, end: int) -> float:
    """Sum price times seconds over `[start, end)`, which the series covers."""
    step = series.step_minutes * 60
    first = (start - series.start) // step
    stop = -((series.start - end) // step)
    prices = series.values[first:stop].tolist()
    before, after = start - series.start - first * step, series.start + stop * step - end
    return float(sum(prices) * step - prices[0] * before - prices[-1] * after)


def _between(held: PricesBroadcast, start: int, end: int) -> Prices:
    buy = held.buy
    step = buy.step_minutes * 60
    first = (start - buy.start) // step
    stop = -((buy.start - end) // step)
    return buy.values[first:stop], held.sell.values[first:stop]
