"""`try negotiation`: {side, booked, proposal, round, ...} -> {decision, terms?}."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from voltagora.cli.trials.slots import MAX_INPUT_BYTES, Balances, Prices, as_series, hour_of
from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.terms import Terms
from voltagora.domain.units import Eur, Round
from voltagora.domain.vehicle import Preferences
from voltagora.protocols.codec import decode, to_builtins
from voltagora.strategies.negotiation.decision import Counter, NegotiationCase, NegotiationStrategy


class CostedTerms(Terms, frozen=True, kw_only=True):
    """Terms, with what they would cost where a station has said it."""

    cost_eur: Eur | UnsetType = UNSET


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal to answer; plain lists start with the hour that holds the booked arrival."""

    side: Literal["vehicle", "station", "EV", "CS"]
    booked: CostedTerms
    proposal: CostedTerms
    round: Round
    max_rounds: Annotated[int, Meta(ge=1, le=1000)] = 3
    preferences: Preferences | UnsetType = UNSET
    buy: Prices | UnsetType = UNSET
    sell: Prices | UnsetType = UNSET
    imbalance: Balances | UnsetType = UNSET  # supply less demand in each slot of the stay, kWh


def decide(strategy: NegotiationStrategy, payload: bytes) -> dict[str, Any]:
    """Answer the proposal of a JSON document."""
    question = decode(payload, Question, MAX_INPUT_BYTES)
    decision = strategy.decide(_case(question))
    answer: dict[str, Any] = {"decision": type(decision).__name__}
    if isinstance(decision, Counter):
        answer["terms"] = to_builtins(decision.terms)
    return answer


def _case(question: Question) -> NegotiationCase:
    booked = question.booked
    for name in ("arrival", "departure", "energy_kwh"):
        if getattr(booked, name) is UNSET:
            raise InputError(f"booked.{name}", NOTHING, "present")
    assert booked.arrival is not UNSET
    assert booked.departure is not UNSET
    if booked.departure <= booked.arrival:
        raise InputError("booked.departure", booked.departure, f"after arrival ({booked.arrival})")
    start = hour_of(booked.arrival)
    imbalance = question.imbalance
    return NegotiationCase(
        side="vehicle" if question.side in ("vehicle", "EV") else "station",
        booked=_plain(booked),
        proposal=_plain(question.proposal),
        round=question.round,
        max_rounds=question.max_rounds,
        preferences=None if question.preferences is UNSET else question.preferences,
        buy=_prices(question.buy, "buy", start),
        sell=_prices(question.sell, "sell", start),
        booked_cost_eur=None if booked.cost_eur is UNSET else booked.cost_eur,
        proposed_cost_eur=None if question.proposal.cost_eur is UNSET else question.proposal.cost_eur,
        imbalance_kwh=(
            None if imbalance is UNSET else as_series(imbalance, ScheduleSeries, "imbalance", start).values
        ),
    )


def _plain(terms: CostedTerms) -> Terms:
    return Terms(
        arrival=terms.arrival,
        departure=terms.departure,
        energy_kwh=terms.energy_kwh,
        compensation_eur=terms.compensation_eur,
    )


def _prices(given: Prices | UnsetType, field: str, start: int) -> PriceSeries | None:
    return None if given is UNSET else as_series(given, PriceSeries, field, start)
