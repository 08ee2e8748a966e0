"""CS, a charging station: fills its connectors, schedules each session, bills it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from msgspec import UNSET, UnsetType

from voltagora.agents.agent import Agent, Answer, Conversation, Memo, Turn, refuse
from voltagora.agents.market import Market
from voltagora.agents.sessions import (
    Booking,
    agreed_terms,
    cut_at,
    prices_of,
    series_of,
)
from voltagora.agents.station_desk import StationDesk, StationPeers, StationRules
from voltagora.agents.station_negotiation import StationNegotiator
from voltagora.domain.fleet import StationPlan
from voltagora.domain.records import SessionState, StationRecord
from voltagora.domain.station import Connector, Recommendation
from voltagora.domain.terms import Terms
from voltagora.domain.units import Time, replaced
from voltagora.domain.vehicle import FARTHEST_AHEAD_SECONDS, LONGEST_STAY_SECONDS
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import VehicleProposal
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation, AuthenticationOutcome
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest
from voltagora.protocols.cp12_availability import Availability
from voltagora.protocols.message import Message, Outcome, Refusal, Request
from voltagora.protocols.topic import Kind
from voltagora.strategies.negotiation.decision import NegotiationStrategy
from voltagora.strategies.scheduling.decision import (
    Infeasible,
    Planned,
    SchedulingStrategy,
    Session,
    possible_departure,
)

SOC_TOLERANCE: Final = 0.001
"""How far a desired SoC may be from what the energy asked for gives."""


class StationAgent(Agent):
    """Takes reservations and answers for what its connectors draw."""

    kind: ClassVar[Kind] = Kind.STATION

    def __init__(
        self,
        plan: StationPlan,
        market: Market,
        *,
        peers: StationPeers,
        scheduling: SchedulingStrategy,
        negotiation: NegotiationStrategy,
        rules: StationRules,
    ) -> None:
        super().__init__(plan.id)
        self.plan = plan
        self.market = market
        self.calendar = market.calendar
        self.peers = peers
        self.rules = rules
        self.desk = StationDesk(
            plan, market, peers=peers, scheduling=scheduling, rules=rules, next_id=self.next_id
        )
        self.sessions = self.desk.sessions
        self.negotiator = StationNegotiator(self.desk, negotiation)
        self._address = self.desk.address
        self._deciding: list[Recommendation] = []  # few at any time

    def start(self, turn: Turn) -> None:
        """CP4: register with EI, MD and the network's recommender."""
        plan, peers = self.plan, self.peers
        turn.record(
            StationRecord(
                station=self.id,
                area=peers.grid_area,
                network=plan.network,
                connectors=len(plan.connectors),
                grid_limit_kw=plan.grid_limit_kw,
            )
        )
        self.desk.register(turn, (peers.imbalance, peers.pricing, peers.recommender))
        if self.desk.profile is not None:
            today = self.calendar.day_at(turn.now)
            self.desk.profile.open(today)
            turn.wake(today.end, ("midnight", ""))

    def told(self, turn: Turn, request: Request, outcome: Outcome) -> None:
        """Register again with one who does not know this station, then tell it once more."""
        if outcome.reason == Refusal.NOT_REGISTERED:
            self.desk.register(turn, (outcome.responder,))
            turn.tell(replaced(request, msg_id=self.next_id()), self._address, (outcome.responder,))

    @property
    def relies_on(self) -> tuple[str, ...]:
        """See `Agent.relies_on`."""
        peers = self.peers
        return (peers.imbalance, peers.pricing, peers.recommender)

    def returned(self, turn: Turn, peer: str) -> None:
        """See `Agent.returned`."""
        self.desk.tell_again(turn, peer)

    # CP2.

    def reserve(self, turn: Turn, request: ReserveChargingSlot, station: str) -> Answer:
        """CP2: have the slot vouched for, book it, schedule the energy, answer."""
        offer = request.recommendation
        if offer.station != self.id:
            return refuse(
                ReservationOutcome, request, self.id, Refusal.UNKNOWN_STATION, "recommendation.station"
            )
        answered = self.desk.answers.get(offer.id)
        if answered is not None:
            # Ids can be guessed: only who holds the recommendation itself hears what became of it.
            if answered[0] != offer:
                return refuse(ReservationOutcome, request, self.id, Refusal.NOT_AUTHENTIC, "recommendation")
            stored: ReservationOutcome = replaced(answered[1], in_reply_to=request.msg_id)
            return stored
        if (offer.id, offer.vehicle) in self.desk.released:
            return refuse(ReservationOutcome, request, self.id, Refusal.RELEASED)
        field = _wrong_field(request, turn.now)
        if field is not None:
            return refuse(ReservationOutcome, request, self.id, Refusal.INVALID_REQUEST, field)
        if offer.recommender != self.peers.recommender:
            return refuse(
                ReservationOutcome, request, self.id, Refusal.NOT_AUTHENTIC, "recommendation.recommender"
            )
        if offer in self._deciding:
            return None  # The first copy will be answered; a later repeat gets that answer.
        return self._reserve(turn, request)

    def _reserve(self, turn: Turn, request: ReserveChargingSlot) -> Conversation[ReservationOutcome]:
        offer = request.recommendation
        self._deciding.append(offer)
        try:
            question = AuthenticateRecommendation(msg_id=self.next_id(), recommendation=offer)
            replies = yield (question, self._address, (offer.recommender,))
            vouched: AuthenticationOutcome | None = replies[0]
            if vouched is None or not vouched.accepted:
                expired = vouched is not None and vouched.reason == Refusal.EXPIRED
                reason = Refusal.EXPIRED if expired else Refusal.NOT_AUTHENTIC
                return refuse(ReservationOutcome, request, self.id, reason)
            missing = self.market.missing_prices(offer.arrival, offer.departure)
            if missing:
                yield from self._ask_prices(turn, offer.arrival, offer.departure)
            # Looked at only now: another vehicle may have booked while the others answered.
            outcome = self._book(turn, request)
            self.desk.answers[offer.id] = (offer, outcome)
            return outcome
        finally:
            self._deciding.remove(offer)

    def _ask_prices(self, turn: Turn, start: int, end: int) -> Conversation[None]:
        """CP7: ask for the days of a stay whose prices no broadcast has brought."""
        today = self.calendar.day_at(turn.now).date
        for day in self.market.missing_prices(start, end):
            ahead = (day - today).days
            if -7 <= ahead <= 7:
                question = ElectricityPricesRequest(
                    msg_id=self.next_id(), grid_area=self.peers.grid_area, day_index=ahead
                )
                replies = yield (question, self._address, (self.peers.pricing,))
                reply: ElectricityPrices | None = replies[0]
                if reply is not None:
                    self.market.read_reply(reply)

    def _book(self, turn: Turn, request: ReserveChargingSlot) -> ReservationOutcome:
        """Decide with everything known, and change the books only if the answer is yes."""
        offer, preferences = request.recommendation, request.preferences
        if (offer.id, offer.vehicle) in self.desk.released:
            return refuse(ReservationOutcome, request, self.id, Refusal.RELEASED)
        connector = self.sessions.connectors.get(offer.connector)
        if connector is None or connector.connector_type != offer.connector_type:
            return refuse(
                ReservationOutcome, request, self.id, Refusal.INVALID_REQUEST, "recommendation.connector"
            )
        if not self.sessions.books[connector.id].is_free(offer.arrival, offer.departure):
            return refuse(ReservationOutcome, request, self.id, Refusal.SLOT_TAKEN)
        if self.sessions.holds_any(offer.vehicle, offer.arrival, offer.departure):
            return refuse(ReservationOutcome, request, self.id, Refusal.SLOT_TAKEN, "recommendation.vehicle")
        prices = self.market.prices_between(offer.arrival, offer.departure)
        if prices is None:
            return refuse(ReservationOutcome, request, self.id, Refusal.NO_PRICES)
        session = self.sessions.session(preferences, request.battery, connector, prices)
        plan, changed = self.sessions.plan_new(session, turn.now)
        if isinstance(plan, Infeasible):
            return self._infeasible(request, connector, session, plan)
        first_slot = session.first_slot
        buy, sell = prices_of(prices, first_slot, self.calendar)
        booking = Booking(
            reservation=offer.id,
            vehicle=offer.vehicle,
            connector=connector,
            preferences=preferences,
            battery=request.battery,
            schedule=series_of(plan.schedule_kwh, first_slot, self.calendar),
            buy=buy,
            sell=sell,
            cost_eur=plan.cost_eur,
        )
        self.sessions.add(booking)
        self._make_room(turn, changed)
        self._after_booking(turn, booking)
        return ReservationOutcome(
            in_reply_to=request.msg_id,
            responder=self.id,
            accepted=True,
            reservation=offer.id,
            schedule=booking.schedule,
            buy=buy,
            sell=sell,
            cost_eur=booking.cost_eur,
        )

    def _infeasible(
        self, request: ReserveChargingSlot, connector: Connector, session: Session, plan: Infeasible
    ) -> ReservationOutcome:
        """Refuse a need, saying what would be possible."""
        latest = session.arrival + LONGEST_STAY_SECONDS
        next_start = self.sessions.books[connector.id].next_start(session.arrival)
        if next_start is not None:
            latest = min(latest, next_start)
        latest = self.market.prices_known_until(session.arrival, latest)
        slots = -((session.first_slot - latest) // session.step_seconds)
        headroom, _ = self.sessions.headroom_kw(session.first_slot, slots)
        departure = possible_departure(session, latest, headroom)
        later: Time | UnsetType = UNSET
        if departure is not None and departure > session.departure:
            later = Time(departure)
        return ReservationOutcome(
            in_reply_to=request.msg_id,
            responder=self.id,
            accepted=False,
            reason=str(Refusal.INFEASIBLE),
            possible_kwh=plan.possible_kwh,
            possible_departure=later,
        )

    def _make_room(self, turn: Turn, changed: list[tuple[Booking, Planned]]) -> None:
        """Move the sessions that were scheduled anew beside a new one; none of them pays more for it."""
        for booking, plan in changed:
            extra = max(0.0, plan.cost_eur - (booking.cost_eur + booking.compensation_eur))
            self.sessions.reschedule(
                booking,
                series_of(plan.schedule_kwh, booking.schedule.start, self.calendar),
                compensation_eur=booking.compensation_eur + extra,
            )
            self.desk.tell_schedule(turn, booking)

    def _after_booking(self, turn: Turn, booking: Booking) -> None:
        """CP8 and CP12, and what has to be remembered of the stay."""
        self.desk.tell_schedule(turn, booking)
        self.desk.tell_availability(turn, booking, Availability.RESERVED)
        self.desk.watch(turn, booking)
        review_at = booking.arrival - self.rules.review_minutes * 60
        if self.rules.offers_flexibility and review_at > turn.now:
            turn.wake(review_at, ("review", booking.reservation))

    # CP3.

    def negotiate(self, turn: Turn, proposal: VehicleProposal, station: str, vehicle: str) -> Answer:
        """CP3: answer a vehicle that wants to change or cancel its reservation."""
        return self.negotiator.answer(turn, proposal, vehicle)

    # The stay itself.

    def wake(self, turn: Turn, memo: Memo) -> None:
        """Act on the end of a stay, on a vehicle that has not come, or on the time to review a booking."""
        what, reservation = memo
        if what == "midnight":
            self.desk.tell_confidence(turn)
            return
        booking = self.sessions.bookings.get(reservation)
        if booking is None:
            return
        if what == "depart":
            if booking.departure <= turn.now:
                self.desk.complete(turn, booking)
        elif what == "no_show":
            if booking.plugged_in_at is None and turn.now >= self.desk.missed_at(booking):
                self.desk.release(turn, booking, SessionState.NO_SHOW)
        elif what == "review" and booking.arrival > turn.now:
            self.negotiator.review(turn, booking)
        elif what == "doubt" and booking.arrival > turn.now:
            self.negotiator.ask_again(turn, booking)

    def hardware(self, turn: Turn, reservation: str, plugged_in: bool) -> None:
        """Replan when a vehicle comes late; bill what was delivered when it leaves early."""
        booking = self.sessions.bookings.get(reservation)
        if booking is None or plugged_in == booking.plugged_in:
            return
        booking.plugged_in = plugged_in
        if plugged_in:
            booking.plugged_in_at = turn.now
        if plugged_in and turn.now > booking.arrival:
            self._reschedule_late(turn, booking)
        elif not plugged_in and turn.now < booking.departure:
            self.sessions.reschedule(booking, cut_at(booking, turn.now))
            self.desk.tell_schedule(turn, booking)

    def _reschedule_late(self, turn: Turn, booking: Booking) -> None:
        """Schedule what of the need the rest of the stay can meet."""
        calendar, preferences = self.calendar, booking.preferences
        first_slot = calendar.slot_start(turn.now)
        passed = (first_slot - booking.schedule.start) // calendar.step_seconds
        rest = (booking.buy.values[passed:], booking.sell.values[passed:])
        late = agreed_terms(Terms(arrival=Time(turn.now)), preferences)
        session = self.sessions.session(late, booking.battery, booking.connector, rest, without=(booking,))
        plan = self.sessions.strategy.plan(session)
        if isinstance(plan, Infeasible):
            plan = self.sessions.strategy.plan(replaced(session, energy_kwh=plan.possible_kwh))
        values = booking.schedule.values.copy()
        values[:] = 0.0
        if isinstance(plan, Planned):
            values[passed:] = plan.schedule_kwh
        values.setflags(write=False)
        self.sessions.reschedule(booking, series_of(values, booking.schedule.start, calendar))
        self.desk.tell_schedule(turn, booking)

    def finish(self, turn: Turn) -> None:
        """Record the sessions that have not ended."""
        for booking in list(self.sessions.bookings.values()):
            if booking.departure <= turn.now:
                self.desk.complete(turn, booking)
                continue
            state = SessionState.CHARGING if booking.arrival <= turn.now else SessionState.BOOKED
            turn.record(self.sessions.record(booking, state, self.peers.grid_area))

    handles: ClassVar[dict[type[Message], Callable[..., Answer]]] = {
        ReserveChargingSlot: reserve,
        VehicleProposal: negotiate,
    }


def _wrong_field(request: ReserveChargingSlot, now: int) -> str | None:
    """Name the field in which a request contradicts its recommendation or itself."""
    offer, preferences, battery = request.recommendation, request.preferences, request.battery
    if preferences.arrival != offer.arrival:
        return "preferences.arrival"
    if preferences.departure != offer.departure:
        return "preferences.departure"
    if preferences.energy_kwh != offer.energy_kwh:
        return "preferences.energy_kwh"
    if preferences.connector_type != offer.connector_type:
        return "preferences.connector_type"
    if offer.departure > now + FARTHEST_AHEAD_SECONDS:
        return "recommendation.departure"
    desired = preferences.desired_soc
    if not isinstance(desired, UnsetType):
        reached = battery.soc + preferences.energy_kwh / battery.capacity_kwh
        if abs(desired - reached) > SOC_TOLERANCE + 1e-12:  # less is the noise of the sum
            return "preferences.desired_soc"
    return None
