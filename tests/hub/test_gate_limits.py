"""Gate: queues and quotas are bounded, with the policy that `Limits` states, and nobody else is slowed."""

from __future__ import annotations

import pytest
from hub_stage import SESSION_EXPIRY, V3, V5, Peer, Stage, connect, publish, table

from voltagora.hub.errors import Refused
from voltagora.hub.limits import Limits

KEPT = {"clean": False, "given": {SESSION_EXPIRY: 3600}}


def test_a_slow_reader_loses_the_oldest_at_quality_0_and_nothing_at_1() -> None:
    stage = Stage(limits=Limits(queued_qos0=3))
    slow, quick = stage.peer("slow"), stage.peer("quick")
    for ear in (slow, quick):
        ear.subscribe(("a", 0), ("b", 1))
    slow.connection.congested = True
    for number in range(10):
        stage.broker.publish("a", bytes((number,)))
        stage.broker.publish("b", bytes((number,)), qos=1)
    assert slow.payloads == []
    assert len(quick.payloads) == 20
    slow.connection.flowing()
    heard = slow.take("publish")
    assert [each.payload for each in heard if each.topic == "a"] == [b"\x07", b"\x08", b"\x09"]
    assert [each.payload for each in heard if each.topic == "b"] == [bytes((number,)) for number in range(10)]
    assert stage.broker.counters.dropped["slow reader"] == 7


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("limits", [Limits(queued_messages=5, window=1), Limits(queued_bytes=50, window=1)])
def test_a_session_that_overflows_is_ended_and_its_client_learns_it(connected: bool, limits: Limits) -> None:
    stage = Stage(limits=limits)
    ear, other = stage.peer("ear", **KEPT), stage.peer("other", **KEPT)
    for each in (ear, other):
        each.subscribe(("a", 1))
    if not connected:
        ear.cut()
    for _ in range(10):
        stage.broker.publish("a", bytes(10), qos=1)
        for heard in other.take("publish"):
            other.acknowledge(0x40, heard.packet)
        other.take()
    if connected:
        assert [each.code for each in ear.take("disconnect")] == [0x97]
    assert other.open
    back = Peer(stage)
    assert not back.connect("ear", **KEPT).present
    assert back.payloads == []


def test_one_session_too_many_subscriptions() -> None:
    stage = Stage(limits=Limits(subscriptions_per_session=2))
    assert stage.peer("c").subscribe("a", "b", "a", "c") == [2, 2, 2, 0x97]
    assert stage.peer("d", V3).subscribe("a", "b", "c") == [2, 2, 0x80]


@pytest.mark.parametrize("limits", [Limits(retained=2), Limits(retained_bytes=5)])
def test_retained_messages_have_a_quota(limits: Limits) -> None:
    stage = Stage(limits=limits)
    peer = stage.peer()
    for topic in ("a", "b", "c"):
        peer.publish(topic, b"xx", 1, retain=True)
    peer.publish("a", b"yy", 1, retain=True)
    peer.publish("a", b"", 1, retain=True)
    peer.publish("c", b"xx", 1, retain=True)
    assert [each.code for each in peer.take("puback")] == [0x10, 0x10, 0x97, 0x10, 0x10, 0x10]
    with pytest.raises(Refused):
        stage.broker.publish("d", b"xx", retain=True)
    assert stage.broker.figures()["retained"] == 2
    assert stage.broker.figures()["retained_bytes"] == 4


def test_connections_have_quotas_in_all_and_for_a_user() -> None:
    stage = Stage(table(a=([], []), b=([], [])), limits=Limits(connections=3, connections_per_user=2))
    for client in "12":
        stage.peer(client, user="a")
    assert Peer(stage).connect("3", user="a").code == 0x97
    stage.peer("1", user="b")
    assert Peer(stage).connect("2", user="b").code == 0x97
    stage.peer("1", user="a")
    assert stage.broker.sessions.connected == 3


def test_sessions_have_a_quota() -> None:
    stage = Stage(limits=Limits(sessions=1))
    stage.peer("a", **KEPT).cut()
    assert Peer(stage, V3).connect("b").code == 3
    stage.peer("a", **KEPT)


def test_half_open_lines_have_a_quota_and_the_oldest_goes() -> None:
    stage = Stage(limits=Limits(half_open=2))
    lines = [Peer(stage) for _ in range(4)]
    assert [line.open for line in lines] == [False, False, True, True]
    lines[2].connect("c")
    Peer(stage)
    assert lines[3].open


def test_ten_thousand_half_open_lines_go_away() -> None:
    stage = Stage()
    lines = [Peer(stage) for _ in range(10_000)]
    for line in lines[-100:]:
        line.connection.receive(connect()[:3])
    assert sum(line.open for line in lines) == stage.broker.limits.half_open
    stage.pass_time(11)
    assert not any(line.open for line in lines)
    assert stage.broker.timers.next_due is None


def test_last_values_are_bounded_in_bytes_and_keep_what_is_retained() -> None:
    stage = Stage(limits=Limits(last_value_bytes=1_000))
    stage.broker.publish("kept", bytes(100), retain=True)
    for number in range(100):
        stage.broker.publish(f"t/{number}", bytes(100))
    names = [each.topic.name for each in stage.broker.last_values("#")]
    assert "kept" in names
    assert sorted(names) == ["kept", *(f"t/{number}" for number in range(91, 100))]
    assert stage.broker.figures()["last_value_bytes"] == 1_000


def test_the_last_value_of_every_publish_is_known_with_time_and_publisher() -> None:
    stage = Stage(table(alice=(["#"], ["#"])))
    alice = stage.peer("c", user="alice")
    stage.pass_time(5)
    alice.publish("a", b"1")
    alice.publish("a", b"2")
    (value,) = stage.broker.last_values("a")
    assert (value.payload, value.publisher, value.time) == (b"2", "alice", 1_600_001_005.0)
    assert value.details[0x26] == [("sender", "alice")]


@pytest.mark.parametrize("version", [V3, V5])
def test_a_huge_retained_picture_reaches_a_slow_reader_whole(version: int) -> None:
    stage = Stage(limits=Limits(queued_qos0=10, window=5))
    for number in range(500):
        stage.broker.publish(f"a/{number}", b"x", qos=number % 2, retain=True)
    ear = stage.peer("ear", version)
    sent = ear.send

    def slowly(data: bytes) -> None:
        sent(data)
        ear.connection.congested = True

    ear.send = slowly  # type: ignore[method-assign]
    ear.subscribe(("a/#", 1))
    got: set[str] = set()
    for _ in range(1_000):
        for each in ear.take("publish"):
            got.add(each.topic)
            if each.qos:
                ear.acknowledge(0x40, each.packet)
        ear.connection.flowing()
    assert len(got) == 500


def test_a_slow_sender_costs_no_more_than_its_bytes() -> None:
    stage = Stage()
    peer = stage.peer()
    data = publish("a", bytes(200_000), 1, 1)
    for at in range(0, len(data), 7):
        peer.connection.receive(data[at : at + 7])
    assert [each.code for each in peer.take("puback")] == [0x10]


def test_a_subscriber_in_the_process_that_fails_harms_nobody() -> None:
    stage = Stage()

    def fail(*_: object) -> None:
        raise RuntimeError("poison")

    stage.broker.subscribe_here("a", fail)
    ear = stage.peer("ear")
    ear.subscribe("a")
    stage.broker.publish("a", b"1", qos=1)
    assert ear.payloads == [b"1"]
    assert stage.broker.counters.dropped["subscriber failed"] == 1
    assert stage.reports[-1][0] == "subscriber failed"
