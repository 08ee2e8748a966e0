"""MD, the mechanism design agent: buy and sell price of each slot, and the ledger of payments."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import ClassVar

import msgspec
import numpy as np

from voltagora.agents.agent import Answer, Conversation, Memo, Turn, refuse
from voltagora.agents.imbalance import BroadcastRule
from voltagora.agents.ledger import MARKET, Ledger
from voltagora.agents.market import are_of_day
from voltagora.agents.picture import AREA_HANDLERS, DAYS_KEPT, AreaAgent
from voltagora.domain.calendar import Calendar, Day
from voltagora.domain.records import LedgerRecord, PriceDayRecord
from voltagora.domain.series import PriceSeries
from voltagora.domain.units import MICRO, Floats, Time, money_units, round_money
from voltagora.protocols.cp06_imbalance import (
    ElectricityImbalance,
    ElectricityImbalanceRequest,
    ImbalanceBroadcast,
)
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest, PricesBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.message import Message, Refusal
from voltagora.protocols.topic import Kind
from voltagora.strategies.kernels.compilation import compiled
from voltagora.strategies.kernels.energy import COST_SIGNATURE, energy_cost
from voltagora.strategies.pricing.decision import PricingDay, PricingStrategy

OPENS_AFTER_SECONDS = 7200
"""After midnight MD publishes the prices of the day that has come into the horizon."""


class _Bill(msgspec.Struct, frozen=True, gc=False):
    """A session to be posted once its last slot is over."""

    station: str
    revision: int
    ends_at: int
    energy_units: int  # what its energy costs less what it earns, 1e-5 EUR
    cost_units: int  # as billed to the vehicle, 1e-5 EUR


class _DayPrices(msgspec.Struct):
    """One day's prices, and what they were made from."""

    day: Day
    revision: int
    made_from: int  # revision of the imbalance
    buy: PriceSeries
    sell: PriceSeries
    is_open: bool = False


class PricingAgent(AreaAgent):
    """Answers the imbalance with prices and settles who pays whom."""

    kind: ClassVar[Kind] = Kind.PRICING

    def __init__(
        self,
        id: str,
        grid_area: str,
        calendar: Calendar,
        *,
        horizon_days: int,
        broadcast: BroadcastRule,
        strategy: PricingStrategy,
        imbalance_agent: str,
        market_prices: Callable[[Day], Floats] | None = None,
    ) -> None:
        super().__init__(id, grid_area, calendar)
        self.horizon_days = horizon_days
        self.broadcast = broadcast
        self.strategy = strategy
        self.imbalance_agent = imbalance_agent
        self.market_prices = market_prices
        self.ledger = Ledger()
        self._prices: dict[date, _DayPrices] = {}
        self._news: dict[date, ImbalanceBroadcast] = {}
        self._owed: dict[date, int] = {}  # broadcasts due for accepted schedules, with `always`
        self._bills: dict[str, _Bill] = {}
        self._bills_by_end: dict[int, list[str]] = {}
        self._posted: set[str] = set()  # each session once
        self._hours: dict[date, Floats] = {}  # local clock hours of the slots
        self._in_force: dict[date, tuple[Floats, Floats]] = {}
        self._first_priced: dict[date, int] = {}  # the first slot that had a price when it began

    def start(self, turn: Turn) -> None:
        """Open the days of the horizon two hours after midnight, and settle every slot."""
        today = self.calendar.day_at(turn.now)
        turn.wake(max(turn.now, today.start + OPENS_AFTER_SECONDS), ("open", True))
        slot = self.calendar.slot_start(turn.now)
        turn.wake(slot if slot == turn.now else slot + self.calendar.step_seconds, ("slot",))
        turn.wake(today.end, ("midnight",))

    def wake(self, turn: Turn, memo: Memo) -> None:
        """Settle a slot, open a day, or close the one that is over."""
        if memo[0] == "slot":
            self._settle_slot(turn)
            turn.wake(self.calendar.slot_start(turn.now) + self.calendar.step_seconds, ("slot",))
            return
        today = self.calendar.day_at(turn.now)
        if memo[0] == "midnight":
            self._close(turn, self.calendar.day_after(today, -1))
            turn.wake(today.end, ("midnight",))
            turn.wake(today.start + OPENS_AFTER_SECONDS, ("open", False))
            return
        for ahead in range(0 if memo[1] else self.horizon_days, self.horizon_days + 1):
            self._open(turn, self.calendar.day_after(today, ahead), ahead)

    # CP6 and CP7.

    def read_imbalance(self, turn: Turn, news: ImbalanceBroadcast) -> None:
        """CP6: price the day anew, and broadcast if its prices changed or a broadcast is owed."""
        held_news = self._news.get(news.day)
        if news.grid_area != self.grid_area or (held_news and news.revision < held_news.revision):
            return
        if not are_of_day(self.calendar, news.day, news.supply, news.demand):
            return
        self._news[news.day] = news
        prices, changed = self._priced(news)
        owed = self._owed.get(news.day, 0)
        if owed:
            self._owed[news.day] = owed - 1
        if owed or (changed and prices.is_open):
            self._broadcast(turn, prices)

    def prices_of(self, turn: Turn, request: ElectricityPricesRequest, asker: str) -> Answer:
        """CP7: give a day's prices as they stand."""
        if request.grid_area != self.grid_area:
            return None
        day = self.calendar.day_after(self.calendar.day_at(turn.now), request.day_index)
        held = self._prices.get(day.date)
        if held is None:
            return refuse(ElectricityPrices, request, self.id, Refusal.NO_DATA)
        return ElectricityPrices(
            in_reply_to=request.msg_id,
            responder=self.id,
            grid_area=self.grid_area,
            day=day.date,
            revision=held.revision,
            buy=held.buy,
            sell=held.sell,
        )

    def missed(self, turn: Turn) -> None:
        """CP6: ask anew for the days that are open, and tell their prices anew."""
        today = self.calendar.day_at(turn.now)
        for ahead in range(self.horizon_days + 1):
            day = self.calendar.day_after(today, ahead)
            if day.date in self._prices and self._prices[day.date].is_open:
                turn.begin(self._ask_and_open(turn, day, ahead))

    def _open(self, turn: Turn, day: Day, ahead: int) -> None:
        news = self._news.get(day.date)
        if news is None:
            turn.begin(self._ask_and_open(turn, day, ahead))
            return
        prices, _ = self._priced(news)
        prices.is_open = True
        self._broadcast(turn, prices)

    def _ask_and_open(self, turn: Turn, day: Day, ahead: int) -> Conversation[None]:
        """Ask EI for a day whose broadcast was missed, then open it."""
        request = ElectricityImbalanceRequest(
            msg_id=self.next_id(), grid_area=self.grid_area, day_index=ahead
        )
        replies = yield (request, (self.id,), (self.imbalance_agent,))
        reply = replies[0]
        if not isinstance(reply, ElectricityImbalance) or not isinstance(reply.revision, int):
            return
        names = ("grid_area", "day", "revision", "supply", "demand")
        news = ImbalanceBroadcast(msg_id=reply.in_reply_to, **{name: getattr(reply, name) for name in names})
        if news.day != day.date or not are_of_day(self.calendar, day.date, news.supply, news.demand):
            return
        held = self._news.get(day.date)
        if held is None or held.revision <= news.revision:
            self._news[day.date] = news
        prices, _ = self._priced(self._news[day.date])
        prices.is_open = True
        self._broadcast(turn, prices)

    def _priced(self, news: ImbalanceBroadcast) -> tuple[_DayPrices, bool]:
        """Price a day from its supply and demand; tell whether anything changed."""
        held = self._prices.get(news.day)
        if held is not None and held.made_from == news.revision:
            return held, False
        day = self.calendar.day(news.day)
        buy, sell = self.strategy.price(self._pricing_day(day, news))
        if held is None:
            held = self._prices[news.day] = _DayPrices(
                day, self.numbered_after + 1, news.revision, self._series(day, buy), self._series(day, sell)
            )
            return held, True
        held.made_from = news.revision
        if _same(buy, held.buy.values) and _same(sell, held.sell.values):
            return held, False
        held.revision += 1
        held.buy, held.sell = self._series(day, buy), self._series(day, sell)
        return held, True

    def _pricing_day(self, day: Day, news: ImbalanceBroadcast) -> PricingDay:
        prices = charging = None
        if self.strategy.uses_history:
            yesterday = self.calendar.day_after(day, -1).date
            history, energy = self._in_force.get(yesterday), self.days.get(yesterday)
            if history is not None and energy is not None:
                prices, charging = history[0], energy.charging / MICRO
        return PricingDay(
            start=day.start,
            step_minutes=self.calendar.step_minutes,
            supply_kwh=news.supply.values,
            demand_kwh=news.demand.values,
            local_hours=self._local_hours(day),
            history_prices=prices,
            history_charging_kwh=charging,
            market_eur_per_kwh=self.market_prices(day) if self.market_prices else None,
        )

    def _local_hours(self, day: Day) -> Floats:
        hours = self._hours.get(day.date)
        if hours is None:
            hours = self._hours[day.date] = np.array(self.calendar.local_hours(day))
        return hours

    def _broadcast(self, turn: Turn, prices: _DayPrices) -> None:
        turn.publish(
            PricesBroadcast(
                msg_id=self.next_id(),
                grid_area=self.grid_area,
                day=prices.day.date,
                revision=prices.revision,
                buy=prices.buy,
                sell=prices.sell,
            )
        )

    def _series(self, day: Day, values: Floats) -> PriceSeries:
        values.setflags(write=False)
        return PriceSeries(start=Time(day.start), step_minutes=self.calendar.step_minutes, values=values)

    # The ledger.

    def schedule_taken(self, turn: Turn, request: UpdatedChargingSchedule, station: str) -> None:
        """CP8: keep the session's bill until its last slot is over; owe a broadcast where each gets one."""
        if request.reservation not in self._posted:
            self._keep_bill(turn, request, station)
        if self.broadcast.always:
            today = self.calendar.day_at(turn.now)
            for ahead in range(self.horizon_days + 1):
                day = self.calendar.day_after(today, ahead).date
                self._owed[day] = self._owed.get(day, 0) + 1

    def _keep_bill(self, turn: Turn, request: UpdatedChargingSchedule, station: str) -> None:
        energy_eur = compiled(energy_cost, COST_SIGNATURE)(
            request.schedule.values, request.buy.values, request.sell.values
        )
        ends_at = request.schedule.end
        bill = _Bill(
            station,
            request.revision,
            ends_at,
            money_units(round_money(energy_eur)),
            money_units(request.cost_eur),
        )
        self._bills[request.reservation] = bill
        self._bills_by_end.setdefault(max(ends_at, turn.now + 1), []).append(request.reservation)

    def _settle_slot(self, turn: Turn) -> None:
        """Post the sessions that are over, then what producers get and consumers pay for this slot."""
        self._post_sessions(turn.now)
        day = self.calendar.day_at(turn.now)
        slot = (turn.now - day.start) // self.calendar.step_seconds
        prices = self._prices.get(day.date)
        if prices is None:
            return
        in_force = self._in_force.get(day.date)
        if in_force is None:
            in_force = self._in_force[day.date] = (
                prices.buy.values.copy(),
                prices.sell.values.copy(),
            )
            self._first_priced[day.date] = slot
        buy, sell = float(prices.buy.values[slot]), float(prices.sell.values[slot])
        in_force[0][slot], in_force[1][slot] = buy, sell
        for profile, registered in self.profiles.items():
            known = self.expected.get((profile, day.date))
            if known is None:
                continue
            energy_kwh = int(known.energy[slot]) / MICRO
            if registered.publishers[0] is Kind.PRODUCER:
                self.ledger.pay(MARKET, f"EP/{profile}", money_units(round_money(energy_kwh * sell)))
            else:
                self.ledger.pay(f"EC/{profile}", MARKET, money_units(round_money(energy_kwh * buy)))

    def _post_sessions(self, now: int) -> None:
        for ends_at in sorted(end for end in self._bills_by_end if end <= now):
            for reservation in self._bills_by_end.pop(ends_at):
                bill = self._bills.get(reservation)
                if bill is None or bill.ends_at > now:
                    continue  # Posted already, or changed since and due later.
                del self._bills[reservation]
                self._posted.add(reservation)
                vehicles, station = f"EV/{bill.station}", f"CS/{bill.station}"
                self.ledger.pay(vehicles, station, bill.cost_units)
                self.ledger.pay(station, MARKET, bill.energy_units)

    def _close(self, turn: Turn, day: Day) -> None:
        """Record a day that is over and forget what nobody can ask of any more."""
        self._record_prices(turn, day)
        oldest = self.calendar.day_after(day, -DAYS_KEPT)
        self.forget_before(oldest)
        self._posted.intersection_update(self.sessions)
        self._prices = {date_: held for date_, held in self._prices.items() if date_ >= oldest.date}
        self._news = {date_: held for date_, held in self._news.items() if date_ >= oldest.date}
        self._hours = {date_: held for date_, held in self._hours.items() if date_ >= oldest.date}
        self._owed = {date_: owed for date_, owed in self._owed.items() if date_ > day.date}
        self._in_force = {date_: held for date_, held in self._in_force.items() if date_ >= oldest.date}
        self._first_priced = {
            date_: slot for date_, slot in self._first_priced.items() if date_ >= oldest.date
        }

    def _record_prices(self, turn: Turn, day: Day) -> None:
        buy, sell = np.full(day.slots, np.nan), np.full(day.slots, np.nan)
        if day.date in self._in_force:
            first = self._first_priced[day.date]
            buy[first:], sell[first:] = (values[first:] for values in self._in_force[day.date])
        turn.record(
            PriceDayRecord(area=self.grid_area, day=day.date, buy_eur_per_kwh=buy, sell_eur_per_kwh=sell)
        )

    def finish(self, turn: Turn) -> None:
        """Post what is over, record the last day's prices and all balances."""
        self._post_sessions(turn.now)
        self._record_prices(turn, self.calendar.day_after(self.calendar.day_at(turn.now), -1))
        for account in sorted(self.ledger.balances):
            turn.record(
                LedgerRecord(
                    area=self.grid_area, account=account, balance_eur=self.ledger.balance_eur(account)
                )
            )

    handles: ClassVar[dict[type[Message], Callable[..., Answer]]] = {
        **AREA_HANDLERS,
        ImbalanceBroadcast: read_imbalance,
        ElectricityPricesRequest: prices_of,
    }


def _same(a: Floats, b: Floats) -> bool:
    # Rounded numbers without −0 or NaN are equal if and only if their bytes are.
    return a.tobytes() == b.tobytes()
