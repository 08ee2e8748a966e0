"""Gate: what was acknowledged survives, in memory of a disk: commits and crashes are steps of the test."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hub_durable import Durable, kinds
from hub_stage import (
    SESSION_EXPIRY,
    V3,
    V5,
    WILL_DELAY,
    Peer,
    connect,
    packet,
    text,
)

from voltagora.hub.errors import StoreError
from voltagora.hub.store.database import open_database

BOTH = pytest.mark.parametrize("version", [V3, V5])


@BOTH
def test_nothing_is_acknowledged_before_it_is_saved(tmp_path: Path, version: int) -> None:
    stage = Durable(tmp_path)
    stage.subscribe(stage.kept("ear", version), "a")
    mouth = stage.peer("mouth", version)
    for qos in (1, 2):
        mouth.publish("a", b"x", qos)
    mouth.connection.receive(b"\xc0\0")
    assert kinds(mouth.take()) == ["pingresp"]
    stage.commit()
    assert kinds(mouth.take()) == ["puback", "pubrec"]


def test_an_acknowledgement_never_overtakes_an_earlier_one(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    stage.subscribe(stage.kept("ear"), "kept")
    mouth = stage.peer("mouth")
    mouth.publish("kept", b"", 1, number=5)
    mouth.publish("for nobody", b"", 1, number=6)
    assert mouth.take() == []
    stage.commit()
    assert [each.packet for each in mouth.take()] == [5, 6]


def test_connack_of_a_kept_session_comes_first_and_after_the_commit(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    stage.subscribe(stage.kept("ear"), "a")
    stage.broker.put_out("operator")
    stage.broker.publish("a", b"1", qos=1)
    ear = Peer(stage)
    ear.connection.receive(connect("ear", clean=False, given={SESSION_EXPIRY: 60}) + b"\xc0\0")
    stage.broker.publish("a", b"2", qos=1)
    assert ear.take() == []
    stage.commit()
    assert kinds(ear.take()) == ["connack", "publish", "publish", "pingresp"]


@BOTH
def test_a_kept_session_its_queue_and_retained_messages_survive(tmp_path: Path, version: int) -> None:
    stage = Durable(tmp_path)
    ear = stage.kept("ear", version)
    stage.subscribe(ear, ("a/#", 1), ("gone", 1))
    ear.connection.receive(packet(0xA2, b"\0\2" + (b"\0" if version == V5 else b"") + text("gone")))
    stage.commit()
    assert kinds(ear.take()) == ["unsuback"]
    ear.cut()
    payload = bytes(range(256))
    mouth = stage.peer("mouth", version)
    mouth.publish("a/b", payload, 1, retain=True)
    mouth.publish("a/cleared", b"x", 1, retain=True)
    mouth.publish("a/cleared", b"", 1, retain=True)
    stage.commit()
    assert kinds(mouth.take()) == ["puback"] * 3

    stage = stage.crash()
    stage.broker.publish("gone", b"no", qos=1)
    ear = stage.kept("ear", version)

    assert [each.payload for each in ear.take("publish")] == [payload, b"x", b""]
    late = stage.peer("late", version)
    late.subscribe("a/#")
    assert [(each.topic, each.payload, each.retain) for each in late.take("publish")] == [
        ("a/b", payload, True)
    ]


def test_what_was_under_way_is_repeated_with_its_identifier_and_marked(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    ear = stage.kept("ear")
    stage.subscribe(ear, "a")
    for number in range(4):
        stage.broker.publish("a", bytes((number,)), qos=1 + number % 2)
    stage.commit()
    before = sorted(ear.take("publish"), key=lambda each: each.payload)
    assert len(before) == 4
    ear.acknowledge(0x40, before[0].packet)
    ear.acknowledge(0x50, before[1].packet)
    stage.commit()
    stage = stage.crash()
    ear = stage.kept("ear")
    heard = ear.take()
    assert {(each.kind, each.packet, each.payload, each.again) for each in heard} == {
        ("pubrel", before[1].packet, b"", False),
        ("publish", before[2].packet, b"\x02", True),
        ("publish", before[3].packet, b"\x03", True),
    }


def test_an_exactly_once_message_is_not_taken_twice_after_a_crash(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    stage.subscribe(stage.kept("ear"), "a")
    mouth = stage.kept("mouth")
    mouth.publish("a", b"once", 2, number=7)
    stage.commit()
    stage = stage.crash()
    mouth = stage.kept("mouth")
    mouth.publish("a", b"once", 2, number=7, again=True)
    mouth.connection.receive(b"\x62\x02\x00\x07")
    stage.commit()
    assert kinds(mouth.take()) == ["pubrec", "pubcomp"]
    assert stage.kept("ear").payloads == [b"once"]


def test_an_exactly_once_message_is_not_sent_before_its_identifier_is_saved(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    ear = stage.kept("ear")
    stage.subscribe(ear, ("a", 2))
    stage.broker.publish("a", b"x", qos=2)
    assert ear.take() == []
    stage.commit()
    assert ear.payloads == [b"x"]


def test_wills_of_whoever_was_there_are_published_after_a_crash(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    ear = stage.kept("ear")
    stage.subscribe(ear, "presence/+")
    stage.peer("one", will=("presence/one", b"offline", 1, True))
    stage.peer("left", will=("presence/left", b"offline", 1, True)).disconnect()
    for client, delay in (("two", 10), ("three", 0)):
        options = {"will": (f"presence/{client}", b"offline", 1, True), "will_given": {WILL_DELAY: delay}}
        stage.kept(client, **options)
    stage.commit()
    stage = stage.crash()
    ear = stage.kept("ear")
    assert sorted(each.topic for each in ear.take("publish")) == ["presence/one", "presence/three"]
    stage.pass_time(11)
    stage.commit()
    assert [each.topic for each in ear.take("publish")] == ["presence/two"]
    assert stage.crash().rows("will") == 0


def test_a_session_expires_over_a_restart(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    for client, expiry in (("short", 10), ("long", 100)):
        stage.kept(client, expiry=expiry).cut()
    stage.commit()
    stage = stage.crash(later=50)
    stage.pass_time(0.1)
    assert [session.client for session in stage.broker.sessions] == ["long"]
    stage.pass_time(51)
    stage.commit()
    assert stage.rows("session") == 0


def test_what_is_settled_leaves_nothing_behind(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    ear = stage.kept("ear")
    stage.subscribe(ear, "a")
    for each_time in (True, False):
        for qos in (1, 2):
            stage.broker.publish("a", b"x", qos=qos)
            if each_time:
                stage.commit()
        if not each_time:
            stage.commit()
        for heard in ear.take("publish"):
            if heard.qos == 1:
                ear.acknowledge(0x40, heard.packet)
            else:
                ear.acknowledge(0x50, heard.packet)
                stage.commit()
                ear.acknowledge(0x70, heard.packet)
    stage.commit()
    assert (stage.rows("message"), stage.rows("entry"), stage.rows("received")) == (0, 0, 0)
    ear.connection.receive(b"\xe0\x07\x00\x05\x11\0\0\0\0")
    stage.commit()
    assert (stage.rows("session"), stage.rows("subscription")) == (0, 0)


def test_what_was_acknowledged_within_a_commit_is_never_written(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    ear = stage.kept("ear")
    stage.subscribe(ear, ("a", 1))
    stage.broker.publish("a", b"x", qos=1)
    ear.acknowledge(0x40, ear.take("publish")[0].packet)
    taken = stage.journal.take_batch()
    assert taken is not None
    assert taken[1].empty


def test_sessions_that_end_with_their_line_are_not_stored(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    ear = stage.peer("ear")
    ear.subscribe("a")
    stage.broker.publish("a", b"x", qos=1)
    assert stage.journal.take_batch() is None


def test_a_full_disk_promises_nothing_new_and_recovers(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    stage.subscribe(stage.kept("ear"), "a")
    mouth, old = stage.peer("mouth"), stage.peer("old", V3)
    pages = stage.database.execute("PRAGMA page_count").fetchone()[0]
    stage.database.execute(f"PRAGMA max_page_count = {pages}")
    mouth.publish("a", bytes(100_000), 1, number=1)
    taken = stage.journal.take_batch()
    assert taken is not None
    with pytest.raises(sqlite3.Error, match="full"):
        taken[1].write(stage.database)
    stage.journal.failed = True
    assert mouth.take() == []
    mouth.publish("a", b"", 1, number=2)
    old.publish("a", b"", 1)
    assert not old.open

    stage.database.execute("PRAGMA max_page_count = 100000")
    taken[1].write(stage.database)
    stage.journal.failed, stage.journal.saved = False, taken[0]
    stage.broker.saved()

    assert [(each.packet, each.code) for each in mouth.take()] == [(1, 0), (2, 0x97)]
    assert [len(payload) for payload in stage.crash().kept("ear").payloads] == [100_000]


def test_a_folder_serves_one_hub_at_a_time(tmp_path: Path) -> None:
    stage = Durable(tmp_path)
    with pytest.raises(StoreError, match="another hub"):
        open_database(tmp_path, full=True)
    stage.database.close()


def test_a_file_of_another_version_or_none_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hub.sqlite").write_bytes(b"not a database, certainly " * 100)
    with pytest.raises(StoreError):
        open_database(tmp_path, full=False)
    (tmp_path / "hub.sqlite").unlink()
    with sqlite3.connect(tmp_path / "hub.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="another version"):
        open_database(tmp_path, full=False)
