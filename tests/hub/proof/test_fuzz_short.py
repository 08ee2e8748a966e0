"""A short round of the attacks of `make fuzz`, always the same."""

from __future__ import annotations

from itertools import islice

import fuzz_connections
import fuzz_packets
import fuzz_websocket
import pytest
from seeds import altered

PACKETS, CONNECTIONS, WEBSOCKETS = 20_000, 3_000, 3_000


@pytest.mark.parametrize("part", range(2))
def test_any_bytes_are_a_packet_or_an_error(part: int) -> None:
    seeds = fuzz_packets.seeds()
    for data in seeds:
        fuzz_packets.attack(data)
    for data in islice(altered(part, seeds), PACKETS):
        fuzz_packets.attack(data)


@pytest.mark.parametrize("part", range(2))
def test_no_conversation_breaks_the_hub_or_harms_a_bystander(part: int) -> None:
    seeds = fuzz_connections.seeds()
    for data in seeds:
        fuzz_connections.attack(data)
    for data in islice(altered(part, seeds), CONNECTIONS):
        fuzz_connections.attack(data)


def test_no_bytes_on_a_websocket_break_the_hub() -> None:
    seeds = fuzz_websocket.seeds()
    for data in seeds:
        fuzz_websocket.attack(data)
    for data in islice(altered(0, seeds), WEBSOCKETS):
        fuzz_websocket.attack(data)
