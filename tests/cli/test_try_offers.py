"""`voltagora try` of recommendations, choices and negotiations: JSON in and JSON out."""

import json
import math

import pytest
from one_try import BATTERY, PREFERENCES, refused, series, tried

# recommendation


def a_station(name, longitude, **changes):
    connector = {"connector_type": PREFERENCES["connector_type"], "level": 2, "v2g_capable": True}
    return {
        "station": name,
        "network": "n",
        "grid_area": "a",
        "location": {"latitude": 0, "longitude": longitude},
        "connectors": [{"id": "c1", "power_kw": 11, **connector}, {"id": "c2", "power_kw": 22, **connector}],
        "grid_limit_kw": 33,
    } | changes


def a_request(**changes):
    return {
        "vehicle": "v",
        "request": {"msg_id": "m1", "preferences": PREFERENCES, "location": {"latitude": 0, "longitude": 0}},
        "stations": [a_station("s2", 0.1), a_station("s1", 0.1), a_station("s4", 0.05), a_station("s3", 0.3)],
        "reservations": [],
    } | changes


def booked(station, connector, arrival, departure):
    return {
        "station": station,
        "connector": connector,
        "arrival": f"2020-01-01T{arrival}:00Z",
        "departure": f"2020-01-01T{departure}:00Z",
    }


def offered(name, question, *words):
    offers = tried("recommendation", name, question, *words)["recommendations"]
    return [(each["station"], each["connector"]) for each in offers]


def test_the_three_best_stations_are_recommended_each_with_its_first_fitting_connector() -> None:
    assert offered("nearest", a_request()) == [("s4", "c1"), ("s1", "c1"), ("s2", "c1")]


def test_a_recommendation_has_every_field_of_the_contract() -> None:
    question = a_request(buy=[0.1, 0.2, 0.3, 0.4])

    best = tried("recommendation", "nearest", question)["recommendations"][0]

    assert best["distance_km"] == round(6371.0088 * math.radians(0.05), 3)
    assert best["expected_price_eur_kwh"] == round((0.5 * 0.1 + 0.2 + 0.3 + 0.4) / 3.5, 5)
    assert best | {"id": "", "token": "", "distance_km": 0, "expected_price_eur_kwh": 0} == {
        "id": "",
        "token": "",
        "recommender": "try",
        "network": "n",
        "vehicle": "v",
        "station": "s4",
        "connector": "c1",
        "arrival": PREFERENCES["arrival"],
        "departure": PREFERENCES["departure"],
        "connector_type": PREFERENCES["connector_type"],
        "power_kw": 11.0,
        "energy_kwh": 10.0,
        "v2g_capable": True,
        "location": {"latitude": 0.0, "longitude": 0.05},
        "distance_km": 0,
        "expected_price_eur_kwh": 0,
        "issued_at": "2020-01-01T08:20:00Z",
        "expires_at": "2020-01-01T08:30:00Z",
    }


def test_only_known_prices_of_the_stay_count() -> None:
    known = tried("recommendation", "nearest", a_request(buy=series([0.2, 0.6], "2020-01-01T07:00:00Z")))
    unknown = tried("recommendation", "nearest", a_request(buy=series([0.2], "2020-01-01T07:00:00Z")))

    assert known["recommendations"][0]["expected_price_eur_kwh"] == 0.6
    assert "expected_price_eur_kwh" not in unknown["recommendations"][0]


def test_a_reserved_connector_is_passed_over_and_touching_stays_do_not_overlap() -> None:
    taken = [
        booked("s4", "c1", "11:59", "13:00"),
        booked("s1", "c1", "06:00", "08:30"),
        booked("s2", "c1", "12:00", "14:00"),
        booked("s3", "c1", "00:00", "23:00"),
        booked("s3", "c2", "09:00", "09:01"),
    ]

    assert offered("nearest", a_request(reservations=taken)) == [("s4", "c2"), ("s1", "c1"), ("s2", "c1")]


def test_an_empty_recommendation_says_why() -> None:
    alone = a_request(stations=[a_station("s1", 0.1)])
    taken = [booked("s1", "c1", "09:00", "10:00"), booked("s1", "c2", "09:00", "10:00")]
    elsewhere = json.loads(json.dumps(alone))
    elsewhere["request"]["preferences"]["network"] = "other"
    too_strong = json.loads(json.dumps(alone))
    too_strong["request"]["preferences"]["power_kw"] = 23

    assert tried("recommendation", "nearest", alone | {"reservations": taken}) == {
        "recommendations": [],
        "reason": "no_free_connector",
    }
    assert tried("recommendation", "nearest", elsewhere)["reason"] == "no_station"
    assert tried("recommendation", "nearest", too_strong)["reason"] == "no_station"


def test_balanced_minds_the_load_that_reservations_or_the_question_give() -> None:
    only_load = ("--param", "distance_weight=0")
    taken = [booked("s4", "c2", "09:00", "11:00"), booked("s1", "c2", "11:00", "12:30")]
    question = a_request(reservations=taken)

    # s2 and s3 have none, s1 22 kWh, s4 44 kWh.
    assert [station for station, _ in offered("balanced", question, *only_load)] == ["s2", "s3", "s1"]
    question["load_kwh"] = {"s1": 0, "s2": 3, "s3": 2, "s4": 1}
    assert [station for station, _ in offered("balanced", question, *only_load)] == ["s1", "s4", "s3"]


# choice and negotiation


def test_a_choice_is_the_ids_in_order() -> None:
    offers = tried("recommendation", "nearest", a_request())["recommendations"]
    for offer, price in zip(offers, (0.3, 0.1, 0.2), strict=True):
        offer["expected_price_eur_kwh"] = price
    question = {"recommendations": offers, "preferences": PREFERENCES, "battery": BATTERY}

    assert tried("choice", "first", question) == {"order": ["try-1", "try-2", "try-3"]}
    assert tried("choice", "cheapest", question) == {"order": ["try-2", "try-3", "try-1"]}
    assert tried("choice", "utility", question, "--param", "travel_eur_per_km=9")["order"][0] == "try-1"
    assert tried("choice", "random", question | {"draws": [0.9, 0.5, 0.1]})["order"] == [
        "try-3",
        "try-2",
        "try-1",
    ]
    once, again = (tried("choice", "random", question | {"seed": 5}) for _ in range(2))
    assert once == again
    assert "draws: " in refused("choice", "random", question | {"draws": [0.9]})


@pytest.mark.parametrize("side", ["vehicle", "EV"])
def test_a_negotiation_answers_with_a_decision_and_terms_if_it_counters(side) -> None:
    booking = {name: PREFERENCES[name] for name in ("arrival", "departure", "energy_kwh")}
    question = {"side": side, "booked": booking, "round": 1, "buy": [0.3] * 4}

    less = question | {"proposal": {"energy_kwh": 8}}
    assert tried("negotiation", "utility", less) == {
        "decision": "Counter",
        "terms": {"energy_kwh": 8.0, "compensation_eur": 0.4},
    }
    assert tried("negotiation", "utility", less | {"round": 3}) == {"decision": "Reject"}
    more_money = question | {"proposal": {"compensation_eur": 1}}
    assert tried("negotiation", "utility", more_money) == {"decision": "Accept"}


def test_a_station_s_terms_may_carry_what_they_cost() -> None:
    booking = {name: PREFERENCES[name] for name in ("arrival", "departure", "energy_kwh")} | {"cost_eur": 3.0}
    proposal = {
        "energy_kwh": 8,
        "cost_eur": 1.0,
        "schedule": series([1]),
        "buy": series([1]),
        "sell": series([1]),
    }

    question = {"side": "vehicle", "booked": booking, "proposal": proposal, "round": 1}

    assert tried("negotiation", "utility", question) == {"decision": "Accept"}  # saves 2 EUR, loses 1


# bad input


@pytest.mark.parametrize(
    ("kind", "name", "question", "words", "sentence"),
    [
        ("recommendation", "nearest", a_request(stations=[a_station("s", 0)] * 2), (), "stations[1].station"),
        (
            "recommendation",
            "nearest",
            a_request(reservations=[booked("x", "c", "01:00", "02:00")]),
            (),
            "s1, s2",
        ),
        ("recommendation", "nearest", a_request(stations=[a_station("s", 181)]), (), "stations[0].location"),
        ("recommendation", "balanced", a_request(load_kwh={"s1": 1}), (), "load_kwh.s2: got nothing"),
        ("negotiation", "utility", {"side": "driver", "booked": {}, "proposal": {}, "round": 1}, (), "side"),
    ],
)
def test_bad_input_names_the_field_and_leaves_with_2(kind, name, question, words, sentence) -> None:
    assert sentence in refused(kind, name, question, *words)
