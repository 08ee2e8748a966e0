"""CP3 from the station's side: answering vehicles, cancelling, and proposing changes of its own."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import UNSET, UnsetType

from voltagora.agents.agent import Answer, Conversation, Turn, refuse
from voltagora.agents.market import Prices
from voltagora.agents.sessions import Booking, agreed_terms, energy_cost_eur, prices_of, series_of
from voltagora.agents.station_desk import StationDesk
from voltagora.domain.records import SessionState
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.terms import Terms
from voltagora.domain.units import round_money
from voltagora.domain.vehicle import FARTHEST_AHEAD_SECONDS, Preferences
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationAnswer,
    StationProposal,
    StationTerms,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.cp12_availability import Availability
from voltagora.protocols.message import Refusal
from voltagora.strategies.negotiation.decision import (
    Accept,
    Counter,
    NegotiationCase,
    NegotiationDecision,
    NegotiationStrategy,
)
from voltagora.strategies.scheduling.decision import Planned

ASK_AGAIN_SECONDS: Final = 60
"""How soon a station proposes again what a vehicle did not answer."""


class Change:
    """What a booking would become: planned, not yet applied."""

    __slots__ = ("compensation_eur", "preferences", "prices", "schedule")

    def __init__(
        self,
        preferences: Preferences,
        schedule: ScheduleSeries,
        prices: tuple[PriceSeries, PriceSeries],
        compensation_eur: float,
    ) -> None:
        self.preferences = preferences
        self.schedule = schedule
        self.prices = prices
        self.compensation_eur = compensation_eur

    @property
    def cost_eur(self) -> float:
        """What the vehicle would pay, EUR."""
        return round_money(energy_cost_eur(self.schedule, self.prices) - self.compensation_eur)

    def terms(self, asked: Terms) -> StationTerms:
        """Say it on the wire, naming the fields that were asked about."""
        return StationTerms(
            arrival=asked.arrival,
            departure=asked.departure,
            energy_kwh=asked.energy_kwh,
            compensation_eur=asked.compensation_eur,
            schedule=self.schedule,
            buy=self.prices[0],
            sell=self.prices[1],
            cost_eur=self.cost_eur,
        )


class StationNegotiator:
    """Negotiates for one station."""

    def __init__(self, desk: StationDesk, strategy: NegotiationStrategy) -> None:
        self.desk = desk
        self.strategy = strategy

    # A vehicle starts.

    def answer(self, turn: Turn, proposal: VehicleProposal, vehicle: str) -> Answer:
        """Accept, counter or reject a vehicle's terms; a cancellation before arrival is always accepted."""
        desk = self.desk
        booking = desk.sessions.bookings.get(proposal.reservation)
        if booking is not None and booking.vehicle != vehicle:
            return refuse(StationAnswer, proposal, desk.id, Refusal.UNKNOWN_RESERVATION, "reservation")
        if booking is None and desk.is_over(proposal.reservation, vehicle):
            return self._say(proposal, Decision.REJECT)
        if proposal.terms.energy_kwh == 0 and (booking is None or turn.now < booking.arrival):
            return self._cancel(turn, proposal, vehicle, booking)
        if booking is None:
            return refuse(StationAnswer, proposal, desk.id, Refusal.UNKNOWN_RESERVATION, "reservation")
        # Two changes at a time would cross: the vehicle rejects this one's too while it asks itself.
        if turn.now >= booking.arrival or booking.negotiating or booking.unanswered is not None:
            return self._say(proposal, Decision.REJECT)
        # A vehicle that begins anew each time has no more rounds for it.
        round_ = max(proposal.round, booking.counters + 1)
        decision, change = self._decide(turn, booking, proposal.terms, round_)
        if isinstance(decision, Accept) and change is not None:
            terms = change.terms(proposal.terms)
            self._apply(turn, booking, change)
            return self._say(proposal, Decision.ACCEPT, terms)
        if isinstance(decision, Counter):
            counter = self._plan(turn, booking, decision.terms)
            if counter is not None:
                booking.offered = decision.terms
                booking.counters += 1
                return self._say(proposal, Decision.COUNTER, counter.terms(decision.terms))
        booking.close_talks()
        return self._say(proposal, Decision.REJECT)

    def _decide(
        self, turn: Turn, booking: Booking, terms: Terms, round_: int
    ) -> tuple[NegotiationDecision | None, Change | None]:
        """Judge terms; what cannot be carried out is never accepted, what was offered always is."""
        most = self.desk.rules.negotiation_rounds
        change = self._plan(turn, booking, terms)
        if change is None or round_ > most:
            return None, None
        if booking.offered is not None and terms.says_the_same(booking.offered):
            return Accept(), change
        case = self._case(turn, booking, round_, terms, change.cost_eur)
        return self.strategy.decide(case), change

    def _cancel(
        self, turn: Turn, proposal: VehicleProposal, vehicle: str, booking: Booking | None
    ) -> StationAnswer:
        desk = self.desk
        if booking is None:
            desk.remember_released(proposal.reservation, vehicle)
            nothing = np.zeros(0)
            first_slot = desk.calendar.slot_start(turn.now)
            buy, sell = prices_of((nothing, nothing), first_slot, desk.calendar)
            schedule = series_of(nothing, first_slot, desk.calendar)
        else:
            desk.release(turn, booking, SessionState.CANCELLED)
            schedule, buy, sell = booking.schedule, booking.buy, booking.sell
        terms = StationTerms(energy_kwh=0.0, schedule=schedule, buy=buy, sell=sell, cost_eur=0.0)
        return self._say(proposal, Decision.ACCEPT, terms)

    def _say(
        self, proposal: VehicleProposal, decision: Decision, terms: StationTerms | UnsetType = UNSET
    ) -> StationAnswer:
        return StationAnswer(
            in_reply_to=proposal.msg_id,
            responder=self.desk.id,
            reservation=proposal.reservation,
            round=proposal.round,
            decision=decision,
            terms=terms,
        )

    # The station starts.

    def review(self, turn: Turn, booking: Booking) -> None:
        """Propose a change if the strategy would rather have one."""
        if booking.negotiating:
            return
        terms = self.strategy.propose(self._case(turn, booking, 1, None, None))
        if terms is None or terms.is_empty:
            return
        change = self._plan(turn, booking, terms)
        if change is not None:
            turn.begin(self._propose(turn, booking, terms))

    def _propose(self, turn: Turn, booking: Booking, terms: Terms) -> Conversation[None]:
        """Offer terms to a vehicle, and go on for as many rounds as there may be."""
        desk = self.desk
        booking.negotiating = True
        booking.unanswered = None
        try:
            for round_ in range(1, desk.rules.negotiation_rounds + 1):
                change = self._plan(turn, booking, terms)
                if change is None:
                    return
                proposal = StationProposal(
                    msg_id=desk.next_id(),
                    reservation=booking.reservation,
                    round=round_,
                    terms=change.terms(terms),
                )
                revision = booking.revision
                replies = yield (proposal, (desk.id, booking.vehicle), (booking.vehicle,))
                answer: VehicleAnswer | None = replies[0]
                gone = booking.reservation not in desk.sessions.bookings or turn.now >= booking.arrival
                if gone or booking.revision != revision:
                    return
                if answer is None:
                    self._doubt(turn, booking, terms)
                    return
                if answer.decision is Decision.ACCEPT:
                    # Planned again: the connector or the grid limit may have filled up meanwhile.
                    settled = self._plan(turn, booking, terms)
                    if settled is not None:
                        self._apply(turn, booking, settled)
                    return
                if answer.decision is Decision.REJECT or isinstance(answer.terms, UnsetType):
                    return
                decision, _ = self._decide(turn, booking, answer.terms, round_ + 1)
                if not isinstance(decision, Accept):
                    return
                terms = answer.terms  # Repeating the vehicle's terms accepts them.
        finally:
            booking.negotiating = False

    def _doubt(self, turn: Turn, booking: Booking, terms: Terms) -> None:
        """Go on asking: the vehicle may hold it for agreed already."""
        if turn.now + ASK_AGAIN_SECONDS < booking.arrival:
            booking.unanswered = terms
            turn.wake(turn.now + ASK_AGAIN_SECONDS, ("doubt", booking.reservation))

    def ask_again(self, turn: Turn, booking: Booking) -> None:
        """Propose once more what a vehicle did not answer."""
        if booking.unanswered is not None and not booking.negotiating:
            turn.begin(self._propose(turn, booking, booking.unanswered))

    # Both.

    def _case(
        self, turn: Turn, booking: Booking, round_: int, terms: Terms | None, cost_eur: float | None
    ) -> NegotiationCase:
        desk = self.desk
        return NegotiationCase(
            side="station",
            booked=booking.terms(),
            proposal=terms,
            round=round_,
            max_rounds=desk.rules.negotiation_rounds,
            preferences=booking.preferences,
            buy=booking.buy,
            sell=booking.sell,
            booked_cost_eur=booking.cost_eur,
            proposed_cost_eur=cost_eur,
            imbalance_kwh=desk.market.imbalance_between(booking.arrival, booking.departure),
        )

    def _plan(self, turn: Turn, booking: Booking, terms: Terms) -> Change | None:
        """Work out what terms would make of a booking, or None if they cannot be carried out."""
        try:
            preferences = agreed_terms(terms, booking.preferences)
        except ValueError:
            return None
        if preferences.departure > turn.now + FARTHEST_AHEAD_SECONDS:
            return None
        if preferences.arrival < turn.now or not self._is_free(booking, preferences):
            return None
        prices = self._prices(booking, preferences.arrival, preferences.departure)
        if prices is None:
            return None
        sessions, calendar = self.desk.sessions, self.desk.calendar
        session = sessions.session(
            preferences, booking.battery, booking.connector, prices, without=(booking,)
        )
        plan = sessions.strategy.plan(session)
        if not isinstance(plan, Planned):
            return None
        compensation = terms.compensation_eur
        return Change(
            preferences,
            series_of(plan.schedule_kwh, session.first_slot, calendar),
            prices_of(prices, session.first_slot, calendar),
            booking.compensation_eur if isinstance(compensation, UnsetType) else compensation,
        )

    def _is_free(self, booking: Booking, preferences: Preferences) -> bool:
        sessions, start, end = self.desk.sessions, preferences.arrival, preferences.departure
        return not sessions.holds_any(booking.vehicle, start, end, without=booking) and all(
            name == booking.reservation or until <= start or since >= end
            for since, until, name in sessions.books[booking.connector.id].entries()
        )

    def _prices(self, booking: Booking, start: int, end: int) -> Prices | None:
        """Give the prices of a stay: as booked where the booking priced the slot, else those in force."""
        calendar = self.desk.calendar
        in_force = self.desk.market.prices_between(start, end)
        if in_force is None:
            return None
        step, first = calendar.step_seconds, calendar.slot_start(start)
        buy, sell = in_force[0].copy(), in_force[1].copy()
        for place in range(len(buy)):
            old = (first + place * step - booking.buy.start) // step
            if 0 <= old < len(booking.buy):
                buy[place], sell[place] = booking.buy.values[old], booking.sell.values[old]
        for values in (buy, sell):
            values.setflags(write=False)
        return buy, sell

    def _apply(self, turn: Turn, booking: Booking, change: Change) -> None:
        """Make an agreed change: CP8, and CP12 if times changed."""
        desk = self.desk
        before = (booking.arrival, booking.departure)
        desk.sessions.reschedule(
            booking,
            change.schedule,
            prices=change.prices,
            preferences=change.preferences,
            compensation_eur=change.compensation_eur,
        )
        desk.tell_schedule(turn, booking)
        if (booking.arrival, booking.departure) != before:
            desk.tell_availability(turn, booking, Availability.RESERVED)
            desk.watch(turn, booking)
