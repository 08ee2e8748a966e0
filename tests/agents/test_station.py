"""A station answers every CP2 once, believes only what its recommender vouches for, and keeps its books."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from one_agent import (
    DAY,
    HERE,
    HOUR,
    Stage,
    Talk,
    a_battery,
    a_connector,
    a_market,
    a_recommendation,
    a_station_plan,
    accepted,
    at,
    preferences,
    priced,
    prices_of,
    refused,
)

from voltagora.agents.station import StationAgent
from voltagora.agents.station_desk import StationPeers, StationRules
from voltagora.domain.fleet import StationPlan
from voltagora.domain.records import SessionRecord, SessionState, StationRecord
from voltagora.domain.terms import Terms
from voltagora.domain.units import LATEST, Time, replaced
from voltagora.domain.vehicle import Preferences
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import Decision, VehicleProposal
from voltagora.protocols.cp04_station_registration import RegisterChargingStation, RegistrationOutcome
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation, AuthenticationOutcome
from voltagora.protocols.cp07_prices import ElectricityPrices, ElectricityPricesRequest
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule, UpdateScheduleOutcome
from voltagora.protocols.cp11_confidence import UpdateConfidence
from voltagora.protocols.cp12_availability import Availability, UpdatedStationAvailability
from voltagora.protocols.message import Refusal
from voltagora.strategies import registry

PEERS = StationPeers(grid_area="main", imbalance="ei", pricing="md", recommender="sr-net")
HARDWARE = StationRules(hears_hardware=True)


def a_station(
    plan: StationPlan | None = None,
    *,
    strategy: str = "lowest_price",
    rules: StationRules | None = None,
    buy: Any = 0.2,
    now: float = 3.0,
) -> Stage:
    market = a_market()
    if buy is not None:
        priced(market, DAY, buy=buy)
    station = StationAgent(
        plan or a_station_plan(),
        market,
        peers=PEERS,
        scheduling=registry.build("scheduling", strategy, {}),
        negotiation=registry.build("negotiation", "utility", {}),
        rules=rules or StationRules(),
    )
    return Stage(station, at(now))


def ask(
    arrival: float = 8,
    departure: float = 10,
    energy_kwh: float = 7.0,
    *,
    id: str = "sr-net-1",
    msg_id: str = "m1",
    battery: Any = None,
    wanted: dict[str, Any] | None = None,
    **offer: Any,
) -> ReserveChargingSlot:
    """CP2 as an honest vehicle would send it; `wanted` bends its preferences, `offer` what it shows."""
    return ReserveChargingSlot(
        msg_id=msg_id,
        recommendation=a_recommendation(arrival, departure, energy_kwh, id=id, **offer),
        battery=battery or a_battery(),
        preferences=preferences(arrival, departure, energy_kwh, **(wanted or {})),
    )


def vouch(talk: Talk) -> ReservationOutcome:
    """Let the recommender stand by what it is asked about."""
    assert isinstance(talk.request, AuthenticateRecommendation)
    assert talk.asked is not None
    assert talk.asked.responders == ("sr-net",)
    outcome: ReservationOutcome = talk.answer(accepted(AuthenticationOutcome, talk.request, "sr-net")).result
    return outcome


def book(stage: Stage, *stay: Any, **more: Any) -> ReservationOutcome:
    outcome = vouch(stage.deliver(ask(*stay, **more), "cs-1"))
    assert outcome.accepted, outcome
    return outcome


def books_of(stage: Stage) -> list[tuple[int, int, str]]:
    entries: list[tuple[int, int, str]] = []
    for held in stage.agent.sessions.books.values():  # type: ignore[attr-defined]
        entries += held.entries()
    return sorted(entries)


# Booking.


def test_a_booking_is_told_to_all_who_need_it_before_it_is_answered() -> None:
    stage = a_station()
    outcome = book(stage)
    ((schedule, to_area),) = [t for t in stage.told if isinstance(t[0], UpdatedChargingSchedule)]
    ((availability, to_recommender),) = [
        t for t in stage.told if isinstance(t[0], UpdatedStationAvailability)
    ]
    assert to_area == ("ei", "md")
    assert to_recommender == ("sr-net",)
    assert (schedule.reservation, schedule.revision) == ("sr-net-1", 1)
    assert (schedule.schedule, schedule.buy, schedule.sell) == (outcome.schedule, outcome.buy, outcome.sell)
    assert schedule.cost_eur == outcome.cost_eur == pytest.approx(1.4)
    assert availability.state is Availability.RESERVED
    assert (availability.arrival, availability.departure) == (at(8), at(10))
    assert float(outcome.schedule.values.sum()) == 7.0
    assert books_of(stage) == [(at(8), at(10), "sr-net-1")]


def test_the_slot_may_go_while_the_recommender_answers() -> None:
    for first_answered in (0, 1):
        stage = a_station()
        talks = [
            stage.deliver(ask(8, 10, id="sr-net-1", msg_id="m1"), "cs-1"),
            stage.deliver(ask(9, 11, id="sr-net-2", msg_id="m2", vehicle="ev-2"), "cs-1"),
        ]
        assert vouch(talks[first_answered]).accepted
        assert vouch(talks[1 - first_answered]).reason == Refusal.SLOT_TAKEN
        assert len(books_of(stage)) == 1


def test_one_vehicle_is_not_booked_twice_for_one_moment() -> None:
    stage = a_station(a_station_plan(a_connector("c1"), a_connector("c2")))
    book(stage, 8, 10)
    second = vouch(stage.deliver(ask(9, 11, id="sr-net-2", msg_id="m2", connector="c2"), "cs-1"))
    assert (second.reason, second.field) == (Refusal.SLOT_TAKEN, "recommendation.vehicle")
    assert books_of(stage) == [(at(8), at(10), "sr-net-1")]
    # Once it has given up the first it may.
    stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1")
    assert vouch(stage.deliver(ask(9, 11, id="sr-net-3", msg_id="m3", connector="c2"), "cs-1")).accepted
    stage.pass_until(at(11))
    stage.now = int(at(12))
    assert vouch(stage.deliver(ask(12, 13, id="sr-net-4", msg_id="m4"), "cs-1")).accepted


def test_stays_that_touch_are_both_booked() -> None:
    stage = a_station()
    book(stage, 8, 10, id="sr-net-1")
    book(stage, 10, 12, id="sr-net-2", msg_id="m2")
    assert len(books_of(stage)) == 2


def test_a_copy_of_a_booking_gets_the_stored_answer_even_after_it_expired() -> None:
    stage = a_station()
    outcome = book(stage)
    stage.now = int(at(9))
    told = len(stage.told)
    again = stage.deliver(ask(msg_id="m9"), "cs-1")
    assert again == msgspec.structs.replace(outcome, in_reply_to="m9")
    assert len(stage.told) == told
    assert len(books_of(stage)) == 1


def test_a_copy_that_comes_while_the_first_is_decided_asks_nobody_a_second_time() -> None:
    stage = a_station()
    first = stage.deliver(ask(), "cs-1")
    assert stage.deliver(ask(msg_id="m2"), "cs-1") is None
    assert vouch(first).accepted
    assert stage.deliver(ask(msg_id="m2"), "cs-1").accepted
    assert len(books_of(stage)) == 1


def test_a_refusal_is_stored_too() -> None:
    stage = a_station()
    book(stage, 8, 10, id="sr-net-1")
    late = stage.deliver(ask(9, 11, id="sr-net-2", msg_id="m2"), "cs-1")
    assert vouch(late).reason == Refusal.SLOT_TAKEN
    stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1")
    again = stage.deliver(ask(9, 11, id="sr-net-2", msg_id="m3"), "cs-1")
    assert again.reason == Refusal.SLOT_TAKEN


# Trust.


@pytest.mark.parametrize("why", ["unknown", "altered", "used"])
def test_what_the_recommender_does_not_stand_by_is_not_authentic(why: str) -> None:
    stage = a_station()
    talk = stage.deliver(ask(), "cs-1")
    outcome = talk.answer(refused(AuthenticationOutcome, talk.request, "sr-net", why)).result
    assert outcome.reason == Refusal.NOT_AUTHENTIC
    assert not books_of(stage)
    assert not stage.told


def test_an_expired_recommendation_is_refused_as_expired() -> None:
    stage = a_station()
    talk = stage.deliver(ask(), "cs-1")
    outcome = talk.answer(refused(AuthenticationOutcome, talk.request, "sr-net", "expired")).result
    assert outcome.reason == Refusal.EXPIRED


def test_without_a_word_from_the_recommender_nothing_is_booked() -> None:
    stage = a_station()
    outcome = stage.deliver(ask(), "cs-1").answer(None).result
    assert outcome.reason == Refusal.NOT_AUTHENTIC
    assert not books_of(stage)


def test_a_recommender_of_another_network_cannot_vouch() -> None:
    stage = a_station()
    outcome = stage.deliver(ask(recommender="sr-other"), "cs-1")
    assert outcome.reason == Refusal.NOT_AUTHENTIC
    assert outcome.field == "recommendation.recommender"


def test_nobody_learns_of_a_booking_by_guessing_its_id() -> None:
    stage = a_station()
    book(stage)
    for theft in ({"vehicle": "thief"}, {"token": "f" * 32}, {"vehicle": "thief", "token": "f" * 32}):
        outcome = stage.deliver(ask(msg_id="m7", **theft), "cs-1")
        assert outcome.reason == Refusal.NOT_AUTHENTIC, theft
        assert outcome.schedule is msgspec.UNSET


def test_a_forged_copy_in_front_does_not_keep_the_owner_out() -> None:
    stage = a_station()
    forged = stage.deliver(ask(msg_id="x1", vehicle="thief"), "cs-1")
    owner = stage.deliver(ask(), "cs-1")
    no = refused(AuthenticationOutcome, forged.request, "sr-net", "altered")
    assert forged.answer(no).result.reason == Refusal.NOT_AUTHENTIC
    assert vouch(owner).accepted


def test_another_stations_recommendation_is_refused_unread() -> None:
    stage = a_station()
    outcome = stage.deliver(ask(station="cs-2"), "cs-1")
    assert outcome.reason == Refusal.UNKNOWN_STATION


@pytest.mark.parametrize(
    ("bent", "field"),
    [
        ({"arrival": at(7)}, "preferences.arrival"),
        ({"departure": at(11)}, "preferences.departure"),
        ({"energy_kwh": 6.0}, "preferences.energy_kwh"),
        ({"connector_type": "3 phase-DC"}, "preferences.connector_type"),
        ({"desired_soc": 0.9}, "preferences.desired_soc"),
        ({"desired_soc": 0.6761}, "preferences.desired_soc"),
    ],
)
def test_a_request_that_contradicts_its_recommendation_names_the_field(
    bent: dict[str, Any], field: str
) -> None:
    stage = a_station()
    request = ask()
    wrong: Preferences = msgspec.structs.replace(request.preferences, **bent)
    outcome = stage.deliver(msgspec.structs.replace(request, preferences=wrong), "cs-1")
    assert (outcome.reason, outcome.field) == (Refusal.INVALID_REQUEST, field)


@pytest.mark.parametrize("desired_soc", [0.674, 0.6759, 0.676])  # 0.5 and 7 of 40 kWh make 0.675
def test_a_desired_soc_within_a_thousandth_is_taken(desired_soc: float) -> None:
    stage = a_station()
    assert book(stage, wanted={"desired_soc": desired_soc}).accepted


def test_more_power_than_the_connector_has_is_asked_for_in_vain_but_may_be() -> None:
    stage = a_station()
    outcome = book(stage, 8, 10, 14.0, wanted={"power_kw": 11.0}, battery=a_battery(max_charge_kw=11.0))
    assert outcome.schedule.values.tolist() == [7.4, 6.6]


def test_a_stay_that_no_calendar_reaches_is_refused_unasked() -> None:
    stage = a_station()
    far = {"arrival": Time(LATEST - 7200), "departure": Time(LATEST)}
    offer = replaced(a_recommendation(8, 10), **far)
    request = ReserveChargingSlot(
        msg_id="b1",
        recommendation=offer,
        battery=a_battery(),
        preferences=replaced(preferences(8, 10), **far),
    )
    outcome = stage.deliver(request, "cs-1")
    assert (outcome.reason, outcome.field) == ("invalid_request", "recommendation.departure")


@pytest.mark.parametrize("wrong", [{"connector": "c9"}, {"connector_type": "3 phase-DC"}])
def test_a_connector_that_the_station_does_not_have_is_refused(wrong: dict[str, Any]) -> None:
    stage = a_station()
    outcome = vouch(
        stage.deliver(ask(wanted={k: v for k, v in wrong.items() if k != "connector"}, **wrong), "cs-1")
    )
    assert (outcome.reason, outcome.field) == (Refusal.INVALID_REQUEST, "recommendation.connector")


# What can be done.


def test_what_cannot_be_met_is_refused_with_what_could() -> None:
    stage = a_station()
    outcome = vouch(stage.deliver(ask(8, 10, 18.5), "cs-1"))
    assert outcome.reason == Refusal.INFEASIBLE
    assert outcome.possible_kwh == pytest.approx(14.8)
    assert outcome.possible_departure == at(8) + 9000  # 18.5 kWh at 7.4 kW: two and a half hours
    assert not books_of(stage)


def test_what_is_said_to_be_possible_is_and_a_second_less_is_not() -> None:
    for energy_kwh in (15.0, 17.3, 19.999):
        said = vouch(a_station().deliver(ask(8, 10, energy_kwh), "cs-1")).possible_departure
        hours = (said - at(0)) / HOUR
        assert vouch(a_station().deliver(ask(8, hours, energy_kwh), "cs-1")).accepted
        assert not vouch(a_station().deliver(ask(8, hours - 1 / HOUR, energy_kwh), "cs-1")).accepted
    said = vouch(a_station().deliver(ask(8, 10, 16.0), "cs-1")).possible_kwh
    assert vouch(a_station().deliver(ask(8, 10, said), "cs-1")).accepted
    assert not vouch(a_station().deliver(ask(8, 10, said + 0.01), "cs-1")).accepted


def test_no_later_departure_is_promised_into_the_next_booking_or_beyond_the_prices() -> None:
    stage = a_station()
    book(stage, 10.25, 12, id="sr-net-2", msg_id="m2")
    assert vouch(stage.deliver(ask(8, 10, 18.5), "cs-1")).possible_departure is msgspec.UNSET
    late = vouch(a_station().deliver(ask(22, 23.5, 18.5), "cs-1"))
    assert late.reason == Refusal.INFEASIBLE
    assert late.possible_departure is msgspec.UNSET


def test_a_full_battery_is_no_question_of_time() -> None:
    outcome = vouch(a_station().deliver(ask(8, 20, 25.0), "cs-1"))
    assert outcome.possible_kwh == pytest.approx(20.0)
    assert outcome.possible_departure is msgspec.UNSET


def test_missing_prices_are_asked_for_before_no_prices_is_said() -> None:
    stage = a_station(buy=None)
    talk = stage.deliver(ask(22, 26), "cs-1")
    talk.answer(accepted(AuthenticationOutcome, talk.request, "sr-net"))
    days = []
    while not talk.is_over:
        assert isinstance(talk.request, ElectricityPricesRequest)
        assert talk.asked is not None
        assert talk.asked.responders == ("md",)
        days.append(talk.request.day_index)
        talk.answer(refused(ElectricityPrices, talk.request, "md", "no_data"))
    assert days == [0, 1]
    assert talk.result.reason == Refusal.NO_PRICES


def test_prices_that_are_asked_for_are_booked_at() -> None:
    stage = a_station(buy=None)
    talk = stage.deliver(ask(8, 10), "cs-1")
    talk.answer(accepted(AuthenticationOutcome, talk.request, "sr-net"))
    news = prices_of(stage.agent.calendar.day(DAY), 60, 0.3, 0.1)  # type: ignore[attr-defined]
    names = ("grid_area", "day", "revision", "buy", "sell")
    reply = ElectricityPrices(
        in_reply_to=talk.request.msg_id, responder="md", **{name: getattr(news, name) for name in names}
    )
    outcome = talk.answer(reply).result
    assert outcome.accepted
    assert outcome.cost_eur == pytest.approx(2.1)


def test_a_booked_session_keeps_its_prices() -> None:
    stage = a_station(buy=0.2)
    outcome = book(stage)
    priced(stage.agent.market, DAY, buy=9.0, revision=2)  # type: ignore[attr-defined]
    later = book(stage, 12, 14, id="sr-net-2", msg_id="m2")
    assert outcome.cost_eur == pytest.approx(1.4)
    assert later.cost_eur == pytest.approx(63.0)


def test_the_grid_limit_caps_each_slot_by_what_others_have_booked() -> None:
    plan = a_station_plan(a_connector("c1"), a_connector("c2"), grid_limit_kw=10.0)
    stage = a_station(plan, strategy="first_slot")
    first = book(stage, 8, 10, 7.4)
    second = book(stage, 8, 10, 7.4, id="sr-net-2", msg_id="m2", vehicle="ev-2", connector="c2")
    assert (first.schedule.values + second.schedule.values).tolist() == [10.0, 4.8]
    third = vouch(
        stage.deliver(
            ask(8, 9, 1.0, id="sr-net-3", msg_id="m3", vehicle="ev-3", connector="c2", wanted={}), "cs-1"
        )
    )
    assert third.reason == Refusal.SLOT_TAKEN


def test_the_grid_limit_holds_even_if_a_vehicle_that_feeds_in_cancels() -> None:
    buy = [0.9] * 8 + [0.9, 0.1] + [0.9] * 14
    market_sells = {"battery": a_battery(soc=0.9), "wanted": {"v2g_allowed": True}}
    plan = a_station_plan(a_connector("c1"), a_connector("c2"), grid_limit_kw=7.4)
    stage = a_station(plan, strategy="v2g", buy=buy)
    priced(stage.agent.market, DAY, buy=buy, sell=buy, revision=2)  # type: ignore[attr-defined]
    feeds = book(stage, 8, 10, 0.0, **market_sells)
    assert feeds.schedule.values[0] < 0
    draws = book(stage, 8, 9, 7.4, id="sr-net-2", msg_id="m2", vehicle="ev-2", connector="c2")
    stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1")
    assert float(draws.schedule.values.max()) <= 7.4


# The strategy that plans all sessions of a station anew.


def test_a_newcomer_moves_the_others_and_none_of_them_pays_more() -> None:
    plan = a_station_plan(a_connector("c1"), a_connector("c2"), grid_limit_kw=7.4)
    buy = [0.5] * 8 + [0.1, 0.3] + [0.5] * 14
    stage = a_station(plan, strategy="station", buy=buy)
    first = book(stage, 8, 10, 7.4)
    assert first.schedule.values.tolist() == [7.4, 0.0]
    second = book(stage, 8, 9, 7.4, id="sr-net-2", msg_id="m2", vehicle="ev-2", connector="c2")
    assert second.schedule.values.tolist() == [7.4]
    moved = [u for u in stage.told_of(UpdatedChargingSchedule) if u.reservation == "sr-net-1"]
    assert [u.revision for u in moved] == [1, 2]
    assert moved[-1].schedule.values.tolist() == [0.0, 7.4]
    assert moved[-1].cost_eur == first.cost_eur
    held = stage.agent.sessions.bookings["sr-net-1"]  # type: ignore[attr-defined]
    assert held.compensation_eur == pytest.approx(7.4 * 0.2)


def test_the_strategy_for_all_leaves_alone_who_has_come() -> None:
    plan = a_station_plan(a_connector("c1"), a_connector("c2"), grid_limit_kw=7.4)
    stage = a_station(plan, strategy="station", buy=[0.5] * 8 + [0.1, 0.3] + [0.5] * 14)
    book(stage, 8, 10, 7.4)
    stage.now = int(at(8))
    second = vouch(
        stage.deliver(ask(8.5, 9, 3.0, id="sr-net-2", msg_id="m2", vehicle="ev-2", connector="c2"), "cs-1")
    )
    assert second.reason == Refusal.INFEASIBLE
    assert second.possible_kwh == 0.0
    assert second.possible_departure == at(9) + round(3.0 / 7.4 * HOUR + 0.5)


# Cancelling.


def cancel(reservation: str, msg_id: str = "n1") -> VehicleProposal:
    return VehicleProposal(msg_id=msg_id, reservation=reservation, round=1, terms=Terms(energy_kwh=0.0))


def test_a_cancelled_booking_gives_everything_back() -> None:
    stage = a_station()
    book(stage)
    answer = stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1")
    assert answer.decision is Decision.ACCEPT
    assert not books_of(stage)
    last = stage.told_of(UpdatedChargingSchedule)[-1]
    assert (last.revision, last.cost_eur, last.schedule.values.tolist()) == (2, 0.0, [0.0, 0.0])
    availability = stage.told_of(UpdatedStationAvailability)[-1]
    assert (availability.revision, availability.state) == (2, Availability.RELEASED)
    (record,) = stage.recorded(SessionRecord)
    assert record.state is SessionState.CANCELLED
    book(stage, 8, 10, id="sr-net-2", msg_id="m2")


def test_a_reservation_cancelled_before_it_came_is_refused_released() -> None:
    stage = a_station()
    assert stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1").decision is Decision.ACCEPT
    assert stage.deliver(ask(), "cs-1").reason == Refusal.RELEASED


def test_a_reservation_cancelled_while_it_is_decided_is_refused_released() -> None:
    stage = a_station()
    talk = stage.deliver(ask(), "cs-1")
    assert stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1").decision is Decision.ACCEPT
    assert vouch(talk).reason == Refusal.RELEASED
    assert not books_of(stage)


def test_nobody_cancels_what_another_vehicle_holds_or_will_hold() -> None:
    stage = a_station()
    assert stage.deliver(cancel("sr-net-1"), "cs-1", "thief").decision is Decision.ACCEPT
    book(stage)
    answer = stage.deliver(cancel("sr-net-1", "n2"), "cs-1", "thief")
    assert answer.reason == Refusal.UNKNOWN_RESERVATION
    assert len(books_of(stage)) == 1


def test_a_stay_that_has_begun_or_is_over_cannot_be_cancelled() -> None:
    stage = a_station()
    book(stage)
    stage.pass_until(at(8))
    assert stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1").decision is Decision.REJECT
    stage.pass_until(at(10))
    assert stage.deliver(cancel("sr-net-1", "n2"), "cs-1", "ev-1").decision is Decision.REJECT
    (record,) = stage.recorded(SessionRecord)
    assert record.state is SessionState.COMPLETED


def test_cancelling_twice_is_accepted_twice_and_done_once() -> None:
    stage = a_station()
    book(stage)
    stage.deliver(cancel("sr-net-1"), "cs-1", "ev-1")
    told = len(stage.told)
    assert stage.deliver(cancel("sr-net-1", "n2"), "cs-1", "ev-1").decision is Decision.ACCEPT
    assert len(stage.told) == told


# The stay itself.


def test_a_vehicle_that_does_not_come_loses_its_booking_after_an_hour() -> None:
    stage = a_station(rules=HARDWARE)
    book(stage, 8, 12)
    stage.pass_until(at(9) - 1)
    assert books_of(stage)
    stage.pass_until(at(9))
    assert not books_of(stage)
    (record,) = stage.recorded(SessionRecord)
    assert (record.state, record.cost_eur) == (SessionState.NO_SHOW, 0.0)
    assert stage.told_of(UpdatedStationAvailability)[-1].state is Availability.RELEASED


def test_a_vehicle_that_does_not_come_to_a_short_stay_is_not_billed() -> None:
    stage = a_station(rules=HARDWARE)
    book(stage, 8, 8.5, 3.0)
    stage.pass_until(at(9))
    (record,) = stage.recorded(SessionRecord)
    assert (record.state, record.cost_eur) == (SessionState.NO_SHOW, 0.0)


def test_a_vehicle_that_came_and_left_early_was_there() -> None:
    stage = a_station(rules=HARDWARE, strategy="first_slot")
    book(stage, 8, 12, 14.8)
    stage.pass_until(at(8))
    stage.agent.hardware(stage, "sr-net-1", True)
    stage.pass_until(at(8.5))
    stage.agent.hardware(stage, "sr-net-1", False)
    stage.pass_until(at(13))
    (record,) = stage.recorded(SessionRecord)
    assert record.state is SessionState.COMPLETED
    assert record.schedule_kwh.tolist() == [3.7, 0.0, 0.0, 0.0]
    assert record.cost_eur == pytest.approx(3.7 * 0.2)


def test_a_late_vehicle_gets_what_the_rest_of_the_stay_can_give() -> None:
    stage = a_station(rules=HARDWARE, strategy="first_slot")
    book(stage, 8, 10, 14.0)
    stage.pass_until(at(8.5))
    stage.agent.hardware(stage, "sr-net-1", True)
    last = stage.told_of(UpdatedChargingSchedule)[-1]
    assert last.schedule.values.tolist() == [3.7, 7.4]


def test_who_comes_late_and_leaves_within_the_slot_got_only_the_minutes_between() -> None:
    stage = a_station(rules=HARDWARE, strategy="first_slot")
    book(stage, 8, 9, 7.0)
    stage.pass_until(at(8.5))
    stage.agent.hardware(stage, "sr-net-1", True)
    stage.pass_until(at(8.75))
    stage.agent.hardware(stage, "sr-net-1", False)
    last = stage.told_of(UpdatedChargingSchedule)[-1]
    assert last.schedule.values.tolist() == pytest.approx([7.4 / 4])


def test_a_stay_that_stands_when_the_run_ends_is_recorded_as_it_stands() -> None:
    stage = a_station()
    book(stage, 8, 10)
    book(stage, 12, 14, id="sr-net-2", msg_id="m2")
    stage.now = int(at(9))
    stage.agent.finish(stage)
    states = {r.reservation: r.state for r in stage.recorded(SessionRecord)}
    assert states == {"sr-net-1": SessionState.CHARGING, "sr-net-2": SessionState.BOOKED}


# Registration and confidence.


def test_a_station_registers_with_all_three_and_again_with_who_has_forgotten_it() -> None:
    stage = a_station(now=0)
    stage.agent.start(stage)
    ((request, whom),) = stage.told
    assert isinstance(request, RegisterChargingStation)
    assert whom == ("ei", "md", "sr-net")
    assert stage.recorded(StationRecord)[0].connectors == 1
    stage.now = int(at(3))
    book(stage)
    update = stage.told_of(UpdatedChargingSchedule)[0]
    stage.agent.told(stage, update, refused(UpdateScheduleOutcome, update, "md", "not_registered"))
    (registration, first), (again, second) = stage.told[-2:]
    assert isinstance(registration, RegisterChargingStation)
    assert first == second == ("md",)
    assert again == msgspec.structs.replace(update, msg_id=again.msg_id)
    assert again.msg_id != update.msg_id


def test_the_same_refused_for_another_reason_is_left_alone() -> None:
    stage = a_station()
    book(stage)
    told = len(stage.told)
    update = stage.told_of(UpdatedChargingSchedule)[0]
    stage.agent.told(stage, update, refused(UpdateScheduleOutcome, update, "md", "stale"))
    assert len(stage.told) == told
    assert RegistrationOutcome not in stage.agent.handles


def test_a_station_says_daily_what_it_drew_on_the_days_before() -> None:
    stage = a_station(rules=StationRules(reports_confidence=True), now=0, strategy="first_slot")
    stage.agent.start(stage)
    market = stage.agent.market  # type: ignore[attr-defined]
    day = market.calendar.day(DAY)
    for number, energy_kwh in enumerate((7.0, 5.0)):
        priced(market, market.calendar.day_after(day, number).date)
        stay = (24 * number + 8, 24 * number + 9, energy_kwh)
        stage.pass_until(at(24 * number + 3))
        book(stage, *stay, id=f"sr-net-{number}", msg_id=f"m{number}")
        stage.pass_until(at(24 * number + 24))
    stage.pass_until(at(72))
    first, second, third = stage.told_of(UpdateConfidence)
    assert first.mean.values[8] == 7.0
    assert not first.std.values.any()
    assert second.mean.values[8] == 6.0
    assert second.std.values[8] == pytest.approx(np.sqrt(2.0))
    assert second.day.isoformat() == "2020-01-03"
    # A day on which nobody came counts, too: nothing was drawn.
    assert third.mean.values[8] == 4.0
    assert third.std.values[8] == pytest.approx(np.sqrt(13.0), abs=1e-6)
    assert stage.agent.plan.location == HERE  # type: ignore[attr-defined]
