"""CP3 from the station's side: what it agrees to can be done, and what it offered it stands by."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from one_agent import (
    DAY,
    Stage,
    a_battery,
    a_connector,
    a_market,
    a_recommendation,
    a_station_plan,
    accepted,
    at,
    energies,
    preferences,
    priced,
)

from voltagora.agents.station import StationAgent
from voltagora.agents.station_desk import StationPeers, StationRules
from voltagora.domain.fleet import StationPlan
from voltagora.domain.terms import Terms
from voltagora.domain.units import LATEST, Time
from voltagora.protocols.cp02_reservation import ReserveChargingSlot
from voltagora.protocols.cp03_negotiation import (
    Decision,
    StationAnswer,
    StationProposal,
    VehicleAnswer,
    VehicleProposal,
)
from voltagora.protocols.cp05_authentication import AuthenticationOutcome
from voltagora.protocols.cp06_imbalance import ImbalanceBroadcast
from voltagora.protocols.cp08_schedule import UpdatedChargingSchedule
from voltagora.protocols.cp12_availability import UpdatedStationAvailability
from voltagora.protocols.message import Refusal
from voltagora.strategies import registry
from voltagora.strategies.negotiation.decision import (
    Accept,
    Counter,
    NegotiationCase,
    NegotiationDecision,
    NegotiationStrategy,
    Reject,
)


class Willing(NegotiationStrategy, frozen=True, kw_only=True):
    """Says yes to everything: what keeps the books then is the station itself."""

    name: ClassVar[str] = "willing"

    def decide(self, case: NegotiationCase) -> NegotiationDecision:
        return Accept()


class Bargaining(NegotiationStrategy, frozen=True, kw_only=True):
    """Counters with a euro for itself for ever, and proposes less energy."""

    name: ClassVar[str] = "bargaining"

    def decide(self, case: NegotiationCase) -> NegotiationDecision:
        assert case.proposal is not None
        if case.round >= case.max_rounds:
            return Reject()
        return Counter(Terms(energy_kwh=case.proposal.energy_kwh, compensation_eur=-float(case.round)))

    def propose(self, case: NegotiationCase) -> Terms | None:
        return Terms(energy_kwh=5.0, compensation_eur=1.0)


def a_station(
    strategy: NegotiationStrategy | None = None, *, plan: StationPlan | None = None, **rules: Any
) -> Stage:
    market = a_market()
    priced(market, DAY, buy=0.2)
    agent = StationAgent(
        plan or a_station_plan(),
        market,
        peers=StationPeers(grid_area="main", imbalance="ei", pricing="md", recommender="sr-net"),
        scheduling=registry.build("scheduling", "first_slot", {}),
        negotiation=strategy or Willing(),
        rules=StationRules(**rules),
    )
    return Stage(agent, at(3))


def book(stage: Stage, arrival: float = 8, departure: float = 10, number: int = 1, **more: Any) -> Any:
    offer = a_recommendation(arrival, departure, id=f"sr-net-{number}", **more)
    talk = stage.deliver(
        ReserveChargingSlot(
            msg_id=f"b{number}",
            recommendation=offer,
            battery=a_battery(),
            preferences=preferences(arrival, departure),
        ),
        "cs-1",
    )
    outcome = talk.answer(accepted(AuthenticationOutcome, talk.request, "sr-net")).result
    assert outcome.accepted
    return stage.agent.sessions.bookings[offer.id]  # type: ignore[attr-defined]


def wish(
    stage: Stage, round_: int = 1, reservation: str = "sr-net-1", vehicle: str = "ev-1", **terms: Any
) -> StationAnswer:
    proposal = VehicleProposal(
        msg_id=f"n{round_}", reservation=reservation, round=round_, terms=Terms(**terms)
    )
    answer: StationAnswer = stage.deliver(proposal, "cs-1", vehicle)
    return answer


# A vehicle starts.


def test_an_agreed_change_is_scheduled_and_told() -> None:
    stage = a_station()
    booking = book(stage)
    told = len(stage.told)
    answer = wish(stage, departure=at(11), energy_kwh=9.0)
    assert answer.decision is Decision.ACCEPT
    assert (booking.departure, booking.preferences.energy_kwh, booking.revision) == (at(11), 9.0, 2)
    schedule, availability = (request for request, _ in stage.told[told:])
    assert isinstance(schedule, UpdatedChargingSchedule)
    assert isinstance(availability, UpdatedStationAvailability)
    assert (schedule.revision, availability.revision) == (2, 2)
    assert availability.departure == at(11)
    assert answer.terms.schedule == schedule.schedule == booking.schedule
    assert answer.terms.cost_eur == schedule.cost_eur == pytest.approx(1.8)
    # Moved, and not kept twice.
    assert stage.agent.sessions.books["c1"].entries() == [(at(8), at(11), "sr-net-1")]  # type: ignore[attr-defined]


def test_a_change_of_energy_alone_needs_no_word_to_the_recommender() -> None:
    stage = a_station()
    book(stage)
    told = len(stage.told)
    assert wish(stage, energy_kwh=9.0).decision is Decision.ACCEPT
    assert [type(request) for request, _ in stage.told[told:]] == [UpdatedChargingSchedule]


@pytest.mark.parametrize(
    "terms",
    [
        {"departure": at(12.5)},  # the next stay begins at 12
        {"arrival": at(6.5)},  # the one before ends at 7
        {"energy_kwh": 15.0},  # more than two hours can give
        {"energy_kwh": 20.1},  # more than the battery holds
        {"departure": at(8)},  # no stay at all
        {"departure": at(7)},
        {"arrival": at(2)},  # past
        {"departure": at(25)},  # nobody knows those prices
        {"arrival": Time(LATEST - 7200), "departure": Time(LATEST)},  # no calendar reaches so far
    ],
)
def test_what_cannot_be_is_never_accepted_however_willing(terms: dict[str, Any]) -> None:
    stage = a_station()
    booking = book(stage)
    book(stage, 12, 14, 2)
    book(stage, 5, 7, 3)
    if terms.get("departure") == at(25):
        stage.agent.sessions.books["c1"].remove(at(12), "sr-net-2")  # type: ignore[attr-defined]
    told = len(stage.told)
    assert wish(stage, **terms).decision is Decision.REJECT
    assert (booking.arrival, booking.departure, booking.revision) == (at(8), at(10), 1)
    assert len(stage.told) == told


def test_no_stay_is_prolonged_into_another_of_the_same_vehicle() -> None:
    stage = a_station(plan=a_station_plan(a_connector("c1"), a_connector("c2")))
    book(stage)
    book(stage, 11, 12, 2, connector="c2")
    assert wish(stage, departure=at(11)).decision is Decision.ACCEPT
    assert wish(stage, departure=at(11.5)).decision is Decision.REJECT


def test_slots_that_were_booked_keep_their_prices_and_new_ones_take_those_in_force() -> None:
    stage = a_station()
    booking = book(stage)
    priced(stage.agent.market, DAY, buy=0.5, revision=2)  # type: ignore[attr-defined]
    answer = wish(stage, arrival=at(7), departure=at(11), energy_kwh=20.0)
    assert answer.terms.buy.values.tolist() == [0.5, 0.2, 0.2, 0.5]
    assert booking.cost_eur == pytest.approx(7.4 * 0.5 + 12.6 * 0.2)


def test_compensation_stands_until_other_terms_are_agreed() -> None:
    stage = a_station()
    booking = book(stage)
    assert wish(stage, compensation_eur=0.4).decision is Decision.ACCEPT
    assert booking.cost_eur == pytest.approx(1.0)
    assert wish(stage, 2, energy_kwh=5.0).decision is Decision.ACCEPT
    assert booking.cost_eur == pytest.approx(0.6)
    assert wish(stage, 3, compensation_eur=0.0).decision is Decision.ACCEPT
    assert booking.cost_eur == pytest.approx(1.0)


def test_repeating_what_the_station_countered_with_is_accepted() -> None:
    stage = a_station(Bargaining(), negotiation_rounds=3)
    booking = book(stage)
    counter = wish(stage, energy_kwh=6.0)
    assert counter.decision is Decision.COUNTER
    assert counter.terms.cost_eur == pytest.approx(2.2)
    assert booking.revision == 1
    accepted_ = wish(stage, 2, energy_kwh=6.0, compensation_eur=-1.0)
    assert accepted_.decision is Decision.ACCEPT
    assert accepted_.terms.cost_eur == booking.cost_eur == pytest.approx(2.2)


def test_after_the_last_round_there_is_only_no() -> None:
    stage = a_station(Bargaining(), negotiation_rounds=3)
    book(stage)
    decisions = [wish(stage, round_, energy_kwh=6.0).decision for round_ in (1, 2, 3, 4)]
    assert decisions == [Decision.COUNTER, Decision.COUNTER, Decision.REJECT, Decision.REJECT]
    willing = a_station(negotiation_rounds=3)
    book(willing)
    assert wish(willing, 4, energy_kwh=6.0).decision is Decision.REJECT


def test_who_never_gets_past_the_first_round_is_counted_all_the_same() -> None:
    stage = a_station(Bargaining(), negotiation_rounds=3)
    book(stage)
    decisions = [wish(stage, 1, energy_kwh=6.0).decision for _ in range(6)]
    assert decisions == [Decision.COUNTER, Decision.COUNTER, Decision.REJECT] * 2


def test_what_was_offered_of_another_session_stands_no_more() -> None:
    stage, booking = reviewed(Bargaining(), negotiation_rounds=3)
    answer(stage, Decision.REJECT)
    assert wish(stage, energy_kwh=6.0).decision is Decision.COUNTER
    stage.agent.negotiator.review(stage, booking)  # type: ignore[attr-defined]
    answer(stage, Decision.ACCEPT, talk=1)
    assert booking.preferences.energy_kwh == 5.0
    assert wish(stage, 2, energy_kwh=6.0, compensation_eur=-1.0).decision is Decision.COUNTER


def test_only_its_own_vehicle_and_only_before_arrival() -> None:
    stage = a_station()
    booking = book(stage)
    assert wish(stage, vehicle="thief", energy_kwh=6.0).reason == Refusal.UNKNOWN_RESERVATION
    assert wish(stage, reservation="sr-net-9", energy_kwh=6.0).reason == Refusal.UNKNOWN_RESERVATION
    stage.now = int(at(8))
    assert wish(stage, energy_kwh=6.0).decision is Decision.REJECT
    assert booking.preferences.energy_kwh == 7.0


# The station starts.


def reviewed(strategy: NegotiationStrategy, **rules: Any) -> tuple[Stage, Any]:
    stage = a_station(strategy, offers_flexibility=True, review_minutes=60, **rules)
    booking = book(stage)
    stage.pass_until(at(7) - 1)
    assert not stage.talks
    stage.pass_until(at(7))
    return stage, booking


def answer(stage: Stage, decision: Decision, talk: int = 0, **more: Any) -> None:
    request = stage.talks[talk].request
    stage.talks[talk].answer(
        VehicleAnswer(
            in_reply_to=request.msg_id,
            responder="ev-1",
            reservation=request.reservation,
            round=request.round,
            decision=decision,
            **more,
        )
    )


def test_an_offer_says_what_it_would_make_of_the_session_and_is_kept_if_accepted() -> None:
    stage, booking = reviewed(Bargaining())
    (talk,) = stage.talks
    assert isinstance(talk.request, StationProposal)
    assert talk.asked is not None
    assert talk.asked.address == ("cs-1", "ev-1")
    terms = talk.request.terms
    assert (terms.energy_kwh, terms.compensation_eur, terms.cost_eur) == (5.0, 1.0, 0.0)
    assert booking.revision == 1, "nothing is changed before the vehicle agrees"
    answer(stage, Decision.ACCEPT)
    assert (booking.preferences.energy_kwh, booking.cost_eur, booking.revision) == (5.0, 0.0, 2)
    assert stage.told_of(UpdatedChargingSchedule)[-1].schedule == terms.schedule


@pytest.mark.parametrize("decision", [Decision.REJECT, Decision.COUNTER])
def test_no_is_no_and_a_counter_it_will_not_take_ends_it(decision: Decision) -> None:
    stage, booking = reviewed(Bargaining())
    more = {"terms": Terms(compensation_eur=9.0)} if decision is Decision.COUNTER else {}
    answer(stage, decision, **more)
    assert stage.talks[0].is_over
    assert booking.revision == 1


def test_a_counter_it_agrees_to_is_accepted_by_repeating_it_in_the_next_round() -> None:
    class Easy(Bargaining, frozen=True, kw_only=True):
        def decide(self, case: NegotiationCase) -> NegotiationDecision:
            return Accept()

    stage, booking = reviewed(Easy())
    answer(stage, Decision.COUNTER, terms=Terms(energy_kwh=6.0, compensation_eur=1.2))
    repeated = stage.talks[0].request
    assert (repeated.round, repeated.terms.energy_kwh, repeated.terms.compensation_eur) == (2, 6.0, 1.2)
    answer(stage, Decision.ACCEPT)
    assert (booking.preferences.energy_kwh, booking.compensation_eur) == (6.0, 1.2)


def test_rounds_are_counted_by_the_station_too() -> None:
    class Endless(Bargaining, frozen=True, kw_only=True):
        def decide(self, case: NegotiationCase) -> NegotiationDecision:
            return Accept()

    stage, _ = reviewed(Endless(), negotiation_rounds=3)
    rounds = []
    while not stage.talks[0].is_over:
        rounds.append(stage.talks[0].request.round)
        answer(stage, Decision.COUNTER, terms=Terms(compensation_eur=float(len(rounds))))
    assert rounds == [1, 2, 3]


def test_an_offer_without_an_answer_is_made_again_until_the_stay_begins() -> None:
    stage, booking = reviewed(Bargaining())
    stage.talks[0].answer(None)
    assert booking.revision == 1
    stage.pass_until(at(7) + 60)
    assert stage.talks[1].request.terms.energy_kwh == 5.0
    assert stage.talks[1].request.msg_id != "m0"
    answer(stage, Decision.ACCEPT, 1)
    assert booking.preferences.energy_kwh == 5.0
    stage.pass_until(at(9))
    assert len(stage.talks) == 2


def test_two_changes_never_cross() -> None:
    stage, booking = reviewed(Bargaining())
    assert wish(stage, energy_kwh=6.5).decision is Decision.REJECT
    answer(stage, Decision.ACCEPT)
    assert booking.preferences.energy_kwh == 5.0


def test_a_cancellation_in_the_middle_of_an_offer_is_final() -> None:
    stage, _ = reviewed(Bargaining())
    assert wish(stage, energy_kwh=0.0).decision is Decision.ACCEPT
    told = len(stage.told)
    answer(stage, Decision.ACCEPT)
    assert len(stage.told) == told
    assert not stage.agent.sessions.bookings  # type: ignore[attr-defined]


def test_a_station_offers_money_for_energy_when_supply_falls_short() -> None:
    stage = a_station(registry.build("negotiation", "utility", {}), offers_flexibility=True)
    book(stage)
    market = stage.agent.market  # type: ignore[attr-defined]
    day = market.calendar.day(DAY)
    market.read_imbalance(
        ImbalanceBroadcast(
            msg_id="i",
            grid_area="main",
            day=DAY,
            revision=1,
            supply=energies(day, 60, 1.0),
            demand=energies(day, 60, 50.0),
        )
    )
    stage.pass_until(at(7))
    terms = stage.talks[0].request.terms
    assert terms.energy_kwh == pytest.approx(5.6)
    assert terms.compensation_eur == pytest.approx(0.28)


def test_where_the_grid_limit_has_filled_up_meanwhile_the_agreed_is_planned_anew() -> None:
    plan = a_station_plan(a_connector("c1"), a_connector("c2"), grid_limit_kw=8.0)
    stage = a_station(Bargaining(), plan=plan, offers_flexibility=True)
    booking = book(stage)
    stage.pass_until(at(7))
    book(stage, 8, 10, 2, connector="c2", vehicle="ev-2")
    answer(stage, Decision.ACCEPT)
    total = booking.schedule.values + stage.agent.sessions.bookings["sr-net-2"].schedule.values  # type: ignore[attr-defined]
    assert booking.preferences.energy_kwh == 5.0
    assert float(total.max()) <= 8.0
