"""Programs for several MQTT clients, and what each client sees when a broker runs them.

A program is a list of steps; every step waits until all it caused has been seen, so the same program
gives the same account on any broker that keeps the standard, but for the liberties that the standard
gives. Those are smoothed out by `normal`, each for a line of decision 0150.
"""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hypothesis import strategies as st
from raw_client import V3, V5, Closed, Message, RawClient, Will, Wish, publish_packet

CLIENTS = 3
SUBSCRIPTION_IDENTIFIER = 0x0B
FOR_LONG = 1000
TRAVELLING = [
    (0x01, 1),
    (0x03, "text"),
    (0x08, "answer"),
    (0x09, b"\x00\xff"),
    (0x26, ("k", "two")),
    (0x26, ("k", "one")),
]
SENDER = "sender"
"""The user property that a hub adds."""

KNOWN_GONE = 3
"""Round trips of a bystander after a line was cut: by then any broker has noticed."""


class Broker(Protocol):
    port: int

    def restart(self) -> None: ...

    def quiet(self) -> None: ...


@dataclass(frozen=True)
class Step:
    """One thing that one client does."""

    who: int


@dataclass(frozen=True)
class Connect(Step):
    """Come, come back, or take the session over on a second line."""

    clean: bool = True
    expiry: int = 0
    will: Will | None = None
    receive_maximum: int | None = None


@dataclass(frozen=True)
class Drop(Step):
    """The line is cut."""


@dataclass(frozen=True)
class Leave(Step):
    with_will: bool = False
    expiry: int | None = None


@dataclass(frozen=True)
class Subscribe(Step):
    wishes: tuple[Wish, ...]
    identifier: int | None = None


@dataclass(frozen=True)
class Unsubscribe(Step):
    filter: str


@dataclass(frozen=True)
class Publish(Step):
    topic: str
    qos: int = 0
    retain: bool = False
    empty: bool = False
    burst: int = 1
    more: bool = False
    """With properties that travel along (MQTT 5)."""


@dataclass(frozen=True)
class PublishTwice(Step):
    """The line is cut after PUBLISH (QoS 1 or 2), and the message is sent again over a new one."""

    topic: str
    qos: int = 1


@dataclass(frozen=True)
class Mute(Step):
    """Take in nothing that comes until the next connection, as if the line were dead."""


@dataclass(frozen=True)
class Restart(Step):
    """The broker is stopped in good order and started again."""


@dataclass(frozen=True)
class Program:
    versions: tuple[int, ...]
    steps: tuple[Step, ...]


Account = list[dict[str, Any]]
"""What was seen, by step: the answer to who did it, and the messages of every client."""


class Run:
    """Runs one program on one broker.

    Args:
        broker: where.
        program: what.
        really: restart where the program says so; otherwise every line is cut, and no more.
        begin_twice: begin sessions that are both clean and kept in two steps (decision 0150, line 4).
    """

    def __init__(
        self, broker: Broker, program: Program, *, really: bool = True, begin_twice: bool = False
    ) -> None:
        self._really = really
        self._begin_twice = begin_twice
        self._broker = broker
        self._program = program
        self._number = 0
        self._bystander = RawClient(broker.port, "bystander")
        self.clients = [
            RawClient(broker.port, f"client{number}", version=version)
            for number, version in enumerate(program.versions)
        ]
        self._with_will: set[RawClient] = set()
        self._keeping: set[RawClient] = set()
        self._left_behind: list[socket.socket] = []
        self._retain_as_published: dict[tuple[RawClient, str], bool] = {}

    def account(self) -> Account:
        self._bystander.connect()
        try:
            return [self._step(step) for step in (*self._program.steps, *self._last_steps())]
        finally:
            for client in (*self.clients, self._bystander):
                client.drop()
            for line in self._left_behind:
                line.close()

    def _last_steps(self) -> Iterable[Step]:
        """In the end everybody comes back for what waits."""
        return [Connect(number, clean=False, expiry=FOR_LONG) for number in range(len(self.clients))]

    def _step(self, step: Step) -> dict[str, Any]:
        client = self.clients[step.who]
        try:
            answer = self._do(step, client)
        except Closed as closed:
            answer = f"closed {closed.reason}"
        self._wait()
        self._settle()
        seen = {each.client: each.take() for each in self.clients}
        return {"step": step, "answer": answer, "seen": seen}

    def _wait(self) -> None:
        for _ in range(KNOWN_GONE):
            self._bystander.ping()

    def _settle(self) -> None:
        while True:
            before = [each.answers for each in self.clients]
            self._broker.quiet()
            for each in self.clients:
                if each.connected:
                    with contextlib.suppress(Closed):
                        each.settle()
            if before == [each.answers for each in self.clients]:
                return

    def _do(self, step: Step, client: RawClient) -> Any:
        match step:
            case Connect():
                return self._connect(step, client)
            case Restart():
                self._restart(really=self._really)
                return None
            case _ if not client.connected:
                return "not connected"
            case Drop():
                client.drop()
            case Leave():
                self._leave(step, client)
            case Subscribe():
                wishes = [self._as_before(client, wish) for wish in step.wishes]
                return client.subscribe(*wishes, identifier=step.identifier)
            case Unsubscribe():
                return client.unsubscribe(step.filter)
            case Mute():
                client.mute = True
            case Publish():
                return self._publish(step, client)
            case PublishTwice() if client in self._keeping:  # Decision 0150, line 2.
                return self._publish_twice(step, client)
        return None

    def _connect(self, step: Connect, client: RawClient) -> Any:
        client.mute = False
        if client.connected and client in self._with_will:
            client.drop()  # Decision 0150, line 1.
            self._wait()
        elif client.connected:
            self._leave_behind(client)
        keeps = step.expiry > 0 if client.version == V5 else not step.clean
        (self._keeping.add if keeps else self._keeping.discard)(client)
        (self._with_will.discard if step.will is None else self._with_will.add)(client)
        clean = step.clean
        if clean and step.expiry and self._begin_twice:
            client.connect(clean=True, expiry=step.expiry)
            client.drop()
            self._wait()
            clean = False
        will = None if step.will is None else replace(step.will, payload=b"will" + self._payload())
        found = client.connect(
            clean=clean, expiry=step.expiry, will=will, receive_maximum=step.receive_maximum
        )
        return found.present, found.code

    def _leave_behind(self, client: RawClient) -> None:
        """Keep the old line open while a new one with the same client id takes over."""
        self._left_behind.append(client.let_go())

    def _leave(self, step: Leave, client: RawClient) -> None:
        if client.version == V3 or client not in self._keeping:
            client.leave(4 if step.with_will and client.version == V5 else 0)
            return
        if step.expiry == 0:
            self._keeping.discard(client)
        client.leave(4 if step.with_will else 0, step.expiry)

    def _restart(self, *, really: bool) -> None:
        for each in self.clients:
            each.drop()
            each.mute = False
            self._wait()  # Each for itself: the wills come in this order.
        if not really:
            return
        self._bystander.drop()
        self._broker.restart()
        for each in (*self.clients, self._bystander):
            each.port = self._broker.port
        self._bystander.connect()

    def _payload(self) -> bytes:
        self._number += 1
        return b"%d" % self._number

    def _as_before(self, client: RawClient, wish: Wish) -> Wish:
        """Keep one option of a filter as it was asked for first (decision 0150, line 11)."""
        kept = self._retain_as_published.setdefault((client, wish.filter), wish.retain_as_published)
        return replace(wish, retain_as_published=kept)

    def _publish(self, step: Publish, client: RawClient) -> list[int]:
        answers = []
        for _ in range(step.burst):
            payload = b"" if step.empty else self._payload()
            given = TRAVELLING if step.more and client.version == V5 else ()
            answers.append(client.publish(step.topic, payload, step.qos, step.retain, given))
        return answers

    def _publish_twice(self, step: PublishTwice, client: RawClient) -> Any:
        number, payload = client.next_packet(), self._payload()
        once: dict[str, Any] = {"version": client.version, "qos": step.qos, "identifier": number}
        client.send(publish_packet(step.topic, payload, **once))
        client.expect(4 if step.qos == 1 else 5, number)
        client.drop()
        self._wait()
        client.mute = False
        self._with_will.discard(client)
        found = client.connect(clean=False, expiry=FOR_LONG)
        if found.present:
            client.send(publish_packet(step.topic, payload, dup=True, **once))
            client.finish(number, step.qos)
        return found.present


# What the standard leaves open.


def normal(account: Account) -> list[Any]:
    """Give an account in which two lawful brokers agree."""
    return [
        (
            step["step"],
            _answer(step["step"], step["answer"]),
            {who_saw: _messages(seen) for who_saw, seen in step["seen"].items()},
        )
        for step in account
    ]


def exact(account: Account) -> list[Any]:
    """Give an account in which two hubs agree: each quality of service has an order of its own (4.6)."""
    return [
        step | {"seen": {name: _by_quality(seen) for name, seen in step["seen"].items()}} for step in account
    ]


def _by_quality(seen: Sequence[Message]) -> list[Message]:
    """Leave out packet identifiers, which begin anew with the process."""
    return sorted((replace(each, packet=0) for each in seen), key=lambda each: each.qos)


def of_groups(account: Account) -> list[Any]:
    """Give what was seen by all together over the whole program: who of a group gets it is open (4.8.2)."""
    seen = [each for step in account for some in step["seen"].values() for each in some]
    return sorted((each.topic, each.payload) for each in seen)


def _answer(step: Step, answer: Any) -> Any:
    """Reasons that may be told or not: 0x10 "no matching subscribers", 0x11 "no subscription existed"."""
    if isinstance(step, Publish | Unsubscribe) and isinstance(answer, list):
        return [0 if each in (0x10, 0x11) else each for each in answer]
    return answer


def _messages(seen: Sequence[Message]) -> list[Any]:
    """Make copies one (3.3.4 leaves open how many there are), at the highest quality of service."""
    found: dict[tuple[str, bytes], tuple[int, bool, list[int], list[Any]]] = {}
    for each in seen:
        quality, retain, numbers, _ = found.get((each.topic, each.payload), (0, False, [], []))
        numbers = sorted({*numbers, *each.all_of(SUBSCRIPTION_IDENTIFIER)})
        along = max(quality, each.qos), retain or each.retain, numbers, _travelled(each)
        found[each.topic, each.payload] = along
    return sorted(found.items())


def _travelled(message: Message) -> list[Any]:
    """Give what travelled along: user properties in their order, the others in any."""
    pairs = [value for value in message.all_of(0x26) if value[0] != SENDER]
    others = [each for each in message.properties if each[0] not in (0x26, SUBSCRIPTION_IDENTIFIER)]
    return [*sorted(others), *pairs]


def in_order(account: Account) -> None:
    """Check what the standard says of every topic and quality of service by itself (4.6)."""
    for step in account:
        for who_saw, seen in step["seen"].items():
            last: dict[tuple[str, int], int] = {}
            for each in seen:
                if each.retain or each.dup or not each.payload.isdigit():
                    continue
                number, line = int(each.payload), (each.topic, each.qos)
                assert number >= last.get(line, 0), (step["step"], who_saw, seen)
                last[line] = number


def exactly_once(account: Account) -> None:
    """Check that no message of the highest quality reached a client twice."""
    counts = Counter(
        (name, each.payload)
        for step in account
        for name, seen in step["seen"].items()
        for each in seen
        if each.qos == 2 and not each.retain
    )
    assert not {what: count for what, count in counts.items() if count > 1}


# Writing programs.

TOPICS = ("a", "b", "a/b", "a/a", "a/b/a", "/a", "a/", "$x/a")
FILTERS = (*TOPICS, "#", "+", "a/#", "+/b", "a/+", "+/+", "/#", "/+", "+/#", "a/+/a", "$x/#", "$x/+", "a/b/#")

who = st.integers(0, CLIENTS - 1)
# Some more often than others, so that a program comes back to what it did before.
topics = st.sampled_from(("a", "a/b")) | st.sampled_from(TOPICS)
filters = st.sampled_from(("a", "#", "a/#")) | st.sampled_from(FILTERS)
qos = st.integers(0, 2)


def wills() -> st.SearchStrategy[Will | None]:
    will = st.builds(Will, topics, st.just(b"will"), qos, st.booleans(), st.just(None))
    return st.none() | will


def wishes(version: int) -> st.SearchStrategy[Wish]:
    if version == V3:
        return st.builds(Wish, filters, qos)
    return st.builds(Wish, filters, qos, st.booleans(), st.booleans(), st.integers(0, 2))


@st.composite
def steps(draw: st.DrawFn, versions: tuple[int, ...], asked: dict[int, list[str]], *, restarts: bool) -> Step:
    """Write one step; what each client has asked for so far is kept in `asked`."""
    number = draw(who)
    version = versions[number]
    kinds = [
        "connect",
        "drop",
        "leave",
        "subscribe",
        "subscribe",
        "unsubscribe",
        "publish",
        "publish",
        "publish",
        "twice",
        "mute",
    ]
    kind = draw(st.sampled_from([*kinds, *(["restart"] if restarts else [])]))
    if kind == "connect":
        window = draw(st.sampled_from([None, None, 1, 2])) if version == V5 else None
        clean = draw(st.booleans())
        expiry = draw(st.sampled_from([0, FOR_LONG])) if version == V5 else 0
        return Connect(number, clean, expiry, draw(wills()), window)
    if kind == "subscribe":
        chosen = draw(st.lists(wishes(version), min_size=1, max_size=2, unique_by=lambda each: each.filter))
        identifier = draw(st.none() | st.integers(1, 300)) if version == V5 else None
        asked[number] += [each.filter for each in chosen]
        return Subscribe(number, tuple(chosen), identifier)
    if kind == "unsubscribe":
        known = st.sampled_from(asked[number]) if asked[number] else filters
        return Unsubscribe(number, draw(known | filters))
    if kind == "publish":
        empty = draw(st.sampled_from([False, False, False, True]))
        burst = draw(st.sampled_from([1, 1, 3]))
        where, retain, more = draw(topics), draw(st.booleans()), draw(st.booleans())
        return Publish(number, where, draw(qos), retain, empty, burst, more)
    if kind == "twice":
        return PublishTwice(number, draw(topics), draw(st.integers(1, 2)))
    if kind == "leave":
        return Leave(number, draw(st.booleans()), draw(st.sampled_from([None, 0, FOR_LONG])))
    return {"drop": Drop, "mute": Mute, "restart": Restart}[kind](number)


@st.composite
def programs(draw: st.DrawFn, *, restarts: bool = False, most: int = 25) -> Program:
    """Write a program: everybody connects first, so that most steps mean something."""
    versions = tuple(draw(st.lists(st.sampled_from([V3, V5]), min_size=CLIENTS, max_size=CLIENTS)))
    first = []
    for number, version in enumerate(versions):
        clean = draw(st.booleans())
        expiry = FOR_LONG if version == V5 and draw(st.booleans()) else 0
        first.append(Connect(number, clean, expiry, draw(wills())))
    asked: dict[int, list[str]] = {number: [] for number in range(CLIENTS)}
    count = draw(st.integers(3, most))
    rest = [draw(steps(versions, asked, restarts=restarts)) for _ in range(count)]
    return Program(versions, (*first, *rest))


@st.composite
def shared_programs(draw: st.DrawFn) -> Program:
    """Write a program in which one client publishes and two share; their sessions never end."""
    versions = (draw(st.sampled_from([V3, V5])), V5, V5)
    first: list[Step] = [Connect(0)]
    for number in (1, 2):
        first.append(Connect(number, draw(st.booleans()), FOR_LONG))
        # No `$` topics here: decision 0150, line 3.
        wanted = st.sampled_from(["$share/g/a/#", "$share/g/#", "$share/h/a/#", "$share/h/+"])
        for text in draw(st.lists(wanted, max_size=3, unique=True)):
            first.append(Subscribe(number, (Wish(text, draw(st.integers(1, 2))),)))
    member = st.integers(1, 2)
    step = st.one_of(
        st.builds(Publish, st.just(0), topics, st.integers(1, 2), burst=st.integers(1, 4)),
        st.builds(Drop, member),
        st.builds(Mute, member),
        st.builds(Connect, member, st.just(False), st.just(FOR_LONG)),
    )
    return Program(versions, (*first, *draw(st.lists(step, min_size=3, max_size=20))))
