"""Gate: properties, aliases, expiry, flow control and sizes do as the standard says."""

from __future__ import annotations

import pytest
from hub_stage import (
    ALIAS,
    ALIAS_MAXIMUM,
    ASSIGNED,
    CONTENT,
    CORRELATION,
    EXPIRY,
    FORMAT,
    KEEP_ALIVE,
    MOST_BYTES,
    RECEIVE,
    RESPONSE,
    SESSION_EXPIRY,
    USER,
    V3,
    V5,
    Peer,
    Stage,
    packet,
    publish,
)

from voltagora.hub.limits import Limits

BOTH = pytest.mark.parametrize("version", [V3, V5])
KEPT = {SESSION_EXPIRY: 3600}


def kept(stage: Stage, client: str = "kept", version: int = V5, **options: object) -> Peer:
    """A client whose session outlives its line."""
    if version == V5:
        options["given"] = {**KEPT, **options.get("given", {})}  # type: ignore[dict-item]
    return stage.peer(client, version, clean=False, **options)


# What travels along.


def test_properties_travel_unaltered_and_the_sender_is_stamped() -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear"), stage.peer("mouth")
    ear.subscribe("a")
    given = {
        FORMAT: 1,
        CONTENT: "application/json",
        RESPONSE: "reply/to",
        CORRELATION: b"\x00\x01",
        USER: [("k", "1"), ("sender", "somebody else"), ("k", "2"), ("é", "")],
    }

    mouth.publish("a", b"x", given=given)

    (heard,) = ear.take("publish")
    assert heard.given == {**given, USER: [("k", "1"), ("k", "2"), ("é", ""), ("sender", "operator")]}


def test_request_and_response() -> None:
    stage = Stage()
    asker, answerer = stage.peer("asker"), stage.peer("answerer")
    asker.subscribe("answers/asker")
    answerer.subscribe("questions")
    asker.publish("questions", b"?", 1, given={RESPONSE: "answers/asker", CORRELATION: b"7"})
    (asked,) = answerer.take("publish")
    answerer.publish(asked.given[RESPONSE], b"!", given={CORRELATION: asked.given[CORRELATION]})
    (answer,) = asker.take("publish")
    assert (answer.payload, answer.given[CORRELATION]) == (b"!", b"7")


def test_topic_aliases_from_the_client() -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear"), stage.peer("mouth")
    ear.subscribe("#")
    mouth.publish("a", b"1", given={ALIAS: 3})
    mouth.publish("", b"2", given={ALIAS: 3})
    mouth.publish("b", b"3", given={ALIAS: 3})
    mouth.publish("", b"4", 1, given={ALIAS: 3})
    heard = ear.take("publish")
    assert [each.topic for each in heard] == ["a", "a", "b", "b"]
    assert all(ALIAS not in each.given for each in heard)


@pytest.mark.parametrize("alias", [0, 65, 65_535])
def test_a_topic_alias_beyond_what_was_agreed_ends_the_connection(alias: int) -> None:
    peer = Stage().peer()
    peer.publish("a", b"", given={ALIAS: alias})
    assert [(each.kind, each.code) for each in peer.take()] == [("disconnect", 0x94)]
    assert not peer.open


def test_topic_aliases_to_the_client_never_exceed_what_it_takes() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={ALIAS_MAXIMUM: 2})
    ear.subscribe("#")
    for topic in ("a", "b", "c", "a", "b", "c"):
        stage.broker.publish(topic, topic.encode())
    heard = ear.take("publish")
    assert [(each.topic, each.given.get(ALIAS)) for each in heard] == [
        ("a", 1), ("b", 2), ("c", None), ("", 1), ("", 2), ("c", None),
    ]  # fmt: skip
    assert [each.payload for each in heard] == [b"a", b"b", b"c"] * 2


def test_a_message_that_expired_is_not_delivered_and_its_time_counts_down() -> None:
    stage = Stage()
    ear = kept(stage, "ear")
    ear.subscribe(("a/#", 1))
    ear.cut()
    mouth = stage.peer("mouth")
    mouth.publish("a/short", b"1", 1, given={EXPIRY: 10})
    mouth.publish("a/long", b"2", 1, given={EXPIRY: 100})
    mouth.publish("a/kept", b"3", 1, given={EXPIRY: 20}, retain=True)

    stage.pass_time(30)
    ear = kept(stage, "ear")

    (heard,) = ear.take("publish")
    assert (heard.payload, heard.given[EXPIRY]) == (b"2", 70)
    late = stage.peer("late")
    late.subscribe("a/#")
    assert late.payloads == []


# Flow control and sizes.


def test_no_more_than_the_clients_receive_maximum_is_under_way() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={RECEIVE: 2})
    ear.subscribe(("a", 2), ("zero", 0))
    for number in range(5):
        stage.broker.publish("a", bytes((number,)), qos=1 + number % 2)
    stage.broker.publish("zero", b"z")
    heard = ear.take("publish")
    assert [each.payload for each in heard] == [b"\x00", b"\x01", b"z"]
    ear.acknowledge(0x50, heard[1].packet)
    assert ear.payloads == []
    ear.connection.receive(packet(0x70, heard[1].packet.to_bytes(2, "big")))
    (third,) = ear.take("publish")
    assert third.payload == b"\x02"
    ear.connection.receive(packet(0x40, third.packet.to_bytes(2, "big")))
    assert ear.payloads == [b"\x03"]


def test_a_client_that_exceeds_the_hubs_receive_maximum_is_put_out() -> None:
    stage = Stage(limits=Limits(receive_maximum=3))
    peer = stage.peer()
    assert peer.open
    for number in range(1, 5):
        peer.publish("a", b"", 2, number=number)
    assert [each.code for each in peer.take("disconnect")] == [0x93]


def test_connack_tells_the_hubs_limits() -> None:
    stage = Stage(limits=Limits(receive_maximum=7, packet_bytes=2_000, topic_aliases=5, server_keep_alive=30))
    answer = Peer(stage).connect("")
    assert answer.given == {
        RECEIVE: 7,
        MOST_BYTES: 2_000,
        ASSIGNED: "made-1",
        ALIAS_MAXIMUM: 5,
        KEEP_ALIVE: 30,
        USER: [("stamps", "sender")],
    }


def test_a_message_too_large_for_the_client_is_left_out_and_counts_as_delivered() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={MOST_BYTES: 100, RECEIVE: 1})
    ear.subscribe("a")
    stage.broker.publish("a", bytes(200), qos=1)
    stage.broker.publish("a", b"small", qos=1)
    assert ear.payloads == [b"small"]
    assert stage.broker.counters.dropped["too large for the client"] == 1


@BOTH
def test_a_packet_over_the_limit_ends_the_connection_before_it_is_complete(version: int) -> None:
    stage = Stage(limits=Limits(packet_bytes=1_000))
    peer = stage.peer("c", version)
    peer.connection.receive(publish("a", bytes(2_000), version=version)[:10])
    assert not peer.open
    assert [each.code for each in peer.take("disconnect")] == ([0x95] if version == V5 else [])
