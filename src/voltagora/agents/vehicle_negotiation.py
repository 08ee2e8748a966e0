"""CP3 from the vehicle's side: answering stations, and asking for what the driver now wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import UNSET, UnsetType

from voltagora.agents.agent import Conversation, Turn, refuse
from voltagora.agents.stays import Held, Stays, agreed
from voltagora.domain.terms import Terms
from voltagora.domain.vehicle import Preferences
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationAnswer,
    StationProposal,
    StationTerms,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.message import Refusal
from voltagora.strategies.negotiation.decision import (
    Accept,
    Counter,
    NegotiationCase,
    NegotiationStrategy,
)

Ended: TypeAlias = tuple[Terms, StationAnswer | None]
"""What was last asked for, and the station's last word: yes, no, or None for silence."""


class VehicleNegotiator:
    """Negotiates for one vehicle."""

    def __init__(
        self,
        vehicle: str,
        stays: Stays,
        strategy: NegotiationStrategy,
        rounds: int,
        next_id: Callable[[], str],
    ) -> None:
        self.vehicle = vehicle
        self.stays = stays
        self.strategy = strategy
        self.rounds = rounds
        self._next_id = next_id
        self._countered: dict[str, Terms] = {}  # what it last asked for instead, by reservation

    # A station starts.

    def answer(self, turn: Turn, proposal: StationProposal, station: str) -> VehicleAnswer:
        """Accept, counter or reject a station's terms; its own, repeated, are accepted."""
        held = self.stays.held.get(proposal.reservation)
        if held is None or held.station != station:
            return refuse(VehicleAnswer, proposal, self.vehicle, Refusal.UNKNOWN_RESERVATION, "reservation")
        terms = proposal.terms
        asks_itself = held.need in self.stays.claims  # Two changes at a time would cross.
        if asks_itself or turn.now >= held.preferences.arrival or not self.stays.allow(held, terms):
            return self._say(proposal, Decision.REJECT)
        own = self._countered.get(proposal.reservation)
        if own is not None and terms.says_the_same(own) and proposal.round <= self.rounds:
            return self._accept(proposal, held)
        decision = self.strategy.decide(self._case(held, terms, held.preferences, proposal.round))
        if isinstance(decision, Accept):
            return self._accept(proposal, held)
        if isinstance(decision, Counter):
            self._remember(proposal.reservation, decision.terms)
            return self._say(proposal, Decision.COUNTER, decision.terms)
        return self._say(proposal, Decision.REJECT)

    def _accept(self, proposal: StationProposal, held: Held) -> VehicleAnswer:
        self.take(held, proposal.terms)
        return self._say(proposal, Decision.ACCEPT)

    def _say(
        self, proposal: StationProposal, decision: Decision, terms: Terms | UnsetType = UNSET
    ) -> VehicleAnswer:
        return VehicleAnswer(
            in_reply_to=proposal.msg_id,
            responder=self.vehicle,
            reservation=proposal.reservation,
            round=proposal.round,
            decision=decision,
            terms=terms,
        )

    def _remember(self, reservation: str, terms: Terms) -> None:
        self._countered = {name: old for name, old in self._countered.items() if name in self.stays.held}
        self._countered[reservation] = terms

    # The vehicle starts.

    def negotiate(self, held: Held, terms: Terms) -> Conversation[Ended | None]:
        """Ask the station for other terms, taking what it counters with if that is good enough.

        Returns:
            How it ended, or None if the vehicle itself let it be.
        """
        for round_ in range(1, self.rounds + 1):
            if not self.stays.allow(held, terms):
                return None
            wanted = agreed(held.preferences, terms)
            self.stays.claims[held.need] = (wanted.arrival, wanted.departure)
            answer = yield from self.propose(held.station, held.reservation, round_, terms)
            if held.reservation not in self.stays.held:
                return None
            if answer is None:
                return terms, None  # The claim stays: it is not known what the station made of it.
            self.stays.claims.pop(held.need, None)
            offered = answer.terms
            if answer.decision is not Decision.COUNTER or isinstance(offered, UnsetType):
                return terms, answer
            decision = self.strategy.decide(self._case(held, offered, wanted, round_ + 1))
            if isinstance(decision, Accept):
                terms = offered.plain()  # Repeating the station's terms accepts them.
            elif isinstance(decision, Counter):
                terms = decision.terms
            else:
                return None
        return None

    def propose(
        self, station: str, reservation: str, round_: int, terms: Terms
    ) -> Conversation[StationAnswer | None]:
        """Put one proposal to a station and wait for its answer, None if none came."""
        proposal = VehicleProposal(msg_id=self._next_id(), reservation=reservation, round=round_, terms=terms)
        replies = yield (proposal, (station, self.vehicle), (station,))
        answer: StationAnswer | None = replies[0]
        return answer

    # Both.

    def take(self, held: Held, terms: StationTerms) -> None:
        """Believe what both sides agreed on."""
        held.take(terms)
        self._countered.pop(held.reservation, None)

    def _case(
        self, held: Held, offered: StationTerms, preferences: Preferences, round_: int
    ) -> NegotiationCase:
        return NegotiationCase(
            side="vehicle",
            booked=held.terms(),
            proposal=offered.plain(),
            round=round_,
            max_rounds=self.rounds,
            preferences=preferences,
            buy=offered.buy,
            sell=offered.sell,
            booked_cost_eur=held.cost_eur,
            proposed_cost_eur=offered.cost_eur,
        )
