"""What strangers can make grow has an end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from doomed import THREE, check_books
from one_node import OneNode
from tiny_market import a_tiny_market

from voltagora.agents.recommender import RecommenderAgent
from voltagora.live.outgoing import Outgoing
from voltagora.live.transport import Arrival

RESERVE = "CS/cs-00/ReserveChargingSlot"
OUTCOME = "EV/ev-000000/ReservationOutcome"


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


def test_strangers_are_forgotten_and_their_presence_is_not_kept(
    one: OneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voltagora.live.node.MOST_STRANGERS", 50)
    monkeypatch.setattr("voltagora.live.node.MOST_SAID", 20)
    events = len(one.events)
    for number in range(500):
        one.say(f"presence/stranger-{number}", b"online")
        one.say(f"EV/stranger-{number}/RequestChargingRecommendations", b"{" + b" " * number)
        one.say(OUTCOME, {"in_reply_to": f"m{number}", "responder": f"s{number}", "accepted": True})
    assert len(one.events) == events
    for number in range(500):
        one.say(
            f"CS/stranger-{number}/UpdatedStationAvailability",
            {
                "msg_id": f"m{number}",
                "network": "agora",
                "reservation": "r",
                "revision": 1,
                "connector": "c",
                "arrival": "2020-06-17T10:00:00Z",
                "departure": "2020-06-17T11:00:00Z",
                "state": "reserved",
            },
        )

    assert len(one.node._strangers) <= 50
    assert len(one.node._present) == 0
    assert len(one.node._said) <= 20


def test_what_comes_before_the_start_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voltagora.live.process.MOST_EARLY", 20)
    market = a_tiny_market(tmp_path)
    for kinds in THREE:
        market.add(kinds)
    market.start_now = False

    async def flood() -> None:
        await asyncio.sleep(1)
        process = market.members[1].process
        process.arrived([Arrival(topic=RESERVE, payload=b"x" * 300_000) for _ in range(50)])
        process.arrived([Arrival(topic=RESERVE, payload=b"x") for _ in range(50)])
        assert len(process._early) == 20
        assert max(len(each.payload) for each in process._early) < 300_000
        assert process.node.counts["before the start"] >= 80
        market.members[0].process.time.heed(b"start", is_retained=False)

    market.meanwhile.append(flood)
    check_books(market.play())


def test_answers_kept_for_repeats_are_bounded_and_bookings_are_not_doubled_for_it(
    one: OneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = len(one.node.exchange._answers or {}) + 20
    monkeypatch.setattr("voltagora.agents.exchange.MOST_ANSWERS", most)
    request = one.held[0].payload
    first = outcomes(one.say(RESERVE, request))
    recommender: RecommenderAgent = one.agent("sr-lamppost")
    for number in range(100):
        one.say(RESERVE, json.loads(request) | {"msg_id": f"f{number}"})

    assert len(one.node.exchange._answers or {}) == most
    assert outcomes(one.say(RESERVE, request)) == first
    assert len(bookings(one)) == 1
    assert recommender.holds
