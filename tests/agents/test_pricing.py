"""MD prices what it hears, says so when it changed, and keeps a ledger in which nothing is lost."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_agent import (
    DAY,
    HERE,
    Stage,
    a_connector,
    a_registration,
    a_schedule,
    at,
    energies,
    refused,
)

from voltagora.agents.imbalance import BroadcastRule
from voltagora.agents.pricing import PricingAgent
from voltagora.domain.calendar import Calendar
from voltagora.domain.records import LedgerRecord, PriceDayRecord
from voltagora.protocols.cp06_imbalance import ElectricityImbalance, ImbalanceBroadcast
from voltagora.protocols.cp07_prices import ElectricityPricesRequest, PricesBroadcast
from voltagora.protocols.cp09_profile_registration import (
    RegisterElectricityConsumer,
    RegisterElectricityProducer,
)
from voltagora.protocols.cp10_expected_energy import UpdateExpectedConsumption, UpdateExpectedProduction
from voltagora.protocols.message import Refusal
from voltagora.strategies import registry


def a_pricing_agent(
    strategy: str = "nrgcoin", *, horizon_days: int = 1, always: bool = False, **more: Any
) -> Stage:
    agent = PricingAgent(
        "md",
        "main",
        Calendar(),
        horizon_days=horizon_days,
        broadcast=BroadcastRule(always=always),
        strategy=registry.build("pricing", strategy, more),
        imbalance_agent="ei",
    )
    stage = Stage(agent, at(0))
    agent.start(stage)
    for station in ("cs-1", "cs-2"):
        stage.deliver(a_registration(a_connector(power_kw=100.0)), station)
    return stage


def hear(
    stage: Stage, supply: Any, demand: Any, revision: int = 1, ahead: int = 0, **more: Any
) -> list[PricesBroadcast]:
    """Let MD hear of a day; give what it says thereupon."""
    before = len(stage.published)
    day = stage.agent.calendar.day(DAY + timedelta(days=ahead))  # type: ignore[attr-defined]
    given: dict[str, Any] = {
        "msg_id": f"i{ahead}-{revision}",
        "grid_area": "main",
        "day": day.date,
        "revision": revision,
        "supply": energies(day, 60, supply),
        "demand": energies(day, 60, demand),
    }
    stage.deliver(ImbalanceBroadcast(**(given | more)))
    return stage.published[before:]


def an_open_market(strategy: str = "nrgcoin", **more: Any) -> Stage:
    """One whose first two days are known and open."""
    stage = a_pricing_agent(strategy, **more)
    stage.pass_until(at(1))
    for ahead in (0, 1):
        hear(stage, 100.0, 100.0, ahead=ahead)
    stage.pass_until(at(2))
    return stage


def balances(stage: Stage) -> dict[str, float]:
    ledger = stage.agent.ledger  # type: ignore[attr-defined]
    return {account: ledger.balance_eur(account) for account in ledger.balances}


# Prices.


def test_prices_follow_the_formula_of_the_domain() -> None:
    stage = an_open_market()
    (news,) = hear(stage, [50.0] * 12 + [0.0] * 12, [100.0] * 12 + [80.0] * 12, revision=2)
    sells = round(0.1 + 0.2 * math.exp(-0.25), 5)
    assert news.buy.values.tolist() == [round(0.65 * 100 / 150, 5)] * 12 + [0.65] * 12
    assert news.sell.values.tolist() == [sells] * 12 + [round(0.1 + 0.2 * math.exp(-1.0), 5)] * 12


def test_nothing_is_said_before_two_and_then_all_days_of_the_horizon() -> None:
    stage = a_pricing_agent()
    stage.pass_until(at(1))
    assert not hear(stage, 1.0, 2.0)
    assert not hear(stage, 2.0, 2.0, revision=2)
    hear(stage, 1.0, 2.0, ahead=1)
    stage.pass_until(at(2) - 1)
    assert not stage.published
    stage.pass_until(at(2))
    assert [news.day for news in stage.published] == [DAY, DAY + timedelta(days=1)]
    hear(stage, 1.0, 2.0, ahead=2)
    stage.pass_until(at(26))
    assert [news.day for news in stage.published[2:]] == [DAY + timedelta(days=2)]


def test_prices_are_broadcast_only_when_they_changed_and_revisions_count_the_changes() -> None:
    stage = an_open_market()
    first = stage.published[0].revision
    assert not hear(stage, 100.0, 100.0, revision=2), "new, and the prices are the same"
    (changed,) = hear(stage, 90.0, 100.0, revision=3)
    assert changed.revision == first + 1
    assert not hear(stage, 90.0, 100.0, revision=3)


def test_old_news_and_other_areas_are_not_heard() -> None:
    stage = an_open_market()
    hear(stage, 90.0, 100.0, revision=5)
    assert not hear(stage, 10.0, 100.0, revision=4)
    assert not hear(stage, 10.0, 100.0, revision=6, grid_area="other")
    request = ElectricityPricesRequest(msg_id="q", grid_area="main", day_index=0)
    reply = stage.deliver(request, "cs-1")
    assert reply.buy.values[0] == round(0.65 * 100 / 190, 5)
    other = ElectricityPricesRequest(msg_id="q", grid_area="other", day_index=0)
    assert stage.deliver(other, "cs-1") is None


def test_a_day_nobody_has_spoken_of_has_no_prices() -> None:
    stage = an_open_market()
    for index in range(-7, 8):
        reply = stage.deliver(ElectricityPricesRequest(msg_id="q", grid_area="main", day_index=index), "cs-1")
        known = index in (0, 1)
        assert (reply.reason == Refusal.NO_DATA) != known


def test_a_missed_broadcast_is_asked_for_before_the_day_opens() -> None:
    stage = a_pricing_agent()
    stage.pass_until(at(2))
    talks = stage.talks
    assert [talk.request.day_index for talk in talks] == [0, 1]
    day = stage.agent.calendar.day(DAY)  # type: ignore[attr-defined]
    talks[0].answer(
        ElectricityImbalance(
            in_reply_to=talks[0].request.msg_id,
            responder="ei",
            grid_area="main",
            day=DAY,
            revision=4,
            supply=energies(day, 60, 1.0),
            demand=energies(day, 60, 1.0),
        )
    )
    talks[1].answer(refused(ElectricityImbalance, talks[1].request, "ei", "no_data"))
    (news,) = stage.published
    assert (news.day, news.buy.values[0]) == (DAY, 0.325)


def test_with_always_each_accepted_schedule_is_owed_one_broadcast_a_day_changed_or_not() -> None:
    stage = an_open_market(always=True)
    update = a_schedule(5, [1.0])
    stage.deliver(update, "cs-1")
    stage.deliver(a_schedule(6, [1.0], reservation="b2", msg_id="u2"), "cs-1")
    stage.deliver(a_schedule(5, [1.0], msg_id="u3"), "cs-1")  # the same again owes nothing
    for revision in (2, 3):
        for ahead in (0, 1):
            assert len(hear(stage, 100.0, 100.0, revision=revision, ahead=ahead)) == 1
    assert not hear(stage, 100.0, 100.0, revision=4)


def test_adaptive_learns_its_slope_from_the_day_before() -> None:
    """alpha = −|mean of (P_1 − P_t) / (2·(d_1 − d_t))|, restated from what was in force and charged."""
    stage = an_open_market("adaptive", estimate_alpha=True)
    charged = [4.0, 0.0, 1.0] + [0.0] * 21
    hear(stage, np.arange(24) * 10.0 + 50.0, 100.0, revision=2)
    stage.deliver(a_schedule(0, charged), "cs-1")
    stage.pass_until(at(23))
    day_before = stage.deliver(ElectricityPricesRequest(msg_id="q", grid_area="main", day_index=0), "cs-1")
    prices = [stage.published[0].buy.values[0]] * 3 + day_before.buy.values.tolist()[3:]
    # Slots 0 to 2 began before the second picture: what was in force then counts.
    slopes = [
        (prices[0] - prices[t]) / (2 * (charged[0] - charged[t]))
        for t in range(1, 24)
        if charged[t] != charged[0]
    ]
    alpha = -abs(sum(slopes) / len(slopes))
    (news,) = hear(stage, 130.0, 100.0, revision=2, ahead=1)
    assert news.buy.values.tolist() == pytest.approx([0.6 + 2 * alpha * 30.0] * 24, abs=1.1e-5)
    assert alpha != -0.00015069


# The ledger.


def register(stage: Stage, name: str) -> None:
    kind = RegisterElectricityProducer if name == "ep" else RegisterElectricityConsumer
    request = kind(msg_id="r", grid_area="main", kind="wind", rated_power_kw=1e6, location=HERE)
    assert stage.deliver(request, name).accepted
    day = stage.agent.calendar.day(DAY)  # type: ignore[attr-defined]
    expects = UpdateExpectedProduction if name == "ep" else UpdateExpectedConsumption
    forecast = expects(
        msg_id="e", grid_area="main", day=DAY, revision=1, expected=energies(day, 60, np.arange(24.0))
    )
    assert stage.deliver(forecast, name).accepted


def test_who_starts_or_wakes_within_a_slot_settles_at_the_next_ones_start() -> None:
    agent = PricingAgent(
        "md",
        "main",
        Calendar(),
        horizon_days=1,
        broadcast=BroadcastRule(),
        strategy=registry.build("pricing", "flat", {}),
        imbalance_agent="ei",
    )
    stage = Stage(agent, at(10.3))
    agent.start(stage)
    slots = [wake for wake in stage.wakes if wake[1][0] == "slot"]
    assert slots == [(at(11), ("slot",))]
    stage.now = int(at(11)) + 5  # a real clock is never on time
    agent.wake(stage, ("slot",))
    assert (at(12), ("slot",)) in stage.wakes


def test_consumers_pay_buy_and_producers_get_sell_of_the_newest_revision_at_the_slots_start() -> None:
    stage = a_pricing_agent("flat", buy_eur_per_kwh=0.3, sell_eur_per_kwh=0.1)
    stage.pass_until(at(1))
    hear(stage, 0.0, 0.0)
    register(stage, "ep")
    register(stage, "ec")
    stage.pass_until(at(24) - 1)
    # No price was known when the slots of 00:00 and 01:00 began.
    sold = sum(range(2, 24))
    assert balances(stage)["EP/ep"] == pytest.approx(0.1 * sold)
    assert balances(stage)["EC/ec"] == pytest.approx(-0.3 * sold)
    assert balances(stage)["MD"] == pytest.approx(0.2 * sold)


def test_a_session_is_posted_once_when_it_is_over_as_billed() -> None:
    stage = an_open_market()
    stage.deliver(a_schedule(5, [10.0, -4.0], price=0.5, cost_eur=2.5), "cs-1")  # 3 EUR less 0.5
    stage.pass_until(at(7) - 1)
    assert "EV/cs-1" not in balances(stage)
    stage.pass_until(at(7))
    first = balances(stage)
    assert first["EV/cs-1"] == -2.5
    assert first["CS/cs-1"] == -0.5  # the compensation is the station's to bear
    assert first["MD"] == 3.0
    late = a_schedule(5, [9.0, 9.0], revision=2, cost_eur=9.0, msg_id="u2")
    stage.deliver(late, "cs-1")
    stage.pass_until(at(30))
    assert balances(stage)["EV/cs-1"] == -2.5


def test_a_session_that_moves_is_posted_at_its_new_end_and_a_cancelled_one_costs_nothing() -> None:
    stage = an_open_market()
    stage.deliver(a_schedule(5, [10.0], cost_eur=2.0), "cs-1")
    stage.deliver(a_schedule(8, [10.0], cost_eur=2.0, revision=2, msg_id="u2"), "cs-1")
    stage.deliver(a_schedule(5, [10.0], cost_eur=2.0, reservation="b2", msg_id="u3"), "cs-2")
    stage.deliver(a_schedule(5, [0.0], reservation="b2", revision=2, msg_id="u4"), "cs-2")
    stage.pass_until(at(8))
    assert "EV/cs-1" not in balances(stage)
    stage.pass_until(at(9))
    assert balances(stage)["EV/cs-1"] == -2.0
    assert balances(stage)["EV/cs-2"] == 0.0


POSTING = st.tuples(
    st.sampled_from(["a", "b", "c"]),  # reservation
    st.integers(1, 5),  # revision
    st.integers(3, 22),  # start, hours
    st.lists(st.integers(-30_000_000, 30_000_000), min_size=1, max_size=4),  # 1e-6 kWh
    st.integers(-500_000, 500_000),  # cost, 1e-5 EUR
)


@settings(max_examples=40, deadline=None)
@given(st.lists(POSTING, max_size=15))
def test_the_accounts_sum_to_nothing_after_every_posting(postings: list[Any]) -> None:
    stage = an_open_market()
    register(stage, "ep")
    register(stage, "ec")
    for number, (reservation, revision, start, values, cost) in enumerate(postings):
        update = a_schedule(
            start,
            [energy / 1e6 for energy in values],
            reservation=reservation,
            revision=revision,
            cost_eur=cost / 1e5,
            msg_id=f"u{number}",
        )
        stage.deliver(update, "cs-1" if reservation == "a" else "cs-2")
        stage.pass_until(stage.now + 1800)
        assert sum(stage.agent.ledger.balances.values()) == 0  # type: ignore[attr-defined]
    stage.pass_until(at(30))
    assert sum(stage.agent.ledger.balances.values()) == 0  # type: ignore[attr-defined]
    assert all(isinstance(units, int) for units in stage.agent.ledger.balances.values())  # type: ignore[attr-defined]


def test_slots_that_began_before_any_price_was_known_are_neither_priced_nor_paid_for() -> None:
    stage = an_open_market()
    stage.pass_until(at(24))
    (record,) = stage.recorded(PriceDayRecord)
    # EI speaks at 01:00, after the slot that begins then.
    assert np.flatnonzero(np.isnan(record.buy_eur_per_kwh)).tolist() == [0, 1]
    assert np.flatnonzero(np.isnan(record.sell_eur_per_kwh)).tolist() == [0, 1]
    assert record.buy_eur_per_kwh[2:].tolist() == [0.325] * 22


def test_the_run_ends_with_every_balance_and_the_last_days_prices() -> None:
    stage = an_open_market()
    stage.deliver(a_schedule(22, [10.0, 1.0], cost_eur=2.2), "cs-1")
    stage.pass_until(at(24) - 1)
    hear(stage, 50.0, 100.0, revision=2)  # too late for any slot of the day
    stage.now = int(at(24))
    stage.agent.finish(stage)
    assert {r.account: r.balance_eur for r in stage.recorded(LedgerRecord)} == balances(stage)
    assert balances(stage)["EV/cs-1"] == -2.2
    (record,) = stage.recorded(PriceDayRecord)
    assert record.day == DAY
    assert record.buy_eur_per_kwh[2:].tolist() == [0.325] * 22
