"""Nobody speaks for another or hears what is another's: kinds of agents by topics, on real brokers.

The table is made by hand from the protocols, never from the code under test.
"""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest
from market_brokers import BROKERS, ROOT, join, until
from market_rights import HEARS_ALL, OWNED, TABLE

from voltagora.live import mqtt_packets as packets
from voltagora.live.transport import Publication
from voltagora.protocols.catalogue import MESSAGES
from voltagora.protocols.topic import topic_address

GREEDY = (
    "#",
    "+/+/+",
    "EV/#",
    "EV/+/ReservationOutcome",
    "+/v1/ReservationOutcome",
    "CS/+/EV/+/CS_start/start_negotiation",
    "CS/s1/#",
    "EV/+/RequestChargingRecommendations",
    "$share/g/EV/+/ReservationOutcome",
    "$share/g/#",
    "$SYS/#",
    "presence/+",
)
NOT_AUTHORIZED = 0x87


@pytest.mark.parametrize("broker", BROKERS)
def test_who_may_publish_where(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port:
        allowed = {
            (topic, user) for user in OWNED for topic in TABLE if _reason(port, user, topic) != NOT_AUTHORIZED
        }

    assert allowed == {(topic, user) for topic, (writers, _) in TABLE.items() for user in writers}


def _reason(port: int, user: str, topic: str) -> int:
    """Publish once and give the broker's answer: mosquitto 2.0.11 hangs up on who must not publish."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line.sendall(
            packets.connect(
                5, f"of-{user}", user=user, password=user, will=None, clean=True, keepalive=0, given={}
            )
        )
        connack = line.recv(1_024)
        assert connack[:1] == b"\x20"
        assert connack[3] == 0
        line.sendall(packets.publish(5, 1, Publication(number=1, topic=topic, payload=b"x"), again=False))
        puback = line.recv(1_024)
        assert puback[:1] == b"\x40"
        return packets.read_puback(puback, 2, len(puback))[1]


@pytest.mark.parametrize("broker", BROKERS)
def test_who_may_read_what_with_filters_as_greedy_as_can_be(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port, contextlib.ExitStack() as stack:
        root = join(stack, port, ROOT)
        clients = {user: join(stack, port, user) for user in OWNED}
        for client in clients.values():
            for text in (*TABLE, *GREEDY):
                client.subscribe(text)
        for topic in TABLE:
            root.publish(topic, b"secret")
        until(lambda: all(len(clients[user].heard) >= len(TABLE) for user in HEARS_ALL))

        for user, client in clients.items():
            heard = {topic for topic, payload in client.heard if payload == b"secret"}
            readable = {topic for topic, (_, readers) in TABLE.items() if user in readers | HEARS_ALL}
            assert heard == readable, user


@pytest.mark.parametrize("broker", BROKERS)
def test_a_last_will_speaks_for_nobody_else(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port, contextlib.ExitStack() as stack:
        root = join(stack, port, ROOT)
        root.subscribe("#")
        for topic in ("presence/s1", "EI/ElectricityImbalance", "presence/v1"):
            liar = join(stack, port, "ev", will=topic)
            if liar.refusal is None:
                liar.vanish()

        until(lambda: ("presence/v1", b"secret") in root.heard)
        assert root.heard == {("presence/v1", b"secret")}


@pytest.mark.parametrize("broker", BROKERS)
def test_who_takes_another_s_client_id_hears_nothing_of_its_session(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port, contextlib.ExitStack() as stack:
        owner = join(stack, port, "ev", client="car", clean=False)
        owner.subscribe("EV/v1/ReservationOutcome")
        owner.close()
        root = join(stack, port, ROOT)
        root.publish_and_wait("EV/v1/ReservationOutcome")
        thief = join(stack, port, "ev2", client="car", clean=False)
        thief.subscribe("timer")
        root.publish_and_wait("EV/v1/ReservationOutcome")
        root.publish_and_wait("timer", b"start")

        until(lambda: ("timer", b"start") in thief.heard)
        assert thief.heard == {("timer", b"start")}


@pytest.mark.parametrize("broker", BROKERS)
def test_a_wrong_password_opens_nothing(broker: Any, tmp_path: Path) -> None:
    with broker(tmp_path) as port, contextlib.ExitStack() as stack:
        assert join(stack, port, "ev", password="ev").refusal is None
        assert join(stack, port, "ev", password="not it").refusal is not None
        assert join(stack, port, "nobody", password="").refusal is not None


def test_the_table_made_by_hand_has_every_topic_of_the_contract() -> None:
    for message in MESSAGES:
        for template in message.topics:
            assert any(topic_address(template, topic) is not None for topic in TABLE), template
