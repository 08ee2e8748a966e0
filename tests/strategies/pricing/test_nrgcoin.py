"""The nrgcoin prices, against the formula in decimal arithmetic and against worked examples."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.domain.errors import InputError
from voltagora.strategies import registry
from voltagora.strategies.kernels.prices import nrgcoin_prices
from voltagora.strategies.pricing.decision import PricingDay

energies = st.one_of(
    st.just(0.0),
    st.integers(0, 10**13).map(lambda micro: micro / 1e6),
    st.floats(0, 1e12, allow_subnormal=False),
)


def priced(supply, demand, **parameters):
    day = PricingDay(
        start=0, step_minutes=60, supply_kwh=np.array(supply, float), demand_kwh=np.array(demand, float)
    )
    return registry.build("pricing", "nrgcoin", parameters).price(day)


@pytest.mark.parametrize(
    ("supply", "demand", "buy", "sell"),
    [
        (100.0, 100.0, 0.325, 0.3),  # balance
        (0.0, 0.0, 0.325, 0.3),  # nothing at all is balance too
        (5.0, 0.0, 0.0, 0.1),  # no demand
        (0.0, 5.0, 0.65, 0.17358),  # no supply: 0.1 + 0.2/e
        (200.0, 100.0, 0.21667, 0.17358),  # twice what is asked
        (50.0, 100.0, 0.43333, 0.25576),  # half of it: 0.1 + 0.2·exp(-1/4)
        (300.0, 100.0, 0.1625, 0.10366),  # 0.1 + 0.2·exp(-4)
    ],
)
def test_worked_examples(supply, demand, buy, sell) -> None:
    bought, sold = priced([supply], [demand])

    assert bought.tolist() == [buy]
    assert sold.tolist() == [sell]


def exact(supply: float, demand: float, q: str = "1") -> tuple[Decimal, Decimal]:
    s, d, amount = Decimal(supply), Decimal(demand), Decimal(q)
    if d == 0:
        return (amount * Decimal("0.325"), amount * Decimal("0.3")) if s == 0 else (Decimal(0), amount / 10)
    distance = (s - d) / d
    gain = (-(distance**2)).exp() if distance < 10**4 else Decimal(0)
    return Decimal("0.65") * amount * d / (d + s), amount / 10 + amount / 5 * gain


@given(st.lists(st.tuples(energies, energies), min_size=1, max_size=25))
@settings(max_examples=60, deadline=None)
def test_prices_are_the_formula_rounded(slots) -> None:
    supply, demand = zip(*slots, strict=True)

    buy, sell = priced(supply, demand)

    for place, (s, d) in enumerate(slots):
        exact_buy, exact_sell = exact(s, d)
        # Half of the last decimal, and a little for a tie that the doubles may see otherwise.
        assert abs(Decimal(float(buy[place])) - exact_buy) < Decimal("5.0001e-6")
        assert abs(Decimal(float(sell[place])) - exact_sell) < Decimal("5.0001e-6")
        assert buy[place] == round(float(buy[place]), 5)
        assert np.signbit(buy[place]) == np.signbit(sell[place]) == False  # noqa: E712


@given(energies.filter(lambda d: d > 0), st.lists(energies, min_size=2, max_size=8))
@settings(max_examples=60, deadline=None)
def test_more_supply_never_makes_buying_dearer_and_balance_earns_most(demand, supplies) -> None:
    supplies = sorted(supplies)

    buy, sell = priced(supplies, [demand] * len(supplies))

    assert np.all(np.diff(buy) <= 0)
    assert np.all((sell >= 0.1) & (sell <= priced([demand], [demand])[1][0]))


def test_the_amount_scales_both_prices() -> None:
    buy, sell = priced([50.0], [100.0], amount_kwh=10)

    exact_buy, exact_sell = exact(50.0, 100.0, "10")
    assert buy[0] == pytest.approx(float(exact_buy), abs=5e-6)
    assert sell[0] == pytest.approx(float(exact_sell), abs=5e-6)


def test_the_three_numbers_are_parameters() -> None:
    buy, sell = priced(
        [0, 7, 4], [0, 0, 4], sell_floor_eur_per_kwh=0.2, sell_bonus_eur_per_kwh=0.05, buy_cap_eur_per_kwh=1.0
    )

    assert buy.tolist() == [0.5, 0.0, 0.5]
    assert sell.tolist() == [0.25, 0.2, 0.25]


def test_the_compiled_kernel_and_its_twin_agree_to_the_bit() -> None:
    random = np.random.default_rng(1)
    supply, demand = random.random(5000) * 1e4, random.random(5000) * 1e4
    supply[::7], demand[::11] = 0.0, 0.0

    buy, sell = priced(supply, demand)
    twin_buy, twin_sell = np.empty(5000), np.empty(5000)
    nrgcoin_prices(supply, demand, 0.1, 0.2, 0.65, 1.0, twin_buy, twin_sell)

    assert buy.tobytes() == twin_buy.tobytes()
    assert sell.tobytes() == twin_sell.tobytes()


def test_several_days_at_once_are_priced_as_each_by_itself() -> None:
    random = np.random.default_rng(2)
    supply, demand = random.random((3, 24)) * 1e3, random.random((3, 24)) * 1e3

    together = priced(supply, demand)

    for place in range(3):
        alone = priced(supply[place], demand[place])
        assert np.array_equal(together[0][place], alone[0])
        assert np.array_equal(together[1][place], alone[1])


def test_series_that_nobody_may_write_and_strided_ones_are_priced_too() -> None:
    supply, demand = np.arange(48.0), np.arange(48.0)[::-1].copy()
    supply.setflags(write=False)

    buy, _ = priced(supply, demand)
    day = PricingDay(start=0, step_minutes=60, supply_kwh=supply[::2], demand_kwh=demand[::2])

    assert np.array_equal(registry.build("pricing", "nrgcoin").price(day)[0], buy[::2])


def test_supply_and_demand_of_different_lengths_are_refused() -> None:
    with pytest.raises(InputError, match=r"demand: .*as many slots as supply has \(2\)"):
        priced([1.0, 2.0], [1.0])
