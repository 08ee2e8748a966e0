"""A recommender offers what is free and vouches for its own word, once."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_agent import (
    DAY,
    HOUR,
    MIDNIGHT,
    PLUG,
    Stage,
    a_connector,
    a_market,
    a_registration,
    at,
    preferences,
    priced,
)

from voltagora.agents.randomness import SeededRandomness
from voltagora.agents.recommender import RecommenderAgent
from voltagora.domain.location import Location
from voltagora.domain.station import Recommendation
from voltagora.domain.units import LATEST, Time
from voltagora.protocols.cp01_recommendation import ChargingRecommendations, RequestChargingRecommendations
from voltagora.protocols.cp05_authentication import AuthenticateRecommendation
from voltagora.protocols.cp12_availability import Availability, UpdatedStationAvailability
from voltagora.protocols.message import Refusal
from voltagora.strategies import registry


def place(latitude: float) -> Location:
    return Location(latitude=latitude, longitude=0.0)


def a_recommender(*, stations: int = 1, at_most: int = 3, strategy: str = "nearest", **more: Any) -> Stage:
    market = a_market()
    priced(market, DAY, buy=[0.1] * 9 + [0.4] * 15)
    agent = RecommenderAgent(
        "sr-net", "net", market, strategy=registry.build("recommendation", strategy, {}), at_most=at_most
    )
    stage = Stage(agent, at(3))
    for number in range(1, stations + 1):
        registration = a_registration(location=place(float(number)), **more)
        assert stage.deliver(registration, f"cs-{number}").accepted
    return stage


def ask(
    stage: Stage,
    arrival: float = 8,
    departure: float = 10,
    msg_id: str = "q1",
    vehicle: str = "ev-1",
    **more: Any,
) -> ChargingRecommendations:
    request = RequestChargingRecommendations(
        msg_id=msg_id, preferences=preferences(arrival, departure, **more), location=place(0.0)
    )
    reply: ChargingRecommendations = stage.deliver(request, vehicle)
    return reply


def vouch(stage: Stage, claimed: Recommendation, station: str | None = None) -> Any:
    request = AuthenticateRecommendation(msg_id="a1", recommendation=claimed)
    return stage.deliver(request, station or claimed.station)


def hold(
    stage: Stage,
    arrival: float,
    departure: float,
    *,
    reservation: str = "b1",
    revision: int = 1,
    state: Availability = Availability.RESERVED,
    connector: str = "c1",
    station: str = "cs-1",
) -> Any:
    return stage.deliver(
        UpdatedStationAvailability(
            msg_id=f"{reservation}-{revision}-{state}",
            reservation=reservation,
            revision=revision,
            connector=connector,
            arrival=at(arrival),
            departure=at(departure),
            state=state,
        ),
        station,
    )


# CP1.


def test_an_offer_says_everything_and_is_valid_for_ten_minutes_but_not_into_the_stay() -> None:
    stage = a_recommender()
    (offer,) = ask(stage, 8, 10, energy_kwh=7.0).recommendations
    assert (offer.vehicle, offer.station, offer.connector) == ("ev-1", "cs-1", "c1")
    assert (offer.arrival, offer.departure, offer.energy_kwh) == (at(8), at(10), 7.0)
    assert (offer.recommender, offer.network) == ("sr-net", "net")
    assert (offer.issued_at, offer.expires_at) == (at(3), at(3) + 600)
    assert offer.expected_price_eur_kwh == pytest.approx(0.25)  # an hour at 0.1 and an hour at 0.4
    assert offer.distance_km == pytest.approx(111.195, abs=1e-3)  # a degree of latitude
    stage.now = int(at(8)) - 60
    (late,) = ask(stage, 8, 10, "q2").recommendations
    assert late.expires_at == at(8)


def test_stations_are_distinct_best_first_and_at_most_n() -> None:
    stage = a_recommender(stations=5, at_most=3)
    offers = ask(stage).recommendations
    assert [offer.station for offer in offers] == ["cs-1", "cs-2", "cs-3"]
    assert [offer.station for offer in ask(a_recommender(stations=2)).recommendations] == ["cs-1", "cs-2"]


def test_the_fitting_connector_listed_first_is_offered() -> None:
    stage = a_recommender()
    connectors = (
        a_connector("dc", connector_type="3 phase-DC", power_kw=50.0),
        a_connector("weak", power_kw=3.7),
        a_connector("z", power_kw=11.0),
        a_connector("a", power_kw=7.4),
    )
    stage.deliver(a_registration(*connectors, msg_id="r2", location=place(1.0)), "cs-1")
    (offer,) = ask(stage).recommendations
    assert (offer.connector, offer.power_kw) == ("z", 11.0)
    hold(stage, 9, 12, connector="z")
    (second,) = ask(stage, msg_id="q2").recommendations
    assert second.connector == "a"
    (third,) = ask(stage, msg_id="q3", connector_type="3 phase-DC", power_kw=50.0).recommendations
    assert third.connector == "dc"


@given(st.integers(0, 10), st.integers(1, 6), st.integers(0, 10), st.integers(1, 6))
def test_a_connector_is_offered_exactly_if_no_reservation_overlaps(
    held_from: int, held_for: int, asked_from: int, asked_for: int
) -> None:
    stage = a_recommender()
    hold(stage, 8 + held_from, 8 + held_from + held_for)
    reply = ask(stage, 8 + asked_from, 8 + asked_from + asked_for)
    hours_held = set(range(held_from, held_from + held_for))
    is_free = not hours_held & set(range(asked_from, asked_from + asked_for))
    assert bool(reply.recommendations) == is_free
    if not is_free:
        assert reply.reason == Refusal.NO_FREE_CONNECTOR


def test_why_there_is_nothing() -> None:
    assert ask(a_recommender(stations=0)).reason == Refusal.NO_STATION
    assert ask(a_recommender(), connector_type="Type 9").reason == Refusal.NO_STATION
    assert ask(a_recommender(), power_kw=7.41).reason == Refusal.NO_STATION
    past = ask(a_recommender(), 2, 10)
    assert (past.reason, past.field) == (Refusal.INVALID_REQUEST, "preferences.arrival")


@pytest.mark.parametrize(
    ("arrival", "departure"),
    [(at(0) + 63 * 86_400, at(1) + 63 * 86_400), (LATEST - 7200, LATEST)],
)
def test_a_stay_beyond_all_foresight_is_refused_and_harms_nobody(arrival: int, departure: int) -> None:
    stage = a_recommender()
    reply = ask(stage, (arrival - MIDNIGHT) / HOUR, (departure - MIDNIGHT) / HOUR)
    assert (reply.reason, reply.field) == ("invalid_request", "preferences.departure")
    assert ask(stage, 8, 10).recommendations


def test_another_networks_customer_is_not_answered() -> None:
    assert ask(a_recommender(), network="other") is None
    assert ask(a_recommender(), network="net").recommendations


def test_no_token_and_no_id_is_ever_given_twice() -> None:
    stage = a_recommender(stations=3)
    offers = [offer for n in range(50) for offer in ask(stage, msg_id=f"q{n}").recommendations]
    assert len({offer.id for offer in offers}) == len({offer.token for offer in offers}) == 150
    assert all(offer.id.startswith("sr-net-") for offer in offers)


def test_tokens_cannot_be_told_from_ids_vehicles_or_other_tokens() -> None:
    """Near half of the bits differ between any two."""
    stream = SeededRandomness(1)
    tokens = [int(stream.token("sr-net"), 16) for _ in range(200)]
    bits = [bin(a ^ b).count("1") for a, b in itertools.pairwise(tokens)]
    assert min(bits) > 8
    assert max(bits) < 56
    assert stream.token("sr-net") != SeededRandomness(2).token("sr-net")


# CP5.


def test_its_own_word_is_vouched_for_once() -> None:
    stage = a_recommender()
    (offer,) = ask(stage).recommendations
    outcome = vouch(stage, offer)
    assert outcome.accepted
    assert outcome.recommendation_id == offer.id
    assert vouch(stage, offer).reason == Refusal.USED


def test_it_expires_at_the_very_second() -> None:
    for seconds, reason in (
        (599, None),
        (600, Refusal.EXPIRED),
        (601, Refusal.EXPIRED),
        (9999, Refusal.EXPIRED),
    ):
        stage = a_recommender()
        (offer,) = ask(stage).recommendations
        stage.now = int(at(3)) + seconds
        outcome = vouch(stage, offer)
        assert (None if outcome.accepted else outcome.reason) == reason


def test_what_it_has_forgotten_is_expired_and_what_it_never_said_unknown() -> None:
    stage = a_recommender()
    (offer,) = ask(stage).recommendations
    assert vouch(stage, offer).accepted
    stage.now = int(at(4))
    ask(stage, 9, 10, "q2")
    assert vouch(stage, offer).reason == Refusal.EXPIRED
    for invented in ("sr-net-99", "sr-net-0", "sr-net-x", "sr-other-1", "1"):
        claimed = msgspec.structs.replace(offer, id=invented)
        assert vouch(stage, claimed).reason == Refusal.UNKNOWN


ALTERED: dict[str, Any] = {
    "token": "f" * 32,
    "network": "other",
    "vehicle": "ev-2",
    "station": "cs-9",
    "connector": "c2",
    "arrival": at(9),
    "departure": at(11),
    "connector_type": "3 phase-DC",
    "power_kw": 50.0,
    "energy_kwh": 70.0,
    "v2g_capable": False,
    "location": place(9.0),
    "distance_km": 0.0,
    "expected_price_eur_kwh": 0.0,
    "issued_at": Time(at(3) + 1),
    "expires_at": Time(at(3) + 6000),
}


def test_every_field_is_under_seal() -> None:
    named = {"id", "recommender"}  # another id is unknown, another recommender is not asked
    assert set(ALTERED) | named == set(Recommendation.__struct_fields__)


@pytest.mark.parametrize("field", sorted(ALTERED))
def test_one_altered_field_is_enough(field: str) -> None:
    stage = a_recommender()
    (offer,) = ask(stage).recommendations
    forged = msgspec.structs.replace(offer, **{field: ALTERED[field]})
    assert vouch(stage, forged, "cs-1").reason == Refusal.ALTERED
    assert vouch(stage, offer).accepted, "a forgery uses nothing up"


def test_it_vouches_only_to_the_station_that_it_named() -> None:
    stage = a_recommender(stations=2)
    offer = ask(stage).recommendations[0]
    assert vouch(stage, offer, "cs-2").reason == Refusal.ALTERED
    assert vouch(stage, offer, "cs-1").accepted


def test_another_recommenders_word_is_left_to_that_one() -> None:
    stage = a_recommender()
    (offer,) = ask(stage).recommendations
    assert vouch(stage, msgspec.structs.replace(offer, recommender="sr-other")) is None


# CP4 and CP12.


def test_a_registration_that_would_strand_a_reservation_is_refused() -> None:
    stage = a_recommender()
    hold(stage, 8, 10)
    worse = [
        (a_connector("c2"),),
        (a_connector("c1", power_kw=3.7),),
        (a_connector("c1", connector_type="3 phase-DC"),),
    ]
    for connectors in worse:
        outcome = stage.deliver(a_registration(*connectors, msg_id="r2"), "cs-1")
        assert (outcome.accepted, outcome.reason) == (False, Refusal.IN_USE)
    better = a_registration(a_connector("c1", power_kw=11.0), a_connector("c2"), msg_id="r3")
    assert stage.deliver(better, "cs-1").accepted
    assert not [o for o in ask(stage, 9, 11).recommendations if o.connector == "c1"]
    stage.now = int(at(10))
    assert stage.deliver(a_registration(a_connector("c2"), msg_id="r4"), "cs-1").accepted


def test_the_same_registration_again_changes_nothing() -> None:
    stage = a_recommender()
    hold(stage, 8, 10)
    assert stage.deliver(a_registration(msg_id="again", location=place(1.0)), "cs-1").accepted
    assert ask(stage, 9, 11).reason == Refusal.NO_FREE_CONNECTOR


def test_a_station_of_another_network_is_not_answered() -> None:
    stage = a_recommender(stations=0)
    assert stage.deliver(a_registration(network="other"), "cs-1") is None
    assert hold(stage, 8, 10) is None
    assert hold(stage, 8, 10, station="cs-7").reason == Refusal.NOT_REGISTERED


def test_a_later_word_of_a_reservation_replaces_the_earlier_and_never_the_other_way() -> None:
    stage = a_recommender()
    assert hold(stage, 8, 10, revision=1).accepted
    assert hold(stage, 12, 14, revision=3).accepted
    assert hold(stage, 8, 10, revision=2).reason == Refusal.STALE
    assert hold(stage, 8, 10, revision=3).accepted  # a repeat: known, and nothing changes
    assert ask(stage, 8, 10).recommendations
    assert ask(stage, 13, 15, "q2").reason == Refusal.NO_FREE_CONNECTOR


def test_released_is_final_even_if_reserved_comes_late() -> None:
    stage = a_recommender()
    assert hold(stage, 8, 10, revision=2, state=Availability.RELEASED).accepted
    assert hold(stage, 8, 10, revision=1).reason == Refusal.STALE
    assert ask(stage, 8, 10).recommendations


def test_no_station_speaks_of_anothers_reservation() -> None:
    stage = a_recommender(stations=2)
    hold(stage, 8, 10)
    stolen = hold(stage, 8, 10, revision=9, state=Availability.RELEASED, station="cs-2")
    assert stolen.reason == Refusal.UNKNOWN_RESERVATION
    assert hold(stage, 8, 10, reservation="b2", connector="c9").field == "connector"


def test_past_holds_and_prices_are_cleared_away() -> None:
    stage = a_recommender()
    stage.agent.start(stage)
    hold(stage, 8, 10)
    stage.pass_until(at(24 * 9))
    assert not stage.agent.holds  # type: ignore[attr-defined]
    assert stage.agent.market.prices_between(at(8), at(10)) is None  # type: ignore[attr-defined]
    assert at(0) == MIDNIGHT
    assert PLUG == "Single phase 32A"
