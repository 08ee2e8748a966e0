"""Gate: whatever comes in, the standard's answer or a clean close, counted by reason, and others unharmed."""

from __future__ import annotations

import struct

import pytest
from hub_stage import (
    ALIAS,
    RECEIVE,
    RESPONSE,
    SESSION_EXPIRY,
    SUBSCRIPTION,
    USER,
    V3,
    Peer,
    Stage,
    connect,
    packet,
    properties,
    publish,
    text,
    varint,
)
from hypothesis import given, settings
from hypothesis import strategies as st

MALFORMED, PROTOCOL, UNSUPPORTED, NAME = 0x81, 0x82, 0x84, 0x90

FIRST: dict[str, bytes] = {
    "not connect": b"\xc0\x00",
    "connect with flags": b"\x11" + connect()[1:],
    "wrong protocol name": packet(0x10, text("MQTX") + b"\x05\x02\x00\x00\x00" + text("c")),
    "empty protocol name": packet(0x10, text("") + b"\x05\x02\x00\x00\x00" + text("c")),
    "reserved flag": packet(0x10, text("MQTT") + b"\x05\x03\x00\x00\x00" + text("c")),
    "will of quality 3": packet(0x10, text("MQTT") + b"\x04\x1e\x00\x00" + text("c") + text("w") + text("")),
    "will flags without will": packet(0x10, text("MQTT") + b"\x04\x22\x00\x00" + text("c")),
    "password without user in 3.1.1": packet(
        0x10, text("MQTT") + b"\x04\x42\x00\x00" + text("c") + text("p")
    ),
    "cut short": packet(0x10, connect()[2:-1]),
    "bytes after its end": packet(0x10, connect()[2:] + b"x"),
    "client id of invalid UTF-8": packet(0x10, text("MQTT") + b"\x05\x02\x00\x00\x00" + text(b"\xff")),
    "receive maximum 0": connect(given={RECEIVE: 0}),
    "property twice": packet(0x10, text("MQTT") + b"\x05\x02\x00\x00\x0a" + b"\x11\0\0\0\1" * 2 + text("c")),
    "property of another packet": connect(given={ALIAS: 1}),
    "length of five bytes": b"\x10\xff\xff\xff\xff\x01",
    "length not in its shortest form": b"\x10\x80\x00",
    "HTTP": b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("data", FIRST.values(), ids=FIRST.keys())
def test_what_is_no_proper_connect_ends_the_line_and_starts_nothing(data: bytes) -> None:
    stage = Stage()
    peer = Peer(stage)
    peer.connection.receive(data)
    assert not peer.open
    assert len(stage.broker.sessions) == 0
    assert stage.broker.half_open == {}
    assert sum(stage.broker.counters.closed.values()) == 1
    assert stage.broker.timers.next_due is None


@pytest.mark.parametrize(("name", "level"), [("MQTT", 3), ("MQTT", 6), ("MQIsdp", 3), ("MQTT", 132)])
def test_other_versions_are_told_so(name: str, level: int) -> None:
    peer = Peer(Stage(), V3)
    (answer,) = peer.say(packet(0x10, text(name) + bytes((level,)) + b"\x02\x00\x00" + text("c")))
    assert (answer.kind, answer.code) == ("connack", 1)
    assert not peer.open


def body(*parts: bytes) -> bytes:
    return b"".join(parts)


LATER: dict[str, tuple[bytes, int]] = {
    "a second connect": (connect(), PROTOCOL),
    "publish of quality 3": (packet(0x36, text("a") + b"\0\1\0"), MALFORMED),
    "publish of quality 0 marked as repeated": (packet(0x38, text("a") + b"\0"), MALFORMED),
    "publish with identifier 0": (packet(0x32, text("a") + b"\0\0\0"), PROTOCOL),
    "publish to a wildcard": (publish("a/+"), NAME),
    "publish to nowhere": (publish(""), NAME),
    "publish to invalid UTF-8": (packet(0x30, text(b"\xc3\x28") + b"\0"), MALFORMED),
    "publish to a surrogate": (packet(0x30, text(b"\xed\xa0\x80") + b"\0"), MALFORMED),
    "publish to U+0000": (packet(0x30, text(b"a\0") + b"\0"), MALFORMED),
    "publish to 65,535 slashes": (packet(0x30, text("/" * 65_535) + b"\0"), NAME),
    "publish that ends within its topic": (packet(0x30, b"\0\x09a"), MALFORMED),
    "publish of one byte": (packet(0x30, b"\0"), MALFORMED),
    "publish of nothing": (packet(0x30, b""), MALFORMED),
    "publish without identifier": (packet(0x32, text("a")), MALFORMED),
    "publish without properties": (packet(0x30, text("a")), MALFORMED),
    "publish with a subscription identifier": (publish("a", given={SUBSCRIPTION: 1}), MALFORMED),
    "publish with an unknown alias": (publish("", given={ALIAS: 1}), PROTOCOL),
    "publish with a wildcard response topic": (publish("a", given={RESPONSE: "a/#"}), PROTOCOL),
    "publish with payload format 2": (packet(0x30, text("a") + b"\2\1\2"), PROTOCOL),
    "publish with an alias twice": (packet(0x30, text("a") + b"\6\x23\0\1\x23\0\1"), PROTOCOL),
    "properties longer than the packet": (packet(0x30, text("a") + b"\x7f"), MALFORMED),
    "properties of an unknown number": (packet(0x30, text("a") + b"\2\x7f\0"), MALFORMED),
    "user property cut short": (packet(0x30, text("a") + b"\5\x26\0\1a\0"), MALFORMED),
    "subscribe without flags": (packet(0x80, b"\0\1\0" + text("a") + b"\0"), MALFORMED),
    "subscribe to nothing": (packet(0x82, b"\0\1\0"), PROTOCOL),
    "subscribe with identifier 0": (packet(0x82, b"\0\0\0" + text("a") + b"\0"), PROTOCOL),
    "subscribe of quality 3": (packet(0x82, b"\0\1\0" + text("a") + b"\3"), MALFORMED),
    "subscribe with reserved bits": (packet(0x82, b"\0\1\0" + text("a") + b"\x40"), MALFORMED),
    "subscribe with retain handling 3": (packet(0x82, b"\0\1\0" + text("a") + b"\x30"), PROTOCOL),
    "subscribe without options": (packet(0x82, b"\0\1\0" + text("a")), MALFORMED),
    "subscribe with subscription identifier 0": (packet(0x82, b"\0\1\2\x0b\0" + text("a") + b"\0"), PROTOCOL),
    "shared and no local": (packet(0x82, b"\0\1\0" + text("$share/g/a") + b"\4"), PROTOCOL),
    "unsubscribe from nothing": (packet(0xA2, b"\0\1\0"), PROTOCOL),
    "unsubscribe from no filter": (packet(0xA2, b"\0\1\0" + text("a#")), 0x8F),
    "ping with a body": (packet(0xC0, b"x"), MALFORMED),
    "ping with flags": (b"\xc1\x00", MALFORMED),
    "release without flags": (packet(0x60, b"\0\1"), MALFORMED),
    "acknowledgement of one byte": (packet(0x40, b"\1"), MALFORMED),
    "acknowledgement with a strange reason": (packet(0x40, b"\0\1\x01"), PROTOCOL),
    "disconnect with a server's reason": (packet(0xE0, b"\x8b"), PROTOCOL),
    "disconnect with flags": (b"\xe1\x00", MALFORMED),
    "packet of type 0": (b"\x00\x00", MALFORMED),
    "a server's packet": (packet(0x20, b"\0\0\0"), PROTOCOL),
    "length of five bytes": (b"\x30\xff\xff\xff\xff\x01", MALFORMED),
}


@pytest.mark.parametrize(("data", "reason"), LATER.values(), ids=LATER.keys())
def test_what_the_standard_forbids_ends_the_connection_with_its_reason(data: bytes, reason: int) -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("#", "will")
    peer = stage.peer("c", will=("will", b"gone", 0, False))
    peer.connection.receive(data + publish("a", b"too late"))
    assert [(each.kind, each.code) for each in peer.take()] == [("disconnect", reason)]
    assert not peer.open
    assert ear.payloads == [b"gone"]
    assert sum(stage.broker.counters.closed.values()) == 1
    assert [fields["client"] for event, fields in stage.reports if event == "fault"] == ["c"]


def test_a_disconnect_of_3_1_1_has_no_body_and_auth_does_not_exist() -> None:
    for data in (packet(0xE0, b"\0"), b"\xf0\x00", packet(0x40, b"\0\1\0")):
        peer = Stage().peer("c", V3)
        peer.connection.receive(data)
        assert not peer.open


def test_topics_of_64_kib_are_topics() -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("#")
    name = "x" * 65_535
    stage.peer("c").publish(name, b"1")
    (heard,) = ear.take("publish")
    assert heard.topic == name


def test_identifiers_of_nobody_are_answered_and_harm_nothing() -> None:
    peer = Stage().peer()
    assert peer.acknowledge(0x40, 9) == []
    assert peer.acknowledge(0x70, 9) == []
    (release,) = peer.acknowledge(0x50, 9)
    assert (release.kind, release.code) == ("pubrel", 0x92)
    (complete,) = peer.acknowledge(0x62, 9)
    assert (complete.kind, complete.code) == ("pubcomp", 0x92)
    assert peer.open


def test_a_refused_exactly_once_message_frees_its_place() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={RECEIVE: 1})
    ear.subscribe("a")
    for payload in (b"1", b"2"):
        stage.broker.publish("a", payload, qos=2)
    (first,) = ear.take("publish")
    ear.connection.receive(packet(0x50, struct.pack("!H", first.packet) + b"\x97"))
    assert ear.payloads == [b"2"]


@given(st.integers(0, 268_435_455))
def test_lengths_are_written_and_read_as_the_standard_says(value: int) -> None:
    from voltagora.hub.wire import primitive

    assert primitive.length(value) == varint(value)
    assert primitive.take_length(varint(value) + b"rest", 0, 8) == (value, len(varint(value)))


# Fuzz: a proper conversation, broken somewhere.

PROPER = [
    connect(
        user="u", password=b"p", will=("w", b"x", 1, True), given={SESSION_EXPIRY: 9, USER: [("a", "b")]}
    ),
    packet(0x82, b"\0\1" + properties({SUBSCRIPTION: 5}) + text("a/#") + b"\2" + text("$share/g/+") + b"\1"),
    publish("a/b", b"payload", 1, 2, given={RESPONSE: "r", USER: [("k", "v")], ALIAS: 1}),
    publish("a", b"payload", 2, 3, retain=True),
    packet(0x62, b"\0\3"),
    packet(0x50, b"\0\1"),
    packet(0x40, b"\0\2\0\0"),
    packet(0xA2, b"\0\4\0" + text("a/#")),
    b"\xc0\0",
    packet(0xE0, b"\4" + properties({SESSION_EXPIRY: 1})),
]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_broken_conversation_never_breaks_the_hub(data: st.DataObject) -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("fence")
    said = bytearray(b"".join(PROPER[: data.draw(st.integers(1, len(PROPER)))]))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(said) - 1))
        change = data.draw(st.sampled_from(["flip", "insert", "cut"]))
        if change == "flip":
            said[at] = data.draw(st.integers(0, 255))
        elif change == "insert":
            said[at:at] = data.draw(st.binary(max_size=8))
        elif len(said) > 1:
            del said[at : at + data.draw(st.integers(1, 4))]
        said = said or bytearray(b"\0")
    peer = Peer(stage)
    at = 0
    while at < len(said) and peer.open:
        step = data.draw(st.integers(1, 50))
        peer.connection.receive(bytes(said[at : at + step]))
        at += step
    if peer.open:
        peer.cut()
    stage.pass_time(20)

    stage.broker.publish("fence", b"up", qos=1)
    assert ear.payloads == [b"up"]
    assert stage.broker.half_open == {}
    assert stage.broker.sessions.connected == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_noise_never_breaks_the_hub(noise: list[bytes]) -> None:
    stage = Stage()
    for greeting in (b"", connect()):
        peer = Peer(stage)
        for data in (greeting, *noise):
            peer.connection.receive(data)
        if peer.open:
            peer.cut()
    assert stage.broker.sessions.connected == 0


def test_byte_by_byte_is_the_same_as_at_once() -> None:
    said = b"".join(PROPER[:-1])
    heard = []
    for step in (1, 3, len(said)):
        peer = Peer(Stage())
        for at in range(0, len(said), step):
            peer.connection.receive(said[at : at + step])
        heard.append(peer.take())
    assert heard[0] == heard[1] == heard[2]
    assert len(heard[0]) > 6
