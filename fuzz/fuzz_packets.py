"""Attacks the decoders: any bytes are a packet or a PacketError, nothing else, and no byte is read beyond.

Run it with atheris by `make fuzz`; a short round of it is a test.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "hub" / "proof" / "stage"))

import driver

with driver.watched():
    from voltagora.hub.errors import PacketError
    from voltagora.hub.topics import parse_filter, topic_levels
    from voltagora.hub.wire import acknowledge, connect, primitive, properties, publish, subscribe

VERSIONS = (connect.V3, connect.V5)


def connects(body: bytes, version: int) -> None:
    """CONNECT."""
    found = connect.decode_connect(body, 0, len(body))
    assert found.version in VERSIONS
    assert "\0" not in found.client
    if found.will is not None:
        publish.travelling(found.will.properties, publish.stamp("u"))


def subscribes(body: bytes, version: int) -> None:
    """SUBSCRIBE, and the filters in it."""
    found = subscribe.decode_subscribe(body, 0, len(body), version)
    assert found.packet
    assert found.wishes
    for wish in found.wishes:
        assert wish.qos in (0, 1, 2)
        try:
            parsed = parse_filter(wish.filter)
        except PacketError:
            continue
        assert parsed.levels


def unsubscribes(body: bytes, version: int) -> None:
    """UNSUBSCRIBE."""
    packet, filters = subscribe.decode_unsubscribe(body, 0, len(body), version)
    assert packet
    assert filters


def acknowledgements(body: bytes, version: int) -> None:
    """PUBACK and its kin."""
    for first in (0x40, 0x50, 0x62, 0x70):
        try:
            packet, reason = acknowledge.decode_acknowledgement(first, body, 0, len(body), version)
        except PacketError:
            continue
        assert 0 < packet < 0x10000
        assert 0 <= reason < 0x100


def disconnects(body: bytes, version: int) -> None:
    """DISCONNECT."""
    connect.decode_disconnect(body, 0, len(body), version)


def properties_of_publish(body: bytes, version: int) -> None:
    """Properties of PUBLISH: what travels along is read back as it was."""
    given, at = properties.take_properties(body, 0, len(body), properties.IN_PUBLISH)
    assert at <= len(body)
    stamp = publish.stamp("user")
    raw = publish.travelling(given, stamp)
    back = publish.read_travelling(raw)
    for name, value in back.items():
        if name != properties.Property.USER:
            assert given[name] == value
    assert back[properties.Property.USER][-1] == ("sender", "user")
    assert [pair for pair in back[properties.Property.USER] if pair[0] == "sender"] == [("sender", "user")]


def lengths(body: bytes, version: int) -> None:
    """Variable byte integers: the shortest form, and only that."""
    value, at = primitive.take_length(body, 0, len(body))
    assert primitive.length(value) == body[:at]
    assert at <= 4


def names(body: bytes, version: int) -> None:
    """Strings, topic names and filters."""
    found, at = primitive.take_text(body, 0, len(body))
    assert primitive.string(found) == body[:at]
    try:
        assert "/".join(topic_levels(found)) == found
    except PacketError:
        parse_filter(found)


TARGETS: tuple[Callable[[bytes, int], Any], ...] = (
    connects,
    subscribes,
    unsubscribes,
    acknowledgements,
    disconnects,
    properties_of_publish,
    lengths,
    names,
)


def attack(data: bytes) -> None:
    """Hand one input to one decoder: the first byte says which, and in which version."""
    if not data:
        return
    target = TARGETS[data[0] % len(TARGETS)]
    try:
        target(data[1:], VERSIONS[data[0] >> 7])
    except PacketError as error:
        if error.reason < 0x80:
            raise AssertionError("a refusal whose reason is none") from error


def seeds() -> list[bytes]:
    """Give inputs that each reach far into a decoder."""
    from seeds import connects as connect_packets
    from seeds import others

    bodies = [each[2:] for each in (*connect_packets(), *others())]
    bodies += [each[at:] for each in bodies for at in (2, 5, 7) if len(each) > at + 2]
    choices = [number | high for number in range(len(TARGETS)) for high in (0, 0x80)]
    return [bytes((choice,)) + body for body in bodies for choice in choices]


if __name__ == "__main__":
    driver.run(attack, seeds())
