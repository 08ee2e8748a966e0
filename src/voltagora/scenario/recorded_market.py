"""What a mechanism design agent settled, from its prices and what it is on record to have accepted."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import msgspec
import numpy as np

from voltagora.agents.ledger import MARKET, Ledger
from voltagora.agents.sessions import energy_cost_eur
from voltagora.domain.records import LedgerRecord, PriceDayRecord
from voltagora.domain.units import MICRO, money_units, round_money
from voltagora.protocols.cp07_prices import PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.scenario.recorded_energy import ExpectedBook, RecordedDay


class _Bill(msgspec.Struct, frozen=True, gc=False):
    """A session to be posted once its last slot is over."""

    station: str
    revision: int
    ends_at: int
    energy_units: int  # 1e-5 EUR
    cost_units: int  # 1e-5 EUR


class _Priced(NamedTuple):
    """One slot with its prices, EUR/kWh, and its place in its day."""

    buy: float
    sell: float
    day_start: int
    place: int


class MarketBook:
    """Prices in force and payments of one grid area.

    In force in a slot are the newest prices heard before it began; where there were none, the first
    that came within it.
    """

    def __init__(self) -> None:
        self.expected = ExpectedBook()
        self._ledger = Ledger()
        self._heard: dict[int, _Priced] = {}  # the newest, by start of slot
        self._in_force: dict[int, _Priced] = {}
        self._bills: dict[str, _Bill] = {}
        self._by_end: list[tuple[int, str]] = []
        self._posted: set[str] = set()

    def take_prices(self, news: PricesBroadcast, now: int) -> None:
        """CP7: keep the newest prices; the slot under way takes them if it has none."""
        step = news.buy.step_seconds
        pairs = zip(news.buy.values.tolist(), news.sell.values.tolist(), strict=True)
        for place, (buy, sell) in enumerate(pairs):
            self._heard[news.buy.start + place * step] = _Priced(buy, sell, int(news.buy.start), place)
        slot = news.buy.start + (now - news.buy.start) // step * step
        if slot in self._heard and slot not in self._in_force:
            self._settle(slot)

    def update_schedule(self, request: UpdatedChargingSchedule, station: str) -> None:
        """CP8: keep the newest bill of a session that is not posted."""
        held = self._bills.get(request.reservation)
        if request.reservation in self._posted or (held and request.revision <= held.revision):
            return
        energy_eur = energy_cost_eur(request.schedule, (request.buy, request.sell))
        self._bills[request.reservation] = _Bill(
            station,
            request.revision,
            request.schedule.end,
            money_units(round_money(energy_eur)),
            money_units(request.cost_eur),
        )
        heapq.heappush(self._by_end, (request.schedule.end, request.reservation))

    def begin_slot(self, slot: int) -> None:
        """Post the sessions that are over, and pay for the slot that begins."""
        self.post_sessions(slot)
        if slot in self._heard:
            self._settle(slot)

    def _settle(self, slot: int) -> None:
        """Pay producers and have consumers pay for one slot."""
        priced = self._in_force[slot] = self._heard[slot]
        for profile, known in self.expected.days.get(priced.day_start, {}).items():
            if priced.place >= len(known.energy):
                continue
            energy_kwh = int(known.energy[priced.place]) / MICRO
            if self.expected.roles.get(profile) == "EP":
                amount = money_units(round_money(energy_kwh * priced.sell))
                self._ledger.pay(MARKET, f"EP/{profile}", amount)
            else:
                amount = money_units(round_money(energy_kwh * priced.buy))
                self._ledger.pay(f"EC/{profile}", MARKET, amount)

    def post_sessions(self, now: int) -> None:
        """Post each session once, when its last slot is over."""
        while self._by_end and self._by_end[0][0] <= now:
            _, reservation = heapq.heappop(self._by_end)
            bill = self._bills.get(reservation)
            if bill is None or bill.ends_at > now:
                continue  # Posted already, or changed since and due later.
            del self._bills[reservation]
            self._posted.add(reservation)
            vehicles, station = f"EV/{bill.station}", f"CS/{bill.station}"
            self._ledger.pay(vehicles, station, bill.cost_units)
            self._ledger.pay(station, MARKET, bill.energy_units)

    def prices(self, area: str, day: RecordedDay) -> PriceDayRecord:
        """Give the prices that were in force, NaN where none are on record."""
        buy, sell = np.full(day.slots, np.nan), np.full(day.slots, np.nan)
        for place in range(day.slots):
            found = self._in_force.get(day.start + place * day.step_minutes * 60)
            if found is not None:
                buy[place], sell[place] = found.buy, found.sell
        return PriceDayRecord(area=area, day=day.date, buy_eur_per_kwh=buy, sell_eur_per_kwh=sell)

    def unpriced(self, day: RecordedDay) -> int:
        """Count the slots of a day that no price on record was in force in."""
        step = day.step_minutes * 60
        return sum(day.start + place * step not in self._in_force for place in range(day.slots))

    def balances(self, area: str) -> list[LedgerRecord]:
        """Give what each account holds."""
        return [
            LedgerRecord(area=area, account=account, balance_eur=self._ledger.balance_eur(account))
            for account in sorted(self._ledger.balances)
        ]
