"""How each side of a reservation answers a proposed change, in EUR worked out by hand."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from voltagora.domain.errors import InputError
from voltagora.domain.series import PriceSeries
from voltagora.domain.terms import Terms
from voltagora.domain.units import Time
from voltagora.domain.vehicle import Preferences
from voltagora.strategies import registry
from voltagora.strategies.negotiation.decision import Accept, Counter, NegotiationCase, Reject

HOUR = 3600
EIGHT, NOON = Time(8 * HOUR), Time(12 * HOUR)
BOOKED = Terms(arrival=EIGHT, departure=NOON, energy_kwh=20.0)
BUY = PriceSeries.of(8 * HOUR, 60, np.array([0.3, 0.3, 0.3, 0.3]))


def decided(side="vehicle", proposal=None, booked=BOOKED, parameters=None, **case):
    strategy = registry.build("negotiation", "utility", parameters)
    return strategy.decide(NegotiationCase(side=side, booked=booked, proposal=proposal, **case))


def proposed(side, **case):
    strategy = registry.build("negotiation", "utility")
    return strategy.propose(NegotiationCase(side=side, booked=BOOKED, **case))


# The vehicle


def test_a_vehicle_takes_more_money_for_the_same_stay() -> None:
    assert decided(proposal=Terms(compensation_eur=1.0)) == Accept()


def test_a_vehicle_asks_for_what_makes_up_for_lost_energy() -> None:
    # 4 kWh less: saves 4 · 0.3 = 1.2 EUR, loses 4 · 0.5 = 2 EUR, so 0.8 EUR are missing.
    less = Terms(energy_kwh=16.0)

    assert decided(proposal=less, buy=BUY) == Counter(Terms(energy_kwh=16.0, compensation_eur=0.8))
    assert decided(proposal=replace(less, compensation_eur=0.8), buy=BUY) == Accept()
    assert decided(proposal=replace(less, compensation_eur=0.71), buy=BUY) == Accept()  # within the tolerance
    assert decided(proposal=replace(less, compensation_eur=0.69), buy=BUY) == Counter(
        Terms(energy_kwh=16.0, compensation_eur=0.8)
    )


def test_a_vehicle_asks_for_what_makes_up_for_a_stay_that_is_moved() -> None:
    # Arriving half an hour later and leaving an hour earlier: 1.5 h at 5 EUR.
    moved = Terms(arrival=Time(EIGHT + 1800), departure=Time(NOON - 3600))

    answer = decided(proposal=moved, buy=BUY)

    assert answer == Counter(replace(moved, compensation_eur=7.5))


def test_a_vehicle_sees_that_a_stay_moved_to_cheaper_hours_costs_less() -> None:
    cheap_later = PriceSeries.of(8 * HOUR, 60, np.array([0.5, 0.5, 0.5, 0.5, 0.1]))
    later = Terms(arrival=Time(EIGHT + HOUR), departure=Time(NOON + HOUR))

    # Mean price 0.5 before, (0.5·3 + 0.1)/4 = 0.4 after: 20 kWh save 2 EUR; 2 h moved cost 10.
    assert decided(proposal=later, buy=cheap_later) == Counter(replace(later, compensation_eur=8.0))


def test_a_vehicle_weighs_a_price_by_the_time_spent_at_it() -> None:
    buy = PriceSeries.of(8 * HOUR, 60, np.array([1.0, 0.2, 0.2, 0.2]))
    booked = Terms(arrival=Time(EIGHT + 1800), departure=Time(EIGHT + 5400), energy_kwh=10.0)

    # Half an hour each at 1.0 and 0.2: 0.6 EUR/kWh; a kWh less saves 0.6 and loses 0.5.
    assert decided(proposal=Terms(energy_kwh=9.0), booked=booked, buy=buy) == Accept()
    answer = decided(proposal=Terms(energy_kwh=11.0), booked=booked, buy=buy)
    assert answer == Counter(Terms(energy_kwh=11.0, compensation_eur=0.6))


def test_a_vehicle_averages_the_prices_that_are_known() -> None:
    # Only 10:00 to 11:00 has a price; then it is the best guess for all hours.
    known = PriceSeries.of(10 * HOUR, 60, np.array([0.4]))
    later = PriceSeries.of(12 * HOUR, 60, np.array([9.0]))

    less = Terms(energy_kwh=10.0)
    assert decided(proposal=less, buy=known) == Counter(replace(less, compensation_eur=1.0))
    assert decided(proposal=less, buy=later) == Counter(replace(less, compensation_eur=5.0))


def test_an_hour_without_a_price_does_not_weigh() -> None:
    half_past = replace(BOOKED, departure=Time(NOON - 1800))
    buy = PriceSeries.of(10 * HOUR, 60, np.array([0.6, 0.3]))

    # An hour at 0.6 and half of one at 0.3 are 0.5 EUR/kWh on average: what a kWh is worth.
    assert decided(proposal=Terms(energy_kwh=10.0), booked=half_past, buy=buy) == Accept()
    answer = decided(proposal=Terms(energy_kwh=30.0), booked=half_past, buy=buy)
    assert answer == Counter(Terms(energy_kwh=30.0, compensation_eur=5.0))


def test_a_vehicle_counts_the_exact_costs_where_both_are_known() -> None:
    less = Terms(energy_kwh=16.0, compensation_eur=0.5)

    # The cost holds the compensation: 6 - 4.5 = 1.5 saved against 2 lost.
    answer = decided(proposal=less, buy=BUY, booked_cost_eur=6.0, proposed_cost_eur=4.5)

    assert answer == Counter(Terms(energy_kwh=16.0, compensation_eur=1.0))


def test_a_vehicle_without_prices_looks_at_what_it_loses() -> None:
    answer = decided(proposal=Terms(energy_kwh=18.0))

    assert answer == Counter(Terms(energy_kwh=18.0, compensation_eur=1.0))


def test_a_vehicle_measures_by_what_its_driver_wants_now() -> None:
    wants = Preferences(
        arrival=EIGHT,
        departure=Time(NOON + HOUR),
        energy_kwh=20.0,
        connector_type="DC",
        power_kw=50.0,
        v2g_allowed=True,
        min_soc=0.1,
    )
    later = Terms(departure=Time(NOON + HOUR), compensation_eur=-4.9)

    assert decided(proposal=later, buy=BUY) == Counter(replace(later, compensation_eur=5.0))
    assert decided(proposal=later, buy=BUY, preferences=wants) == Accept()  # worth 5 EUR, costs 4.9


# The station


def test_a_station_asks_for_what_makes_up_for_a_longer_stay() -> None:
    # Two hours more of a connector at 0.5 EUR: the vehicle shall pay 1 EUR.
    longer = Terms(departure=Time(NOON + 2 * HOUR))

    assert decided("station", longer) == Counter(replace(longer, compensation_eur=-1.0))
    assert decided("station", replace(longer, compensation_eur=-1.0)) == Accept()


def test_a_station_pays_nothing_for_nothing() -> None:
    assert decided("station", Terms(compensation_eur=3.0)) == Counter(Terms(compensation_eur=0.0))


def test_a_station_values_less_energy_when_supply_falls_short_only() -> None:
    less = Terms(energy_kwh=10.0, compensation_eur=2.9)

    assert decided("station", less, imbalance_kwh=np.array([5.0, -50.0, 5.0, 5.0])) == Accept()  # 10 · 0.3
    assert decided("station", less, imbalance_kwh=np.array([50.0, -5.0, 5.0, 5.0])) == Counter(
        Terms(energy_kwh=10.0, compensation_eur=0.0)
    )
    assert decided("station", less) == Counter(Terms(energy_kwh=10.0, compensation_eur=0.0))


def test_a_station_keeps_a_compensation_that_was_agreed_before() -> None:
    booked = replace(BOOKED, compensation_eur=2.0)

    assert decided("station", Terms(energy_kwh=18.0), booked=booked) == Accept()
    assert decided("station", Terms(compensation_eur=2.0), booked=booked) == Accept()


@pytest.mark.parametrize("round_", [1, 3, 9])
def test_a_cancellation_is_always_accepted(round_) -> None:
    assert decided("station", Terms(energy_kwh=0.0), round=round_) == Accept()


def test_a_cancellation_that_asks_for_money_is_a_proposal_like_others() -> None:
    assert decided("station", Terms(energy_kwh=0.0, compensation_eur=9.0)) == Counter(
        Terms(energy_kwh=0.0, compensation_eur=0.0)
    )


# Both


@pytest.mark.parametrize("side", ["vehicle", "station"])
def test_nobody_counters_in_the_last_round_or_later(side) -> None:
    bad = Terms(compensation_eur=-5.0 if side == "vehicle" else 5.0)
    good = Terms(compensation_eur=5.0 if side == "vehicle" else -5.0)

    assert [type(decided(side, bad, round=each)) for each in (1, 2, 3, 4)] == [
        Counter,
        Counter,
        Reject,
        Reject,
    ]
    assert [type(decided(side, good, round=each)) for each in (2, 3, 4)] == [Accept, Accept, Reject]
    assert decided(side, bad, round=1, max_rounds=1) == Reject()


def test_a_stay_that_ends_before_it_begins_is_rejected() -> None:
    assert decided("station", Terms(departure=EIGHT)) == Reject()


def test_there_must_be_something_to_decide() -> None:
    with pytest.raises(InputError, match="proposal"):
        decided(proposal=None)
    with pytest.raises(InputError, match="proposal"):
        decided(proposal=Terms())
    with pytest.raises(InputError, match=r"booked\.energy_kwh"):
        decided(proposal=Terms(arrival=EIGHT), booked=Terms(arrival=EIGHT, departure=NOON))


changes = st.builds(
    Terms,
    arrival=st.just(UNSET) | st.integers(0, 3 * HOUR).map(lambda late: Time(EIGHT + late)),
    departure=st.just(UNSET) | st.integers(-HOUR, 5 * HOUR).map(lambda late: Time(NOON + late)),
    energy_kwh=st.just(UNSET) | st.integers(1, 40_000_000).map(lambda micro: micro / 1e6),
    compensation_eur=st.just(UNSET) | st.integers(-(10**6), 10**6).map(lambda units: units / 1e5),
)


@given(st.sampled_from(["vehicle", "station"]), changes, st.booleans())
@settings(max_examples=100, deadline=None)
def test_whoever_asks_to_be_made_whole_accepts_what_it_asked_for(side, proposal, short) -> None:
    assume(not proposal.is_empty)
    case = {
        "buy": BUY,
        "imbalance_kwh": np.full(4, -9.0 if short else 9.0),
        "parameters": {"tolerance_eur": 0},
    }

    answer = decided(side, proposal, **case)

    if isinstance(answer, Counter):
        assert replace(answer.terms, compensation_eur=proposal.compensation_eur) == proposal
        assert decided(side, answer.terms, **case) == Accept()
        # And not a cent more than needed.
        sign = 1 if side == "vehicle" else -1
        worse = replace(answer.terms, compensation_eur=round(answer.terms.compensation_eur - sign * 0.01, 5))
        assert isinstance(decided(side, worse, **case), Counter)


# Proposals


def test_a_station_in_a_deficit_offers_money_for_less_energy() -> None:
    assert proposed("station", imbalance_kwh=np.array([10.0, -60.0])) == Terms(
        energy_kwh=16.0,
        compensation_eur=0.8,  # a fifth of 20 kWh, 0.2 EUR each
    )


def test_a_station_offers_no_more_than_the_deficit() -> None:
    assert proposed("station", imbalance_kwh=np.array([-1.5])) == Terms(energy_kwh=18.5, compensation_eur=0.3)


@pytest.mark.parametrize("imbalance", [None, np.array([3.0, -3.0]), np.array([4.0])])
def test_a_station_without_a_deficit_leaves_things_as_they_are(imbalance) -> None:
    assert proposed("station", imbalance_kwh=imbalance) is None


def test_a_vehicle_proposes_what_its_driver_now_wants_and_nothing_else() -> None:
    wants = Preferences(
        arrival=EIGHT,
        departure=Time(NOON + HOUR),
        energy_kwh=20.0,
        connector_type="DC",
        power_kw=50.0,
        v2g_allowed=True,
        min_soc=0.1,
    )

    assert proposed("vehicle", preferences=wants) == Terms(departure=Time(NOON + HOUR))
    assert proposed("vehicle", preferences=replace(wants, departure=NOON)) is None
    assert proposed("vehicle") is None


def test_what_a_station_offers_in_a_deficit_a_vehicle_takes_at_ordinary_prices() -> None:
    imbalance = np.array([-60.0, -60.0, -60.0, -60.0])
    offer = proposed("station", imbalance_kwh=imbalance)

    assert decided("vehicle", offer, buy=BUY) == Accept()
    assert decided("station", offer, imbalance_kwh=imbalance) == Accept()
