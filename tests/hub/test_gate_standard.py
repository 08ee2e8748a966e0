"""Gate: subscriptions, retained messages, wills, flow control and the rest do as the standard says."""

from __future__ import annotations

import pytest
from hub_stage import (
    SESSION_EXPIRY,
    SUBSCRIPTION,
    V3,
    V5,
    Peer,
    Stage,
    publish,
)

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
