"""RabbitMQ is told `allow` where the rights say so, in its own words for topics, and `deny` elsewhere."""

from __future__ import annotations

from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from voltagora.brokers.rabbitmq import RabbitRights, RabbitServer
from voltagora.hub.passwords import hash_password
from voltagora.hub.rights import Grant
from voltagora.hub.users import KnownUsers

RIGHTS = KnownUsers(
    {"ev": Grant(publish=("CS/+/ReserveChargingSlot", "EV/v1/Ask"), subscribe=("EV/v1/Told", "timer"))},
    {"ev": hash_password("right", salt=bytes(16))},
)

TOPIC = {"username": "ev", "vhost": "/", "resource": "topic", "name": "amq.topic"}
QUEUE = {"username": "ev", "vhost": "/", "resource": "queue", "permission": "read"}
QUESTIONS = [
    ("/auth/user", {"username": "ev", "password": "right"}, True),
    ("/auth/user", {"username": "ev", "password": "wrong"}, False),
    ("/auth/user", {"username": "", "password": ""}, False),
    ("/auth/user", {"username": "ev", "password": "right", "client_id": "ev"}, True),
    ("/auth/user", {"username": "ev", "password": "right", "client_id": "ev+car"}, True),
    ("/auth/user", {"username": "ev", "password": "right", "client_id": "ev2+car"}, False),
    ("/auth/user", {"username": "ev", "password": "right", "client_id": "evil"}, False),
    ("/auth/vhost", {"username": "ev", "vhost": "/"}, True),
    ("/auth/vhost", {"username": "ev", "vhost": "other"}, False),
    (
        "/auth/resource",
        {"vhost": "/", "resource": "exchange", "name": "amq.topic", "permission": "write"},
        True,
    ),
    (
        "/auth/resource",
        {"vhost": "/", "resource": "exchange", "name": "amq.topic", "permission": "configure"},
        False,
    ),
    (
        "/auth/resource",
        {"vhost": "/", "resource": "exchange", "name": "amq.direct", "permission": "write"},
        False,
    ),
    ("/auth/resource", QUEUE | {"name": "mqtt-subscription-ev+carqos1"}, True),
    ("/auth/resource", QUEUE | {"name": "mqtt-subscription-evqos0"}, True),
    ("/auth/resource", QUEUE | {"name": "mqtt-subscription-ev2+carqos1"}, False),
    ("/auth/resource", QUEUE | {"name": "mqtt-subscription-ev"}, False),
    ("/auth/resource", QUEUE | {"name": "other"}, False),
    ("/auth/topic", TOPIC | {"permission": "write", "routing_key": "CS.s1.ReserveChargingSlot"}, True),
    ("/auth/topic", TOPIC | {"permission": "write", "routing_key": "CS.*.ReserveChargingSlot"}, False),
    ("/auth/topic", TOPIC | {"permission": "write", "routing_key": "EV.v2.Ask"}, False),
    ("/auth/topic", TOPIC | {"permission": "read", "routing_key": "EV.v1.Told"}, True),
    ("/auth/topic", TOPIC | {"permission": "read", "routing_key": "EV.*.Told"}, False),
    ("/auth/topic", TOPIC | {"permission": "read", "routing_key": "#"}, False),
    ("/auth/topic", TOPIC | {"permission": "read", "routing_key": "EV/v1/Told"}, False),
    ("/auth/topic", TOPIC | {"permission": "configure", "routing_key": "timer"}, False),
    ("/auth/topic", TOPIC | {"name": "amq.direct", "permission": "read", "routing_key": "timer"}, False),
    ("/auth/other", {}, False),
]


@pytest.mark.parametrize(("path", "fields", "allowed"), QUESTIONS)
def test_each_question_has_its_answer(path: str, fields: dict[str, str], allowed: bool) -> None:
    assert RabbitRights(RIGHTS).answer(path, fields) == ("allow" if allowed else "deny")


def test_it_is_asked_over_http_in_the_address_or_in_a_form() -> None:
    form = urlencode({"username": "ev", "password": "right"})
    with RabbitServer(RabbitRights(RIGHTS)) as server:
        url = f"http://127.0.0.1:{server.port}/auth/user"
        with urlopen(f"{url}?{form}") as answer:
            assert answer.read() == b"allow"
        with urlopen(url, form.encode()) as answer:
            assert answer.read() == b"allow"
        with urlopen(url, form.replace("right", "wrong").encode()) as answer:
            assert answer.read() == b"deny"
