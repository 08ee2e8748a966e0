"""Topics made from ids, and ids read from topics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.topic import Kind, topic_address, topic_filter, topic_name

TEMPLATES = sorted({topic for message in MESSAGES for topic in message.topics})
ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(st.sampled_from(TEMPLATES), st.lists(ids, min_size=2, max_size=2))
def test_the_ids_of_a_topic_read_back(template: str, names: list[str]) -> None:
    address = tuple(names[: template.count("{")])
    assert topic_address(template, topic_name(template, address)) == address


@given(st.sampled_from(TEMPLATES), ids, ids)
def test_a_topic_belongs_to_its_own_template_alone(template: str, one: str, other: str) -> None:
    name = topic_name(template, (one, other)[: template.count("{")])
    levels = name.split("/")
    for foreign in TEMPLATES:
        expected = foreign.split("/")
        matches = len(levels) == len(expected) and all(
            want.startswith("{") or want == level for want, level in zip(expected, levels, strict=True)
        )
        assert (topic_address(foreign, name) is not None) == matches


@pytest.mark.parametrize(
    "name",
    [
        "EV//ReservationOutcome",
        "EV/+/ReservationOutcome",
        "EV/#",
        "EV/a/b/ReservationOutcome",
        "EV/a/ReservationOutcome/",
        "/EV/a/ReservationOutcome",
        "EV/a/ReservationOutcome\n",
        "EV/a\n/ReservationOutcome",
        "EV/../ReservationOutcome",
        "ev/a/ReservationOutcome",
        f"EV/{'x' * 65}/ReservationOutcome",
    ],
)
def test_no_trick_gets_into_a_topic(name: str) -> None:
    assert topic_address("EV/{vehicle}/ReservationOutcome", name) is None


def test_a_filter_has_a_plus_for_each_id() -> None:
    assert topic_filter("CS/{station}/EV/{vehicle}/EV_start/start_negotiation") == (
        "CS/+/EV/+/EV_start/start_negotiation"
    )


def test_each_publisher_has_its_own_topic_where_there_are_several() -> None:
    for message in MESSAGES:
        for kind in message.publishers:
            topic = message.topic_of(kind)
            assert topic in message.topics
            assert len(message.topics) == 1 or topic.startswith(f"{kind}/")


def test_the_seven_kinds() -> None:
    assert [kind.value for kind in Kind] == ["EV", "CS", "SR", "EI", "MD", "EP", "EC"]
