"""EV, an electric vehicle: wants energy by departure, cheaply, near by; may sell some back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import msgspec
from msgspec import UNSET, UnsetType

from voltagora.agents.agent import Agent, Answer, Conversation, Memo, Turn
from voltagora.agents.stays import Held, Stays, wish
from voltagora.agents.vehicle_negotiation import VehicleNegotiator
from voltagora.domain.fleet import VehiclePlan
from voltagora.domain.records import NeedRecord, RefusalRecord, VehicleRecord
from voltagora.domain.station import Recommendation
from voltagora.domain.terms import Terms
from voltagora.domain.units import Time, replaced
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.protocols.cp01_recommendation import (
    ChargingRecommendations,
    RequestChargingRecommendations,
)
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationProposal,
)
from voltagora.protocols.message import Message, Refusal, Reply
from voltagora.protocols.topic import Kind
from voltagora.strategies.choice.decision import ChoiceStrategy
from voltagora.strategies.negotiation.decision import (
    NegotiationStrategy,
)

LONGEST_WAIT_SECONDS: Final = 600
"""A vehicle that found nothing asks once more within so long."""
CANCEL_AGAIN_SECONDS: Final = 60
"""How soon a vehicle tries again to cancel a reservation of whose fate it knows nothing."""
MOST_ROUNDS_OF_ASKING: Final = 2

BOOKED: Final = "booked"
CANCELLED: Final = "cancelled"


@dataclass(slots=True)
class _Search:
    """How the booking of one need stands."""

    rounds: int = 0
    reason: str = ""
    uncertain: Recommendation | None = None  # a reservation whose CP2 nobody answered


class VehicleRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a vehicle behaves beside its strategies."""

    negotiation_rounds: int = 3
    reports_hardware: bool = False  # whether plugging in and out is told to stations; else all goes as booked


class VehicleAgent(Agent):
    """Books its driver's needs one by one and stands by what is agreed."""

    kind: ClassVar[Kind] = Kind.VEHICLE

    def __init__(
        self,
        plan: VehiclePlan,
        *,
        grid_area: str,
        recommenders: dict[str, str],
        choice: ChoiceStrategy,
        negotiation: NegotiationStrategy,
        rules: VehicleRules,
    ) -> None:
        super().__init__(plan.id)
        self.plan = plan
        self.grid_area = grid_area
        self.recommenders = recommenders  # by network
        self.choice = choice
        self.rules = rules
        self.stays = Stays()
        self.negotiator = VehicleNegotiator(
            plan.id, self.stays, negotiation, rules.negotiation_rounds, self.next_id
        )
        self._address = (plan.id,)
        self._all = tuple(recommenders.values())
        self._searches: dict[int, _Search] = {}

    def start(self, turn: Turn) -> None:
        """Wait for the first need."""
        plan = self.plan
        turn.record(
            VehicleRecord(
                vehicle=plan.id,
                area=self.grid_area,
                vehicle_type=plan.vehicle_type,
                capacity_kwh=plan.capacity_kwh,
            )
        )
        self._await_need(turn, 0)

    def wake(self, turn: Turn, memo: Memo) -> None:
        """Act on a need, or on what was put off."""
        what, about = memo
        if what == "ask":
            self._await_need(turn, about + 1)
            self._searches[about] = _Search()
            turn.begin(self._book(turn, about))
        elif what == "again":
            turn.begin(self._book(turn, about))
        elif what == "cancel":
            turn.begin(self._cancel_uncertain(turn, about))
        elif about in self.stays.held:
            self._act_on_stay(turn, what, self.stays.held[about])

    def _await_need(self, turn: Turn, number: int) -> None:
        if number < len(self.plan.needs):
            turn.wake(max(turn.now, self.plan.needs[number].asks_at), ("ask", number))

    # Reserve: CP1, choose, CP2.

    def _book(self, turn: Turn, number: int) -> Conversation[None]:
        """Ask the recommenders, try what they offer in order of choice, come back once if it was nothing."""
        search = self._searches[number]
        search.rounds += 1
        preferences = self._preferences(number, search)
        offers = yield from self._ask_for_offers(turn, number, preferences)
        battery = self._battery(number)
        for offer in self._in_order(turn, offers, preferences, battery):
            if self.stays.is_taken(number, offer.arrival, offer.departure):
                search.reason = "overlap"
                break
            self.stays.claims[number] = (offer.arrival, offer.departure)
            request = ReserveChargingSlot(
                msg_id=self.next_id(), recommendation=offer, battery=battery, preferences=preferences
            )
            replies = yield (request, (offer.station,), (offer.station,))
            outcome: ReservationOutcome | None = replies[0]
            if outcome is None:
                self._refused(turn, number, "CP2", offer.station, None)
                search.uncertain = offer
                turn.begin(self._cancel_uncertain(turn, number))
                return
            del self.stays.claims[number]
            if outcome.accepted:
                self._booked(turn, number, offer, preferences, outcome)
                return
            self._refused(turn, number, "CP2", offer.station, outcome)
        self._come_back(turn, number)

    def _ask_for_offers(
        self, turn: Turn, number: int, preferences: Preferences
    ) -> Conversation[list[Recommendation]]:
        network = preferences.network
        asked = self._all
        if not isinstance(network, UnsetType):
            asked = (self.recommenders[network],) if network in self.recommenders else ()
        need = self.plan.needs[number]
        if not asked:
            self._searches[number].reason = Refusal.NO_STATION
            return []
        request = RequestChargingRecommendations(
            msg_id=self.next_id(), preferences=preferences, location=need.location or self.plan.location
        )
        replies: list[ChargingRecommendations | None] = yield (request, self._address, asked)
        offers: list[Recommendation] = []
        for responder, reply in zip(asked, replies, strict=True):
            if reply is None or not reply.recommendations:
                self._refused(turn, number, "CP1", responder, reply)
            else:
                offers += self._sound(reply.recommendations, preferences)
        return offers

    def _sound(self, offers: tuple[Recommendation, ...], preferences: Preferences) -> list[Recommendation]:
        """Leave out what was not asked for, or not offered to this vehicle; that is no offer."""
        return [
            offer
            for offer in offers
            if offer.vehicle == self.id
            and offer.arrival == preferences.arrival
            and offer.departure == preferences.departure
            and offer.energy_kwh == preferences.energy_kwh
            and offer.connector_type == preferences.connector_type
        ]

    def _in_order(
        self, turn: Turn, offers: list[Recommendation], preferences: Preferences, battery: Battery
    ) -> list[Recommendation]:
        if len(offers) < 2:
            return offers
        draws = [turn.draw() for _ in offers] if self.choice.uses_draws else []
        return [offers[place] for place in self.choice.order(offers, preferences, battery, draws)]

    def _come_back(self, turn: Turn, number: int) -> None:
        """Ask once more, a little later and before arrival; else give up."""
        search, need = self._searches[number], self.plan.needs[number]
        longest = min(LONGEST_WAIT_SECONDS, need.arrival - 1 - turn.now)
        again_at = turn.now + 1 + int(turn.draw() * longest)
        if search.rounds < MOST_ROUNDS_OF_ASKING and longest > 0 and search.reason != "overlap":
            turn.wake(again_at, ("again", number))
        else:
            self._end(turn, number, None, search.reason)

    def _booked(
        self,
        turn: Turn,
        number: int,
        offer: Recommendation,
        preferences: Preferences,
        outcome: ReservationOutcome,
    ) -> None:
        cost = outcome.cost_eur
        held = Held(
            number,
            offer.station,
            offer.id,
            preferences,
            0.0 if isinstance(cost, UnsetType) else cost,
            rounds=self._searches[number].rounds,
        )
        self.stays.forget_past(turn.now)
        self.stays.held[offer.id] = held
        self._end(turn, number, offer.id, BOOKED)
        need = self.plan.needs[number]
        if need.changes_at is not None and turn.now < need.changes_at < need.arrival:
            turn.wake(need.changes_at, ("change", offer.id))
        if self.rules.reports_hardware and not need.absent:
            turn.wake(max(need.arrival, need.plugs_in_at or 0), ("plug in", offer.id))

    # A CP2 that was never answered: the reservation may exist, so it is cancelled before anything else.

    def _cancel_uncertain(self, turn: Turn, number: int) -> Conversation[None]:
        search = self._searches[number]
        offer = search.uncertain
        assert offer is not None
        answer = yield from self.negotiator.propose(offer.station, offer.id, 1, Terms(energy_kwh=0.0))
        if answer is not None and answer.decision is Decision.ACCEPT:
            search.uncertain = None
            self.stays.claims.pop(number, None)
            self._come_back(turn, number)
        elif turn.now < self.plan.needs[number].arrival:
            turn.wake(turn.now + CANCEL_AGAIN_SECONDS, ("cancel", number))
        else:
            self._end(turn, number, None, Refusal.TIMEOUT)

    # Negotiate: CP3.

    def answer(self, turn: Turn, proposal: StationProposal, station: str, vehicle: str) -> Answer:
        """CP3: accept, counter or reject what a station proposes."""
        return self.negotiator.answer(turn, proposal, station)

    def _act_on_stay(self, turn: Turn, what: str, held: Held) -> None:
        """Act on a change of the driver's plan, or on what the driver does at the connector."""
        need = self.plan.needs[held.need]
        if what == "change":
            terms = wish(need)
            if not self.stays.allow(held, terms):
                terms = replaced(terms, departure=UNSET)
            if not terms.is_empty:
                turn.begin(self._change(turn, held, terms))
        elif what == "plug in":
            turn.plug(held.station, held.reservation, True)
            leaves_at = need.unplugs_at or held.preferences.departure
            if leaves_at < held.preferences.departure:
                turn.wake(leaves_at, ("unplug", held.reservation))
        elif what == "unplug":
            turn.plug(held.station, held.reservation, False)

    def _change(self, turn: Turn, held: Held, terms: Terms) -> Conversation[None]:
        """Have a reservation changed or cancelled, and believe what the station says of it."""
        ended = yield from self.negotiator.negotiate(held, terms)
        if ended is None:
            return
        asked, answer = ended
        if answer is None:
            self._refused(turn, held.need, "CP3", held.station, None)
            self._ask_again(turn, held, asked)
        elif answer.decision is Decision.REJECT:
            self._refused(turn, held.need, "CP3", held.station, answer)
        elif answer.decision is Decision.ACCEPT and asked.energy_kwh == 0:
            del self.stays.held[held.reservation]
            self._end(turn, held.need, None, CANCELLED, held.rounds)
        elif answer.decision is Decision.ACCEPT and not isinstance(answer.terms, UnsetType):
            self.negotiator.take(held, answer.terms)

    def _ask_again(self, turn: Turn, held: Held, terms: Terms) -> None:
        """Go on until it is known what the station made of the proposal: it may have agreed unheard."""
        at = turn.now + CANCEL_AGAIN_SECONDS
        # Once the stay has begun only the end of the reservation can still be learnt.
        if at < (held.preferences.departure if terms.energy_kwh == 0 else held.preferences.arrival):
            turn.wake(at, ("change", held.reservation))
        else:
            self.stays.claims.pop(held.need, None)

    # What the driver wants, as payloads.

    def _preferences(self, number: int, search: _Search) -> Preferences:
        """Say what is wanted; asking again, any network will do."""
        plan, need = self.plan, self.plan.needs[number]
        network = UNSET if plan.network is None or search.rounds > 1 else plan.network
        return Preferences(
            arrival=Time(need.arrival),
            departure=Time(need.departure),
            energy_kwh=need.energy_kwh,
            connector_type=need.connector_type or plan.connector_type,
            power_kw=need.power_kw or plan.power_kw,
            v2g_allowed=plan.v2g_allowed,
            min_soc=plan.min_soc,
            network=network,
            min_sell_eur_kwh=UNSET if plan.min_sell_eur_kwh is None else plan.min_sell_eur_kwh,
        )

    def _battery(self, number: int) -> Battery:
        plan = self.plan
        return Battery(
            capacity_kwh=plan.capacity_kwh,
            soc=plan.needs[number].soc,
            min_soc=plan.min_soc,
            max_soc=plan.max_soc,
            max_charge_kw=plan.max_charge_kw,
            max_discharge_kw=plan.max_discharge_kw,
            charge_efficiency=plan.charge_efficiency,
            discharge_efficiency=plan.discharge_efficiency,
        )

    # Records.

    def _refused(self, turn: Turn, number: int, protocol: str, responder: str, reply: Reply | None) -> None:
        """Note a no; the last one is the reason if the need is given up."""
        reason: Any = Refusal.TIMEOUT if reply is None else reply.reason
        if isinstance(reason, UnsetType):
            reason = Decision.REJECT
        search = self._searches.get(number)
        if search is not None:
            search.reason = str(reason)
        field = None if reply is None or isinstance(reply.field, UnsetType) else reply.field
        possible = getattr(reply, "possible_kwh", UNSET)
        turn.record(
            RefusalRecord(
                at=turn.now,
                area=self.grid_area,
                vehicle=self.id,
                need=number,
                protocol=protocol,
                responder=responder,
                reason=str(reason),
                field=field,
                possible_kwh=None if isinstance(possible, UnsetType) else possible,
            )
        )

    def _end(
        self, turn: Turn, number: int, reservation: str | None, outcome: str, rounds: int | None = None
    ) -> None:
        """Record how a need ended; a later record of the same need replaces it."""
        need = self.plan.needs[number]
        if rounds is None:
            rounds = self._searches.pop(number).rounds
            self.stays.claims.pop(number, None)
        turn.record(
            NeedRecord(
                area=self.grid_area,
                vehicle=self.id,
                need=number,
                asked_at=need.asks_at,
                arrival=need.arrival,
                departure=need.departure,
                energy_kwh=need.energy_kwh,
                rounds=rounds,
                reservation=reservation,
                outcome=outcome,
            )
        )

    def finish(self, turn: Turn) -> None:
        """Record the needs that are still being asked for."""
        for number in sorted(self._searches):
            self._end(turn, number, None, self._searches[number].reason or Refusal.TIMEOUT)

    handles: ClassVar[dict[type[Message], Callable[..., Answer]]] = {StationProposal: answer}
