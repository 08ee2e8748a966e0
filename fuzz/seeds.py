"""Where the attacks begin: lawful packets of every kind, and small lawful conversations."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from raw_client import (
    V3,
    V5,
    Will,
    Wish,
    connect_packet,
    packet,
    properties,
    publish_packet,
    subscribe_packet,
    text,
)

_EVERYTHING = [(0x01, 1), (0x02, 60), (0x03, "text"), (0x08, "answer"), (0x09, b"\x00"), (0x26, ("k", "v"))]


def connects() -> list[bytes]:
    """Give CONNECT in many lawful forms."""
    will = Will("will/x", b"gone", 1, True, 5)
    given = [(0x11, 100), (0x21, 10), (0x22, 5), (0x27, 1000), (0x26, ("k", "v"))]
    return [
        connect_packet("c", version=V3),
        connect_packet("c", version=V3, clean=False, user="u", password="p", keep_alive=60),
        connect_packet("c", version=V3, will=will),
        connect_packet("c"),
        connect_packet("", given=given, will=will, user="u", password="p"),
        connect_packet("c", clean=False, given=[(0x11, 0xFFFFFFFF)]),
        connect_packet("c", given=[(0x15, "SCRAM"), (0x16, b"x")]),
    ]


def others() -> list[bytes]:
    """Give every other packet that a client may send."""
    found = [b"\xc0\x00", b"\xe0\x00", b"\xe0\x01\x04", packet(0xE0, b"\x00" + properties([(0x11, 5)]))]
    for first in (0x40, 0x50, 0x62, 0x70):
        found += [
            packet(first, b"\0\1"),
            packet(first, b"\0\1\x92" if first in (0x62, 0x70) else b"\0\1\x10"),
        ]
    for version in (V3, V5):
        empty = b"" if version == V3 else b"\0"
        for qos in (0, 1, 2):
            once = {"version": version, "qos": qos, "identifier": qos + 1}
            found += [publish_packet("a/b", b"payload", retain=retain, **once) for retain in (False, True)]
            found.append(subscribe_packet([Wish("a/+", qos), Wish("#", 0)], version=version, packet_id=9))
        found.append(publish_packet("a", b"", version=version, retain=True))
        found.append(packet(0xA2, struct.pack(">H", 7) + empty + text("a/+")))
    found.append(publish_packet("a/b", b"payload", qos=1, identifier=3, given=[*_EVERYTHING, (0x23, 1)]))
    found.append(publish_packet("", b"payload", given=[(0x23, 1)]))
    found.append(subscribe_packet([Wish("$share/g/a/#", 2, False, True, 1)], identifier=300))
    found.append(subscribe_packet([Wish("$SYS/#", 1, True, False, 2)], packet_id=3))
    return found


def altered(seed: int, seeds: list[bytes]) -> Iterator[bytes]:
    """Give endless inputs, each a few changes away from a seed; the same ones for the same number."""
    chance = random.Random(seed)
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
            _alter(data, chance, seeds)
        yield bytes(data)


def _alter(data: bytearray, chance: random.Random, seeds: list[bytes]) -> None:
    at = chance.randrange(len(data) + 1)
    kind = chance.randrange(6)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = chance.choice((0, 1, 2, 3, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    elif kind == 2:
        del data[at : at + chance.randrange(1, 9)]
    elif kind == 3:
        data[at:at] = chance.choice(seeds)
    elif kind == 4:
        data[at:at] = chance.randbytes(chance.randrange(1, 9))
    else:
        del data[at:]
