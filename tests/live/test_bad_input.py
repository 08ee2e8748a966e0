"""Whatever comes in is refused or survived, counted, said once, and leaves nothing half done."""

from __future__ import annotations

import copy
import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest
from doomed import THREE, check_books
from one_node import OneNode
from tiny_market import a_tiny_market

from voltagora.agents.station import StationAgent
from voltagora.live.outgoing import Outgoing

RESERVE = "CS/cs-00/ReserveChargingSlot"
OUTCOME = "EV/ev-000000/ReservationOutcome"


class Own:
    """Every agent is its own user."""

    def owner(self, id: str) -> str | None:
        return id


@pytest.fixture
def one(tmp_path: Path) -> OneNode:
    """A market just before its first CP2, which is held."""
    market = OneNode(tmp_path)
    market.hold = lambda words: words.topic == RESERVE
    market.until(2.53)
    assert [words.topic for words in market.held] == [RESERVE]
    market.hold = lambda _: False
    return market


def outcomes(words: list[Outgoing]) -> list[dict[str, Any]]:
    return [json.loads(each.payload) for each in words if each.topic.endswith("/ReservationOutcome")]


def bookings(one: OneNode) -> list[str]:
    return list(one.agent("cs-00").sessions.bookings)


# Repeats.


def test_a_hundred_copies_make_one_booking_and_one_answer(one: OneNode) -> None:
    request = one.held[0].payload
    answers = [outcomes(one.say(RESERVE, request)) for _ in range(100)]
    one.restart()
    answers += [outcomes(one.say(RESERVE, request)) for _ in range(100)]

    assert len(bookings(one)) == 1
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0]["accepted"]
    assert sum(words.topic.endswith("/UpdatedChargingSchedule") for words in one.words) == 1


def test_a_copy_while_the_first_is_being_decided_waits_for_its_answer(one: OneNode) -> None:
    request = one.held[0].payload
    one.hold = lambda words: words.topic.endswith("/AuthenticateRecommendation")
    for _ in range(10):
        assert not outcomes(one.say(RESERVE, request))
    (question,) = one.held[1:]
    one.hold = lambda _: False

    told = outcomes(one.say(question.topic, question.payload))

    assert [outcome["accepted"] for outcome in told] == [True]


def test_a_repeated_question_gets_the_same_offers(one: OneNode) -> None:
    (asked,) = [words for words in one.words if words.topic.endswith("/RequestChargingRecommendations")]

    first = [words for words in one.words if words.topic == "EV/ev-000000/ChargingRecommendations"]

    assert len(first) == 2
    for _ in range(5):
        assert one.say(asked.topic, asked.payload) == first


def test_repeats_of_the_same_booking_under_other_ids_get_the_stored_answer(one: OneNode) -> None:
    request = json.loads(one.held[0].payload)
    first = outcomes(one.say(RESERVE, request))
    one.until(4.2)

    again = outcomes(one.say(RESERVE, request | {"msg_id": "another"}))

    assert again == [first[0] | {"in_reply_to": "another"}]
    assert len(bookings(one)) == 2  # and the vehicle's second need


# Stolen, altered, forged.

CHANGES: list[tuple[str, object]] = [
    ("token", "0" * 32),
    ("energy_kwh", 3.5),
    ("power_kw", 22.0),
    ("distance_km", 0.0),
    ("expires_at", "2020-06-18T00:00:00Z"),
    ("id", "sr-lamppost-7"),
    ("recommender", "sr-agora"),
    ("station", "cs-01"),
    ("connector", "c1"),
    ("vehicle", "ev-000001"),
]


@pytest.mark.parametrize(("field", "value"), CHANGES, ids=[field for field, _ in CHANGES])
def test_an_altered_recommendation_books_nothing_and_spoils_nothing(
    one: OneNode, field: str, value: object
) -> None:
    true = one.held[0].payload
    forged = json.loads(true)
    forged["recommendation"][field] = value
    if field == "energy_kwh":
        forged["preferences"][field] = value

    told = outcomes(one.say(RESERVE, forged))

    assert all(not outcome["accepted"] for outcome in told)
    assert not bookings(one)
    knows_the_token = field not in ("token", "id", "vehicle")  # and so is who was to have it
    again = json.loads(true) | ({"msg_id": "another"} if knows_the_token else {})
    assert [outcome["accepted"] for outcome in outcomes(one.say(RESERVE, again))] == [True]


def test_who_steals_a_vehicles_name_is_not_believed(tmp_path: Path) -> None:
    one = OneNode(tmp_path, Own())
    one.hold = lambda words: words.topic == RESERVE
    one.until(2.53)
    true = one.held[0].payload
    forged = json.loads(true)
    forged["recommendation"]["token"] = "0" * 32
    malformed = json.loads(true) | {"battery": 5}

    assert one.say(RESERVE, forged, "ev-000001") == []
    assert one.say(RESERVE, malformed, "ev-000001") == []
    assert one.say(RESERVE, true, "ev-000001") == []
    assert one.node.counts["wrong sender"] == 2
    one.hold = lambda _: False

    assert [outcome["accepted"] for outcome in outcomes(one.say(RESERVE, true, "ev-000000"))] == [True]
    assert one.agent("ev-000000").stays.held


@pytest.mark.parametrize("sender", ["ev-000001", "cs-00"])
def test_an_outcome_counts_only_from_its_station(sender: str, tmp_path: Path) -> None:
    one = OneNode(tmp_path, Own())
    one.hold = lambda words: words.topic == RESERVE
    one.until(2.53)
    asked = json.loads(one.held[0].payload)
    forged = {
        "in_reply_to": asked["msg_id"],
        "responder": "cs-00",
        "accepted": False,
        "reason": "slot_taken",
    }

    one.say(OUTCOME, forged, sender)

    waits = one.node.exchange.is_awaited(("ev-000000", asked["msg_id"]))
    assert waits == (sender != "cs-00")


def test_who_guesses_message_ids_guesses_wrong(one: OneNode) -> None:
    asked = json.loads(one.held[0].payload)["msg_id"]

    for number in range(100):
        forged = {"in_reply_to": f"m{number}", "responder": "cs-00", "accepted": False, "reason": "released"}
        assert one.say(OUTCOME, forged) == []
    assert one.node.exchange.is_awaited(("ev-000000", asked))
    assert one.node.counts["not awaited"] == 100


def test_presence_counts_only_from_its_owner(tmp_path: Path) -> None:
    one = OneNode(tmp_path, Own())
    one.until(1)
    one.say("presence/ei-village", b"online", "ei-village")

    assert one.say("presence/ei-village", b"online", "ev-000001") == []
    assert one.node.counts == {"wrong sender": 1}
    assert one.say("presence/ei-village", b"online", "ei-village")


# Nonsense.

TOPICS = [
    RESERVE,
    "EV/ev-000000/RequestChargingRecommendations",
    "CS/cs-00/RegisterChargingStation",
    "CS/cs-00/UpdatedChargingSchedule",
    "CS/cs-00/AuthenticateRecommendation",
    "CS/cs-00/UpdatedStationAvailability",
    "CS/cs-00/EV/ev-000000/EV_start/start_negotiation",
    "CS/cs-00/EV/ev-000000/CS_start/start_negotiation",
    "CS/cs-00/EV/ev-000000/EV_start/accept_negotiation",
    OUTCOME,
    "EI/ElectricityImbalance",
    "MD/ElectricityPrices",
    "EI/cs-00/ElectricityImbalanceRequest",
    "MD/cs-00/ElectricityPrices",
    "EP/ep-wind/UpdateExpectedProduction",
    "presence/ei-village",
    "timer",
    "clock",
    "$SYS/broker",
    "",
    "/",
    "CS/" + "x" * 65 + "/RegisterChargingStation",
    "CS/a\n/RegisterChargingStation",
    "CS/cs-00\n/RegisterChargingStation",
    "CS/#/RegisterChargingStation",
]
NONSENSE = [
    b"",
    b"\x00",
    b"null",
    b"5",
    b"NaN",
    b'{"msg_id":"m1"}',
    b'{"msg_id":5}',
    b'{"msg_id":"m1","msg_id":"m2"}',
    b'{"msg_id":"' + b"x" * 65 + b'"}',
    b"[" * 10_000 + b"]" * 10_000,
    b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    b'{"msg_id":"m1","a":' + b"[" * 950 + b"]" * 950 + b"}",
    b'{"msg_id":"m1","preferences":NaN,"grid_limit_kw":-Infinity}',
    b'{"msg_id":"m1","a":' + b"9" * 5_000 + b"}",
    b"\xef\xbb\xbf{}",
    b'{"msg_id":"\xff"}',
    b'{"msg_id":"\\ud800"}',
]


def test_nonsense_anywhere_changes_no_agent_and_fails_none(
    one: OneNode, caplog: pytest.LogCaptureFixture
) -> None:
    bookings_before, events = bookings(one), len(one.events)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            for topic in TOPICS:
                for payload in NONSENSE:
                    for retained in (False, True):
                        one.say(topic, payload, retained=retained)

    assert one.node.counts["failed"] == 0
    assert bookings(one) == bookings_before
    refused = [json.loads(each.payload) for each in one.words[-400:] if b"invalid_request" in each.payload]
    assert refused
    assert len(one.events) - events < 3 * len(TOPICS) * len(NONSENSE) / 5
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == len(set(messages)) < 200
    assert all(len(message) < 700 and "\n" not in message for message in messages)
    one.restart()


def test_sixty_four_mebibytes_are_not_even_looked_at(one: OneNode) -> None:
    vast = b'{"msg_id":"m1","a":"' + b"x" * (64 << 20) + b'"}'

    assert one.say(RESERVE, vast) == []
    assert one.node.counts == {"not of the contract": 1}


def test_what_nests_deeply_is_answered_the_same_wherever_it_is_read(one: OneNode) -> None:
    # How deep Python's parser can go depends on its caller: live it would differ from a restart.
    register = "CS/cs-00/RegisterChargingStation"

    def deeper(calls: int, payload: bytes) -> int:
        return deeper(calls - 1, payload) if calls else len(one.say(register, payload))

    for depth in (15, 16, 17, 100, 400, 900, 980):
        payload = b'{"msg_id":"m1","network":5,"a":' + b"[" * depth + b"]" * depth + b"}"
        assert deeper(0, payload) == deeper(300, payload), depth
    one.restart()


@pytest.mark.parametrize(
    "changes",
    [
        {"values": []},
        {"values": [0.2] * 23},
        {"step_minutes": 30},
        {"start": "2020-06-16T22:00:00Z"},
        {"values": [0.2] * 25},
    ],
)
def test_news_of_less_or_more_than_a_day_are_not_taken(changes: dict[str, object], one: OneNode) -> None:
    before = one.agent("cs-00").market.prices_between(one.begin, one.begin + 7200)
    series = {"start": "2020-06-16T21:00:00Z", "step_minutes": 60, "values": [0.2] * 24} | changes
    news = {"msg_id": "x", "grid_area": "village", "day": "2020-06-17", "revision": 10**9}

    one.say("MD/ElectricityPrices", news | {"buy": series, "sell": series})
    one.say("EI/ElectricityImbalance", news | {"supply": series, "demand": series})

    after = one.agent("cs-00").market.prices_between(one.begin, one.begin + 7200)
    assert [values.tolist() for values in after] == [values.tolist() for values in before]
    assert one.node.counts["failed"] == 0
    assert [outcome["accepted"] for outcome in outcomes(one.say(RESERVE, one.held[0].payload))] == [True]


def mutated(chance: random.Random, value: Any) -> Any:
    """Change one place of a document."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        name = chance.choice(sorted(value))
        changed = dict(value)
        if chance.random() < 0.1:
            del changed[name]
        else:
            changed[name] = mutated(chance, value[name])
        return changed
    if isinstance(value, list) and value and chance.random() < 0.7:
        place = chance.randrange(len(value))
        return [*value[:place], mutated(chance, value[place]), *value[place + 1 :]]
    if isinstance(value, (int, float)) and not isinstance(value, bool) and chance.random() < 0.6:
        return chance.choice([value + 1, value - 1, -value, value * 1000, value / 7, 0, 1e-7, 1e15])
    if isinstance(value, str) and chance.random() < 0.6 and "T" in value and value.endswith("Z"):
        return chance.choice([value[:11] + "23:59:59Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
    return chance.choice([None, True, "", "x", -1, 0, 1e308, 10**30, [], {}, [[]], "2020-06-17", value, copy])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_nearly_right_fails_no_agent(seed: int, tmp_path: Path) -> None:
    one = OneNode(tmp_path)
    chance = random.Random(seed)
    for hour in (1.5, 2.1, 2.53, 2.9, 3.2, 4.2):
        one.until(hour)
        said = [each for each in one.words if each.payload.startswith(b"{")]
        for _ in range(120):
            words = chance.choice(said)
            document = mutated(chance, json.loads(words.payload))
            if isinstance(document, dict) and "msg_id" in document and chance.random() < 0.7:
                document["msg_id"] = f"x{chance.randrange(10**9)}"
            payload = json.dumps(document, default=lambda _: 7).encode()
            one.say(words.topic, payload, retained=chance.random() < 0.1)
    one.until(9)

    assert one.node.counts["failed"] == 0
    one.restart()


# Agents and strategies that fail.


@pytest.mark.parametrize("dooms", [[], [90, 60]])
def test_an_agent_that_fails_at_one_thing_goes_on_with_the_next(
    dooms: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = StationAgent._book

    def fails(station: StationAgent, turn: Any, request: Any) -> Any:
        if request.preferences.energy_kwh == 3.0 and request.recommendation.id.endswith("-1"):
            raise ZeroDivisionError("a strategy of somebody's")
        return whole(station, turn, request)

    monkeypatch.setattr(StationAgent, "_book", fails)
    market = a_tiny_market(tmp_path)
    for kinds in THREE:
        market.add(kinds, dooms=dooms if "station" in kinds else [])

    with caplog.at_level(logging.ERROR):
        played = market.play()

    assert market.members[1].node.counts["failed"] == 1
    assert 1 <= len([record for record in caplog.records if record.exc_info]) <= market.members[1].lives
    check_books(played)
    assert {need.outcome for need in played.needs.values()} >= {"cancelled"}


def test_a_strategy_that_gives_no_number_is_not_repeated_to_others(
    one: OneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    pricing = one.agent("md-village")
    strategy = pricing.strategy

    class NotANumber:
        uses_history = False

        def price(self, day: Any) -> Any:
            buy, sell = strategy.price(day)
            buy = buy.copy()
            buy[3] = float("nan")
            return buy, sell

    monkeypatch.setattr(pricing, "strategy", NotANumber())
    monkeypatch.setattr(pricing, "_prices", {})
    before = len(one.words)
    one.say(RESERVE, one.held[0].payload)
    one.until(26)

    assert one.node.counts["failed"] >= 1
    assert not [
        words for words in one.words[before:] if words.topic.startswith("MD/") and b"null" in words.payload
    ]
