"""Gate: sessions, take-overs, wills and keep alive do as the standard says."""

from __future__ import annotations

import pytest
from hub_stage import (
    ASSIGNED,
    DATA,
    METHOD,
    SESSION_EXPIRY,
    USER,
    V3,
    V5,
    WILL_DELAY,
    Peer,
    Stage,
    connect,
)

from voltagora.hub.limits import Limits

BOTH = pytest.mark.parametrize("version", [V3, V5])
KEPT = {SESSION_EXPIRY: 3600}


def kept(stage: Stage, client: str = "kept", version: int = V5, **options: object) -> Peer:
    """A client whose session outlives its line."""
    if version == V5:
        options["given"] = {**KEPT, **options.get("given", {})}  # type: ignore[dict-item]
    return stage.peer(client, version, clean=False, **options)


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


def test_coming_back_starts_the_expiry_anew() -> None:
    stage = Stage()
    stage.peer("ear", clean=False, given={SESSION_EXPIRY: 60}).cut()
    stage.pass_time(50)
    stage.peer("ear", clean=False, given={SESSION_EXPIRY: 60}).cut()
    stage.pass_time(50)
    assert Peer(stage).connect("ear", clean=False).present


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


def test_a_will_revoked_by_coming_back_does_not_take_the_next_one_along() -> None:
    stage = Stage()
    ear = stage.peer("ear")
    ear.subscribe("will")
    kept(stage, "c", will=WILL, will_given={WILL_DELAY: 10}).cut()
    kept(stage, "c", will=("will", b"next", 1, False), will_given={WILL_DELAY: 10})
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
