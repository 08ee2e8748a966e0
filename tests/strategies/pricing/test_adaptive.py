"""The adaptive price, its mean and the estimate of its slope."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.strategies import registry
from voltagora.strategies.kernels.prices import adaptive_prices
from voltagora.strategies.pricing.decision import PricingDay

micro_kwh = st.integers(0, 10**10).map(lambda micro: micro / 1e6)
milli_eur = st.integers(-2000, 2000).map(lambda milli: milli / 1e3)


def priced(supply, demand, history=None, **parameters):
    prices, charging = (None, None) if history is None else (np.array(each, float) for each in history)
    day = PricingDay(
        start=0,
        step_minutes=60,
        supply_kwh=np.array(supply, float),
        demand_kwh=np.array(demand, float),
        history_prices=prices,
        history_charging_kwh=charging,
    )
    buy, sell = registry.build("pricing", "adaptive", parameters).price(day)
    assert np.array_equal(buy, sell)
    return buy


def test_worked_examples_with_the_default_parameters() -> None:
    # 0.6 - 2 · 0.00015069 · (S - D)
    assert priced([0, 1000, 0, 5000], [0, 0, 1000, 0]).tolist() == [0.6, 0.29862, 0.90138, -0.9069]


@given(st.lists(st.tuples(micro_kwh, micro_kwh), min_size=1, max_size=25), milli_eur)
@settings(max_examples=60, deadline=None)
def test_mean_price_is_the_mean_of_the_day_and_keeps_the_slope(slots, mean) -> None:
    supply, demand = zip(*slots, strict=True)

    prices = priced(supply, demand, mean_price=mean)

    imbalances = [Fraction(s) - Fraction(d) for s, d in slots]
    middle = sum(imbalances) / len(imbalances)
    expected = [Fraction(mean) - 2 * Fraction(0.00015069) * (each - middle) for each in imbalances]
    assert prices == pytest.approx([float(each) for each in expected], abs=5.01e-6)


def test_each_of_several_days_gets_the_mean_price() -> None:
    prices = priced([[1, 2], [30, 50]], [[5, 1], [0, 0]], mean_price=0.25, alpha=-0.01)

    assert prices.mean(axis=1) == pytest.approx([0.25, 0.25])


def test_the_slope_is_estimated_from_the_day_before() -> None:
    # Slots 2 and 4 differ from the first: (0.1/(2·-10) + 0.3/(2·-20))/2 = -0.00625.
    history = ([0.5, 0.4, 0.9, 0.2], [10, 20, 10, 30])

    assert priced([10], [0], history, estimate_alpha=True).tolist() == [0.475]
    assert priced([10], [0], history).tolist() == [0.59699]  # not asked for: the parameter


def test_the_estimate_is_negative_whichever_way_the_price_went() -> None:
    falling, rising = ([0.5, 0.4], [10, 20]), ([0.5, 0.6], [10, 20])

    assert priced([10], [0], falling, estimate_alpha=True) == priced([10], [0], rising, estimate_alpha=True)


@pytest.mark.parametrize(
    "history",
    [
        None,
        ([0.5], [3]),
        ([], []),
        ([0.5, 0.4, 0.3], [7, 7, 7]),  # the fleet did nothing that tells
        ([0.5, 0.5, 0.5], [7, 8, 9]),  # the price never moved
        ([0.5, 0.4, 0.4], [10, 20, 0]),  # what it did cancels out
    ],
)
def test_the_parameter_counts_where_the_day_before_tells_nothing(history) -> None:
    assert priced([1000], [0], history, estimate_alpha=True, alpha=-0.0001).tolist() == [0.4]


@given(st.lists(st.tuples(milli_eur, micro_kwh), min_size=2, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_estimate_is_the_formula_in_exact_arithmetic(history) -> None:
    (p1, d1), *others = [(Fraction(p), Fraction(d)) for p, d in history]
    slopes = [(p1 - p) / (2 * (d1 - d)) for p, d in others if d != d1]
    alpha = -abs(sum(slopes) / len(slopes)) if slopes else Fraction(0)

    price = priced([1], [0], tuple(zip(*history, strict=True)), estimate_alpha=True, alpha=-0.25)[0]

    if slopes and abs(alpha) < Fraction(1, 10**12):
        return  # whether so little is 0 depends on the rounding of the doubles
    expected = Fraction(6, 10) + 2 * (alpha or Fraction(-1, 4))
    assert price == pytest.approx(float(expected), rel=1e-9, abs=5.01e-6)


def test_the_compiled_kernel_and_its_twin_agree_to_the_bit() -> None:
    random = np.random.default_rng(1)
    supply, demand = random.random((50, 24)) * 1e4, random.random((50, 24)) * 1e4

    for mean in (None, 0.3):
        prices = priced(supply, demand, mean_price=mean)
        twin = np.empty(1200)
        level = 0.6 if mean is None else mean
        adaptive_prices(supply.ravel(), demand.ravel(), level, -0.00015069, mean is not None, 24, twin)
        assert prices.tobytes() == twin.tobytes()


def test_a_history_whose_parts_differ_in_length_is_refused() -> None:
    with pytest.raises(InputError, match=r"history\.charging_kwh: .*\(2\)"):
        priced([1], [1], ([0.1, 0.2], [1, 2, 3]), estimate_alpha=True)


@pytest.mark.parametrize("alpha", [-1e6, -1e-3])
def test_no_price_is_one_that_the_wire_would_refuse(alpha) -> None:
    prices = priced([0, 1e9, 0], [1e9, 0, 0], alpha=alpha)

    assert prices.tolist() == ([1e9, -1e9, 0.6] if alpha == -1e6 else [2e6 + 0.6, -2e6 + 0.6, 0.6])
