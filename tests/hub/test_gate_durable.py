"""Gate: what was acknowledged survives, in memory of a disk: commits and crashes are steps of the test."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hub_stage import (
    SESSION_EXPIRY,
    V3,
    V5,
    WILL_DELAY,
    Packet,
    Peer,
    Stage,
    connect,
    packet,
    properties,
    text,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from voltagora.hub.clock import Clock
from voltagora.hub.errors import StoreError
from voltagora.hub.store.database import open_database
from voltagora.hub.store.journal import StoredJournal
from voltagora.hub.store.restore import restore

BOTH = pytest.mark.parametrize("version", [V3, V5])


class Durable(Stage):
    """A stage whose journal is written when the test says so."""

    def __init__(self, folder: Path, now: float = 1_000.0, **options: object) -> None:
        self.folder = folder
        self.journal = StoredJournal(Clock(lambda: self.now, lambda: 1_600_000_000.0 + self.now))
        super().__init__(journal=self.journal, **options)
        self.now = now
        self.database = open_database(folder, full=False)
        restore(self.broker, self.journal, self.database)
        self.commit()

    def commit(self) -> None:
        while (taken := self.journal.take_batch()) is not None:
            taken[1].write(self.database)
            self.journal.saved = taken[0]
            self.broker.saved()

    def crash(self, later: float = 0.0) -> Durable:
        """Lose what was not committed, and start again."""
        self.database.close()
        return Durable(self.folder, self.now + later)

    def kept(self, client: str, version: int = V5, expiry: int = 3600, **options: object) -> Peer:
        if version == V5:
            options["given"] = {SESSION_EXPIRY: expiry}
        peer = Peer(self, version)
        peer.connection.receive(_connect(client, version, options))
        self.commit()
        assert peer.take("connack")[0].code == 0
        return peer

    def subscribe(self, peer: Peer, *filters: str | tuple[str, int]) -> None:
        body = b"\0\1" + (properties(None) if peer.version == V5 else b"")
        for each in filters:
            name, options = each if isinstance(each, tuple) else (each, 2)
            body += text(name) + bytes((options,))
        peer.connection.receive(packet(0x82, body))
        assert peer.take("suback") == []
        self.commit()
        assert len(peer.take("suback")) == 1

    def rows(self, table: str) -> int:
        number: int = self.database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return number


def _connect(client: str, version: int, options: dict[str, object]) -> bytes:
    return connect(client, version=version, clean=False, **options)  # type: ignore[arg-type]


def kinds(packets: list[Packet]) -> list[str]:
    return [each.kind for each in packets]


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
    ear.connection.receive(_connect("ear", V5, {"given": {SESSION_EXPIRY: 60}}) + b"\xc0\0")
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


# Any order of publishing, answering, committing, losing the line and crashing.

steps = st.lists(
    st.sampled_from(
        ["publish1", "publish2", "mouth answers", "ear answers", "commit", "cut ear", "cut mouth", "crash"]
    ),
    max_size=60,
)


class Exchange:
    """A publisher that repeats until it is answered, a subscriber that keeps the protocol's promise."""

    def __init__(self, stage: Durable) -> None:
        self.stage = stage
        self.unanswered: dict[int, tuple[bytes, int, bool]] = {}
        self.answered: dict[bytes, int] = {}
        self.got: list[bytes] = []
        self.known: set[int] = set()
        self.count = 0
        self.mouth = stage.kept("mouth")
        self.ear = stage.kept("ear")
        stage.subscribe(self.ear, "a")
        self.to_answer: list[Packet] = []

    def publish(self, qos: int) -> None:
        self.count += 1
        payload = str(self.count).encode()
        number = next(each for each in range(1, 100) if each not in self.unanswered)
        self.unanswered[number] = (payload, qos, False)
        self.mouth.publish("a", payload, qos, number=number)

    def mouth_answers(self) -> None:
        for each in self.mouth.take():
            if each.kind == "pubrec" and each.packet in self.unanswered:
                payload, qos, _ = self.unanswered[each.packet]
                self.unanswered[each.packet] = (payload, qos, True)
                self.mouth.connection.receive(b"\x62\x02" + each.packet.to_bytes(2, "big"))
            elif each.kind in ("puback", "pubcomp") and each.packet in self.unanswered:
                payload, qos, _ = self.unanswered.pop(each.packet)
                self.answered[payload] = qos

    def ear_answers(self) -> None:
        for each in self.ear.take():
            number = each.packet.to_bytes(2, "big")
            if each.kind == "publish" and each.qos == 2:
                if each.packet not in self.known:
                    self.known.add(each.packet)
                    self.got.append(each.payload)
                self.ear.connection.receive(b"\x50\x02" + number)
            elif each.kind == "publish":
                self.got.append(each.payload)
                self.ear.connection.receive(b"\x40\x02" + number)
            elif each.kind == "pubrel":
                self.known.discard(each.packet)
                self.ear.connection.receive(b"\x70\x02" + number)

    def back(self, who: str) -> None:
        if who == "ear":
            self.ear = self.stage.kept("ear")
            return
        self.mouth = self.stage.kept("mouth")
        for number, (payload, qos, released) in list(self.unanswered.items()):
            if released:
                self.mouth.connection.receive(b"\x62\x02" + number.to_bytes(2, "big"))
            else:
                self.mouth.publish("a", payload, qos, number=number, again=True)

    def do(self, step: str) -> None:
        if step.startswith("publish"):
            self.publish(int(step[-1]))
        elif step == "mouth answers":
            self.mouth_answers()
        elif step == "ear answers":
            self.ear_answers()
        elif step == "commit":
            self.stage.commit()
        elif step == "crash":
            self.stage = self.stage.crash()
            self.back("ear")
            self.back("mouth")
        else:
            getattr(self, step[4:]).cut()
            self.back(step[4:])


@settings(max_examples=150, deadline=None)
@given(steps)
def test_no_acknowledged_message_is_lost_and_none_of_exactly_once_doubled(
    tmp_path_factory: pytest.TempPathFactory, program: list[str]
) -> None:
    exchange = Exchange(Durable(tmp_path_factory.mktemp("hub")))
    for step in program:
        exchange.do(step)
    for _ in range(8):
        for step in ("commit", "mouth answers", "ear answers", "commit"):
            exchange.do(step)

    assert exchange.unanswered == {}
    assert set(exchange.got) == set(exchange.answered) == {str(n + 1).encode() for n in range(exchange.count)}
    doubled = {payload for payload in exchange.got if exchange.got.count(payload) > 1}
    assert all(exchange.answered[payload] == 1 for payload in doubled)
    exchange.stage.database.close()
