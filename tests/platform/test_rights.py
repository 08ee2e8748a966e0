"""The platform's rights, asked by a hub with open connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounts_stage import the_accounts
from hub_stage import USER, V3, Peer, Stage, connect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from registry_stage import Wall, a_draft, a_registry, a_service, a_topic, a_user

from voltagora.hub.rights import Grant, Login, Table
from voltagora.hub.server import Hub
from voltagora.hub.topics import parse_filter
from voltagora.platform.registry.entities import Scope, TokenKind
from voltagora.platform.registry.registry import Registry
from voltagora.platform.rights import PUB, SUB, PlatformRights

A, B = 1, 2


def by_name(username: str, password: str, address: str) -> str | None:
    """For these tests the password is the principal."""
    return password or username


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def registry(tmp_path: Path, wall: Wall) -> Iterator[Registry]:
    with a_registry(tmp_path, wall=wall) as made:
        a_user(made, "a")
        a_user(made, "b")
        yield made


@pytest.fixture
def rights(registry: Registry) -> Iterator[PlatformRights]:
    made = PlatformRights(registry, by_name)
    yield made
    made.close()


def test_what_is_granted_counts_at_once_and_so_does_what_is_taken_back(
    registry: Registry, rights: PlatformRights
) -> None:
    topic = a_topic(registry, A, "t")
    assert (rights.may_publish("a", "t"), rights.may_receive("a", "t")) == (True, True)
    assert (rights.may_publish("b", "t"), rights.may_receive("b", "t")) == (False, False)
    registry.grant(A, topic.id, "b", sub=True)
    assert (rights.may_publish("b", "t"), rights.may_receive("b", "t")) == (False, True)
    assert rights.may_subscribe("b", parse_filter("$share/g/t"))
    registry.revoke(A, topic.id, "b")
    assert not rights.may_receive("b", "t")
    assert not rights.may_subscribe("b", parse_filter("t"))


def test_what_was_granted_before_the_start_counts(registry: Registry) -> None:
    topic = a_topic(registry, A, "EV/+/x")
    registry.grant(A, topic.id, "b", pub=True)
    rights = PlatformRights(registry, by_name)
    assert rights.may_publish("b", "EV/7/x")
    assert not rights.may_receive("b", "EV/7/x")
    rights.close()


@pytest.mark.parametrize(
    ("text", "bits", "expected"),
    [
        *(("t", SUB, True), ("t", PUB, True), ("t", SUB | PUB, True), ("u", SUB, True), ("u", PUB, False)),
        *(("u", SUB | PUB, False), ("EV/+/x", SUB, True), ("EV/1/x", SUB, True), ("EV/#", SUB, False)),
        *(("#", SUB, False), ("+", SUB, False), ("$SYS/#", SUB, False), ("", SUB, False), ("t", 0, False)),
        *(("EV/1/x/y", SUB, False), ("/" * 60_000, SUB, False)),
    ],
)
def test_a_filter_is_covered_whole_or_not_at_all(
    registry: Registry, rights: PlatformRights, text: str, bits: int, expected: bool
) -> None:
    a_topic(registry, A, "t")
    registry.ask_to_subscribe(A, a_topic(registry, B, "u").id)
    registry.ask_to_subscribe(A, a_topic(registry, B, "EV/+/x").id)
    assert rights.allows("a", text, bits) is expected


def test_nobody_publishes_to_a_wildcard(registry: Registry, rights: PlatformRights) -> None:
    a_topic(registry, A, "EV/+/x")
    assert rights.may_publish("a", "EV/1/x")
    assert not rights.may_publish("a", "EV/+/x")


def test_a_token_may_what_its_user_may_as_far_as_its_scope_reaches(
    registry: Registry, rights: PlatformRights
) -> None:
    for name in ("EV/1/x", "EV/2/x", "CS"):
        a_topic(registry, A, name)
    others = a_topic(registry, B, "EV/3/x")
    token, _ = registry.create_token(
        A, TokenKind.DEVICE, "meter", scope=Scope(publish=("EV/1/x",), subscribe=("EV/+/x",))
    )
    who = token.principal
    assert who == "a+1"
    assert [rights.may_publish(who, each) for each in ("EV/1/x", "EV/2/x", "CS")] == [True, False, False]
    assert [rights.may_receive(who, each) for each in ("EV/1/x", "EV/3/x", "CS")] == [True, False, False]
    registry.grant(B, others.id, "a", sub=True)
    assert rights.may_receive(who, "EV/3/x")
    registry.revoke(B, others.id, "a")
    assert not rights.may_receive(who, "EV/3/x")
    registry.revoke_token(A, token.id)
    assert not rights.may_publish(who, "EV/1/x")
    assert rights.may_publish("a", "EV/1/x")


def test_a_services_token_follows_the_service(registry: Registry, rights: PlatformRights) -> None:
    service = a_service(registry, A, "S", ["in"], ["out"])
    token, _ = registry.create_token(A, TokenKind.SERVICE, "S", service_id=service.id)
    who = token.principal
    assert rights.may_publish(who, "out")
    assert not rights.may_publish(who, "in")
    registry.update_service(A, service.id, a_draft("S", ["out"], ["in"]))
    assert not rights.may_publish(who, "out")
    assert rights.may_publish(who, "in")
    registry.delete_service(A, service.id)
    assert not rights.may_publish(who, "in")


NAMES = ("a", "a/b", "a/c", "b", "a/+", "a/#", "b/+")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.booleans(), st.booleans(), st.booleans()), max_size=12))
def test_rights_in_memory_are_those_of_the_registry(
    registry: Registry, rights: PlatformRights, changes: list[tuple[str, bool, bool, bool]]
) -> None:
    """Whatever was granted, revoked and deleted, asked in between: as if it were read anew."""
    for name, grants, sub, pub in changes:
        topic = registry.find_topic(name=name) or a_topic(registry, A, name)
        if not sub and not pub:
            registry.delete_topic(A, topic.id)
        else:
            (registry.grant if grants else registry.revoke)(A, topic.id, "b", sub=sub, pub=pub)
        anew = PlatformRights(registry, by_name)
        for asked in ("a", "a/b", "a/c/d", "b", "b/c"):
            assert rights.may_publish("b", asked) is anew.may_publish("b", asked)
            assert rights.may_receive("b", asked) is anew.may_receive("b", asked)
            assert rights.may_subscribe("b", parse_filter(asked)) is anew.may_receive("b", asked)
        anew.close()
    for topic in registry.topics():
        registry.delete_topic(A, topic.id)


def test_brokers_that_do_not_ask_are_told_the_same(registry: Registry, rights: PlatformRights) -> None:
    for name in ("EV/+/x", "EV/#", "CS"):
        a_topic(registry, A, name)
    scope = Scope(publish=("EV/1/#",), subscribe=())
    token, _ = registry.create_token(A, TokenKind.DEVICE, "meter", scope=scope)
    told = Table(rights.grants())
    assert rights.grants()[token.principal] == Grant(publish=("EV/1/x", "EV/1/#"))
    for who in ("a", "b", token.principal):
        for topic in ("EV/1/x", "EV/1/y", "EV/2/x", "EV", "CS", "other"):
            assert told.may_publish(who, topic) is rights.may_publish(who, topic)
            assert told.may_receive(who, topic) is rights.may_receive(who, topic)


# On the hub.


class OnTheHub:
    """A hub that asks the platform, in this thread."""

    def __init__(self, rights: PlatformRights) -> None:
        self.stage = Stage(rights)
        loop = asyncio.get_running_loop()
        rights.attach(self.stage.broker, loop)

    def peer(self, principal: str) -> Peer:
        peer = Peer(self.stage)
        peer.connect(principal, user="x", password=principal.encode())
        return peer


def test_row39_a_revoked_right_ends_delivery_and_publishing_on_the_open_connection(
    registry: Registry, rights: PlatformRights
) -> None:
    topic = a_topic(registry, A, "t")
    registry.grant(A, topic.id, "b", sub=True, pub=True)

    async def journey() -> None:
        hub = OnTheHub(rights)
        reader = hub.peer("b")
        reader.subscribe("t")
        hub.stage.broker.publish("t", b"1")
        registry.revoke(A, topic.id, "b")
        hub.stage.broker.publish("t", b"2")
        assert reader.payloads == [b"1"]
        reader.publish("t", b"3", 1)
        assert hub.stage.broker.counters.refused.total() == 1
        registry.grant(A, topic.id, "b", sub=True)
        hub.stage.broker.publish("t", b"4")
        assert reader.payloads == []  # the subscription has ended with the right

    asyncio.run(journey())


def test_a_revoked_token_ends_its_connections_and_no_others(
    registry: Registry, rights: PlatformRights
) -> None:
    a_topic(registry, A, "t")
    one, _ = registry.create_token(A, TokenKind.DEVICE, "one")
    two, _ = registry.create_token(A, TokenKind.DEVICE, "two")

    async def journey() -> None:
        hub = OnTheHub(rights)
        account, first, second = hub.peer("a"), hub.peer(one.principal), hub.peer(two.principal)
        registry.revoke_token(A, one.id)
        assert [account.open, first.open, second.open] == [True, False, True]
        registry.change_user(A, password_hash="other")
        assert [account.open, second.open] == [False, True]
        registry.delete_user(A)
        assert not second.open

    asyncio.run(journey())


def test_a_token_ends_when_its_time_has_come(registry: Registry, rights: PlatformRights, wall: Wall) -> None:
    token, secret = registry.create_token(A, TokenKind.DEVICE, "one", expires_at=int(wall.at) + 60)

    async def journey() -> None:
        hub = OnTheHub(rights)
        peer = hub.peer(token.principal)
        watch = asyncio.create_task(rights.watch(0.01))
        await asyncio.sleep(0.05)
        assert peer.open
        wall.at += 61
        assert registry.find_token(secret) is None
        while peer.open:
            await asyncio.sleep(0.01)
        watch.cancel()

    asyncio.run(asyncio.wait_for(journey(), 20))


def test_what_a_token_publishes_is_stamped_with_its_user(registry: Registry, rights: PlatformRights) -> None:
    a_topic(registry, A, "t")
    token, _ = registry.create_token(A, TokenKind.DEVICE, "one")

    async def journey() -> None:
        hub = OnTheHub(rights)
        senders: list[str] = []
        hub.stage.broker.subscribe_here("t", lambda publication, _: senders.append(publication.sender))
        reader = hub.peer("a")
        reader.subscribe("t")
        hub.peer(token.principal).publish("t", b"1")
        (heard,) = reader.take("publish")
        assert heard.given[USER] in (("sender", "a"), [("sender", "a")])
        assert senders == ["a"]

    asyncio.run(journey())


def test_row47_what_was_said_in_a_deleted_topic_is_not_heard_in_its_successor(
    registry: Registry, rights: PlatformRights
) -> None:
    topic, wild = a_topic(registry, A, "t"), a_topic(registry, A, "w/#")
    kept = a_topic(registry, A, "w/own")

    async def journey() -> None:
        hub = OnTheHub(rights)
        for name in ("t", "w/1", kept.name):
            hub.stage.broker.publish(name, b"secret", retain=True)
        registry.delete_topic(A, topic.id)
        registry.delete_topic(A, wild.id)
        a_topic(registry, B, "t")
        reader = hub.peer("b")
        reader.subscribe("t")
        assert reader.payloads == []
        assert [value.topic.name for value in hub.stage.broker.last_values("#")] == [kept.name]

    asyncio.run(journey())


def test_a_change_in_another_thread_is_acted_on_by_the_brokers_loop(
    registry: Registry, rights: PlatformRights
) -> None:
    topic = a_topic(registry, A, "t")
    registry.grant(A, topic.id, "b", sub=True)

    async def journey() -> None:
        threads: list[int] = []

        class Broker:
            def revoke(self, user: str) -> None:
                threads.append(threading.get_ident())

            def put_out(self, user: str, client: str | None = None, *, forget: bool = False) -> int:
                return 0

            def forget(self, text: str, keep: object) -> None: ...

        rights.attach(Broker(), asyncio.get_running_loop())
        await asyncio.to_thread(registry.revoke, A, topic.id, "b")
        await asyncio.sleep(0)
        assert threads == [threading.get_ident()]

    asyncio.run(journey())


def test_passwords_that_are_no_text_are_none(rights: PlatformRights) -> None:
    assert rights.may_connect(Login("a", b"\xff", "c", "127.0.0.1")) is None


def test_row45_a_token_enters_the_hub_while_others_guess_from_the_same_address(
    registry: Registry, tmp_path: Path
) -> None:
    accounts = the_accounts(registry, Wall())
    rights = PlatformRights(registry, accounts.entrance.enter)
    _, secret = registry.create_token(A, TokenKind.DEVICE, "meter")

    async def journey() -> None:
        async with Hub(mqtt="127.0.0.1:0", rights=rights, backoff=False) as hub:
            rights.attach(hub, asyncio.get_running_loop())

            async def code(user: str, password: str) -> int:
                reader, writer = await asyncio.open_connection("127.0.0.1", hub.mqtt_port)
                writer.write(connect(user, version=V3, user=user, password=password.encode()))
                answer = await reader.readexactly(4)
                writer.close()
                await writer.wait_closed()
                return answer[3]

            for number in range(60):
                assert await code(f"u{number}", "guess") == 4
            assert await code("a", "anything") == 4
            assert await code("a", secret) == 0

    asyncio.run(journey())
    rights.close()
    accounts.close()
