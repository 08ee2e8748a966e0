"""What a reader of broadcasts knows: the newest word of each day, and no more than it was told."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from one_agent import DAY, HOUR, a_market, at, energies, priced, prices_of

from voltagora.agents.market import Market
from voltagora.domain.calendar import Calendar
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp07_prices import ElectricityPrices

NEXT = DAY + timedelta(days=1)


def imbalance(market: Market, day: date, supply: float, demand: float, revision: int = 1) -> None:
    found = market.calendar.day(day)
    market.read_imbalance(
        ImbalanceBroadcast(
            msg_id="i",
            grid_area="main",
            day=day,
            revision=revision,
            supply=energies(found, market.calendar.step_minutes, supply),
            demand=energies(found, market.calendar.step_minutes, demand),
        )
    )


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([5, 15, 30, 60]),
    st.integers(0, 47 * 3600),
    st.integers(1, 30 * 3600),
    st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_prices_of_a_stay_are_those_of_every_slot_it_touches_or_none(
    step_minutes: int, begin: int, length: int, known: list[bool]
) -> None:
    market = a_market(step_minutes)
    slots = 1440 // step_minutes
    for number, is_known in enumerate(known):
        if is_known:
            priced(market, DAY + timedelta(days=number), buy=np.arange(slots) + 1000 * number, sell=number)
    start, end = int(at(0)) + begin, int(at(0)) + begin + length
    step = step_minutes * 60
    touched = [
        slot for slot in range(4 * slots) if slot * step < begin + length and (slot + 1) * step > begin
    ]
    days = {slot // slots for slot in touched}
    found = market.prices_between(start, end)
    if all(known[day] for day in days):
        assert found is not None
        assert found[0].tolist() == [slot % slots + 1000 * (slot // slots) for slot in touched]
        assert found[1].tolist() == [slot // slots for slot in touched]
        assert market.missing_prices(start, end) == []
    else:
        assert found is None
        missing = [DAY + timedelta(days=day) for day in sorted(days) if not known[day]]
        assert market.missing_prices(start, end) == missing
    # Second by second would be slow; slot by slot the mean is a weighted one.
    weight = total = 0
    for slot in touched:
        if known[slot // slots]:
            shared = min(begin + length, (slot + 1) * step) - max(begin, slot * step)
            weight += shared
            total += shared * (slot % slots + 1000 * (slot // slots))
    mean = market.mean_buy_price(start, end)
    if weight:
        assert mean == pytest.approx(total / weight, abs=1e-5)
    else:
        assert mean is UNSET


def test_known_prices_end_where_the_first_unknown_day_begins() -> None:
    market = a_market()
    priced(market, DAY)
    assert market.prices_known_until(at(8), at(20)) == at(20)
    assert market.prices_known_until(at(8), at(90)) == at(24)
    priced(market, DAY + timedelta(days=2))
    assert market.prices_known_until(at(8), at(90)) == at(24)
    assert market.prices_known_until(at(30), at(90)) == at(30)


def test_an_older_word_never_replaces_a_newer_one() -> None:
    market = a_market()
    for revision, price in ((2, 0.2), (1, 0.1), (2, 0.3)):
        priced(market, DAY, buy=price, revision=revision)
    found = market.prices_between(at(8), at(9))
    assert found is not None
    assert found[0].tolist() == [0.3]
    imbalance(market, DAY, 5.0, 2.0, revision=2)
    imbalance(market, DAY, 9.0, 2.0, revision=1)
    known = market.imbalance_between(at(8), at(9))
    assert known is not None
    assert known.tolist() == [3.0]


def test_another_areas_news_is_not_read() -> None:
    market = Market("other", Calendar())
    priced(market, DAY)
    imbalance(market, DAY, 1.0, 1.0)
    assert market.prices_between(at(8), at(9)) is None
    assert market.imbalance_between(at(8), at(9)) is None


def test_an_answer_is_read_like_a_broadcast_and_a_refusal_not_at_all() -> None:
    market = a_market()
    market.read_reply(ElectricityPrices(in_reply_to="q", responder="md", reason="no_data"))
    assert market.missing_prices(at(8), at(9)) == [DAY]
    news = prices_of(market.calendar.day(DAY), 60, 0.2, 0.1)
    names = ("grid_area", "day", "revision", "buy", "sell")
    given = {name: getattr(news, name) for name in names}
    market.read_reply(ElectricityPrices(in_reply_to="q", responder="md", **given))
    assert market.missing_prices(at(8), at(9)) == []


def test_days_with_a_clock_change_have_their_own_number_of_slots() -> None:
    for day, hours in ((date(2020, 3, 29), 23), (date(2020, 10, 25), 25)):
        market = a_market(30, "Europe/Athens")
        priced(market, day, buy=np.arange(2.0 * hours))
        found = market.calendar.day(day)
        prices = market.prices_between(found.start, found.end)
        assert prices is not None
        assert prices[0].tolist() == list(range(2 * hours))
        assert market.prices_between(found.start, found.end + 1) is None
        assert found.end - found.start == hours * HOUR


def test_imbalance_over_two_days_needs_both() -> None:
    market = a_market()
    imbalance(market, DAY, 5.0, 2.0)
    assert market.imbalance_between(at(23), at(25)) is None
    imbalance(market, NEXT, 2.0, 5.0)
    known = market.imbalance_between(at(23), at(25))
    assert known is not None
    assert known.tolist() == [3.0, -3.0]
    market.forget(NEXT)
    assert market.imbalance_between(at(22), at(23)) is None
    assert market.imbalance_between(at(24), at(25)) is not None
