"""The calls that brokers make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_stage import Site

from voltagora.platform.client import PlatformClient


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, broker_secret="between us")
    yield made
    made.close()


@pytest.fixture
def a(site: Site) -> PlatformClient:
    return site.person("a")


@pytest.mark.parametrize("how", ["json", "data"])
def test_passwords(site: Site, a: PlatformClient, how: str) -> None:
    for username, password, status in (
        *(("a", "secret of a", 200), ("a", "wrong", 403), ("nobody", "x", 403)),
        ("a@example.org", "secret of a", 403),
    ):
        answer = site.http.post("/mqtt/auth", **{how: {"username": username, "password": password}})
        assert (answer.status_code, answer.text) == (status, "null")


def test_device_tokens(site: Site, a: PlatformClient) -> None:
    told = site.http.post("/mqtt/devtoken", data={"username": "a", "password": "secret of a"})
    assert told.status_code == 200
    token = told.json()
    assert re.fullmatch("[0-9a-f]{40}", token)
    for path, status in (("devtoken/auth", 200), ("auth", 403)):
        assert a.broker_call(path, username="a", password=token).status_code == status
    assert a.broker_call("devtoken/auth", username="a", password="secret of a").status_code == 200
    assert a.broker_call("devtoken", username="a", password=token).status_code == 403
    assert site.http.get("/topics", headers={"Authorization": f"Bearer {token}"}).status_code == 403


def test_devices_that_ask_at_each_start_do_not_fill_the_quota(site: Site, a: PlatformClient) -> None:
    first = a.device_token("a", "secret of a")
    kept = [a.device_token("a", "secret of a") for _ in range(100)]
    assert len(a.tokens()) == 100
    assert site.registry.find_token(first) is None
    assert site.registry.find_token(kept[0]) is not None


@pytest.mark.parametrize(
    ("topic", "acc", "status"),
    [
        *(("t", 1, 200), ("t", 2, 200), ("t", 3, 200), ("t", 4, 200), ("t", "1", 200)),
        *(("u", 1, 200), ("u", 4, 200), ("u", 2, 403), ("u", 3, 403)),
        *(("EV/1/x", 1, 200), ("EV/+/x", 1, 200), ("EV/+/+", 1, 403), ("EV/#", 1, 403), ("#", 1, 403)),
        *(("t", 0, 403), ("t", 7, 403), ("t", -1, 403), ("other", 1, 403)),
        *(("t", "read", 400), ("t", None, 400), ("t", 1.5, 400), ("t", True, 400)),
    ],
)
def test_rights(site: Site, a: PlatformClient, topic: str, acc: Any, status: int) -> None:
    b = site.person("b")
    a.create_topic("t")
    for name in ("u", "EV/+/x"):
        a.ask_for_topic(b.create_topic(name).id)
    asked = {"username": "a", "topic": topic, "acc": acc, "clientid": "c"}
    assert site.http.post("/mqtt/acl", json=asked).status_code == status


def test_nobody_is_superuser(site: Site) -> None:
    site.admin()
    for name in ("admin", "root", ""):
        assert site.http.post("/mqtt/superuser", json={"username": name}).status_code == 403


@pytest.mark.parametrize(
    ("address", "shown", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 403),
        ("192.0.2.1", {"X-Broker-Secret": "between us"}, 200),
        ("192.0.2.1", {"Authorization": "Basic YnJva2VyOmJldHdlZW4gdXM="}, 200),
        ("192.0.2.1", {"X-Broker-Secret": "wrong"}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Origin": "http://elsewhere.example.org"}, 403),
    ],
)
def test_only_brokers_may_ask(
    site: Site, a: PlatformClient, address: str, shown: dict[str, str], status: int
) -> None:
    with site.at(address) as http:
        body = {"username": "a", "password": "secret of a"}
        assert http.post("/mqtt/auth", json=body, headers=shown).status_code == status


def test_one_clients_guesses_do_not_shut_a_brokers_other_clients_out(site: Site, a: PlatformClient) -> None:
    for number in range(60):
        a.broker_call("auth", username=f"user{number % 6}", password="guess")
    assert a.broker_call("auth", username="a", password="secret of a").status_code == 200


@pytest.mark.parametrize(
    ("path", "asked", "expected"),
    [
        ("user", {"password": "secret of a"}, "allow"),
        ("user", {"password": "wrong"}, "deny"),
        ("vhost", {"vhost": "/"}, "allow"),
        ("vhost", {"vhost": "other"}, "deny"),
        ("vhost", {"vhost": "/", "username": "nobody"}, "deny"),
        ("resource", {"resource": "exchange", "name": "amq.topic", "permission": "write"}, "allow"),
        ("resource", {"resource": "exchange", "name": "amq.topic", "permission": "configure"}, "deny"),
        (
            "resource",
            {"resource": "exchange", "name": "SYNAISTHISI_bridge", "permission": "configure"},
            "allow",
        ),
        ("resource", {"resource": "exchange", "name": "amq.default", "permission": "write"}, "deny"),
        ("resource", {"resource": "queue", "name": "a.mine", "permission": "configure"}, "allow"),
        ("resource", {"resource": "queue", "name": "b.theirs", "permission": "read"}, "deny"),
        ("resource", {"resource": "queue", "name": "mqtt-subscription-cqos0", "permission": "read"}, "allow"),
        ("resource", {"resource": "queue", "name": "mqtt-subscription-dqos1", "permission": "read"}, "deny"),
        ("topic", {"name": "amq.topic", "permission": "write", "routing_key": "EV.1.x"}, "allow"),
        ("topic", {"name": "amq.topic", "permission": "read", "routing_key": "EV.*.x"}, "allow"),
        ("topic", {"name": "amq.topic", "permission": "read", "routing_key": "EV.#"}, "deny"),
        ("topic", {"name": "amq.topic", "permission": "write", "routing_key": "other"}, "deny"),
        ("topic", {"name": "amq.topic", "permission": "write", "routing_key": "EV.*.x"}, "deny"),
        ("topic", {"name": "amq.topic", "permission": "write", "routing_key": "EV/1/x"}, "deny"),
        ("topic", {"name": "elsewhere", "permission": "write", "routing_key": "EV.1.x"}, "deny"),
    ],
)
def test_rabbitmq_is_told_the_same_rights(
    site: Site, a: PlatformClient, path: str, asked: dict[str, str], expected: str
) -> None:
    site.person("b")
    a.create_topic("EV/+/x")
    for who, client in (("a", "c"), ("b", "d")):
        a.broker_call("rabbitmq/user", username=who, password=f"secret of {who}", client_id=client)
    answer = site.http.post(f"/mqtt/rabbitmq/{path}", data={"username": "a", "vhost": "/", **asked})
    assert (answer.status_code, answer.text) == (200, expected)


def test_a_token_enters_rabbitmq_by_its_principal_so_that_its_scope_holds(
    site: Site, a: PlatformClient
) -> None:
    a.create_topic("t")
    a.create_topic("u")
    token = a.create_token("t", kind="device", publish=["t"])
    who = f"a+{token.id}"
    assert a.broker_call("rabbitmq/user", username="a", password=token.token).text == "deny"
    assert a.broker_call("rabbitmq/user", username=who, password=token.token).text == "allow"
    for topic, answer in (("t", "allow"), ("u", "deny")):
        asked = {"vhost": "/", "name": "amq.topic", "permission": "write", "routing_key": topic}
        assert a.broker_call("rabbitmq/topic", username=who, **asked).text == answer
