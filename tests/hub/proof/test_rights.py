"""Rights over real sockets: random grants, filters, publishes, revokes, against a model by brute force.

All users use the same client id, so that a hub which mixed them up would be seen at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from raw_client import V3, V5, Closed, RawClient, Will, Wish, publish_packet
from rights_model import PASSWORD, Doors, Model, Note

from brokers import RunningHub, running_hub
from voltagora.hub.limits import Limits
from voltagora.hub.rights import Grant

MANY = int(os.environ.get("VOLTAGORA_PROGRAMS", "0"))
USERS = ("alice", "bob", "carol")
FREE_TRIES = 4
ALL = ("#", "$x/#")
FILTERS = ("#", "+", "a", "a/#", "a/+", "+/b", "a/b", "b/#", "b", "$x/#", "a/b/#")
TOPICS = ("a", "b", "a/b", "a/a", "b/b", "a/b/a", "$x/a")
SHARED = tuple(f"$share/g/{each}" for each in ("#", "a/#", "+/b", "$x/#"))

who = st.sampled_from(USERS)
topic = st.sampled_from(("a", "a/b")) | st.sampled_from(TOPICS)
qos = st.integers(0, 2)
some = st.lists(st.sampled_from(FILTERS), max_size=3).map(tuple)
few = st.sampled_from((("a",), ("a/b",))) | st.lists(st.sampled_from(FILTERS), max_size=1).map(tuple)
wanted = st.sampled_from(("#", "a/#")) | st.sampled_from(FILTERS + SHARED)
grants = st.builds(Grant, st.just(ALL) | some, st.just(ALL) | some, st.just(()) | few)
steps = st.one_of(
    st.tuples(st.just("grant"), who, grants, st.booleans()),
    st.tuples(st.just("come"), who, st.none() | topic, qos),
    st.tuples(st.just("go"), who),
    st.tuples(st.just("subscribe"), who, wanted, qos),
    st.tuples(st.just("publish"), who, topic, qos, st.booleans(), st.integers(1, 3)),
    st.tuples(st.just("publish"), who, topic, qos, st.just(False), st.integers(1, 3)),
    st.tuples(st.just("guess"), who),
)


class Play:
    """One program, on the hub and in the model at once."""

    def __init__(self, hub: RunningHub, rights: Doors, versions: dict[str, int]) -> None:
        self.hub, self.rights = hub, rights
        self.model = Model({user: rights.grant(user) for user in USERS})
        self.clients = {
            user: RawClient(hub.port, "same", version=versions[user], user=user, password=PASSWORD)
            for user in USERS
        }
        self._number = 0
        self._left_behind: list[Any] = []
        self._guesses = dict.fromkeys(USERS, 0)
        for user in USERS:
            self.come(user, None, 0)
            self.subscribe(user, "#", 1)

    def play(self, program: list[tuple[Any, ...]]) -> None:
        for kind, *details in program:
            getattr(self, kind)(*details)
            self.check()
        # In the end everybody may have everything, and comes back for what waits.
        for user in USERS:
            self.grant(user, Grant(ALL, ALL), told=False)
            self.come(user, None, 0)
            self.check()

    def check(self) -> None:
        for _ in range(2):
            self.hub.call(lambda _: None)
            for client in self.clients.values():
                if client.connected:
                    client.settle()
        seen = {
            user: [(each.topic, each.payload, each.qos, each.retain) for each in client.take()]
            for user, client in self.clients.items()
        }
        self.model.check(seen)

    def close(self) -> None:
        for client in self.clients.values():
            client.drop()
        for line in self._left_behind:
            line.close()

    def grant(self, user: str, grant: Grant, told: bool) -> None:
        def change(hub: Any) -> None:
            self.rights.set(user, grant)
            if told:
                hub.revoke(user)

        self.hub.call(change)
        self.model.grant(user, grant, told=told)

    def come(self, user: str, will_topic: str | None, qos: int) -> None:
        client = self.clients[user]
        note = None if will_topic is None else Note(will_topic, self._payload(), qos)
        will = None if note is None else Will(note.topic, note.payload, note.qos)
        old = client.let_go() if client.connected else None
        found = client.connect(clean=False, expiry=1_000, will=will)
        if self.model.come(user, note):
            assert found.code == 0
            self._guesses[user] = 0
            if old is not None:
                self._left_behind.append(old)
            return
        assert found.code == (5 if client.version == V3 else 0x87)
        client.drop()
        if old is not None:
            # Who was refused has touched nothing: the old line goes on.
            client.take_back(old)
            client.ping()

    def go(self, user: str) -> None:
        client = self.clients[user]
        if client.connected:
            client.drop()
            while self.hub.call(lambda hub: online(hub, user)):
                pass
            self.model.go(user)

    def subscribe(self, user: str, text: str, qos: int) -> None:
        client = self.clients[user]
        if client.connected:
            (code,) = client.subscribe(Wish(text, qos))
            refused = 0x80 if client.version == V3 else 0x87
            assert code == (qos if self.model.subscribe(user, text, qos) else refused)

    def publish(self, user: str, topic: str, qos: int, retain: bool, burst: int) -> None:
        client = self.clients[user]
        for _ in range(burst if client.connected else 0):
            payload = self._payload()
            code = client.publish(topic, payload, qos, retain)
            allowed = self.model.publish(user, Note(topic, payload, qos), retain=retain)
            if qos and client.version == V5:
                assert (code == 0x87) == (not allowed)

    def guess(self, user: str) -> None:
        """A wrong password with the victim's name and client id changes nothing for the victim."""
        if self._guesses[user] >= FREE_TRIES:
            return
        self._guesses[user] += 1
        thief = RawClient(self.hub.port, "same", user=user, password="wrong")
        assert thief.connect(clean=True, will=Will("a", b"forged")).code == 0x86
        thief.drop()

    def _payload(self) -> bytes:
        self._number += 1
        return b"%d" % self._number


def online(hub: Any, user: str) -> bool:
    return any(each.connection is not None for each in hub.broker.sessions.of(user))


@settings(
    max_examples=MANY or 300,
    derandomize=not MANY,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.lists(steps, min_size=8, max_size=30),
    st.fixed_dictionaries({user: st.sampled_from([V3, V5]) for user in USERS}),
)
def test_nobody_sees_or_lacks_anything_against_the_rights(
    program: list[tuple[Any, ...]], versions: dict[str, int]
) -> None:
    rights = Doors({user: Grant(ALL, ALL) for user in USERS})
    with running_hub(rights=rights, limits=Limits(takeovers_per_minute=10_000)) as hub:
        play = Play(hub, rights, versions)
        try:
            play.play(program)
        finally:
            play.close()


# In mid-burst: a revoke is a clean cut, whatever is under way.

BURST, CUT = 4_000, 1_550
WIDE = Limits(window=2 * BURST)
"""Nothing has to wait for an acknowledgement, so what was taken before the cut has been sent."""


class Burst:
    """A publisher that sends as fast as it can and never waits; in its midst, something is done.

    It is done in the hub while a message is on its way: taken, but handed to nobody yet.
    """

    def __init__(self, hub: RunningHub, version: int, qos: int, act: Callable[[Any], None]) -> None:
        client = RawClient(hub.port, "mouth", version=version, user="alice", password=PASSWORD)
        client.connect()

        def receive(publication: Any, _: bool) -> None:
            if publication.payload == b"%d" % CUT:
                act(hub.hub)

        # This filter is met before that of the ears.
        hub.call(lambda found: found.subscribe("#", receive))
        for start in range(1, BURST, 100):
            client.send(
                b"".join(
                    publish_packet(
                        "a/b", b"%d" % number, version=version, qos=qos, identifier=number % 900 + 1
                    )
                    for number in range(start, start + 100)
                )
            )
        client.ping()
        client.drop()


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("told", [True, False])
def test_a_revoke_in_mid_burst_is_a_clean_cut(version: int, qos: int, told: bool) -> None:
    rights = Doors({user: Grant(ALL, ALL) for user in USERS})
    with running_hub(rights=rights, limits=WIDE) as hub:
        ears = {}
        for user in ("bob", "carol"):
            ear = ears[user] = RawClient(hub.port, "same", version=version, user=user, password=PASSWORD)
            ear.connect()
            ear.subscribe(Wish("a/#", qos))

        def narrow(found: Any) -> None:
            rights.set("bob", Grant(ALL, ("b/#",)))
            if told:
                found.revoke("bob")

        Burst(hub, version, qos, narrow)
        for ear in ears.values():
            ear.settle()
        heard = {user: [int(each.payload) for each in ear.take()] for user, ear in ears.items()}
        for ear in ears.values():
            ear.drop()
    assert heard["bob"] == list(range(1, CUT))
    assert heard["carol"] == list(range(1, BURST + 1))


@pytest.mark.parametrize("version", [V3, V5])
def test_what_a_group_may_not_give_to_one_goes_to_the_others(version: int) -> None:
    rights = Doors({user: Grant(ALL, ALL) for user in USERS})
    with running_hub(rights=rights, limits=WIDE) as hub:
        ears = {}
        for user in ("bob", "carol"):
            ear = ears[user] = RawClient(hub.port, "same", version=version, user=user, password=PASSWORD)
            ear.connect()
            ear.subscribe(Wish("$share/g/a/#", 1))
        Burst(hub, version, 1, lambda _: rights.set("bob", Grant(ALL, ("b/#",))))
        for ear in ears.values():
            ear.settle()
        heard = {user: [int(each.payload) for each in ear.take()] for user, ear in ears.items()}
        for ear in ears.values():
            ear.drop()
    assert sorted(heard["bob"] + heard["carol"]) == list(range(1, BURST + 1))
    assert heard["bob"] == [*range(1, CUT, 2)] or heard["bob"] == [*range(2, CUT, 2)]


@pytest.mark.parametrize("version", [V3, V5])
def test_a_user_put_out_in_mid_burst_hears_nothing_more_and_cannot_come_back(version: int) -> None:
    rights = Doors({user: Grant(ALL, ALL) for user in USERS})
    with running_hub(rights=rights, limits=WIDE) as hub:
        ear = RawClient(hub.port, "same", version=version, user="bob", password=PASSWORD)
        ear.connect(clean=False, expiry=1_000)
        ear.subscribe(Wish("a/#", 1))

        def expel(found: Any) -> None:
            rights.remove("bob")
            found.put_out("bob", forget=True)

        Burst(hub, version, 1, expel)
        with pytest.raises(Closed) as closed:
            ear.settle()
        assert closed.value.reason == (0x98 if version == V5 else None)
        assert [int(each.payload) for each in ear.take()] == list(range(1, CUT))
        assert ear.connect(clean=False).code != 0
        ear.drop()
        assert hub.call(lambda found: len(found.broker.sessions.of("bob"))) == 0


@pytest.mark.parametrize("version", [V3, V5])
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message_within_a_granted_filter_may_still_be_denied(version: int, qos: int) -> None:
    rights = Doors({"alice": Grant(ALL, ALL), "bob": Grant(ALL, ALL, ("a/b",))})
    with running_hub(rights=rights) as hub:
        mouth = RawClient(hub.port, "same", user="alice", password=PASSWORD)
        mouth.connect()
        for topic in ("a/a", "a/b", "a/c"):
            mouth.publish(topic, b"kept", qos, retain=True)
        ear = RawClient(hub.port, "same", version=version, user="bob", password=PASSWORD)
        ear.connect()
        assert ear.subscribe(Wish("#", qos)) == [qos]
        ear.settle()
        assert sorted(each.topic for each in ear.take()) == ["a/a", "a/c"]
        ear.drop()
        mouth.drop()
