"""One grid area of a record: its days, what its EI and MD accepted, and time passing slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from voltagora.domain.records import DayRecord, LedgerRecord
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp09_profile_registration import ProfileRegistration
from voltagora.protocols.cp10_expected_energy import ExpectedEnergy
from voltagora.protocols.message import Request
from voltagora.protocols.topic import Kind
from voltagora.scenario.recorded_energy import EnergyBook, RecordedDay
from voltagora.scenario.recorded_market import MarketBook
from voltagora.scenario.recorded_sieve import Told

IMBALANCE: Final = str(Kind.IMBALANCE)
PRICING: Final = str(Kind.PRICING)
DAYS_BEFORE: Final = 8
"""The first day heard of may be so far ahead; agents ask for 7 at most."""


class AreaBook:
    """What is known of one grid area."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.energy = EnergyBook()
        self.market = MarketBook()
        self.days: dict[int, RecordedDay] = {}  # by start, seconds UTC
        self._ends: set[int] = set()
        self._next_slot: int | None = None

    def hear_imbalance(self, news: ImbalanceBroadcast, now: int) -> None:
        """CP6: it tells how the area cuts a day."""
        supply = news.supply
        self._know(
            RecordedDay(
                date=news.day, start=int(supply.start), slots=len(supply), step_minutes=supply.step_minutes
            ),
            now,
        )

    def hear_prices(self, news: PricesBroadcast, now: int) -> None:
        """CP7: it tells that as well, and the prices."""
        buy = news.buy
        if (buy.start, buy.step_minutes, len(buy)) != (
            *(news.sell.start, news.sell.step_minutes, len(news.sell)),
        ):
            return
        self._know(
            RecordedDay(date=news.day, start=int(buy.start), slots=len(buy), step_minutes=buy.step_minutes),
            now,
        )
        self.market.take_prices(news, now)

    def accept(self, role: str, asked: Told) -> None:
        """CP8, CP9, CP10: EI or MD said yes to what it was asked."""
        request: Request = asked.message
        asker = asked.ids[0]
        if isinstance(request, UpdatedChargingSchedule):
            if role == IMBALANCE:
                self.energy.update_schedule(request)
            else:
                self.market.update_schedule(request, asker)
        elif isinstance(request, ProfileRegistration):
            book = self.energy if role == IMBALANCE else self.market.expected
            book.register(asker, asked.role, request)
        elif isinstance(request, ExpectedEnergy):
            if role == IMBALANCE:
                self.energy.update_expected(asker, asked.role, request)
            else:
                self.market.expected.roles.setdefault(asker, asked.role)
                self.market.expected.update(asker, request)

    def _know(self, day: RecordedDay, now: int) -> None:
        if not day.slots or day.start in self.days:
            return
        self.days[day.start] = day
        self._ends.add(day.end)
        if self._next_slot is None:
            # Nothing was known at the slots before; where the time is not known yet, none has begun.
            step = day.step_minutes * 60
            since = max(now, day.start - DAYS_BEFORE * 86_400)
            self._next_slot = day.start + ((since - day.start) // step + 1) * step
            self._step = step

    def advance(self, until: int) -> None:
        """Let the slots begin that begin at or before an instant; what is heard then comes after."""
        if self._next_slot is None:
            return
        # A clock that jumps ahead of all days brings nothing that could be settled.
        until = min(until, max(self._ends))
        while self._next_slot <= until:
            if self._next_slot in self._ends:
                self.energy.close(self._next_slot)
            self.market.begin_slot(self._next_slot)
            self._next_slot += self._step

    def finish(self, end: int) -> None:
        """Let everything happen that happens before the end, and post what is over by then."""
        self.advance(end - 1)
        self.market.post_sessions(end)

    def records(self, start: int, end: int) -> Iterator[DayRecord | LedgerRecord]:
        """Give the days that begin in `[start, end)`, and all balances."""
        for day in sorted(self.days.values(), key=lambda day: day.start):
            if start <= day.start < end:
                energy, prices = self.energy.record(self.id, day), self.market.prices(self.id, day)
                yield DayRecord(
                    area=self.id,
                    day=day.date,
                    start=day.start,
                    step_minutes=day.step_minutes,
                    production_kwh=energy.production_kwh,
                    consumption_kwh=energy.consumption_kwh,
                    charging_kwh=energy.charging_kwh,
                    discharging_kwh=energy.discharging_kwh,
                    buy_eur_per_kwh=prices.buy_eur_per_kwh,
                    sell_eur_per_kwh=prices.sell_eur_per_kwh,
                )
        yield from self.market.balances(self.id)

    def day_at(self, moment: int) -> RecordedDay | None:
        """Find the day that holds an instant, if it is on record."""
        return next((day for day in self.days.values() if day.start <= moment < day.end), None)
