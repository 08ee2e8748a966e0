"""The agents of one process: events in, publications out; no clock, no connection, no disk.

The same events in the same order give the same publications and the same state, so that whoever
keeps the events can have everything again: after a kill, or to look at what happened.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from voltagora.agents.agent import Address, Agent
from voltagora.agents.exchange import Exchange, Flight, Randomness, Waited
from voltagora.agents.market import Market
from voltagora.agents.timetable import Timetable
from voltagora.domain.errors import InputError
from voltagora.domain.records import RecordSink
from voltagora.domain.units import replaced
from voltagora.live.dispatch import Dispatch, Route
from voltagora.live.events import Advanced, Arrived, Event, Expired, Finished, Started
from voltagora.live.malformed import refusal_of
from voltagora.live.outgoing import Outgoing, outgoing
from voltagora.live.trust import Trust
from voltagora.protocols.access import presence_of
from voltagora.protocols.codec import decode
from voltagora.protocols.message import Broadcast, Message, Request

log = logging.getLogger("voltagora.live")

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
UNREAD_REVISION: Final = 0
"""Given to what was retained, so that whatever is said from now on counts more."""
MOST_STRANGERS: Final = 100_000
MOST_OWN: Final = 10_000
MOST_SAID: Final = 1_000
"""How many different faults are told; after that they are only counted."""


class Node:
    """The agents of one process around their exchange.

    Args:
        agents: in the order in which they join.
        markets: what they read broadcasts through.
        randomness: where draws and tokens come from.
        sink: where records go.
        trust: whose word counts.
        own_time: whether replies take simulated time (waves), not real time.
    """

    def __init__(
        self,
        agents: Iterable[Agent],
        markets: Iterable[Market],
        *,
        randomness: Randomness,
        sink: RecordSink,
        trust: Trust | None = None,
        own_time: bool = False,
    ) -> None:
        self.timetable = Timetable()
        self.deadlines: list[tuple[int, Waited, int]] = []
        """Set since last taken away: seconds, what is waited for, sends so far."""
        self.counts: Counter[str] = Counter()
        """What was not taken, by why."""
        self.exchange = Exchange(
            randomness,
            self._call_at,
            sink,
            may_repeat=True,
            deadlines=None if own_time else self._set_deadline,
        )
        for market in markets:
            self.exchange.attach(market)
        for agent in agents:
            self.exchange.join(agent)
        self._dispatch = Dispatch(self.exchange.agents.values())
        self._trust = trust or Trust()
        self._strangers: dict[str, Agent] = {}
        self._present: dict[str, bytes] = {}
        self._reliant = [agent for agent in self.agents if agent.relies_on]
        self._said: set[str] = set()
        self._own: dict[bytes, Message] = {}  # said and not yet come back: what its bytes mean is known
        self.is_finished = False

    @property
    def agents(self) -> Iterable[Agent]:
        """The agents, in the order in which they joined."""
        return self.exchange.agents.values()

    @property
    def next_due(self) -> int | None:
        """When something is due next, simulated."""
        instants = self.timetable.instants
        return instants[0] if instants else None

    def apply(self, event: Event) -> bool:
        """Let something happen to the agents.

        Returns:
            Whether it changed anything; what did not need not be kept.
        """
        changed = self.apply_within_instant(event)
        self.exchange.settle_instant()
        return changed

    def apply_within_instant(self, event: Event) -> bool:
        """Let something happen after which more happens at the same instant; `settle_instant` must follow."""
        if isinstance(event, Arrived):
            self.exchange.now = event.now
            return self._arrived(event)
        if isinstance(event, Advanced):
            self._advance(event.now)
        elif isinstance(event, Expired):
            self.exchange.now = event.now
            self._guarded(self.exchange.expire, (event.asker, event.msg_id), event.sends)
        elif isinstance(event, Started):
            self.exchange.now = event.now
            for agent in self.agents:
                self._guarded(self.exchange.start_one, agent)
        elif isinstance(event, Finished):
            self.is_finished = True
            self.exchange.now = event.now
            for agent in self.agents:
                self._guarded(self.exchange.finish_one, agent)
        return True

    def take(self) -> list[Outgoing]:
        """Take away what the agents have said since, in order."""
        flights, self.exchange.sent = self.exchange.sent, []
        words = [outgoing(flight) for flight in flights]
        own = self._own
        for flight, each in zip(flights, words, strict=True):
            own[each.payload] = flight.message
        while len(own) > MOST_OWN:
            del own[next(iter(own))]
        return words

    def take_deadlines(self) -> Sequence[tuple[int, Waited, int]]:
        """Take away the deadlines set since that still matter."""
        deadlines, self.deadlines = self.deadlines, []
        return [each for each in deadlines if self.exchange.is_awaited(each[1])]

    # Time.

    def _advance(self, now: int) -> None:
        timetable, exchange = self.timetable, self.exchange
        while timetable.instants and timetable.instants[0] <= now:
            instant = timetable.next_instant()
            # An instant counts as what it was meant to be, however late we are.
            exchange.now = max(exchange.now, instant)
            timetable.act(instant)
        exchange.now = max(exchange.now, now)

    def _call_at(self, at: int, act: Callable[..., None], *arguments: Any) -> None:
        self.timetable.call_at(at, self._guarded, act, *arguments)

    def _set_deadline(self, seconds: int, waited: Waited, sends: int) -> None:
        self.deadlines.append((seconds, waited, sends))

    # Publications.

    def _arrived(self, event: Arrived) -> bool:
        found = self._dispatch.find(event.topic)
        if found is None:
            if event.topic.startswith("presence/"):
                return self._presence(event)
            self._not_taken("unknown topic", event)
            return False
        route, address = found
        is_news = issubclass(route.message, Broadcast)
        readers = () if is_news else self._dispatch.readers(route, address)
        if not readers and not is_news:
            return False
        try:
            message = self._read(event.payload, route.message)
        except InputError as error:
            self._not_taken("not of the contract", event, error)
            return self._refuse(event, route, address, readers, error)
        if not self._trust.believes(message, address, event.sender):
            self._not_taken("wrong sender", event)
            return False
        self._deliver(self._fresh(message, event), address, readers)
        return True

    def _read(self, payload: bytes, wanted: type[Message]) -> Message:
        """Give what bytes mean; those that we wrote ourselves need not be read."""
        own = self._own.pop(payload, None)
        return own if type(own) is wanted else decode(payload, wanted)

    def _fresh(self, message: Message, event: Arrived) -> Message:
        """Let what an earlier run may have left behind count less than anything that is said in this one."""
        if event.retained and isinstance(message, Broadcast):
            newest: Message = replaced(message, revision=UNREAD_REVISION)
            return newest
        return message

    def _deliver(self, message: Message, address: Address, readers: tuple[str, ...]) -> None:
        sender = self._stranger(message.asker(address) if isinstance(message, Request) else "")
        protocol = message.protocol
        if not readers:
            self._guarded(self.exchange.deliver, Flight(message, address, sender, (), protocol))
        for reader in readers:  # One by one, so that one that fails fails alone.
            self._guarded(self.exchange.deliver, Flight(message, address, sender, (reader,), protocol))

    def _refuse(
        self, event: Arrived, route: Route, address: Address, readers: tuple[str, ...], error: InputError
    ) -> bool:
        """Tell who asked what was wrong, where that can be told."""
        if event.retained or not issubclass(route.message, Request):
            return False
        before = len(self.exchange.sent)
        for reader in readers:
            agent = self.exchange.agents[reader]
            refusal = refusal_of(event.payload, route.message, address, agent, error)
            if refusal is not None:
                self.exchange.sent.append(refusal)
        return len(self.exchange.sent) > before

    def _presence(self, event: Arrived) -> bool:
        """Hear that an agent came or went; one that comes back is told again what it must know."""
        id = presence_of(event.topic)
        if id is None or event.payload not in (ONLINE, OFFLINE):
            self._not_taken("not of the contract", event)
            return False
        is_back = event.payload == ONLINE and id in self._present and not event.retained
        self._present[id] = event.payload
        if is_back:
            for agent in self._reliant:
                if id in agent.relies_on:
                    self._guarded(self.exchange.returned, agent, id)
        return True

    def _stranger(self, id: str) -> Agent:
        stranger = self._strangers.get(id)
        if stranger is None:
            if len(self._strangers) >= MOST_STRANGERS:
                self._strangers.clear()
            stranger = self._strangers[id] = Agent(id)
        return stranger

    # What goes wrong.

    def _guarded(self, act: Callable[..., None], *arguments: Any) -> None:
        """Call an agent; if it fails, it has failed with this and nothing else."""
        try:
            act(*arguments)
        except Exception as error:
            self.counts["failed"] += 1
            where = f"{type(error).__name__}: {error}"
            if where not in self._said and len(self._said) < MOST_SAID:
                self._said.add(where)
                log.exception("an agent failed at %s; it goes on with the next", _named(arguments))

    def _not_taken(self, why: str, event: Arrived, error: InputError | None = None) -> None:
        """Count what was not taken, and say each kind once."""
        self.counts[why] += 1
        found = self._dispatch.find(event.topic)
        about = found[0].message.__name__ if found else "no protocol"
        line = f"{why}: {about}" + (f": {error.field}" if error else "")
        if line not in self._said and len(self._said) < MOST_SAID:
            self._said.add(line)
            log.warning("not taken (%s), topic %.80r, by %s%s", why, event.topic, event.sender, _of(error))


def _of(error: InputError | None) -> str:
    return "" if error is None else f": {error}"[:300]


def _named(arguments: tuple[Any, ...]) -> str:
    for each in arguments:
        if isinstance(each, Flight):
            return f"{type(each.message).__name__} for {', '.join(each.receivers) or 'all'}"
        if isinstance(each, Agent):
            return each.id
    return "something it was reminded of"
