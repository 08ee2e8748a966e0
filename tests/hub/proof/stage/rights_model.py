"""What every client must have seen, worked out by brute force from grants, filters and messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import product

from voltagora.hub.rights import Grant, Login, Table

LEVELS = ("a", "b", "$x", "z")
"""`z` stands for every name that no filter speaks of."""
EVERY_TOPIC = ["/".join(levels) for depth in (1, 2, 3) for levels in product(LEVELS, repeat=depth)]

PASSWORD = "right"


class Doors(Table):
    """A table of grants, all of whose users have the same password."""

    def may_connect(self, login: Login) -> str | None:
        return super().may_connect(login) if login.password == PASSWORD.encode() else None


def matches(wanted: str, topic: str) -> bool:
    """Section 4.7, letter by letter."""
    if topic[0] == "$" and wanted[0] in "+#":
        return False
    one, two = wanted.split("/"), topic.split("/")
    while one and two:
        if one[0] == "#":
            return True
        if one[0] not in ("+", two[0]):
            return False
        one, two = one[1:], two[1:]
    return not two and one in ([], ["#"])


def covers(grant: str, wanted: str) -> bool:
    """Whether all topics of one are topics of the other, by trying them all."""
    return all(matches(grant, topic) for topic in EVERY_TOPIC if matches(wanted, topic))


def plain(text: str) -> str:
    return text.split("/", 2)[2] if text.startswith("$share/") else text


def granted(filters: tuple[str, ...], deny: tuple[str, ...], topic: str) -> bool:
    return any(matches(each, topic) for each in filters) and not any(matches(each, topic) for each in deny)


@dataclass
class Note:
    """A message as a client sees it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False

    @property
    def seen(self) -> tuple[str, bytes, int, bool]:
        return self.topic, self.payload, self.qos, self.retain


@dataclass
class Member:
    """The session of one user."""

    grant: Grant
    here: bool = False
    will: Note | None = None
    subscriptions: dict[str, int] = field(default_factory=dict)
    queue: list[Note] = field(default_factory=list)
    expected: Counter[tuple[str, bytes, int, bool]] = field(default_factory=Counter)

    def may_publish(self, topic: str) -> bool:
        return granted(self.grant.publish, self.grant.deny, topic)

    def may_receive(self, topic: str) -> bool:
        return granted(self.grant.subscribe, self.grant.deny, topic)

    def may_subscribe(self, text: str) -> bool:
        wanted = plain(text)
        return any(covers(each, wanted) for each in self.grant.subscribe) and not any(
            covers(each, wanted) for each in self.grant.deny
        )

    def hand(self, note: Note) -> None:
        if not self.may_receive(note.topic):
            return
        if self.here:
            self.expected[note.seen] += 1
        elif note.qos:
            self.queue.append(note)


@dataclass
class Either:
    """A message of a group: one of these has it."""

    note: Note
    qualities: dict[str, int]
    surely: bool


class Model:
    """All members, the retained messages, and what is expected of the step under way."""

    def __init__(self, grants: dict[str, Grant]) -> None:
        self.members = {user: Member(grant) for user, grant in grants.items()}
        self.retained: dict[str, Note] = {}
        self.eithers: list[Either] = []

    def grant(self, user: str, grant: Grant, *, told: bool) -> None:
        member = self.members[user]
        member.grant = grant
        if told:
            member.subscriptions = {
                text: qos for text, qos in member.subscriptions.items() if member.may_subscribe(text)
            }
            member.queue = [note for note in member.queue if member.may_receive(note.topic)]

    def come(self, user: str, will: Note | None) -> bool:
        """Whether it is let in: nobody comes in with a will that it may not publish."""
        member = self.members[user]
        if will is not None and not member.may_publish(will.topic):
            return False
        self.go(user)
        member.here, member.will = True, will
        queue, member.queue = member.queue, []
        for note in queue:
            member.hand(note)
        return True

    def go(self, user: str) -> None:
        """The line is cut, or a new one takes over."""
        member = self.members[user]
        was_here, will = member.here, member.will
        member.here, member.will = False, None
        if was_here and will is not None:
            self.publish(user, will, retain=False)

    def subscribe(self, user: str, text: str, qos: int) -> bool:
        member = self.members[user]
        if not member.may_subscribe(text):
            return False
        member.subscriptions[text] = qos
        if not text.startswith("$share/"):
            for note in self.retained.values():
                if matches(text, note.topic):
                    member.hand(Note(note.topic, note.payload, min(qos, note.qos), retain=True))
        return True

    def publish(self, user: str, note: Note, *, retain: bool) -> bool:
        if not self.members[user].may_publish(note.topic):
            return False
        if retain:
            self.retained[note.topic] = note
        groups: dict[str, dict[str, int]] = {}
        for name, member in self.members.items():
            direct = []
            for text, qos in member.subscriptions.items():
                if not matches(plain(text), note.topic):
                    continue
                if text == plain(text):
                    direct.append(qos)
                else:
                    groups.setdefault(text, {})[name] = qos
            if direct:
                member.hand(Note(note.topic, note.payload, min(note.qos, max(direct))))
        for qualities in groups.values():
            self._share(note, qualities)
        return True

    def _share(self, note: Note, qualities: dict[str, int]) -> None:
        """Each message to one member that may have it, if possible one that is there."""
        able = {name: qos for name, qos in qualities.items() if self.members[name].may_receive(note.topic)}
        here = {name: qos for name, qos in able.items() if self.members[name].here}
        if here or able:
            self.eithers.append(Either(note, here or able, bool(here)))

    def check(self, seen: dict[str, list[tuple[str, bytes, int, bool]]]) -> None:
        """Compare with what has come since the last check."""
        for user, member in self.members.items():
            found = Counter(seen[user])
            assert not member.expected - found, f"{user} lacks {member.expected - found}"
            for extra in (found - member.expected).elements():
                self._explain(user, extra)
            member.expected.clear()
        lost = [each for each in self.eithers if each.surely]
        assert not lost, f"nobody of a group has {lost}"

    def _explain(self, user: str, extra: tuple[str, bytes, int, bool]) -> None:
        for each in self.eithers:
            qos = each.qualities.get(user)
            if qos is not None and extra == (
                each.note.topic,
                each.note.payload,
                min(qos, each.note.qos),
                False,
            ):
                assert self.members[user].may_receive(extra[0]), f"{user} was handed {extra} without right"
                self.eithers.remove(each)
                return
        raise AssertionError(f"{user} has {extra}, which nothing explains")
