"""Where an agent is put to the test: what we say to it, what it says, and what we wait for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec

from voltagora.domain.errors import InputError
from voltagora.live.clock import Clock, ClockNews
from voltagora.live.conform.check import Missing, Wrong
from voltagora.live.dispatch import Dispatch
from voltagora.live.transport import Arrival, Publication, Transport
from voltagora.protocols.access import CLOCK, TIMER, access, presence_topic
from voltagora.protocols.codec import decode, encode
from voltagora.protocols.message import Broadcast, Message, Reply, Request
from voltagora.protocols.topic import Kind, topic_name

M = TypeVar("M", bound=Message)

GRACE_SECONDS: Final = 0.3
"""How long it is listened whether something comes that must not."""

CALL_SECONDS: Final = 1.0
"""How often the operator's words are said."""

Replies = Sequence[tuple[Kind, Reply]]
"""Replies of ours, each with the kind of agent in whose name it goes."""

Answerer = Callable[[Any, tuple[str, ...]], Replies | None]
"""Gives our replies to a request: none to keep silent, None to leave it to whoever answered before."""


def anything(message: Any) -> bool:  # noqa: ARG001
    """Take every message."""
    return True


class Heard(msgspec.Struct, frozen=True):
    """A publication of the agent."""

    at: float  # monotonic seconds
    arrival: Arrival
    kind: type[Message] | None  # None: not of the twelve protocols
    address: tuple[str, ...]
    message: Any  # a `Message`; None: not of the contract
    document: Any  # the payload as parsed JSON
    error: InputError | None = None


class Manners(msgspec.Struct, frozen=True, kw_only=True):
    """How long things may take, in real seconds."""

    patience_seconds: float = 5.0  # for an answer
    reply_seconds: float = 10.0  # after which a request is sent again: the contract's
    wait_seconds: float = 30.0  # for an agent that starts by itself
    is_quick: bool = False  # leave out what waits for time-outs


class Stage:
    """One connection, over which all the other sides are played; the `Listener` of its transport.

    Args:
        transport: the connection.
        kind: of the agent that is put to the test.
        id: the agent's.
        manners: how long things may take.
    """

    def __init__(self, transport: Transport, kind: Kind, id: str, manners: Manners) -> None:
        self.transport = transport
        self.kind = kind
        self.id = id
        self.manners = manners
        self.heard: list[Heard] = []
        self.clock = Clock()
        self.presence: bytes | None = None
        self.wrongly_retained: list[str] = []
        self._answerers: list[tuple[type[Message], Answerer]] = []
        self._answered: dict[tuple[type[Message], str], Replies] = {}
        self._dispatch = Dispatch(())
        self._came = asyncio.Event()
        self._retained: set[str] = set()
        self._number = 0
        self._words = 0
        self._leads = False
        self._caller: asyncio.Task[None] | None = None

    # The connection.

    async def open(self) -> None:
        """Connect and say `start`.

        Raises:
            VoltAgoraError: the broker refuses for good.
        """
        self.transport.subscribe([*access(self.kind, self.id).publish, presence_topic(self.id), CLOCK])
        await self.transport.open(self)
        await asyncio.sleep(GRACE_SECONDS)
        if not self.clock.is_set:
            self._leads = True
            self.clock.set(time.time(), 1.0)
        self._caller = asyncio.create_task(self._call())

    async def _call(self) -> None:
        """Play the operator: say what time it is where nobody does, and `start` until the agent is heard."""
        while True:
            if self._leads:
                self.publish(CLOCK, self.clock.news().written(), retain=True)
            if not self.heard:
                self.publish(TIMER, b"start")
            await asyncio.sleep(CALL_SECONDS)

    async def close(self) -> None:
        """Leave the broker as it was."""
        if self._caller is not None:
            self._caller.cancel()
        for topic in sorted(self._retained):
            self.publish(topic, b"", retain=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.manners.patience_seconds):
                await self.transport.drain(0)
        await self.transport.close()

    def connected(self, *, session_present: bool, stamps: bool | None) -> None:
        """See `Listener.connected`."""

    def disconnected(self, why: str) -> None:
        """See `Listener.disconnected`; the transport connects again by itself."""

    def taken(self, number: int) -> None:
        """See `Listener.taken`."""

    def refused(self, number: int, why: str) -> None:
        """See `Listener.refused`; what is too large for the broker never reaches the agent."""

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """See `Listener.arrived`."""
        for arrival in arrivals:
            if arrival.topic == CLOCK:
                if not self._leads:
                    self._follow(arrival)
            elif arrival.topic == presence_topic(self.id):
                self.presence = arrival.payload
            elif arrival.retained:
                self._found_retained(arrival)
            else:
                self._hear(arrival)
        self._came.set()
        self._came = asyncio.Event()

    def _follow(self, arrival: Arrival) -> None:
        # Whoever leads the time is not put to the test here.
        with contextlib.suppress(InputError):
            self.clock.follow(ClockNews.read(arrival.payload), is_retained=arrival.retained)

    def _found_retained(self, arrival: Arrival) -> None:
        found = self._dispatch.find(arrival.topic)
        if found is None or not issubclass(found[0].message, Broadcast):
            self.wrongly_retained.append(arrival.topic)

    def _hear(self, arrival: Arrival) -> None:
        heard = self._read(arrival)
        if not _is_of(heard, self.id):
            return  # Another's word on a topic that several share.
        self.heard.append(heard)
        if isinstance(heard.message, Request):
            for kind, reply in self._replies(heard):
                self.reply(heard, kind, reply)

    def _replies(self, heard: Heard) -> Replies:
        """Find what we say to a request; a repeat of one that we answered gets that answer."""
        key = (type(heard.message), heard.message.msg_id)
        replies = self._answered.get(key, ())
        if not replies:
            for kind, answerer in reversed(self._answerers):
                found = answerer(heard.message, heard.address) if isinstance(heard.message, kind) else None
                if found is not None:
                    replies = self._answered[key] = found
                    break
        return replies

    def _read(self, arrival: Arrival) -> Heard:
        now = time.monotonic()
        try:
            document = json.loads(arrival.payload)
        except (ValueError, RecursionError):
            document = None
        found = self._dispatch.find(arrival.topic)
        if found is None:
            return Heard(now, arrival, None, (), None, document)
        route, address = found
        try:
            message = decode(arrival.payload, route.message)
        except InputError as error:
            return Heard(now, arrival, route.message, address, None, document, error)
        return Heard(now, arrival, route.message, address, message, document)

    # What we say.

    def now(self) -> int:
        """Give the time that the market goes by, seconds UTC."""
        return self.clock.now()

    def word(self) -> str:
        """Give a message id that nobody has used."""
        self._words += 1
        return f"conform-{time.time_ns() // 1_000_000}-{self._words}"

    def say(self, speaker: Kind, message: Message, *address: str) -> None:
        """Publish a message as an agent of a kind."""
        topic = topic_name(type(message).topic_of(speaker), address)
        self.publish(topic, encode(message), retain=isinstance(message, Broadcast))

    def reply(self, heard: Heard, speaker: Kind, reply: Reply) -> None:
        """Publish a reply of ours to what the agent asked."""
        address = heard.address if len(heard.address) > 1 else (self.id,)
        self.say(speaker, reply, *address)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish anything."""
        self._number += 1
        if retain and payload:
            self._retained.add(topic)
        self.transport.publish(Publication(number=self._number, topic=topic, payload=payload, retain=retain))

    def answer(self, kind: type[Message], answerer: Answerer) -> None:
        """Answer requests in some way from now on."""
        self._answerers.append((kind, answerer))

    @contextmanager
    def answering(self, kind: type[Message], answerer: Answerer) -> Iterator[None]:
        """Answer requests in some way for a while, before any other way that is in force."""
        entry = (kind, answerer)
        self._answerers.append(entry)
        try:
            yield
        finally:
            self._answerers.remove(entry)

    # What we wait for.

    @property
    def mark(self) -> int:
        """Remember this moment: what is heard from now on is numbered from here on."""
        return len(self.heard)

    def all(self, kind: type[M], where: Callable[[M], bool] = anything, since: int = 0) -> list[Heard]:
        """List what was heard of a message."""
        return [it for it in self.heard[since:] if isinstance(it.message, kind) and where(it.message)]

    async def hear(
        self,
        kind: type[M],
        where: Callable[[M], bool] = anything,
        *,
        since: int = 0,
        seconds: float | None = None,
        otherwise: str = "",
    ) -> Heard:
        """Wait for a message.

        Raises:
            Missing: it did not come in time.
        """
        found = await self.hear_some(kind, 1, where, since=since, seconds=seconds)
        if not found:
            limit = self.manners.patience_seconds if seconds is None else seconds
            raise Missing(otherwise or f"no {kind.__name__} within {limit:g} s")
        return found[0]

    async def hear_some(
        self,
        kind: type[M],
        count: int,
        where: Callable[[M], bool] = anything,
        *,
        since: int = 0,
        seconds: float | None = None,
    ) -> list[Heard]:
        """Wait for so many messages; fewer are given when time is over."""
        until = time.monotonic() + (self.manners.patience_seconds if seconds is None else seconds)
        while True:
            found = self.all(kind, where, since)
            left = until - time.monotonic()
            if len(found) >= count or left <= 0:
                return found
            came = self._came
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await came.wait()

    async def silence(
        self,
        kind: type[M],
        where: Callable[[M], bool] = anything,
        *,
        since: int = 0,
        seconds: float = GRACE_SECONDS,
        otherwise: str = "",
    ) -> None:
        """Listen for a while.

        Raises:
            Wrong: what must not come has come.
        """
        await asyncio.sleep(seconds)
        found = self.all(kind, where, since)
        if found:
            raise Wrong(otherwise or f"a {kind.__name__} that must not come: {shown(found[0])}")


def _is_of(heard: Heard, id: str) -> bool:
    """Tell whether an agent said it, as far as that can be told; some topics are shared by a whole kind."""
    if heard.kind is None:
        return True
    if issubclass(heard.kind, Reply):
        speaker = _at(heard.document, "responder")
    elif len(heard.kind.publishers) == 1 and Kind.VEHICLE in heard.kind.publishers:
        speaker = _at(heard.document, "recommendation", "vehicle")
    else:
        return True
    # Who cannot be read counts as the agent only on a topic of its own.
    return speaker == id or (not isinstance(speaker, str) and id in heard.address)


def _at(document: Any, *path: str) -> Any:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document


def shown(heard: Heard) -> str:
    """Show a publication in a finding."""
    text = heard.arrival.payload.decode(errors="replace")
    return text if len(text) <= 160 else f"{text[:159]}…"
