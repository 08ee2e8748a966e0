"""In which order a vehicle tries what it was offered."""

from collections import Counter

import numpy as np

from voltagora.domain.location import Location
from voltagora.domain.station import Recommendation
from voltagora.domain.units import Time
from voltagora.domain.vehicle import Battery, Preferences
from voltagora.strategies import registry

ASKED = Preferences(
    arrival=Time(36_000),
    departure=Time(50_400),
    energy_kwh=20.0,
    connector_type="DC",
    power_kw=50.0,
    v2g_allowed=True,
    min_soc=0.1,
)
BATTERY = Battery(
    capacity_kwh=60.0, soc=0.3, min_soc=0.1, max_soc=1.0, max_charge_kw=50.0, max_discharge_kw=50.0
)


def an_offer(distance_km=1.0, price=None, v2g=False):
    known = {} if price is None else {"expected_price_eur_kwh": price}
    return Recommendation(
        id="SR-1",
        token="0123456789abcdef",
        recommender="SR",
        network="n",
        vehicle="v",
        station="s",
        connector="c",
        arrival=ASKED.arrival,
        departure=ASKED.departure,
        connector_type="DC",
        power_kw=50.0,
        energy_kwh=20.0,
        v2g_capable=v2g,
        location=Location(latitude=0.0, longitude=0.0),
        distance_km=distance_km,
        issued_at=Time(30_000),
        expires_at=Time(30_600),
        **known,
    )


def ordered(name, offers, draws=(), battery=BATTERY, asked=ASKED, **parameters):
    return registry.build("choice", name, parameters).order(offers, asked, battery, draws)


def test_first_keeps_the_order_in_which_they_came() -> None:
    assert ordered("first", [an_offer(9), an_offer(1), an_offer(5)]) == [0, 1, 2]


def test_cheapest_goes_by_price_then_distance_then_arrival_and_unknown_prices_come_last() -> None:
    offers = [an_offer(1), an_offer(9, 0.2), an_offer(3, 0.2), an_offer(3, 0.2), an_offer(50, -0.1)]

    assert ordered("cheapest", offers) == [4, 2, 3, 1, 0]


def test_utility_weighs_the_price_of_the_energy_against_the_way() -> None:
    # 20 kWh: 0.01 EUR/kWh dearer is 0.2 EUR, a kilometre 0.3 EUR.
    near_dear, far_cheap = an_offer(1, 0.31), an_offer(2, 0.30)

    assert ordered("utility", [far_cheap, near_dear]) == [1, 0]
    assert ordered("utility", [far_cheap, near_dear], travel_eur_per_km=0.1) == [0, 1]


def test_utility_counts_what_the_charger_loses() -> None:
    lossy = Battery(
        capacity_kwh=60.0,
        soc=0.3,
        min_soc=0.1,
        max_soc=1.0,
        max_charge_kw=50.0,
        max_discharge_kw=50.0,
        charge_efficiency=0.5,
    )
    near_dear, far_cheap = an_offer(1, 0.31), an_offer(2, 0.30)

    assert ordered("utility", [near_dear, far_cheap], battery=lossy) == [1, 0]  # now 0.4 EUR dearer


def test_utility_values_selling_only_where_it_is_possible_and_allowed() -> None:
    offers = [an_offer(1, 0.3), an_offer(2, 0.3, v2g=True)]
    unwilling = Preferences(
        arrival=ASKED.arrival,
        departure=ASKED.departure,
        energy_kwh=20.0,
        connector_type="DC",
        power_kw=50.0,
        v2g_allowed=False,
        min_soc=0.1,
    )

    assert ordered("utility", offers) == [1, 0]
    assert ordered("utility", offers, asked=unwilling) == [0, 1]


def test_utility_assumes_a_price_where_none_is_known() -> None:
    offers = [an_offer(1), an_offer(1, 0.29)]

    assert ordered("utility", offers) == [1, 0]
    assert ordered("utility", offers, unknown_price_eur_per_kwh=0.2) == [0, 1]


def test_random_orders_by_the_draws_alone() -> None:
    offers = [an_offer(1, 0.1), an_offer(2, 0.2), an_offer(3, 0.3)]

    assert ordered("random", offers, [0.5, 0.9, 0.1]) == [2, 0, 1]
    assert ordered("random", offers, [0.5, 0.5, 0.1]) == [2, 0, 1]


def test_random_gives_every_order_alike() -> None:
    stream = np.random.default_rng(7)
    offers = [an_offer()] * 3

    seen = Counter(tuple(ordered("random", offers, stream.random(3).tolist())) for _ in range(6000))

    assert len(seen) == 6
    # 1000 each expected; five standard deviations are 144.
    assert all(abs(count - 1000) < 144 for count in seen.values())


def test_only_random_wants_draws() -> None:
    assert [name for name in registry.names("choice") if registry.find("choice", name).uses_draws] == [
        "random"
    ]


def test_nothing_offered_is_nothing_to_order() -> None:
    assert [ordered(name, []) for name in registry.names("choice")] == [[], [], [], []]
