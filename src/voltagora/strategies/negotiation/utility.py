"""`utility`: agrees to whatever leaves it no worse off, and else asks to be made whole."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from msgspec import UNSET, Meta, UnsetType

from voltagora.domain.errors import NOTHING, InputError
from voltagora.domain.series import PriceSeries, hours_in_slots
from voltagora.domain.terms import Terms
from voltagora.domain.units import replaced, round_energy, round_money
from voltagora.strategies.negotiation.decision import (
    Accept,
    Counter,
    NegotiationCase,
    NegotiationDecision,
    NegotiationStrategy,
    Reject,
)

Rate = Annotated[float, Meta(ge=0, le=1e6)]


class Utility(NegotiationStrategy, frozen=True, kw_only=True):
    """Accept unless worse off by more than a tolerance, else ask for the compensation that makes it whole.

    What terms are worth, in EUR:
    vehicle: −cost − energy_value·(kWh less than wanted) − time_value·(hours by which arrival and
    departure are moved from where they are wanted);
    station: −compensation − connector_value·(hours of the stay) − deficit_value·(kWh of the stay)
    where supply falls short of demand over the stay.
    Wanted is what the driver's preferences say, else what is booked. The cost is the exact one
    where both are known, else energy times the mean buying price of the stay, less compensation.

    By itself a vehicle proposes what its driver now wants; a station in a deficit proposes less
    energy, at most `offer_share` of it and no more than the deficit, for `offer_eur_per_kwh`.

    Source: quasi-linear utilities with side payments; domain.md section 3.

    """

    tolerance_eur: Annotated[Rate, Meta(description="how much worse off it agrees to be, EUR")] = 0.1
    energy_value_eur_per_kwh: Annotated[
        Rate, Meta(description="vehicle: what a kWh it does not get would have been worth, EUR/kWh")
    ] = 0.5
    time_value_eur_per_hour: Annotated[
        Rate, Meta(description="vehicle: what an hour is worth by which its stay is moved, EUR/h")
    ] = 5.0
    connector_value_eur_per_hour: Annotated[
        Rate, Meta(description="station: what an hour of a connector is worth to it, EUR/h")
    ] = 0.5
    deficit_value_eur_per_kwh: Annotated[
        Rate, Meta(description="station: what a kWh less is worth when supply falls short, EUR/kWh")
    ] = 0.3
    offer_eur_per_kwh: Annotated[
        Rate, Meta(description="station: what it offers for a kWh less when supply falls short, EUR/kWh")
    ] = 0.2
    offer_share: Annotated[
        float, Meta(ge=0, le=1, description="station: the share of a booking's energy it offers to leave out")
    ] = 0.2

    def decide(self, case: NegotiationCase) -> NegotiationDecision:
        """See `NegotiationStrategy.decide`."""
        if case.proposal is None or case.proposal.is_empty:
            raise InputError("proposal", case.proposal, "terms with at least one field")
        booked = _standing(case.booked)
        proposed = _standing(case.booked, case.proposal)
        if case.side == "station" and proposed.energy_kwh == 0 and _asks_nothing(case.proposal, booked):
            return Accept()  # a vehicle may always cancel
        if case.round > case.max_rounds or proposed.departure <= proposed.arrival:
            return Reject()
        # Rounded as money is, so that the noise of a sum never decides.
        gain_eur = round_money(self._gain(case, booked, proposed))
        if gain_eur >= -self.tolerance_eur:
            return Accept()
        if case.round == case.max_rounds:
            return Reject()
        sign = 1.0 if case.side == "vehicle" else -1.0
        asked_eur = round_money(proposed.compensation_eur - sign * gain_eur)
        return Counter(replaced(case.proposal, compensation_eur=asked_eur))

    def propose(self, case: NegotiationCase) -> Terms | None:
        """See `NegotiationStrategy.propose`."""
        booked = _standing(case.booked)
        return _wishes(case, booked) if case.side == "vehicle" else self._offer(case, booked)

    def _gain(self, case: NegotiationCase, booked: _Standing, proposed: _Standing) -> float:
        """Say how much better off the proposal leaves this side, EUR."""
        if case.side == "station":
            return self._station_worth(case, proposed) - self._station_worth(case, booked)
        booked_cost, proposed_cost = _costs(case, booked, proposed)
        discomfort = self._discomfort(case, proposed, booked) - self._discomfort(case, booked, booked)
        return booked_cost - proposed_cost - discomfort

    def _discomfort(self, case: NegotiationCase, terms: _Standing, booked: _Standing) -> float:
        wanted = case.preferences or booked
        missing_kwh = max(0.0, wanted.energy_kwh - terms.energy_kwh)
        moved_seconds = abs(terms.arrival - wanted.arrival) + abs(terms.departure - wanted.departure)
        return (
            self.energy_value_eur_per_kwh * missing_kwh
            + self.time_value_eur_per_hour * moved_seconds / 3600.0
        )

    def _station_worth(self, case: NegotiationCase, terms: _Standing) -> float:
        hours = (terms.departure - terms.arrival) / 3600.0
        short = self.deficit_value_eur_per_kwh * terms.energy_kwh if _deficit_kwh(case) > 0 else 0.0
        return -terms.compensation_eur - self.connector_value_eur_per_hour * hours - short

    def _offer(self, case: NegotiationCase, booked: _Standing) -> Terms | None:
        less_kwh = round_energy(min(self.offer_share * booked.energy_kwh, _deficit_kwh(case)))
        # Energy 0 would be a cancellation, which is the vehicle's alone to say.
        if less_kwh <= 0 or less_kwh >= booked.energy_kwh:
            return None
        return Terms(
            energy_kwh=round_energy(booked.energy_kwh - less_kwh),
            compensation_eur=round_money(booked.compensation_eur + self.offer_eur_per_kwh * less_kwh),
        )


class _Standing(NamedTuple):
    """Terms with nothing left out."""

    arrival: int
    departure: int
    energy_kwh: float
    compensation_eur: float


def _standing(booked: Terms, change: Terms | None = None) -> _Standing:
    """Give the booked terms, changed by what a proposal names.

    Raises:
        InputError: the booking does not say when it is or for how much energy.
    """
    both = (booked,) if change is None else (change, booked)
    return _Standing(
        arrival=_first_given("arrival", *both),
        departure=_first_given("departure", *both),
        energy_kwh=_first_given("energy_kwh", *both),
        compensation_eur=_first_given("compensation_eur", *both),
    )


def _first_given(name: str, *terms: Terms) -> Any:
    for each in terms:
        if (value := getattr(each, name)) is not UNSET:
            return value
    if name == "compensation_eur":
        return 0.0
    raise InputError(f"booked.{name}", NOTHING, "present")


def _asks_nothing(proposal: Terms, booked: _Standing) -> bool:
    asked: float | UnsetType = proposal.compensation_eur
    return asked is UNSET or asked <= max(0.0, booked.compensation_eur)


def _deficit_kwh(case: NegotiationCase) -> float:
    """Say by how much supply falls short of demand over the stay, kWh; 0 if it does not or nobody knows."""
    return 0.0 if case.imbalance_kwh is None else max(0.0, -float(np.sum(case.imbalance_kwh)))


def _costs(case: NegotiationCase, booked: _Standing, proposed: _Standing) -> tuple[float, float]:
    """Give what the vehicle pays as booked and as proposed, EUR, compensation taken off."""
    if case.booked_cost_eur is not None and case.proposed_cost_eur is not None:
        return case.booked_cost_eur, case.proposed_cost_eur
    before = _mean_price(case.buy, booked)
    after = _mean_price(case.buy, proposed)
    # What one stay costs is the best guess for the other; of neither known, no change is assumed.
    before, after = (after if before is None else before), (before if after is None else after)
    return (
        (before or 0.0) * booked.energy_kwh - booked.compensation_eur,
        (after or 0.0) * proposed.energy_kwh - proposed.compensation_eur,
    )


def _mean_price(buy: PriceSeries | None, stay: _Standing) -> float | None:
    """Average the known prices over the time spent in their slots: Σ w_t·buy_t / Σ w_t, EUR/kWh."""
    if buy is None:
        return None
    first = (stay.arrival - buy.start) // buy.step_seconds
    hours = hours_in_slots(
        stay.arrival, stay.departure, buy.start + first * buy.step_seconds, buy.step_seconds
    )
    skipped = max(0, -first)
    prices = buy.values[first + skipped : first + len(hours)]
    weights = hours[skipped : skipped + len(prices)]
    return float(np.dot(weights, prices) / weights.sum()) if len(weights) else None


def _wishes(case: NegotiationCase, booked: _Standing) -> Terms | None:
    """Name what the driver wants otherwise than booked, if anything."""
    wanted = case.preferences
    if wanted is None:
        return None
    terms = Terms(
        arrival=wanted.arrival if wanted.arrival != booked.arrival else UNSET,
        departure=wanted.departure if wanted.departure != booked.departure else UNSET,
        energy_kwh=wanted.energy_kwh if wanted.energy_kwh != booked.energy_kwh else UNSET,
    )
    return None if terms.is_empty else terms
