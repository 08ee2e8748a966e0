"""The decision: whether one side of a reservation agrees to change it, and what it asks for if not."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from voltagora.domain.series import PriceSeries
from voltagora.domain.terms import Terms
from voltagora.domain.units import Floats
from voltagora.domain.vehicle import Preferences
from voltagora.strategies.strategy import Strategy


class NegotiationStrategy(Strategy, frozen=True, kw_only=True):
    """Answers the other side's terms, and proposes terms of its own."""

    def decide(self, case: NegotiationCase) -> NegotiationDecision:
        """Answer the other side's proposal.

        Args:
            case: what is booked and what the other side proposes instead.

        Returns:
            `Accept`, `Reject`, or `Counter` with terms; never a counter from round
            `case.max_rounds` on, as nobody could answer it. Whether a change can be carried out
            is the caller's to check before it accepts.

        Raises:
            InputError: the case holds no proposal.
        """
        raise NotImplementedError

    def propose(self, case: NegotiationCase) -> Terms | None:
        """Say what this side would rather have than what is booked, if anything.

        Args:
            case: what is booked; its proposal is not looked at.
        """
        raise NotImplementedError


class NegotiationCase(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One side's view of a reservation that somebody wants to change."""

    side: Literal["vehicle", "station"]  # whose decision it is
    booked: Terms  # arrival, departure and energy_kwh as they stand; compensation_eur absent is 0
    proposal: Terms | None = None  # of the other side; what is absent stays as booked
    round: int = 1
    max_rounds: int = 3
    preferences: Preferences | None = None  # what the driver wants now; absent: what is booked
    buy: PriceSeries | None = None  # prices in force, for what no exact cost is known of
    sell: PriceSeries | None = None
    booked_cost_eur: float | None = None  # as billed, compensation taken off
    proposed_cost_eur: float | None = None  # the same for the proposal, where a station has said it
    imbalance_kwh: Floats | None = None  # supply less demand in each slot of the stay


class Accept(msgspec.Struct, frozen=True):
    """The proposal is taken as it is."""


class Reject(msgspec.Struct, frozen=True):
    """What is booked stays, and there is nothing more to say."""


class Counter(msgspec.Struct, frozen=True):
    """Other terms would be taken."""

    terms: Terms


NegotiationDecision: TypeAlias = Accept | Reject | Counter
