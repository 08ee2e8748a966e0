"""The agents of one process: events in, publications out; no clock, no connection, no disk.

The same events in the same order give the same publications and the same state, so that whoever
keeps the events can have everything again: after a kill, or to look at what happened.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, Final

from voltagora.agents.agent import Address, Agent
from voltagora.agents.exchange import Exchange, Flight, Randomness, Waited
from voltagora.agents.market import Market
from voltagora.agents.timetable import Timetable
from voltagora.domain.errors import InputError
from voltagora.domain.records import RecordSink
from voltagora.domain.units import replaced
from voltagora.live.dispatch import Dispatch, Route
from voltagora.live.events import Advanced, Arrived, Event, Expired, Finished, Missed, Started
from voltagora.live.malformed import refusal_of
from voltagora.live.outgoing import Outgoing, outgoing
from voltagora.live.trust import Trust
from voltagora.protocols.access import presence_of
from voltagora.protocols.codec import decode
from voltagora.protocols.message import Broadcast, Message, Reply, Request

log = logging.getLogger("voltagora.live")

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
UNREAD_REVISION: Final = 0
"""Given to what was retained, so that whatever is said from now on counts more."""
MOST_STRANGERS: Final = 100_000
MOST_WORDS: Final = 300
NULL: Final = b"null"
MOST_OWN: Final = 10_000
MOST_SAID: Final = 1_000
"""How many different faults are told; after that they are only counted."""
NUMBERS_A_SECOND: Final = 1_000
"""Nobody gives out more revisions or recommendations in a simulated second, taken over a run."""


class Node:
    """The agents of one process around their exchange.

    Args:
        agents: in the order in which they join.
        markets: what they read broadcasts through.
        randomness: where draws and tokens come from.
        sink: where records go.
        trust: whose word counts.
        own_time: whether replies take simulated time (waves), not real time.
        mark: what sets message ids apart from those of agents that were here before, without a journal.
        begin: simulated instant at which the market opened; who starts later may have been here before,
            and numbers what it says beyond anything that it can have said then.
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
        mark: str = "",
        begin: int | None = None,
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
        self._markets = tuple(markets)
        for market in self._markets:
            self.exchange.attach(market)
        for agent in agents:
            agent.mark = mark
            self.exchange.join(agent)
        self._begin = begin
        self._dispatch = Dispatch(self.exchange.agents.values())
        self.trust = trust or Trust()
        self._strangers: dict[str, Agent] = {}
        self._present: set[str] = set()  # seen at least once
        self._reliant = [agent for agent in self.agents if agent.relies_on]
        self._relied_on = {id for agent in self._reliant for id in agent.relies_on}
        self._news_heard: set[type[Message]] = set()  # of this run
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
        if self.is_finished:
            return False  # What still stood is recorded; nothing may come after that.
        if isinstance(event, Arrived):
            return self._arrived(event)
        if isinstance(event, Advanced):
            self._advance(event.now)
            return True
        self._be_at(event.now)
        if isinstance(event, Expired):
            self._guarded(self.exchange.expire, (event.asker, event.msg_id), event.sends)
        elif isinstance(event, Started):
            self._start(event.now)
        elif isinstance(event, Missed):
            self._miss()
        elif isinstance(event, Finished):
            self.is_finished = True
            for agent in self.agents:
                self._guarded(self.exchange.finish_one, agent)
        return True

    def take(self) -> list[Outgoing]:
        """Take away what the agents have said since, in order."""
        flights, self.exchange.sent = self.exchange.sent, []
        words: list[Outgoing] = []
        own = self._own
        for flight in flights:
            each = self._written(flight)
            if each is not None:
                words.append(each)
                own[each.payload] = flight.message
        while len(own) > MOST_OWN:
            del own[next(iter(own))]
        return words

    def _written(self, flight: Flight) -> Outgoing | None:
        """Write what an agent said; what cannot be written is not of the contract and is not said."""
        try:
            words = outgoing(flight)
            if NULL in words.payload:  # As NaN is written, which a strategy of somebody's may give.
                decode(words.payload, type(flight.message))
            return words
        except Exception as error:
            self._failed(error, (flight,))
            return None

    def take_deadlines(self) -> Sequence[tuple[int, Waited, int]]:
        """Take away the deadlines set since that still matter."""
        deadlines, self.deadlines = self.deadlines, []
        return [each for each in deadlines if self.exchange.is_awaited(each[1])]

    # Time.

    def _start(self, now: int) -> None:
        late_seconds = 0 if self._begin is None else max(0, now - self._begin)
        for agent in self.agents:
            agent.numbered_after = late_seconds * NUMBERS_A_SECOND
            self._guarded(self.exchange.start_one, agent)

    def _miss(self) -> None:
        """Trust no news that may have been followed by others: whoever needs them asks."""
        for market in self._markets:
            market.forget(date.max)
        for agent in self.agents:
            self._guarded(self.exchange.missed, agent)

    def _advance(self, now: int) -> None:
        timetable = self.timetable
        while timetable.instants and timetable.instants[0] <= now:
            instant = timetable.next_instant()
            # An instant counts as what it was meant to be, however late we are.
            self._be_at(instant)
            timetable.act(instant)
        self._be_at(now)

    def _be_at(self, now: int) -> None:
        # Agents ask to be woken at times of payloads, which are not what an event is written with.
        self.exchange.now = max(self.exchange.now, int(now))

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
        if event.retained and not is_news:
            self._not_taken("retained", event)  # Somebody's leftover: only news are kept by a broker.
            return False
        try:
            message = self._read(event.payload, route.message)
        except InputError as error:
            self._not_taken("not of the contract", event, error)
            return self._refuse(event, route, address, readers, error)
        if not self.trust.believes(message, address, event.sender):
            self._not_taken("wrong sender", event)
            return False
        if isinstance(message, Reply) and not self._is_awaited(message, readers):
            self.counts["not awaited"] += 1  # Mostly what a broker hands over twice.
            return False
        self._be_at(event.now)
        self._deliver(self._fresh(message, event), address, readers)
        return True

    def _is_awaited(self, reply: Reply, readers: tuple[str, ...]) -> bool:
        return any(self.exchange.is_awaited((reader, reply.in_reply_to)) for reader in readers)

    def _read(self, payload: bytes, wanted: type[Message]) -> Message:
        """Give what bytes mean; those that we wrote ourselves need not be read."""
        own = self._own.pop(payload, None)
        return own if type(own) is wanted else decode(payload, wanted)

    def _fresh(self, message: Message, event: Arrived) -> Message:
        """Let what an earlier run may have left behind count less than anything that is said in this one."""
        kind = type(message)
        if not event.retained:
            if isinstance(message, Broadcast):
                self._news_heard.add(kind)
            return message
        if kind in self._news_heard:
            return message  # It took the place of whatever was left behind.
        newest: Message = replaced(message, revision=UNREAD_REVISION)
        return newest

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
        if not issubclass(route.message, Request):
            return False

        def speaks_for(asker: str) -> bool:
            return self.trust.may_speak_for(asker, event.sender)

        before = len(self.exchange.sent)
        for reader in readers:
            agent = self.exchange.agents[reader]
            refusal = refusal_of(event.payload, route.message, address, agent, error, speaks_for)
            if refusal is not None:
                self.exchange.sent.append(refusal)
        return len(self.exchange.sent) > before

    def _presence(self, event: Arrived) -> bool:
        """Hear that an agent came or went; one that comes back is told again what it must know."""
        id = presence_of(event.topic)
        if id is None or event.payload not in (ONLINE, OFFLINE):
            self._not_taken("not of the contract", event)
            return False
        if id not in self._relied_on or event.payload != ONLINE:
            return False
        if not self.trust.may_speak_for(id, event.sender):
            self._not_taken("wrong sender", event)
            return False
        self._be_at(event.now)
        # A retained one comes with a new session: it may have gone and come back unheard.
        is_back = id in self._present
        self._present.add(id)
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
            self._failed(error, arguments)

    def _failed(self, error: Exception, arguments: tuple[Any, ...]) -> None:
        """Count a failure, and say each kind once."""
        self.counts["failed"] += 1
        where = f"{type(error).__name__}: {error}"[:MOST_WORDS]
        if where not in self._said and len(self._said) < MOST_SAID:
            self._said.add(where)
            log.error("an agent failed at %s; it goes on with the next", _named(arguments), exc_info=error)

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
    return "" if error is None else f": {error}"[:MOST_WORDS]


def _named(arguments: tuple[Any, ...]) -> str:
    for each in arguments:
        if isinstance(each, Flight):
            return f"{type(each.message).__name__} for {', '.join(each.receivers) or 'all'}"
        if isinstance(each, Agent):
            return each.id
    return "something it was reminded of"
