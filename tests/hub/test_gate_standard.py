"""Gate: subscriptions, retained messages, wills, flow control and the rest do as the standard says."""

from __future__ import annotations

import pytest
from hub_stage import (
    ALIAS,
    ALIAS_MAXIMUM,
    ASSIGNED,
    CONTENT,
    CORRELATION,
    DATA,
    EXPIRY,
    FORMAT,
    KEEP_ALIVE,
    METHOD,
    MOST_BYTES,
    RECEIVE,
    RESPONSE,
    SESSION_EXPIRY,
    SUBSCRIPTION,
    USER,
    V3,
    V5,
    WILL_DELAY,
    Peer,
    Stage,
    connect,
    packet,
    publish,
)

from voltagora.hub.limits import Limits

BOTH = pytest.mark.parametrize("version", [V3, V5])
KEPT = {SESSION_EXPIRY: 3600}


def kept(stage: Stage, client: str = "kept", version: int = V5, **options: object) -> Peer:
    """A client whose session outlives its line."""
    if version == V5:
        options["given"] = {**KEPT, **options.get("given", {})}  # type: ignore[dict-item]
    return stage.peer(client, version, clean=False, **options)


# Quality of service.


@BOTH
@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("subscribed", [0, 1, 2])
def test_delivery_is_at_the_lower_of_both_qualities(version: int, published: int, subscribed: int) -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear", version), stage.peer("mouth", version)
    assert ear.subscribe(("a/b", subscribed)) == [subscribed]

    mouth.publish("a/b", b"\x00\xff binary", published)

    (heard,) = ear.take("publish")
    assert (heard.qos, heard.payload, heard.retain) == (min(published, subscribed), b"\x00\xff binary", False)


@BOTH
def test_an_exactly_once_message_sent_twice_is_taken_once(version: int) -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear", version), stage.peer("mouth", version)
    ear.subscribe(("a", 0))

    mouth.publish("a", b"1", 2, number=7)
    mouth.publish("a", b"1", 2, number=7, again=True)
    assert [each.kind for each in mouth.take()] == ["pubrec", "pubrec"]
    assert ear.payloads == [b"1"]
    assert mouth.acknowledge(0x62, 7)[0].kind == "pubcomp"
    mouth.publish("a", b"2", 2, number=7)

    assert ear.payloads == [b"2"]


def test_an_exactly_once_message_survives_a_reconnect_between_all_steps() -> None:
    stage = Stage()
    mouth = kept(stage, "mouth")
    ear = kept(stage, "ear")
    ear.subscribe(("a", 2))
    mouth.publish("a", b"1", 2, number=7)
    (first,) = ear.take("publish")
    ear.cut()
    mouth.cut()

    mouth, ear = kept(stage, "mouth"), kept(stage, "ear")
    mouth.publish("a", b"1", 2, number=7, again=True)
    (again,) = ear.take("publish")
    assert (again.packet, again.again, again.payload) == (first.packet, True, b"1")
    assert ear.acknowledge(0x50, first.packet)[0].kind == "pubrel"
    ear.cut()

    ear = kept(stage, "ear")
    assert [each.kind for each in ear.take()] == ["pubrel"]
    assert ear.acknowledge(0x70, first.packet) == []
    ear.cut()
    assert kept(stage, "ear").take() == []


@BOTH
def test_what_was_not_acknowledged_is_repeated_in_order_and_marked(version: int) -> None:
    stage = Stage()
    ear, mouth = kept(stage, "ear", version), stage.peer("mouth", version)
    ear.subscribe(("a/#", 1))
    for number in range(5):
        mouth.publish(f"a/{number}", bytes((number,)), 1)
    before = ear.take("publish")
    ear.acknowledge(0x40, before[1].packet)
    ear.cut()
    mouth.publish("a/5", b"\x05", 1)

    after = kept(stage, "ear", version).take("publish")

    assert [each.payload for each in after] == [b"\x00", b"\x02", b"\x03", b"\x04", b"\x05"]
    assert [each.again for each in after] == [True] * 4 + [False]
    assert [each.packet for each in after[:4]] == [before[index].packet for index in (0, 2, 3, 4)]


@BOTH
def test_acknowledgements_come_in_the_order_of_the_messages(version: int) -> None:
    peer = Stage().peer("c", version)
    peer.say(b"".join(publish("a", b"", 1, number, version=version) for number in (9, 3, 70, 1)))
    peer.connection.receive(
        b"".join(publish("a", b"", 1, number, version=version) for number in (9, 3, 70, 1))
    )
    assert [each.packet for each in peer.take("puback")] == [9, 3, 70, 1]


def test_nobody_subscribed_is_said_in_version_5() -> None:
    stage = Stage()
    peer = stage.peer()
    peer.publish("a", b"", 1)
    assert [each.code for each in peer.take("puback")] == [0x10]
    peer.subscribe("a")
    peer.publish("a", b"", 1)
    assert [each.code for each in peer.take("puback")] == [0]


# Retained messages.


@BOTH
def test_a_retained_message_comes_to_later_subscribers_until_it_is_cleared(version: int) -> None:
    stage = Stage()
    mouth = stage.peer("mouth", version)
    mouth.publish("a/1", b"old", 1, retain=True)
    mouth.publish("a/1", b"new", 1, retain=True)
    mouth.publish("a/2", b"gone", retain=True)
    mouth.publish("a/2", b"", retain=True)
    ear = stage.peer("ear", version)

    ear.subscribe(("a/#", 0), ("a/+", 2))

    heard = ear.take("publish")
    assert {(each.payload, each.retain) for each in heard} == {(b"new", True)}
    assert [each.qos for each in heard] == [0, 1]


@pytest.mark.parametrize(("handling", "first", "second"), [(0, 1, 1), (1, 1, 0), (2, 0, 0)])
def test_retain_handling(handling: int, first: int, second: int) -> None:
    stage = Stage()
    stage.peer("mouth").publish("a", b"x", retain=True)
    ear = stage.peer("ear")
    ear.subscribe(("a", handling << 4))
    assert len(ear.payloads) == first
    ear.subscribe(("a", handling << 4))
    assert len(ear.payloads) == second


@pytest.mark.parametrize(("option", "flag"), [(0, False), (8, True)])
def test_retain_as_published(option: int, flag: bool) -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe(("a", option))
    stage.peer("mouth").publish("a", b"x", retain=True)
    assert [each.retain for each in ear.take("publish")] == [flag]


def test_no_retained_message_for_a_shared_subscription() -> None:
    stage = Stage()
    stage.peer("mouth").publish("a", b"x", retain=True)
    ear = stage.peer("ear")
    ear.subscribe("$share/g/a")
    assert ear.payloads == []


# Subscriptions.


@BOTH
def test_overlapping_subscriptions_give_one_message_at_the_highest_quality(version: int) -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear", version), stage.peer("mouth", version)
    ear.subscribe(("a/#", 0), ("a/+", 2), ("a/b", 1))
    mouth.publish("a/b", b"x", 2)
    assert [each.qos for each in ear.take("publish")] == [2]


def test_every_matching_subscription_identifier_comes_along() -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("a/#", given={SUBSCRIPTION: 1})
    ear.subscribe("a/+", given={SUBSCRIPTION: 268_435_455})
    ear.subscribe("a/b")
    stage.peer("mouth").publish("a/b", b"x")
    (heard,) = ear.take("publish")
    assert sorted(heard.given[SUBSCRIPTION]) == [1, 268_435_455]


def test_no_local_keeps_ones_own_messages_away() -> None:
    stage = Stage()
    peer, other = stage.peer("c"), stage.peer("other")
    peer.subscribe(("a", 4))
    peer.publish("a", b"own")
    other.publish("a", b"foreign")
    assert peer.payloads == [b"foreign"]
    peer.subscribe(("+", 0))
    peer.publish("a", b"by the other filter")
    assert peer.payloads == [b"by the other filter"]


@BOTH
def test_wildcards_do_not_match_dollar_topics(version: int) -> None:
    stage = Stage()
    ear = stage.peer("ear", version)
    ear.subscribe("#", "+/broker", "$SYS/#")
    ear.take()
    stage.broker.publish_own("$SYS/broker", b"x")
    stage.peer("mouth", version).publish("$other/broker", b"y")
    assert ear.payloads == [b"x"]


def test_a_shared_subscription_gives_each_message_to_one_member_in_turn() -> None:
    stage = Stage()
    members = [stage.peer(f"m{number}") for number in range(3)]
    for member in members:
        member.subscribe("$share/g/a/+")
    plain = stage.peer("plain")
    plain.subscribe("a/+")
    mouth = stage.peer("mouth")

    for number in range(9):
        mouth.publish(f"a/{number % 2}", bytes((number,)), 1)

    shares = [member.payloads for member in members]
    assert sorted(each for share in shares for each in share) == [bytes((number,)) for number in range(9)]
    assert all(share for share in shares)
    assert len(plain.payloads) == 9


def test_a_shared_subscription_prefers_who_is_there() -> None:
    stage = Stage()
    away, there = kept(stage, "away"), stage.peer("there")
    for member in (away, there):
        member.subscribe("$share/g/a")
    away.cut()
    for _ in range(4):
        stage.broker.publish("a", b"x", qos=1)
    assert len(there.payloads) == 4


def test_subscribing_again_replaces_options_and_unsubscribing_ends_delivery() -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe(("a", 0))
    ear.subscribe(("a", 2))
    stage.broker.publish("a", b"x", qos=2)
    assert [each.qos for each in ear.take("publish")] == [2]
    assert ear.unsubscribe("a", "a", "never") == [0, 0x11, 0x11]
    stage.broker.publish("a", b"x", qos=2)
    assert ear.payloads == []


def test_other_clients_subscribing_changes_nothing_in_a_fan_out_under_way() -> None:
    stage = Stage()
    ears = [stage.peer(f"e{number}") for number in range(10)]
    for ear in ears:
        ear.subscribe("a")
    late = stage.peer("late")

    def meddle(_: object, __: bool) -> None:
        late.subscribe("a")
        ears[-1].connection.broker.put_out("operator", "e0", forget=True)

    stage.broker.subscribe_here("#", meddle)
    stage.broker.publish("a", b"x", qos=1)

    assert all(ear.payloads == [b"x"] for ear in ears[1:])


# What travels along.


def test_properties_travel_unaltered_and_the_sender_is_stamped() -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear"), stage.peer("mouth")
    ear.subscribe("a")
    given = {
        FORMAT: 1,
        CONTENT: "application/json",
        RESPONSE: "reply/to",
        CORRELATION: b"\x00\x01",
        USER: [("k", "1"), ("sender", "somebody else"), ("k", "2"), ("é", "")],
    }

    mouth.publish("a", b"x", given=given)

    (heard,) = ear.take("publish")
    assert heard.given == {**given, USER: [("k", "1"), ("k", "2"), ("é", ""), ("sender", "operator")]}


def test_request_and_response() -> None:
    stage = Stage()
    asker, answerer = stage.peer("asker"), stage.peer("answerer")
    asker.subscribe("answers/asker")
    answerer.subscribe("questions")
    asker.publish("questions", b"?", 1, given={RESPONSE: "answers/asker", CORRELATION: b"7"})
    (asked,) = answerer.take("publish")
    answerer.publish(asked.given[RESPONSE], b"!", given={CORRELATION: asked.given[CORRELATION]})
    (answer,) = asker.take("publish")
    assert (answer.payload, answer.given[CORRELATION]) == (b"!", b"7")


def test_topic_aliases_from_the_client() -> None:
    stage = Stage()
    ear, mouth = stage.peer("ear"), stage.peer("mouth")
    ear.subscribe("#")
    mouth.publish("a", b"1", given={ALIAS: 3})
    mouth.publish("", b"2", given={ALIAS: 3})
    mouth.publish("b", b"3", given={ALIAS: 3})
    mouth.publish("", b"4", 1, given={ALIAS: 3})
    heard = ear.take("publish")
    assert [each.topic for each in heard] == ["a", "a", "b", "b"]
    assert all(ALIAS not in each.given for each in heard)


@pytest.mark.parametrize("alias", [0, 65, 65_535])
def test_a_topic_alias_beyond_what_was_agreed_ends_the_connection(alias: int) -> None:
    peer = Stage().peer()
    peer.publish("a", b"", given={ALIAS: alias})
    assert [(each.kind, each.code) for each in peer.take()] == [("disconnect", 0x94)]
    assert not peer.open


def test_topic_aliases_to_the_client_never_exceed_what_it_takes() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={ALIAS_MAXIMUM: 2})
    ear.subscribe("#")
    for topic in ("a", "b", "c", "a", "b", "c"):
        stage.broker.publish(topic, topic.encode())
    heard = ear.take("publish")
    assert [(each.topic, each.given.get(ALIAS)) for each in heard] == [
        ("a", 1), ("b", 2), ("c", None), ("", 1), ("", 2), ("c", None),
    ]  # fmt: skip
    assert [each.payload for each in heard] == [b"a", b"b", b"c"] * 2


def test_a_message_that_expired_is_not_delivered_and_its_time_counts_down() -> None:
    stage = Stage()
    ear = kept(stage, "ear")
    ear.subscribe(("a/#", 1))
    ear.cut()
    mouth = stage.peer("mouth")
    mouth.publish("a/short", b"1", 1, given={EXPIRY: 10})
    mouth.publish("a/long", b"2", 1, given={EXPIRY: 100})
    mouth.publish("a/kept", b"3", 1, given={EXPIRY: 20}, retain=True)

    stage.pass_time(30)
    ear = kept(stage, "ear")

    (heard,) = ear.take("publish")
    assert (heard.payload, heard.given[EXPIRY]) == (b"2", 70)
    late = stage.peer("late")
    late.subscribe("a/#")
    assert late.payloads == []


# Flow control and sizes.


def test_no_more_than_the_clients_receive_maximum_is_under_way() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={RECEIVE: 2})
    ear.subscribe(("a", 2), ("zero", 0))
    for number in range(5):
        stage.broker.publish("a", bytes((number,)), qos=1 + number % 2)
    stage.broker.publish("zero", b"z")
    heard = ear.take("publish")
    assert [each.payload for each in heard] == [b"\x00", b"\x01", b"z"]
    ear.acknowledge(0x50, heard[1].packet)
    assert ear.payloads == []
    ear.connection.receive(packet(0x70, heard[1].packet.to_bytes(2, "big")))
    (third,) = ear.take("publish")
    assert third.payload == b"\x02"
    ear.connection.receive(packet(0x40, third.packet.to_bytes(2, "big")))
    assert ear.payloads == [b"\x03"]


def test_a_client_that_exceeds_the_hubs_receive_maximum_is_put_out() -> None:
    stage = Stage(limits=Limits(receive_maximum=3))
    peer = stage.peer()
    assert peer.open
    for number in range(1, 5):
        peer.publish("a", b"", 2, number=number)
    assert [each.code for each in peer.take("disconnect")] == [0x93]


def test_connack_tells_the_hubs_limits() -> None:
    stage = Stage(limits=Limits(receive_maximum=7, packet_bytes=2_000, topic_aliases=5, server_keep_alive=30))
    answer = Peer(stage).connect("")
    assert answer.given == {
        RECEIVE: 7,
        MOST_BYTES: 2_000,
        ASSIGNED: "made-1",
        ALIAS_MAXIMUM: 5,
        KEEP_ALIVE: 30,
    }


def test_a_message_too_large_for_the_client_is_left_out_and_counts_as_delivered() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={MOST_BYTES: 100, RECEIVE: 1})
    ear.subscribe("a")
    stage.broker.publish("a", bytes(200), qos=1)
    stage.broker.publish("a", b"small", qos=1)
    assert ear.payloads == [b"small"]
    assert stage.broker.counters.dropped["too large for the client"] == 1


@BOTH
def test_a_packet_over_the_limit_ends_the_connection_before_it_is_complete(version: int) -> None:
    stage = Stage(limits=Limits(packet_bytes=1_000))
    peer = stage.peer("c", version)
    peer.connection.receive(publish("a", bytes(2_000), version=version)[:10])
    assert not peer.open
    assert [each.code for each in peer.take("disconnect")] == ([0x95] if version == V5 else [])


# Sessions.


@BOTH
def test_a_kept_session_gets_what_was_sent_while_it_was_away(version: int) -> None:
    stage = Stage()
    ear = kept(stage, "ear", version)
    ear.subscribe("a")
    ear.cut()
    stage.broker.publish("a", b"0")
    stage.broker.publish("a", b"1", qos=1)
    ear = Peer(stage, version)
    answer = ear.connect("ear", clean=False, given=KEPT if version == V5 else None)
    assert answer.present
    assert ear.payloads == [b"1"]


@BOTH
def test_a_clean_start_ends_the_session_before(version: int) -> None:
    stage = Stage()
    ear = kept(stage, "ear", version)
    ear.subscribe("a")
    ear.cut()
    assert not Peer(stage, version).connect("ear", clean=True).present
    stage.broker.publish("a", b"1", qos=1)
    ear = Peer(stage, version)
    assert not ear.connect("ear", clean=False).present or version == V5
    assert ear.payloads == []


def test_a_session_expires_after_its_time_and_not_before() -> None:
    stage = Stage()
    for wait, present in ((59, True), (61, False)):
        ear = stage.peer("ear", clean=False, given={SESSION_EXPIRY: 60})
        ear.cut()
        stage.pass_time(wait)
        ear = Peer(stage)
        assert ear.connect("ear", clean=False).present is present
        ear.disconnect()
    assert len(stage.broker.sessions) == 0


def test_the_expiry_may_be_changed_on_leaving_but_not_raised_from_nothing() -> None:
    stage = Stage()
    ear = stage.peer("ear", given={SESSION_EXPIRY: 60})
    ear.disconnect(0, {SESSION_EXPIRY: 0})
    assert len(stage.broker.sessions) == 0
    ear = stage.peer("ear")
    ear.disconnect(0, {SESSION_EXPIRY: 60})
    assert [each.code for each in ear.take("disconnect")] == [0x82]


def test_the_longest_session_expiry_is_told() -> None:
    stage = Stage(limits=Limits(session_seconds=100))
    assert Peer(stage).connect("c", given={SESSION_EXPIRY: 0xFFFF_FFFF}).given[SESSION_EXPIRY] == 100
    stage.broker.put_out("operator")
    stage.pass_time(101)
    assert len(stage.broker.sessions) == 0


@BOTH
def test_the_same_client_taken_over_ends_the_older_connection(version: int) -> None:
    stage = Stage()
    old = kept(stage, "c", version)
    old.subscribe("a")
    new = kept(stage, "c", version)
    assert not old.open
    assert [each.code for each in old.take("disconnect")] == ([0x8E] if version == V5 else [])
    stage.broker.publish("a", b"1", qos=1)
    assert new.payloads == [b"1"]
    assert stage.broker.sessions.connected == 1


def test_zero_length_client_ids() -> None:
    stage = Stage()
    assert Peer(stage, V5).connect("", clean=False).given[ASSIGNED] == "made-1"
    assert Peer(stage, V3).connect("", clean=True).code == 0
    refused = Peer(stage, V3)
    assert refused.connect("", clean=False).code == 2
    assert not refused.open


# Wills and keep alive.

WILL = ("will", b"gone", 1, True)


@BOTH
def test_a_will_is_published_when_the_line_breaks_and_not_after_a_goodbye(version: int) -> None:
    stage = Stage()
    ear = stage.peer("ear", version)
    ear.subscribe("will")
    stage.peer("c", version, will=WILL).disconnect()
    assert ear.payloads == []
    stage.peer("c", version, will=WILL).cut()
    assert ear.payloads == [b"gone"]
    late = stage.peer("late", version)
    late.subscribe("will")
    assert [each.retain for each in late.take("publish")] == [True]


def test_a_goodbye_may_ask_for_the_will() -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("will")
    stage.peer("c", will=WILL, will_given={USER: [("a", "b")]}).disconnect(4)
    (heard,) = ear.take("publish")
    assert heard.given[USER] == [("a", "b"), ("sender", "operator")]


@pytest.mark.parametrize(
    ("delay", "expiry", "after"),
    [(10, 60, 10), (100, 60, 60), (10, 0, 0)],
    ids=["delay", "the session ends first", "no session to wait for"],
)
def test_a_will_waits_for_its_delay_or_the_end_of_the_session(delay: int, expiry: int, after: int) -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("will")
    peer = stage.peer("c", will=WILL, will_given={WILL_DELAY: delay}, given={SESSION_EXPIRY: expiry})
    peer.cut()
    stage.pass_time(after - 0.1)
    assert ear.payloads == ([] if after else [b"gone"])
    stage.pass_time(0.2)
    assert ear.payloads == ([b"gone"] if after else [])


def test_coming_back_in_time_revokes_the_will() -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("will")
    kept(stage, "c", will=WILL, will_given={WILL_DELAY: 10}).cut()
    stage.pass_time(9)
    kept(stage, "c")
    stage.pass_time(1_000)
    assert ear.payloads == []


@BOTH
def test_keep_alive_times_one_and_a_half_ends_the_connection_and_the_will_is_sent(version: int) -> None:
    stage = Stage()
    ear = stage.peer("ear", version)
    ear.subscribe("will")
    peer = stage.peer("c", version, keep_alive=10, will=WILL)
    stage.pass_time(14)
    assert peer.say(b"\xc0\0")[0].kind == "pingresp"
    stage.pass_time(14.9)
    assert peer.open
    assert ear.payloads == []
    stage.pass_time(0.2)
    assert not peer.open
    assert ear.payloads == [b"gone"]


def test_the_servers_keep_alive_counts_for_version_5() -> None:
    stage = Stage(limits=Limits(server_keep_alive=10))
    five, three = stage.peer("five", keep_alive=0), stage.peer("three", V3, keep_alive=0)
    stage.pass_time(15.1)
    assert (five.open, three.open) == (False, True)


def test_connect_must_come_within_ten_seconds() -> None:
    stage = Stage()
    peer = Peer(stage)
    peer.connection.receive(connect()[:5])
    stage.pass_time(9.9)
    assert peer.open
    stage.pass_time(0.2)
    assert not peer.open


def test_enhanced_authentication_is_refused_cleanly() -> None:
    peer = Peer(Stage())
    assert peer.connect("c", given={METHOD: "SCRAM", DATA: b"x"}).code == 0x8C
    assert not peer.open
    peer = Stage().peer()
    assert [each.code for each in peer.say(b"\xf0\0")] == [0x82]
