"""The baselines: flat, time_of_use and market."""

from datetime import date

import numpy as np
import pytest

from voltagora.domain.calendar import Calendar
from voltagora.domain.errors import InputError
from voltagora.strategies import registry
from voltagora.strategies.pricing.decision import PricingDay


def a_day(slots=24, **known):
    return PricingDay(start=0, step_minutes=60, supply_kwh=np.ones(slots), demand_kwh=np.ones(slots), **known)


def test_flat_prices_do_not_move() -> None:
    buy, sell = registry.build(
        "pricing", "flat", {"buy_eur_per_kwh": 0.123456, "sell_eur_per_kwh": -0.000001}
    ).price(a_day(25))

    assert buy.tolist() == [0.12346] * 25
    assert sell.tolist() == [0.0] * 25
    assert not np.signbit(sell).any()


@pytest.mark.parametrize(
    ("windows", "peak"),
    [
        ([[7, 9]], {7, 8}),
        ([[22, 2]], {22, 23, 0, 1}),  # over midnight
        ([[0, 24]], set(range(24))),
        ([[6, 8], [7, 9]], {6, 7, 8}),
        ([], set()),
    ],
)
def test_time_of_use_is_dear_in_its_windows_alone(windows, peak) -> None:
    strategy = registry.build("pricing", "time_of_use", {"peak_windows": windows})

    buy, sell = strategy.price(a_day(local_hours=np.arange(24.0)))

    assert {hour for hour in range(24) if buy[hour] == 0.4} == peak
    assert {hour for hour in range(24) if sell[hour] == 0.3} == peak
    assert set(buy) <= {0.4, 0.2}


def test_time_of_use_follows_the_local_clock_when_clocks_change() -> None:
    calendar = Calendar("Europe/Lisbon")
    strategy = registry.build("pricing", "time_of_use", {"peak_windows": [[1, 2]]})

    def peak_slots(day):
        hours = np.array(calendar.local_hours(day))
        buy, _ = strategy.price(a_day(day.slots, local_hours=hours))
        return np.flatnonzero(buy == 0.4).tolist()

    assert peak_slots(calendar.day(date(2020, 6, 1))) == [1]
    assert peak_slots(calendar.day(date(2020, 10, 25))) == [1, 2]  # the hour that comes twice
    assert peak_slots(calendar.day(date(2020, 3, 29))) == []  # the hour that is skipped


def test_time_of_use_needs_the_local_hours() -> None:
    with pytest.raises(InputError, match="local_hours"):
        registry.build("pricing", "time_of_use").price(a_day())


def test_market_prices_are_passed_on_with_their_mark_ups() -> None:
    strategy = registry.build(
        "pricing", "market", {"buy_markup_eur_per_kwh": 0.05, "sell_markup_eur_per_kwh": -0.01}
    )

    buy, sell = strategy.price(a_day(3, market_eur_per_kwh=np.array([0.1, -0.2, 0.123456])))

    assert buy.tolist() == [0.15, -0.15, 0.17346]
    assert sell.tolist() == [0.09, -0.21, 0.11346]


def test_strategies_say_whether_the_day_before_matters() -> None:
    uses = {name: registry.build("pricing", name).uses_history for name in registry.BUILT_IN["pricing"]}

    assert not any(uses.values())
    assert registry.build("pricing", "adaptive", {"estimate_alpha": True}).uses_history


@pytest.mark.parametrize("market", [None, np.ones(2)])
def test_market_without_a_price_for_every_slot_is_refused(market) -> None:
    with pytest.raises(InputError, match=r"market: .*a price for every slot"):
        registry.build("pricing", "market").price(a_day(3, market_eur_per_kwh=market))
