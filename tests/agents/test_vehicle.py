"""A vehicle finds a place for each need or says why not, and is never at two places."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from one_agent import (
    HERE,
    HOUR,
    Stage,
    Talk,
    a_need,
    a_recommendation,
    a_vehicle_plan,
    accepted,
    at,
    refused,
)

from voltagora.agents.vehicle import VehicleAgent, VehicleRules
from voltagora.domain.fleet import Need
from voltagora.domain.location import Location
from voltagora.domain.records import NeedRecord, RefusalRecord
from voltagora.domain.series import PriceSeries, ScheduleSeries
from voltagora.domain.station import Recommendation
from voltagora.domain.terms import Terms
from voltagora.protocols.cp01_recommendation import ChargingRecommendations, RequestChargingRecommendations
from voltagora.protocols.cp02_reservation import ReservationOutcome, ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationAnswer,
    StationProposal,
    StationTerms,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.message import Refusal
from voltagora.strategies import registry


def a_vehicle(
    *needs: Need, rules: VehicleRules | None = None, draws: tuple[float, ...] = (), **more: Any
) -> Stage:
    vehicle = VehicleAgent(
        a_vehicle_plan(*needs, **more),
        grid_area="main",
        recommenders={"net": "sr-net", "other": "sr-other"},
        choice=registry.build("choice", "first", {}),
        negotiation=registry.build("negotiation", "utility", {}),
        rules=rules or VehicleRules(),
    )
    stage = Stage(vehicle, at(0), draws)
    vehicle.start(stage)
    return stage


def offer_for(stage: Stage, number: int = 0, **more: Any) -> Recommendation:
    need = stage.agent.plan.needs[number]  # type: ignore[attr-defined]
    hours = [(moment - at(0)) / 3600 for moment in (need.arrival, need.departure)]
    return a_recommendation(*hours, need.energy_kwh, **more)


def offer(talk: Talk, *offers: Recommendation) -> Talk:
    """Let the first recommender offer, the others have nothing."""
    assert isinstance(talk.request, RequestChargingRecommendations)
    assert talk.asked is not None
    first, *others = talk.asked.responders
    yes = ChargingRecommendations(
        in_reply_to=talk.request.msg_id, responder=first, recommendations=tuple(offers)
    )
    no = [refused(ChargingRecommendations, talk.request, name, "no_station") for name in others]
    return talk.answer(yes, *no)


def nothing(talk: Talk, reason: str = "no_free_connector") -> Talk:
    assert talk.asked is not None
    return talk.answer(
        *(refused(ChargingRecommendations, talk.request, name, reason) for name in talk.asked.responders)
    )


def book(talk: Talk, cost_eur: float = 1.4) -> Talk:
    assert isinstance(talk.request, ReserveChargingSlot)
    wanted = talk.request.recommendation
    start = wanted.arrival
    prices = PriceSeries.of(start, 60, np.full(2, 0.2))
    return talk.answer(
        accepted(
            ReservationOutcome,
            talk.request,
            wanted.station,
            reservation=wanted.id,
            schedule=ScheduleSeries.of(start, 60, np.array([wanted.energy_kwh, 0.0])),
            buy=prices,
            sell=prices,
            cost_eur=cost_eur,
        )
    )


def deny(talk: Talk, reason: str = "slot_taken") -> Talk:
    return talk.answer(refused(ReservationOutcome, talk.request, talk.request.recommendation.station, reason))


def a_booked_vehicle(*needs: Need, **more: Any) -> Stage:
    stage = a_vehicle(*(needs or (a_need(4, 8, 10),)), **more)
    for number in range(len(needs) or 1):
        stage.pass_until(stage.agent.plan.needs[number].asks_at)  # type: ignore[attr-defined]
        book(offer(stage.talks[number], offer_for(stage, number, id=f"sr-net-{number}")))
    return stage


def held(stage: Stage) -> dict[str, Any]:
    return dict(stage.agent.stays.held)  # type: ignore[attr-defined]


def outcomes(stage: Stage) -> dict[int, tuple[str, str | None]]:
    return {record.need: (record.outcome, record.reservation) for record in stage.recorded(NeedRecord)}


def terms(energy_kwh: float | None = None, cost_eur: float = 1.4, **more: Any) -> StationTerms:
    prices = PriceSeries.of(at(8), 60, np.full(2, 0.2))
    given = {} if energy_kwh is None else {"energy_kwh": energy_kwh}
    return StationTerms(
        schedule=ScheduleSeries.of(at(8), 60, np.array([1.0, 0.0])),
        buy=prices,
        sell=prices,
        cost_eur=cost_eur,
        **given,
        **more,
    )


def answer_of(talk: Talk, decision: Decision, station: str = "cs-1", **more: Any) -> StationAnswer:
    assert isinstance(talk.request, VehicleProposal)
    return StationAnswer(
        in_reply_to=talk.request.msg_id,
        responder=station,
        reservation=talk.request.reservation,
        round=talk.request.round,
        decision=decision,
        **more,
    )


# Reserve.


def test_all_recommenders_are_asked_at_the_moment_of_need_and_the_first_choice_is_booked() -> None:
    stage = a_vehicle(a_need(4, 8, 10), location=Location(latitude=1.0, longitude=2.0))
    stage.pass_until(at(4) - 1)
    assert not stage.talks
    stage.pass_until(at(4))
    (talk,) = stage.talks
    assert talk.asked is not None
    assert talk.asked.responders == ("sr-net", "sr-other")
    assert talk.request.location == Location(latitude=1.0, longitude=2.0)
    book(offer(talk, offer_for(stage), offer_for(stage, id="sr-net-2", station="cs-2")))
    assert talk.is_over
    assert outcomes(stage) == {0: ("booked", "sr-net-1")}
    assert set(held(stage)) == {"sr-net-1"}
    assert [r.responder for r in stage.recorded(RefusalRecord)] == ["sr-other"]


def test_a_vehicle_of_one_network_asks_its_own_first_and_all_when_it_comes_back() -> None:
    stage = a_vehicle(a_need(4, 8, 10), network="other")
    stage.pass_until(at(4))
    first = stage.talks[0]
    assert first.asked is not None
    assert first.asked.responders == ("sr-other",)
    assert first.request.preferences.network == "other"
    nothing(first)
    stage.pass_until(at(5))
    second = stage.talks[1]
    assert second.asked is not None
    assert second.asked.responders == ("sr-net", "sr-other")


def test_a_refused_vehicle_takes_its_next_recommendation() -> None:
    stage = a_vehicle(a_need(4, 8, 10))
    stage.pass_until(at(4))
    talk = offer(
        stage.talks[0], offer_for(stage), offer_for(stage, id="sr-net-2", station="cs-2", connector="c7")
    )
    assert talk.request.recommendation.station == "cs-1"
    deny(talk)
    assert talk.request.recommendation.station == "cs-2"
    book(talk)
    assert outcomes(stage) == {0: ("booked", "sr-net-2")}
    reasons = [(r.protocol, r.responder, r.reason) for r in stage.recorded(RefusalRecord)]
    assert ("CP2", "cs-1", "slot_taken") in reasons


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 1), (0.5, 301), (1 - 2**-53, 600)])
def test_a_vehicle_that_found_nothing_asks_once_more_within_ten_minutes(drawn: float, seconds: int) -> None:
    stage = a_vehicle(a_need(4, 8, 10), draws=(drawn,))
    stage.pass_until(at(4))
    nothing(stage.talks[0])
    assert not stage.recorded(NeedRecord)
    stage.pass_until(at(4) + seconds - 1)
    assert len(stage.talks) == 1
    stage.pass_until(at(4) + seconds)
    assert len(stage.talks) == 2
    nothing(stage.talks[1], "no_station")
    assert outcomes(stage) == {0: ("no_station", None)}
    assert stage.recorded(NeedRecord)[0].rounds == 2
    stage.pass_until(at(20))
    assert len(stage.talks) == 2


@pytest.mark.parametrize(("drawn", "seconds"), [(0.0, 1), (0.5, 150), (1 - 2**-53, 299)])
def test_who_has_less_than_ten_minutes_left_asks_once_more_within_them(drawn: float, seconds: int) -> None:
    stage = a_vehicle(a_need(4, 4 + 300 / HOUR, 10), draws=(drawn,))
    stage.pass_until(at(4))
    nothing(stage.talks[0])
    stage.pass_until(at(4) + seconds - 1)
    assert len(stage.talks) == 1
    stage.pass_until(at(4) + seconds)
    assert len(stage.talks) == 2


def test_nobody_asks_again_once_the_stay_would_have_begun() -> None:
    stage = a_vehicle(a_need(4, 4 + 1 / HOUR, 10), draws=(0.0,))
    stage.pass_until(at(4))
    nothing(stage.talks[0])
    assert outcomes(stage) == {0: ("no_free_connector", None)}


def test_the_reason_of_the_last_refusal_is_the_reason_of_giving_up() -> None:
    stage = a_vehicle(a_need(4, 8, 10))
    stage.pass_until(at(4))
    nothing(stage.talks[0], "no_station")
    stage.pass_until(at(5))
    deny(offer(stage.talks[1], offer_for(stage)), "infeasible")
    assert outcomes(stage) == {0: ("infeasible", None)}


def test_silence_of_every_recommender_ends_in_timeout() -> None:
    stage = a_vehicle(a_need(4, 8, 10))
    stage.pass_until(at(4))
    stage.talks[0].answer(None, None)
    stage.pass_until(at(5))
    stage.talks[1].answer(None, None)
    assert outcomes(stage) == {0: ("timeout", None)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"vehicle": "ev-2"},
        {"arrival": at(9)},
        {"departure": at(11)},
        {"energy_kwh": 9.0},
        {"connector_type": "3 phase-DC"},
    ],
)
def test_what_was_not_asked_for_is_no_offer(wrong: dict[str, Any]) -> None:
    stage = a_vehicle(a_need(4, 8, 10))
    stage.pass_until(at(4))
    talk = offer(stage.talks[0], msgspec.structs.replace(offer_for(stage), **wrong))
    assert talk.is_over
    assert not held(stage)


def test_a_need_that_is_still_open_when_the_run_ends_is_recorded() -> None:
    stage = a_vehicle(a_need(4, 8, 10), a_need(30, 34, 36))
    stage.pass_until(at(4))
    nothing(stage.talks[0], "no_station")
    stage.agent.finish(stage)
    assert outcomes(stage) == {0: ("no_station", None)}


def test_a_need_that_was_booked_and_is_long_past_stays_booked() -> None:
    change = {"changes_at": int(at(6)), "changed_energy_kwh": 6.0}
    stage = a_vehicle(a_need(4, 8, 10, **change), a_need(14, 18, 20))
    stage.pass_until(at(4))
    book(offer(stage.talks[0], offer_for(stage, 0, id="sr-net-0")))
    stage.pass_until(at(6))
    stage.talks[1].answer(answer_of(stage.talks[1], Decision.REJECT))
    stage.pass_until(at(14))
    book(offer(stage.talks[2], offer_for(stage, 1, id="sr-net-1")))
    stage.now = int(at(23))
    stage.agent.finish(stage)
    assert outcomes(stage)[0] == ("booked", "sr-net-0")


# A booking that nobody answered.


def test_a_booking_without_an_answer_is_cancelled_before_anything_else() -> None:
    stage = a_vehicle(a_need(4, 8, 10))
    stage.pass_until(at(4))
    first = offer(stage.talks[0], offer_for(stage), offer_for(stage, id="sr-net-2", station="cs-2"))
    first.answer(None)
    assert first.is_over
    doubt = stage.talks[1]
    assert isinstance(doubt.request, VehicleProposal)
    assert doubt.request.reservation == "sr-net-1"
    assert doubt.request.terms == Terms(energy_kwh=0.0)
    stage.pass_until(at(5))
    assert len(stage.talks) == 2, "it asks for nothing else while it does not know"
    doubt.answer(answer_of(doubt, Decision.ACCEPT, terms=terms(0.0, 0.0)))
    stage.pass_until(at(6))
    assert isinstance(stage.talks[2].request, RequestChargingRecommendations)
    assert not held(stage)


def test_it_goes_on_cancelling_until_it_is_heard_or_the_stay_begins() -> None:
    stage = a_vehicle(a_need(4, 8, 10))
    stage.pass_until(at(4))
    offer(stage.talks[0], offer_for(stage)).answer(None)
    stage.talks[1].answer(None)
    stage.pass_until(at(4) + 60)
    stage.talks[2].answer(None)
    stage.now = int(at(7.999))
    stage.pass_until(at(8))
    stage.talks[3].answer(None)
    assert outcomes(stage) == {0: ("timeout", None)}
    assert {talk.is_over for talk in stage.talks} == {True}


# One place at a time.


def test_two_needs_that_overlap_are_never_both_booked_whoever_answers_first() -> None:
    for order in ((0, 1), (1, 0)):
        stage = a_vehicle(a_need(4, 8, 10), a_need(4.1, 9, 11))
        stage.pass_until(at(4.1))
        first, second = stage.talks
        talks = [first, second]
        offer(talks[order[0]], offer_for(stage, order[0], id="sr-net-1"))
        # The other finds its own offer while the first booking is under way.
        offer(talks[order[1]], offer_for(stage, order[1], id="sr-net-2"))
        assert talks[order[1]].is_over
        book(talks[order[0]])
        assert set(held(stage)) == {"sr-net-1"}
        assert outcomes(stage)[order[1]] == ("overlap", None)


def test_a_change_of_plan_never_reaches_into_the_next_stay() -> None:
    change = {"changes_at": int(at(7)), "changed_departure": int(at(12)), "changed_energy_kwh": 6.0}
    stage = a_booked_vehicle(a_need(4, 8, 10, **change), a_need(5, 11, 13))
    stage.pass_until(at(7))
    assert stage.talks[2].request.terms == Terms(energy_kwh=6.0)


def test_a_stay_is_not_booked_into_one_that_is_being_prolonged() -> None:
    change = {"changes_at": int(at(7)), "changed_departure": int(at(12))}
    stage = a_vehicle(a_need(4, 8, 10, **change), a_need(7, 11, 13))
    stage.pass_until(at(4))
    book(offer(stage.talks[0], offer_for(stage, 0, id="sr-net-0")))
    stage.pass_until(at(7))
    asking, wishing = sorted(stage.talks[1:], key=lambda talk: isinstance(talk.request, VehicleProposal))
    offer(asking, offer_for(stage, 1, id="sr-net-1"))
    assert asking.is_over
    assert outcomes(stage)[1] == ("overlap", None)
    wishing.answer(answer_of(wishing, Decision.ACCEPT, terms=terms(departure=at(12))))
    assert held(stage)["sr-net-0"].preferences.departure == at(12)


def test_no_station_moves_a_vehicle_into_its_next_stay() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10), a_need(5, 11, 13))
    proposal = StationProposal(
        msg_id="s1",
        reservation="sr-net-0",
        round=1,
        terms=terms(departure=at(11.5), compensation_eur=100.0, cost_eur=-98.6),
    )
    assert stage.deliver(proposal, "cs-1", "ev-1").decision is Decision.REJECT
    assert held(stage)["sr-net-0"].preferences.departure == at(10)


# Negotiation, the vehicle starts.

WISH = {"changes_at": int(at(6)), "changed_departure": int(at(9)), "changed_energy_kwh": 5.0}


def test_a_change_of_plan_is_asked_for_and_what_is_accepted_is_held() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, **WISH))
    stage.pass_until(at(6))
    talk = stage.talks[1]
    assert talk.request.round == 1
    assert talk.request.terms == Terms(departure=at(9), energy_kwh=5.0)
    agreed = terms(5.0, 1.0, departure=at(9))
    talk.answer(answer_of(talk, Decision.ACCEPT, terms=agreed))
    assert talk.is_over
    mine = held(stage)["sr-net-0"]
    assert (mine.preferences.departure, mine.preferences.energy_kwh, mine.cost_eur) == (at(9), 5.0, 1.0)


def test_a_good_counter_is_accepted_by_repeating_it_in_the_next_round() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, **WISH))
    stage.pass_until(at(6))
    talk = stage.talks[1]
    counter = terms(5.0, 1.05, departure=at(9), compensation_eur=-0.05)
    talk.answer(answer_of(talk, Decision.COUNTER, terms=counter))
    assert talk.request.round == 2
    assert talk.request.terms == Terms(departure=at(9), energy_kwh=5.0, compensation_eur=-0.05)
    talk.answer(answer_of(talk, Decision.ACCEPT, terms=counter))
    assert held(stage)["sr-net-0"].compensation_eur == -0.05


def test_haggling_ends_after_the_last_round() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, **WISH), rules=VehicleRules(negotiation_rounds=3))
    stage.pass_until(at(6))
    talk = stage.talks[1]
    rounds = []
    while not talk.is_over:
        rounds.append(talk.request.round)
        dear = terms(5.0, 500.0, departure=at(9), compensation_eur=-499.0)
        talk.answer(answer_of(talk, Decision.COUNTER, terms=dear))
    assert rounds == list(range(1, len(rounds) + 1))
    assert len(rounds) <= 3
    mine = held(stage)["sr-net-0"]
    assert (mine.preferences.departure, mine.preferences.energy_kwh) == (at(10), 7.0)


def test_a_rejected_wish_changes_nothing_and_is_recorded() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, **WISH))
    stage.pass_until(at(6))
    talk = stage.talks[1]
    talk.answer(answer_of(talk, Decision.REJECT))
    assert held(stage)["sr-net-0"].preferences.energy_kwh == 7.0
    last = stage.recorded(RefusalRecord)[-1]
    assert (last.protocol, last.reason) == ("CP3", "Reject")
    assert outcomes(stage) == {0: ("booked", "sr-net-0")}


def test_a_wish_without_an_answer_is_asked_again_until_the_stay_begins() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, **WISH))
    stage.pass_until(at(6))
    stage.talks[1].answer(None)
    stage.pass_until(at(6) + 60)
    again = stage.talks[2]
    assert again.request.terms == Terms(departure=at(9), energy_kwh=5.0)
    again.answer(answer_of(again, Decision.ACCEPT, terms=terms(5.0, 1.0, departure=at(9))))
    assert held(stage)["sr-net-0"].preferences.energy_kwh == 5.0
    assert stage.recorded(RefusalRecord)[-1].reason == Refusal.TIMEOUT


def test_a_cancelled_stay_is_held_no_more() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, changes_at=int(at(6)), cancels=True))
    stage.pass_until(at(6))
    talk = stage.talks[1]
    assert talk.request.terms == Terms(energy_kwh=0.0)
    talk.answer(answer_of(talk, Decision.ACCEPT, terms=terms(0.0, 0.0)))
    assert not held(stage)
    assert outcomes(stage) == {0: ("cancelled", None)}


def test_a_cancellation_is_repeated_until_the_station_says_what_became_of_it() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, changes_at=int(at(7.999)), cancels=True))
    stage.pass_until(at(7.999))
    stage.talks[1].answer(None)
    stage.pass_until(at(8.1))  # The stay has begun, and the station may have given it up.
    talk = stage.talks[2]
    talk.answer(answer_of(talk, Decision.ACCEPT, terms=terms(0.0, 0.0)))
    assert outcomes(stage) == {0: ("cancelled", None)}


# Negotiation, the station starts.


def propose(stage: Stage, what: StationTerms, round_: int = 1, **more: Any) -> VehicleAnswer:
    given = {"msg_id": f"s{round_}", "reservation": "sr-net-0", "round": round_, "terms": what} | more
    answer: VehicleAnswer = stage.deliver(StationProposal(**given), "cs-1", "ev-1")
    return answer


def test_what_leaves_it_no_worse_off_is_accepted() -> None:
    stage = a_booked_vehicle()
    answer = propose(stage, terms(6.0, 0.4, compensation_eur=0.8))
    assert answer.decision is Decision.ACCEPT
    mine = held(stage)["sr-net-0"]
    assert (mine.preferences.energy_kwh, mine.cost_eur, mine.compensation_eur) == (6.0, 0.4, 0.8)


def test_what_leaves_it_worse_off_is_countered_and_its_own_terms_are_accepted_when_repeated() -> None:
    stage = a_booked_vehicle()
    counter = propose(stage, terms(4.0, 0.8))
    assert counter.decision is Decision.COUNTER
    wanted = counter.terms
    assert wanted.energy_kwh == 4.0
    assert held(stage)["sr-net-0"].preferences.energy_kwh == 7.0
    # The cost is dear on purpose: its own terms are taken all the same.
    repeated = terms(4.0, 99.0, compensation_eur=wanted.compensation_eur)
    assert propose(stage, repeated, 2).decision is Decision.ACCEPT
    assert held(stage)["sr-net-0"].cost_eur == 99.0


def test_its_own_terms_are_taken_neither_after_the_last_round_nor_after_another_change() -> None:
    stage = a_booked_vehicle()
    wanted = propose(stage, terms(4.0, 0.8)).terms
    repeated = terms(4.0, 99.0, compensation_eur=wanted.compensation_eur)
    assert propose(stage, repeated, 4).decision is Decision.REJECT
    assert propose(stage, terms(6.0, 0.4, compensation_eur=0.8)).decision is Decision.ACCEPT
    assert propose(stage, repeated, 2).decision is not Decision.ACCEPT
    assert held(stage)["sr-net-0"].cost_eur == 0.4


def test_in_the_last_round_it_says_yes_or_no() -> None:
    stage = a_booked_vehicle()
    assert propose(stage, terms(4.0, 1.4), 3).decision is Decision.REJECT
    assert propose(stage, terms(7.0, 1.4, compensation_eur=0.0), 4).decision is Decision.REJECT


def test_only_the_station_of_a_booking_may_propose_and_only_before_the_stay() -> None:
    stage = a_booked_vehicle()
    proposal = StationProposal(msg_id="s1", reservation="sr-net-0", round=1, terms=terms(6.0, -50.0))
    assert stage.deliver(proposal, "cs-2", "ev-1").reason == Refusal.UNKNOWN_RESERVATION
    stage.now = int(at(8))
    assert stage.deliver(proposal, "cs-1", "ev-1").decision is Decision.REJECT
    assert held(stage)["sr-net-0"].preferences.energy_kwh == 7.0


# What the driver does at the connector.


def test_a_driver_plugs_in_and_out_when_the_need_says() -> None:
    times = {"plugs_in_at": int(at(8.5)), "unplugs_at": int(at(9.5))}
    stage = a_booked_vehicle(a_need(4, 8, 10, **times), rules=VehicleRules(reports_hardware=True))
    stage.pass_until(at(11))
    assert stage.plugs == [
        (at(8.5), "cs-1", "sr-net-0", True),
        (at(9.5), "cs-1", "sr-net-0", False),
    ]


def test_a_driver_who_stays_away_plugs_nothing_in() -> None:
    stage = a_booked_vehicle(a_need(4, 8, 10, absent=True), rules=VehicleRules(reports_hardware=True))
    stage.pass_until(at(11))
    assert not stage.plugs
    assert stage.agent.plan.location == HERE  # type: ignore[attr-defined]
