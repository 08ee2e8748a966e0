"""What is not of the contract changes nothing, is counted, and is answered where that can be."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from live_market import a_scenario

from voltagora.live.events import Advanced, Arrived, Started
from voltagora.live.node import Node
from voltagora.live.owners import Owners
from voltagora.scenario.live import LiveRun, Stage

SCENARIO = a_scenario("vehicles.count=2", "stations.count=1", "days=1")
REGISTER = "CS/cs-9/RegisterChargingStation"


def a_node(owners: Owners | None = None) -> tuple[Node, int]:
    run = LiveRun(SCENARIO, Stage(), owners)
    begin = run.horizon.start
    run.node.apply(Started(begin))
    run.node.take()
    return run.node, begin


def say(node: Node, now: int, topic: str, payload: object, **more: Any) -> list[tuple[str, dict[str, Any]]]:
    """Let a publication arrive; give what the agents said then."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    node.apply(Arrived(now, topic, raw, **more))
    return [(each.topic, json.loads(each.payload)) for each in node.take()]


def a_registration(**changes: object) -> dict[str, object]:
    connector = {
        "id": "a",
        "connector_type": "Single phase 16A",
        "power_kw": 3.7,
        "level": 1,
        "v2g_capable": False,
    }
    whole = {
        "msg_id": "m1",
        "network": "agora",
        "grid_area": "village",
        "location": {"latitude": 37.0, "longitude": 24.0},
        "connectors": [connector],
        "grid_limit_kw": 10.0,
    }
    return whole | changes


GARBAGE = [
    b"",
    b"not json",
    b"[1, 2]",
    b'"text"',
    b"\xff\xfe",
    b"[" * 10_000,
    b'{"msg_id": NaN, "grid_limit_kw": 1}',
    b"{" + b" " * 300_000 + b"}",
]


@pytest.mark.parametrize("payload", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_changes_nothing_and_is_counted(payload: bytes) -> None:
    node, now = a_node()

    changed = node.apply(Arrived(now, REGISTER, payload))

    assert not changed
    assert not node.take()
    assert node.counts == {"not of the contract": 1}


def test_who_asked_hears_what_was_wrong_from_each_who_would_have_answered() -> None:
    node, now = a_node()

    told = say(node, now, REGISTER, a_registration(grid_limit_kw="ten"))

    assert sorted(topic for topic, _ in told) == [
        "EI/cs-9/RegistrationOutcome",
        "MD/cs-9/RegistrationOutcome",
        "SR/cs-9/RegistrationOutcome",
    ]
    for _, reply in told:
        assert (reply["accepted"], reply["reason"], reply["field"]) == (
            False,
            "invalid_request",
            "grid_limit_kw",
        )


def test_not_a_number_is_named() -> None:
    node, now = a_node()

    told = say(node, now, REGISTER, json.dumps(a_registration(grid_limit_kw=float("nan"))).encode())

    assert {reply["field"] for _, reply in told} == {"grid_limit_kw"}


def test_what_is_another_areas_is_not_refused_here() -> None:
    node, now = a_node()

    told = say(node, now, REGISTER, a_registration(grid_limit_kw="ten", grid_area="far", network="other"))

    assert told == []


@pytest.mark.parametrize(
    "topic",
    ["CS//RegisterChargingStation", "CS/a b/RegisterChargingStation", "nowhere", "EV/x/y/z", "a/" * 40],
)
def test_a_topic_that_is_not_of_the_contract_is_counted(topic: str) -> None:
    node, now = a_node()

    assert say(node, now, topic, a_registration()) == []
    assert node.counts == {"unknown topic": 1}


def test_a_repeat_gets_the_first_answer_again() -> None:
    node, now = a_node()
    first = say(node, now, REGISTER, a_registration())

    again = [say(node, now + delay, REGISTER, a_registration()) for delay in range(100)]

    assert len(first) == 3
    assert all(answer == first for answer in again)


def test_the_word_of_who_does_not_own_the_speaker_counts_nothing() -> None:
    stored = "scrypt$14,8,1$AAAAAAAAAAAAAAAAAAAAAA==$" + "A" * 43 + "="
    owners = Owners.of(
        {"users": {"alice": {"password": stored, "station": ["cs-9"]}, "eve": {"password": stored}}}
    )
    node, now = a_node(owners)

    assert say(node, now, REGISTER, a_registration(), sender="eve") == []
    assert node.counts == {"wrong sender": 1}
    assert len(say(node, now, REGISTER, a_registration(), sender="alice")) == 3


def test_an_agent_that_fails_fails_with_that_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, now = a_node()
    recommender = next(agent for agent in node.agents if agent.kind == "SR")

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a strategy of somebody's")

    monkeypatch.setattr(type(recommender), "_reorder", fail)
    with caplog.at_level(logging.ERROR):
        told = [say(node, now, REGISTER, a_registration(msg_id=f"m{number}")) for number in range(3)]

    assert [len(answers) for answers in told] == [2, 3, 3] or all(len(answers) >= 2 for answers in told)
    assert node.counts["failed"] >= 1
    assert sum("fails" in record.message or "failed" in record.message for record in caplog.records) == 1


def test_what_an_earlier_run_left_counts_less_than_any_news() -> None:
    node, now = a_node()
    market = next(agent for agent in node.agents if agent.kind == "CS").market  # type: ignore[attr-defined]
    day = market.calendar.day_at(now)

    def prices(revision: int, buy: float) -> dict[str, object]:
        series = {"start": "2020-06-16T21:00:00Z", "step_minutes": 60, "values": [buy] * day.slots}
        return {
            "msg_id": f"m{revision}",
            "grid_area": "village",
            "day": str(day.date),
            "revision": revision,
            "buy": series,
            "sell": series,
        }

    say(node, now, "MD/ElectricityPrices", prices(57, 9.0), retained=True)
    say(node, now, "MD/ElectricityPrices", prices(1, 0.3))

    assert market.prices_between(day.start, day.start + 3600)[0][0] == 0.3


def test_who_comes_back_without_memory_is_told_again_and_who_is_seen_first_is_not() -> None:
    node, now = a_node()
    node.apply(Advanced(now))
    node.take()

    assert say(node, now, "presence/ei-village", b"online") == []
    again = say(node, now + 5, "presence/ei-village", b"online")

    assert {topic for topic, _ in again} >= {
        "CS/cs-00/RegisterChargingStation",
        "EP/ep-wind/RegisterElectricityProducer",
        "EP/ep-wind/UpdateExpectedProduction",
    }


@pytest.mark.parametrize("payload", [b"here", b"", b'{"online": true}'])
def test_presence_knows_two_words(payload: bytes) -> None:
    node, now = a_node()

    assert say(node, now, "presence/ei-village", payload) == []
    assert node.counts == {"not of the contract": 1}
