"""In which order stations are proposed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.strategies import registry
from voltagora.strategies.recommendation.decision import RankingRequest


def ranked(name, distances, prices=None, loads=None, **weights):
    request = RankingRequest(
        station_ids=tuple(f"s{place:04}" for place in range(len(distances))),
        distance_km=np.array(distances, float),
        expected_price=None if prices is None else np.array(prices, float),
        load=None if loads is None else np.array(loads, float),
    )
    order = registry.build("recommendation", name, weights).rank(request)
    assert sorted(order.tolist()) == list(range(len(distances)))
    return order.tolist()


def test_nearest_goes_by_the_metre_and_then_by_id() -> None:
    # 1.0004 and 0.9996 km are both 1000 m; 1.001 is a metre more.
    assert ranked("nearest", [1.001, 1.0004, 0.5, 0.9996]) == [2, 1, 3, 0]


@given(st.lists(st.integers(0, 20_000_000).map(lambda metres: metres / 1e3), max_size=30))
@settings(max_examples=50, deadline=None)
def test_nearest_is_a_plain_sort_by_distance_and_id(distances) -> None:
    expected = [place for _, place in sorted((distance, place) for place, distance in enumerate(distances))]

    assert ranked("nearest", distances) == expected


def test_cheapest_goes_by_price_then_distance_then_id_and_the_unknown_come_last() -> None:
    distances = [5, 5, 1, 9, 2, 9]
    prices = [0.2, 0.2, 0.3, 0.1, math.nan, math.nan]

    assert ranked("cheapest", distances, prices) == [3, 0, 1, 2, 4, 5]


def test_cheapest_compares_prices_as_the_wire_carries_them() -> None:
    assert ranked("cheapest", [2, 1], [0.1000001, 0.1000002]) == [1, 0]


def test_balanced_with_one_weight_is_that_order() -> None:
    distances, prices, loads = [3, 1, 2, 4], [0.1, 0.4, 0.2, 0.3], [5, 6, 9, 1]
    only = {"distance_weight": 0, "price_weight": 0, "load_weight": 0}

    assert ranked("balanced", distances, prices, loads, **{**only, "distance_weight": 1}) == [1, 2, 0, 3]
    assert ranked("balanced", distances, prices, loads, **{**only, "price_weight": 1}) == [0, 2, 3, 1]
    assert ranked("balanced", distances, prices, loads, **{**only, "load_weight": 1}) == [3, 0, 1, 2]
    assert ranked("balanced", distances, prices, loads, **only) == [1, 2, 0, 3]  # all equal: nearest


def test_balanced_weighs_what_is_scaled_over_the_candidates() -> None:
    # distance 0, 0.5, 1; price 1, 0, 0.5; load 0, 1, 0: sums 1, 1.5, 1.5 and with price twice 2, 1.5, 2.
    table = [10, 15, 20], [0.3, 0.1, 0.2], [2, 8, 2]

    assert ranked("balanced", *table) == [0, 1, 2]
    assert ranked("balanced", *table, price_weight=2) == [1, 0, 2]


def test_balanced_takes_an_unknown_price_for_the_worst() -> None:
    only_price = {"distance_weight": 0, "load_weight": 0}

    assert ranked("balanced", [1, 2, 3], [math.nan, 0.5, 0.1], [0, 0, 0], **only_price) == [2, 0, 1]
    assert ranked("balanced", [3, 2, 1], [math.nan] * 3, [0, 0, 0], **only_price) == [2, 1, 0]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
)
@settings(max_examples=50, deadline=None)
def test_the_order_does_not_hang_on_how_the_stations_are_numbered(rows, random) -> None:
    """Distinct candidates keep their order when all are numbered anew."""
    rows = list(dict.fromkeys(rows))
    shuffled = rows[:]
    random.shuffle(shuffled)
    for name in ("nearest", "cheapest", "balanced"):
        once = [rows[place] for place in ranked(name, *zip(*rows, strict=True))]
        again = [shuffled[place] for place in ranked(name, *zip(*shuffled, strict=True))]
        if name == "nearest":
            assert [row[0] for row in once] == [row[0] for row in again]
        if name == "cheapest":
            assert [row[:2] for row in once] == [row[:2] for row in again]
        if name == "balanced":
            assert [row[0] for row in once if sum(row) == 0] == [row[0] for row in again if sum(row) == 0]


def test_where_no_price_is_known_the_nearest_is_proposed() -> None:
    assert ranked("cheapest", [2, 1, 3]) == [1, 0, 2]
    assert ranked("balanced", [2, 1, 3], None, [0, 0, 0]) == [1, 0, 2]


def test_the_load_must_be_given_to_whom_it_matters() -> None:
    with pytest.raises(InputError, match="load"):
        ranked("balanced", [1, 2], [0.1, 0.2])


def test_strategies_say_what_they_use() -> None:
    uses = {
        name: (
            registry.find("recommendation", name).uses_price,
            registry.find("recommendation", name).uses_load,
        )
        for name in registry.names("recommendation")
    }

    assert uses == {"nearest": (False, False), "cheapest": (True, False), "balanced": (True, True)}
