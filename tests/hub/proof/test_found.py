"""What the proofs found, each as the smallest program that shows it.

First what was wrong in the hub once; then where it differs from mosquitto (decision 0150) by itself.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import fuzz_websocket
import pytest
from raw_client import PUBREC, V3, RawClient, Will, Wish, connect_packet, publish_packet

from brokers import running_hub

MAXIMUM_PACKET_SIZE = 0x27

Make = Callable[..., RawClient]


@pytest.mark.parametrize("qos", [1, 2])
def test_retained_messages_beyond_the_window_follow_as_it_empties(client: Make, qos: int) -> None:
    one = client("one")
    one.connect(receive_maximum=1)
    for number in range(5):
        one.publish(f"a/{number}", b"kept", qos, retain=True)
    one.subscribe(Wish("a/#", qos))
    one.settle()
    assert sorted(each.topic for each in one.take()) == [f"a/{number}" for number in range(5)]


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_in_flight_follows_through_a_window_that_is_smaller_now(client: Make, qos: int) -> None:
    one, other = client("one"), client("other")
    one.connect(clean=False, expiry=100)
    one.subscribe(Wish("a", qos))
    other.connect()
    one.mute = True
    for number in range(5):
        other.publish("a", b"%d" % number, qos)
    one.ping()
    one.drop()
    one.mute = False
    one.connect(clean=False, expiry=100, receive_maximum=1)
    one.settle()
    assert [each.payload for each in one.take()] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_will_is_published_when_its_session_is_taken_over(client: Make) -> None:
    """Decision 0150, line 1."""
    watcher, old, new = client("watcher"), client("one", version=V3), client("one", version=V3)
    watcher.connect()
    watcher.subscribe(Wish("will"))
    old.connect(clean=False, will=Will("will", b"gone"))
    new.connect(clean=False)
    watcher.settle()
    assert [each.payload for each in watcher.take()] == [b"gone"]


def test_a_message_too_large_for_the_client_holds_up_nobody_behind_it(tmp_path: Path) -> None:
    with running_hub(data=tmp_path) as hub:
        one, other = RawClient(hub.port, "one"), RawClient(hub.port, "other")
        one.connect(clean=False, expiry=100, receive_maximum=1, given=[(MAXIMUM_PACKET_SIZE, 200)])
        one.subscribe(Wish("a", 2))
        other.connect()
        other.send(
            publish_packet("a", bytes(500), qos=2, identifier=1)
            + publish_packet("a", b"small", qos=2, identifier=2)
        )
        other.expect(PUBREC, 2)
        hub.quiet()
        one.settle()
        assert [each.payload for each in one.take()] == [b"small"]
        one.drop()
        other.drop()


def test_an_exactly_once_message_arrives_though_its_publisher_is_gone_before_the_release(
    client: Make,
) -> None:
    """Decision 0150, line 2."""
    ear, mouth = client("ear"), client("mouth")
    ear.connect()
    ear.subscribe(Wish("a", 2))
    mouth.connect()
    mouth.send(publish_packet("a", b"mine now", qos=2, identifier=1))
    mouth.expect(PUBREC, 1)
    mouth.drop()
    ear.settle()
    assert [each.payload for each in ear.take()] == [b"mine now"]


def test_a_group_receives_topics_that_begin_with_a_dollar(client: Make) -> None:
    """Decision 0150, line 3."""
    one, group = client("one"), client("group")
    one.connect()
    group.connect()
    group.subscribe(Wish("$share/g/$x/#", 1))
    one.publish("$x/a", b"heard", 1)
    group.settle()
    assert [each.payload for each in group.take()] == [b"heard"]


def test_a_session_begun_clean_and_kept_survives_a_restart(tmp_path: Path) -> None:
    """Decision 0150, line 4."""
    with running_hub(data=tmp_path) as hub:
        one = RawClient(hub.port, "one")
        one.connect(clean=True, expiry=100)
        one.drop()
        hub.restart()
        one.port = hub.port
        assert one.connect(clean=False, expiry=100).present
        one.drop()


def test_subscribing_again_replaces_all_options(client: Make) -> None:
    """Decision 0150, line 11."""
    one, other = client("one"), client("other")
    one.connect()
    other.connect()
    for option in (False, True, False):
        one.subscribe(Wish("a", 1, retain_as_published=option, retain_handling=2))
        other.publish("a", b"kept", 1, retain=True)
        one.settle()
        assert [each.retain for each in one.take()] == [option]


OPENING = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
)


@pytest.mark.parametrize(
    ("more", "behind"),
    [
        ("Sec-WebSocket-Protocol: mqtt\r\n", b"\xff\xff\xff"),
        ("Origin: http://foreign.example\r\n", fuzz_websocket.frame(2, connect_packet("one"))),
        ("Origin: http://foreign.example\r\n", b"\xff\xff\xff"),
        ("Host: 127.0.0.1\r\n", fuzz_websocket.frame(2, connect_packet("one"))),
        ("Origin: http://127.0.0.1\r\nOrigin: http://foreign.example\r\n", b""),
    ],
)
def test_what_stands_behind_an_opening_that_fails_is_not_taken(more: str, behind: bytes) -> None:
    """No exception gets into the hub's loop, which `running_hub` checks, and nobody is let in."""
    with running_hub(websocket="127.0.0.1:0") as hub:
        with socket.create_connection(("127.0.0.1", hub.hub.websocket_port), 10) as line:
            line.sendall(OPENING.format(more=more).encode() + behind)
            while line.recv(1_000):
                pass
        counters = hub.call(lambda found: found.broker.counters)
        assert hub.call(lambda found: len(found.broker.half_open)) == 0
        assert counters.bytes_received == 0


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("restart", [False, True])
def test_retained_messages_still_to_come_wait_for_a_client_that_comes_back(
    tmp_path: Path, kept: bool, restart: bool
) -> None:
    """3.1.1, MQTT-3.3.1-6: each must be sent to the new subscription; who kept its session asks no more."""
    with running_hub(data=tmp_path if kept else None) as hub:
        one, other = RawClient(hub.port, "one"), RawClient(hub.port, "other")
        other.connect()
        for number in range(6):
            other.publish(f"a/{number}", b"kept", number % 3, retain=True)
        one.connect(clean=True, expiry=100, receive_maximum=1)
        one.mute = True
        one.subscribe(Wish("a/#", 2))
        hub.quiet()
        one.ping()
        one.drop()
        one.mute = False
        other.drop()
        if kept and restart:
            hub.restart()
            one.port = hub.port
        assert one.connect(clean=False, expiry=100, receive_maximum=1).present
        for _ in range(6):
            # Each waits for the one before, and its identifier for the disk.
            hub.quiet()
            one.settle()
        found = [(each.topic, each.qos, each.retain) for each in one.take() if each.qos]
        wanted = [("a/1", 1, True), ("a/2", 2, True), ("a/4", 1, True), ("a/5", 2, True)]
        assert sorted(found) == wanted
        one.drop()
