"""A publication finds its readers from its topic alone, exactly as those may read who subscribed."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.agents.agent import Agent
from voltagora.hub.topics import covers, parse_filter, topic_levels
from voltagora.live.dispatch import Dispatch
from voltagora.protocols.access import access
from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.message import Broadcast, Message
from voltagora.protocols.topic import Kind

IDS = {
    Kind.VEHICLE: ("ev-0", "ev-1"),
    Kind.STATION: ("cs-0", "cs-1"),
    Kind.RECOMMENDER: ("sr-0", "sr-1"),
    Kind.IMBALANCE: ("ei-0",),
    Kind.PRICING: ("md-0",),
    Kind.PRODUCER: ("ep-0",),
    Kind.CONSUMER: ("ec-0",),
}
EVERYBODY = [id for ids in IDS.values() for id in ids]
TEMPLATES = [(message, topic) for message in MESSAGES for topic in message.topics]


def an_agent(kind: Kind, id: str) -> Agent:
    class Of(Agent):
        pass

    Of.kind = kind
    return Of(id)


AGENTS = [an_agent(kind, id) for kind, ids in IDS.items() for id in ids]
FILTERS = {
    agent.id: [parse_filter(each).levels for each in access(agent.kind, agent.id).read] for agent in AGENTS
}


def readers_by_rights(topic: str) -> set[str]:
    levels = topic_levels(topic)
    return {id for id, filters in FILTERS.items() if any(covers(each, levels) for each in filters)}


ids = st.sampled_from([*EVERYBODY, "stranger", "x" * 64])


@given(st.sampled_from(TEMPLATES), st.lists(ids, min_size=2, max_size=2))
def test_readers_are_those_whose_filters_cover_the_topic(
    template: tuple[type[Message], str], fill: list[str]
) -> None:
    message, text = template
    remaining = iter(fill)
    topic = re.sub(r"\{\w+\}", lambda _: next(remaining), text)

    found = Dispatch(AGENTS).find(topic)

    assert found is not None
    route, address = found
    assert route.message is message
    assert list(address) == fill[: len(address)]
    readers = Dispatch(AGENTS).readers(route, address)
    if issubclass(message, Broadcast):
        return  # Read by who handles it, and by markets for those who share them.
    allowed = readers_by_rights(topic)
    assert set(readers) <= allowed
    # More may read a reply's topic than await a reply there: all whom that asker never asks do not.
    assert {id for id in allowed if _kind(id) in message.readers} == set(readers)
    assert len(readers) == len(set(readers))


def _kind(id: str) -> Kind:
    return next(kind for kind, members in IDS.items() if id in members)


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "/",
        "CS",
        "CS/",
        "CS//RegisterChargingStation",
        "CS/a/RegisterChargingStation/",
        "/CS/a/RegisterChargingStation",
        "cs/a/RegisterChargingStation",
        "CS/a/registerChargingStation",
        "CS/a b/RegisterChargingStation",
        "CS/a\n/RegisterChargingStation",
        "CS/a\x00/RegisterChargingStation",
        "CS/é/RegisterChargingStation",
        "CS/+/RegisterChargingStation",
        "CS/#",
        f"CS/{'x' * 65}/RegisterChargingStation",
        "CS/a/EV/b/EV_start",
        "CS/a/EV//EV_start/start_negotiation",
        "CS/a/XX/b/EV_start/start_negotiation",
        "EI/a/ElectricityPrices",
        "EI/ElectricityImbalance/x",
        "MD/ElectricityImbalance",
        "EV/a/RegisterChargingStation",
        "$SYS/a/RegisterChargingStation",
        "a/" * 30_000,
    ],
)
def test_what_is_not_of_the_contract_is_found_nowhere(topic: str) -> None:
    assert Dispatch(AGENTS).find(topic) is None


@given(st.text(max_size=40))
def test_no_topic_fails(topic: str) -> None:
    found = Dispatch(AGENTS).find(topic)

    assert found is None or found[0].message in MESSAGES


def test_agents_hear_in_the_order_in_which_they_joined() -> None:
    dispatch = Dispatch(reversed(AGENTS))
    found = dispatch.find("CS/cs-0/RegisterChargingStation")
    assert found is not None

    assert dispatch.readers(*found) == ("md-0", "ei-0", "sr-1", "sr-0")
