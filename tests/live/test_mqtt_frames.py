"""Packets are the same however the network cuts them, and none that is too large is held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voltagora.hub.errors import PacketError
from voltagora.hub.rights import owner_of
from voltagora.hub.wire import primitive
from voltagora.hub.wire.publish import stamp
from voltagora.live import mqtt_packets as packets
from voltagora.live.mqtt_frames import HEAD_BYTES, Frames
from voltagora.live.transport import Publication

LARGEST = 1_000

_packets = st.lists(st.tuples(st.sampled_from([0x30, 0x40, 0xD0]), st.binary(max_size=1_200)), max_size=8)


@given(_packets, st.lists(st.integers(1, 400), min_size=1))
def test_any_cut_gives_the_same_packets(sent: list[tuple[int, bytes]], sizes: list[int]) -> None:
    stream = b"".join(primitive.packet(first, body) for first, body in sent)
    frames, found, at, turn = Frames(LARGEST), [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += list(frames.feed(stream[at : at + size]))
        at, turn = at + size, turn + 1
    assert [frame.first for frame in found] == [first for first, _ in sent]
    for frame, (first, body) in zip(found, sent, strict=True):
        assert frame.is_whole == (len(primitive.packet(first, body)) <= LARGEST)
        if frame.is_whole:
            assert frame.data[frame.at : frame.end] == body


@pytest.mark.parametrize("chunk", [1_000, 65_536, 10_000_000])
def test_a_huge_packet_is_read_past_and_known_by_its_head(chunk: int) -> None:
    topic = primitive.string("EV/1/x")
    huge = primitive.packet(0x32, topic + b"\x12\x34\x00" + bytes(3_000_000))
    after = primitive.packet(0x32, topic + b"\x12\x35\x00ok")
    frames, found = Frames(LARGEST), []
    for at in range(0, len(huge + after), chunk):
        found += list(frames.feed((huge + after)[at : at + chunk]))
        assert frames._size <= HEAD_BYTES + chunk
    head, last = found
    assert packets.read_head(head.first, head.data, head.at, head.end) == (0x1234, "EV/1/x")
    assert packets.read_publish(5, last.first, last.data, last.at, last.end, stamps=False)[0] == 0x1235


def test_a_length_of_five_bytes_is_no_length() -> None:
    with pytest.raises(PacketError):
        list(Frames(LARGEST).feed(b"\x30\xff\xff\xff\xff\x01"))


def test_everything_a_server_may_say_in_connack_is_read() -> None:
    said = (
        b"\x11\x00\x00\x00\x0a" + b"\x12\x00\x01a" + b"\x13\x00\x05" + b"\x15\x00\x01m" + b"\x16\x00\x01d"
        b"\x1a\x00\x01i"
        + b"\x1c\x00\x01s"
        + b"\x1f\x00\x01r"
        + b"\x21\x00\x07"
        + b"\x22\x00\x08"
        + b"\x24\x01"
        b"\x25\x01"
        + b"\x26\x00\x06stamps\x00\x06sender"
        + b"\x27\x00\x00\x01\x00"
        + b"\x28\x01\x29\x01\x2a\x01"
    )
    body = b"\x01\x00" + primitive.length(len(said)) + said
    answer = packets.read_connack(5, body, 0, len(body))
    assert answer.session_present
    assert answer.given[packets.Property.SERVER_KEEP_ALIVE] == 5
    assert answer.given[packets.Property.RECEIVE_MAXIMUM] == 7
    assert answer.given[packets.Property.MAXIMUM_PACKET_SIZE] == 256
    assert answer.given[packets.Property.USER] == [("stamps", "sender")]
    with pytest.raises(PacketError):
        packets.read_connack(5, b"\x00\x00\x02\x7f\x00", 0, 5)


@given(
    st.binary(max_size=40),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
)
def test_only_the_brokers_stamp_names_the_sender(correlation: bytes, user: str) -> None:
    forged = stamp("admin")
    publication = Publication(
        number=1,
        topic="a",
        payload=forged,
        response_topic="b",
        correlation=forged + correlation,
        properties={"x": "\x26sender", "y": "sender"},
    )
    written = packets.publish(5, 7, publication, again=False)
    frame = next(iter(Frames(10_000).feed(written)))
    size, at = primitive.take_length(written, frame.at + 5, frame.end)  # behind topic and identifier
    stamped = written[at : at + size] + stamp(user)
    body = written[frame.at : frame.at + 5] + primitive.length(len(stamped)) + stamped + forged
    _, arrival = packets.read_publish(5, 0x32, body, 0, len(body), stamps=True)
    assert arrival.sender == owner_of(user)
    _, arrival = packets.read_publish(5, 0x32, body, 0, len(body), stamps=False)
    assert arrival.sender is None
    assert arrival.payload == forged


@pytest.mark.parametrize(
    "wrong",
    [
        {"topic": "a/#"},
        {"topic": "+"},
        {"topic": ""},
        {"topic": "a\x00"},
        {"topic": "x" * 70000},
        {"topic": "\ud800"},
        {"response_topic": "#"},
        {"properties": {"a": "\x00"}},
        {"correlation": bytes(70000)},
        {"expiry_seconds": 2**32},
        {"expiry_seconds": -1},
    ],
)
def test_what_would_end_the_connection_is_not_written(wrong: dict[str, object]) -> None:
    given = {"number": 1, "topic": "a", "payload": b"", **wrong}
    with pytest.raises((ValueError, OverflowError)):
        packets.publish(5, 1, Publication(**given), again=False)  # type: ignore[arg-type]
