"""Gate: rights are asked every time, for every kind of message, and a revoke acts at once."""

from __future__ import annotations

import re

import pytest
from hub_stage import SESSION_EXPIRY, USER, V3, V5, Named, Peer, Stage, publish, table
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.hub.errors import Refused
from voltagora.hub.rights import Grant

BOTH = pytest.mark.parametrize("version", [V3, V5])


def alice_and_bob() -> Stage:
    return Stage(
        table(
            alice=(["EV/alice/#", "all"], ["EV/alice/#", "all"]),
            bob=(["EV/bob/#", "EV/alice/outcome", "all"], ["EV/bob/#", "all"]),
        )
    )


@BOTH
def test_a_publish_without_right_reaches_nobody_and_is_answered_as_the_version_can(version: int) -> None:
    stage = Stage(table(alice=(["EV/alice/#"], ["#"])))
    ear = stage.peer("ear", version, user="alice")
    ear.subscribe("#")
    for qos in (0, 1, 2):
        ear.publish("EV/bob/x", b"forged", qos)
    answers = ear.take()
    assert [each.kind for each in answers] == ["puback", "pubrec"]
    assert [each.code for each in answers] == ([0x87, 0x87] if version == V5 else [0, 0])
    assert ear.open
    assert stage.broker.counters.refused["publish not authorized"] == 3
    assert b"EV/bob/x" not in stage.broker.router.topics.known


@BOTH
@pytest.mark.parametrize("wanted", ["#", "+/#", "EV/+/x", "EV/bob/x", "$SYS/#", "$share/g/EV/bob/#", "EV/#"])
def test_a_filter_that_is_not_granted_as_a_whole_is_refused(version: int, wanted: str) -> None:
    stage = alice_and_bob()
    peer = stage.peer("c", version, user="alice")
    assert peer.subscribe(wanted, "EV/alice/+") == [0x87 if version == V5 else 0x80, 2]
    stage.broker.publish("EV/bob/x", b"secret")
    assert peer.payloads == []


def test_nobody_publishes_below_sys() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.publish("$SYS/broker/uptime", b"lie", 1)
    assert [each.code for each in peer.take("puback")] == [0x87]


def test_a_deny_wins_over_a_grant_at_delivery_too() -> None:
    stage = Stage(table(alice=Grant(("a/#",), ("a/#",), ("a/secret/#",)), root=(["#"], ["#"])))
    alice, root = stage.peer("c", user="alice"), stage.peer("r", user="root")
    assert alice.subscribe("a/#", "a/secret/x") == [2, 0x87]
    root.publish("a/secret/x", b"no")
    root.publish("a/open", b"yes")
    assert alice.payloads == [b"yes"]
    alice.publish("a/secret/x", b"", 1)
    assert alice.take("puback")[0].code == 0x87


@BOTH
def test_retained_messages_are_not_sent_without_right(version: int) -> None:
    stage = Stage(table(alice=(["a/#"], ["a/#"]), root=(["#"], ["#"])))
    stage.peer("r", user="root").publish("a/b", b"x", retain=True)
    stage.peer("r", user="root").publish("b", b"secret", retain=True)
    alice = stage.peer("c", version, user="alice")
    alice.subscribe("#", "b", "a/#")
    assert alice.payloads == [b"x"]


@BOTH
def test_queued_messages_are_not_delivered_after_a_revoke(version: int) -> None:
    stage = alice_and_bob()
    options = {"user": "alice", "clean": False, "given": {SESSION_EXPIRY: 60} if version == V5 else None}
    alice = stage.peer("c", version, **options)
    alice.subscribe("EV/alice/#", "all")
    alice.publish("EV/alice/1", b"in flight", 1)
    alice.cut()
    stage.broker.publish("EV/alice/x", b"secret", qos=1)
    stage.broker.publish("all", b"public", qos=1)
    assert isinstance(stage.broker.rights, Named)
    stage.broker.rights.set("alice", Grant(("all",), ("all",)))

    alice = stage.peer("c", version, **options)

    assert alice.payloads == [b"public"]


@pytest.mark.parametrize("told", [True, False], ids=["revoke called", "rights changed only"])
def test_a_revoke_acts_in_mid_burst(told: bool) -> None:
    stage = alice_and_bob()
    rights = stage.broker.rights
    assert isinstance(rights, Named)
    alice, bob = stage.peer("a", user="alice"), stage.peer("b", user="bob")
    alice.subscribe("EV/alice/#")

    def at_the_fifth(publication: object, _: bool) -> None:
        if stage.broker.counters.published[0] == 5:
            rights.set("alice", Grant())
            rights.set("bob", Grant())
            if told:
                stage.broker.revoke("alice")
                stage.broker.revoke("bob")

    stage.broker.subscribe_here("#", at_the_fifth)
    bob.connection.receive(b"".join(publish("EV/alice/outcome", bytes((n,))) for n in range(1, 20)))

    heard = alice.payloads
    assert heard in ([bytes((n,)) for n in range(1, 5)], [bytes((n,)) for n in range(1, 6)])
    assert stage.broker.counters.published[0] == 5
    assert (len(stage.broker.sessions.find("alice", "a").subscriptions) == 0) is told


def test_a_revoke_reaches_what_waits_for_a_slow_reader() -> None:
    stage = alice_and_bob()
    rights = stage.broker.rights
    assert isinstance(rights, Named)
    alice = stage.peer("a", user="alice")
    alice.subscribe("EV/alice/#", "all")
    alice.connection.congested = True
    for qos in (0, 1):
        stage.broker.publish("EV/alice/x", b"secret", qos=qos)
        stage.broker.publish("all", b"public", qos=qos)
    rights.set("alice", Grant((), ("all",)))
    alice.connection.flowing()
    assert alice.payloads == [b"public", b"public"]


def test_what_a_revoke_discarded_does_not_come_back_with_the_right() -> None:
    stage = alice_and_bob()
    rights = stage.broker.rights
    assert isinstance(rights, Named)
    options = {"user": "alice", "clean": False, "given": {SESSION_EXPIRY: 60}}
    alice = stage.peer("a", **options)
    alice.subscribe("EV/alice/#")
    alice.cut()
    stage.broker.publish("EV/alice/x", b"secret", qos=1)
    before = rights.grant("alice")
    rights.set("alice", Grant(("all",), ("all",)))
    stage.broker.revoke("alice")
    rights.set("alice", before)
    assert stage.peer("a", **options).payloads == []


def test_a_subscription_that_was_revoked_does_not_come_back_with_the_right() -> None:
    stage = alice_and_bob()
    rights = stage.broker.rights
    assert isinstance(rights, Named)
    alice = stage.peer("a", user="alice")
    alice.subscribe("EV/alice/#")
    before = rights.grant("alice")
    rights.set("alice", Grant())
    stage.broker.revoke("alice")
    rights.set("alice", before)
    stage.broker.publish("EV/alice/x", b"x")
    assert alice.payloads == []


def test_a_will_is_checked_when_it_is_left_and_when_it_is_published() -> None:
    stage = alice_and_bob()
    assert Peer(stage).connect("a", user="alice", will=("EV/bob/x", b"", 0, False)).code == 0x87
    ear = stage.peer("b", user="bob")
    ear.subscribe("all")
    alice = stage.peer("a", user="alice", will=("all", b"gone", 0, False))
    assert isinstance(stage.broker.rights, Named)
    stage.broker.rights.set("alice", Grant())
    alice.cut()
    assert ear.payloads == []


def test_nothing_of_a_session_is_touched_before_the_password_is_right() -> None:
    stage = alice_and_bob()
    alice = stage.peer("c", user="alice", clean=False, given={SESSION_EXPIRY: 60})
    alice.subscribe("all")
    for user, password in (("alice", b"wrong"), ("nobody", b"x"), (None, None)):
        thief = Peer(stage)
        assert thief.connect("c", user=user, password=password).code in (0x86, 0x87)
        assert not thief.open
    assert alice.open
    stage.broker.publish("all", b"still here", qos=1)
    assert alice.payloads == [b"still here"]


def test_a_session_belongs_to_user_and_client_id_together() -> None:
    stage = alice_and_bob()
    alice = stage.peer("c", user="alice", clean=False, given={SESSION_EXPIRY: 60})
    alice.subscribe("EV/alice/#")
    bob = stage.peer("c", user="bob", clean=False, given={SESSION_EXPIRY: 60})
    assert alice.open
    stage.broker.publish("EV/alice/x", b"for alice", qos=1)
    assert (alice.payloads, bob.payloads) == ([b"for alice"], [])


def test_two_clients_fighting_for_a_session_are_bounded() -> None:
    stage = alice_and_bob()
    limit = stage.broker.limits.takeovers_per_minute
    for _ in range(limit + 1):
        last = stage.peer("c", user="alice")
    assert Peer(stage).connect("c", user="alice").code == 0x9F
    assert last.open
    assert any("fight" in str(fields.get("what")) for _, fields in stage.reports)
    stage.pass_time(61)
    stage.peer("c", user="alice")


def test_put_out_ends_connections_at_once_and_with_forget_the_session_too() -> None:
    stage = alice_and_bob()
    options = {"user": "alice", "clean": False, "given": {SESSION_EXPIRY: 60}}
    one, two = stage.peer("1", **options), stage.peer("2", **options)
    two.subscribe("all")
    assert stage.broker.put_out("alice", "1") == 1
    assert (one.open, two.open) == (False, True)
    assert one.take("disconnect")[0].code == 0x98
    assert stage.broker.put_out("alice", forget=True) == 1
    assert len(stage.broker.sessions) == 0
    assert stage.broker.router.trie.size == 0


def test_the_stamp_names_the_user_and_cannot_be_forged() -> None:
    stage = alice_and_bob()
    alice, bob = stage.peer("a", user="alice"), stage.peer("b", user="bob")
    alice.subscribe("EV/alice/#", "all")
    bob.publish("EV/alice/outcome", b"", 1, given={USER: [("sender", "alice"), ("sender", "root")]})
    stage.peer("b3", V3, user="bob").publish("all", b"")
    stage.broker.publish("all", b"", user="alice")
    assert [each.given[USER] for each in alice.take("publish")] == [
        [("sender", "bob")],
        [("sender", "bob")],
        [("sender", "alice")],
    ]


def test_the_api_asks_the_same_rights() -> None:
    stage = alice_and_bob()
    broker = stage.broker
    with pytest.raises(Refused):
        broker.publish("EV/bob/x", b"", user="alice")
    with pytest.raises(Refused):
        broker.subscribe_here("#", lambda *_: None, user="alice")
    heard: list[bytes] = []
    subscription = broker.subscribe_here(
        "EV/alice/#", lambda each, _: heard.append(each.payload), user="alice"
    )
    broker.publish("EV/alice/x", b"1", retain=True)
    assert isinstance(broker.rights, Named)
    broker.rights.set("alice", Grant())
    broker.publish("EV/alice/x", b"2")
    assert heard == [b"1"]
    assert list(broker.last_values("#", user="alice")) == []
    assert [each.payload for each in broker.last_values("#")] == [b"2"]
    subscription.close()
    assert broker.router.trie.size == 0


# Brute force: whatever is granted, subscribed and revoked, nobody hears or says what is not granted.

TOPICS = ["a", "a/b", "a/b/c", "b", "b/c", "$x/y"]
FILTERS = ["#", "+", "a", "a/#", "a/+", "+/b", "a/b/c", "b/#", "$x/#", "+/+/+"]
USERS = ["u", "v"]
grants = st.builds(
    Grant,
    *(st.lists(st.sampled_from(FILTERS), max_size=3).map(tuple) for _ in range(2)),
    st.lists(st.sampled_from(FILTERS), max_size=1).map(tuple),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grant"), st.sampled_from(USERS), grants, st.booleans()),
        st.tuples(st.just("subscribe"), st.sampled_from(USERS), st.sampled_from(FILTERS), st.integers(0, 2)),
        st.tuples(st.just("unsubscribe"), st.sampled_from(USERS), st.sampled_from(FILTERS), st.none()),
        st.tuples(st.just("publish"), st.sampled_from(USERS), st.sampled_from(TOPICS), st.integers(0, 5)),
        st.tuples(st.just("reconnect"), st.sampled_from(USERS), st.none(), st.none()),
    ),
    max_size=40,
)


def hit(wanted: str, topic: str) -> bool:
    if topic[0] == "$" and wanted[0] in "+#":
        return False
    pattern = re.escape(wanted).replace(r"\+", "[^/]*").replace("/\\#", "(/.*)?").replace("\\#", ".*")
    return re.fullmatch(pattern, topic) is not None


def granted(some: tuple[str, ...], deny: tuple[str, ...], topic: str) -> bool:
    return any(hit(each, topic) for each in some) and not any(hit(each, topic) for each in deny)


def subscribed(peer: Peer, wanted: str, qos: int, mine: Grant) -> bool:
    """Subscribe; what was let in is within the grant for every topic, and so is what comes retained."""
    (code,) = peer.subscribe((wanted, qos))
    if code >= 0x80:
        return False
    assert all(any(hit(one, topic) for one in mine.subscribe) for topic in TOPICS if hit(wanted, topic))
    for each in peer.take("publish"):
        assert each.retain
        assert granted(mine.subscribe, mine.deny, each.topic)
    return True


@settings(max_examples=150, deadline=None)
@given(steps, st.sampled_from([V3, V5]))
def test_rights_hold_by_brute_force(program: list[tuple[str, str, object, object]], version: int) -> None:
    rights = table(u=Grant(("#", "$x/#"), ("#", "$x/#")), v=Grant(("#", "$x/#"), ("#", "$x/#")))
    stage = Stage(rights)
    options = {"clean": False, "given": {SESSION_EXPIRY: 60} if version == V5 else None}
    peers = {user: stage.peer("same id", version, user=user, **options) for user in USERS}
    model: dict[str, Grant] = {user: rights.grant(user) for user in USERS}
    filters: dict[str, set[str]] = {user: set() for user in USERS}
    expected: dict[str, list[bytes]] = {user: [] for user in USERS}
    count = 0
    for kind, user, what, how in program:
        peer = peers[user]
        if kind == "grant":
            assert isinstance(what, Grant)
            model[user] = what
            rights.set(user, what)
            if how:
                stage.broker.revoke(user)
                filters[user] = set(stage.broker.sessions.find(user, "same id").subscriptions)
        elif kind == "subscribe":
            if subscribed(peer, str(what), int(str(how)), model[user]):
                filters[user].add(str(what))
        elif kind == "unsubscribe":
            peer.unsubscribe(str(what))
            filters[user].discard(str(what))
        elif kind == "publish":
            count += 1
            retain, qos = divmod(int(str(how)), 3)
            # A number that this session has never used: a repeat would be taken for what it repeats.
            number = 1_000 + count if qos else 0
            peer.publish(str(what), str(count).encode(), qos, retain=bool(retain), number=number)
            if granted(model[user].publish, model[user].deny, str(what)):
                for other in USERS:
                    mine = model[other]
                    wanted = any(hit(each, str(what)) for each in filters[other])
                    if wanted and granted(mine.subscribe, mine.deny, str(what)):
                        expected[other].append(str(count).encode())
        else:
            peer.cut()
            peers[user] = stage.peer("same id", version, user=user, **options)
            for each in peers[user].take("publish"):
                # Only repeats of what was lawful, and only what still is.
                assert each.again
                assert granted(model[user].subscribe, model[user].deny, each.topic)
        for name in USERS:
            assert peers[name].payloads == expected[name]
            expected[name].clear()
