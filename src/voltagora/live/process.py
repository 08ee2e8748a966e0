"""One process of a live market: its agents, its journal, its time and its connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from voltagora.domain.errors import RunError
from voltagora.domain.units import Time
from voltagora.live.clock import Clock, ClockNews
from voltagora.live.deadlines import Deadlines
from voltagora.live.events import Advanced, Arrived, Event, Expired, Finished, Missed, Started
from voltagora.live.journal import Journal
from voltagora.live.node import OFFLINE, ONLINE, Node
from voltagora.live.opening import opened
from voltagora.live.outbox import Outbox
from voltagora.live.outgoing import Outgoing
from voltagora.live.recovery import recover
from voltagora.live.timekeeping import Lead, Timekeeping, Word
from voltagora.live.transport import Arrival, Transport
from voltagora.protocols.access import CLOCK, TIMER, access, presence_of, presence_topic
from voltagora.protocols.codec import MAX_BYTES

log = logging.getLogger("voltagora.live")

MOST_UNSENT: Final = 100_000
"""With so many waiting for the broker, the agents start nothing new."""
MOST_EARLY: Final = 10_000
"""How many publications are kept that come before the word `start`."""
RETRY_SECONDS: Final = 1.0
SHORTEST_WAIT_SECONDS: Final = 0.001
IDLE_SECONDS: Final = 0.05
"""How often it is looked whether what is due, but cannot be done yet, can be done by now."""
GOODBYE_SECONDS: Final = 2.0
END_SECONDS: Final = 30.0
"""How long it may take to say everything at a market's end, for which the others wait."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a process takes part."""

    lead: Lead | None = None  # of the one process that leads time
    is_real: bool = False  # whether, where nobody leads, time is the real one
    begin: int | None = None  # simulated, when the market opens
    end: int | None = None  # simulated, when it closes
    start_now: bool = False  # say `start` as soon as there is a connection


class Process:
    """Carries events to the agents and publications to the broker, in that order and never half.

    It is the `Listener` of its transport.

    Args:
        node: the agents.
        transport: the connection.
        plan: how it takes part.
        journal: what survives a kill; None: nothing does.
        clock: where real time comes from.
    """

    def __init__(
        self,
        node: Node,
        transport: Transport,
        plan: Plan,
        journal: Journal | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.node = node
        self.transport = transport
        self.plan = plan
        self.clock = clock or Clock()
        self.time = Timekeeping(
            self.clock,
            lead=plan.lead,
            is_real=plan.is_real,
            say=self._say_time,
            span=None if plan.begin is None or plan.end is None else (plan.begin, plan.end),
        )
        self.is_connected = False
        self.has_started = False
        self.has_finished = False
        self.is_unsaved = False
        """Whether the journal could not be written when it was last tried."""
        self.connection_changed_at: float | None = None  # wall clock, seconds UTC
        self.arrivals = self.publications = 0
        self._journal = journal
        self._early: list[Arrival] = []
        self._unsaved: list[Event] = []
        self._unsaved_words: list[Outgoing] = []
        self._facts: dict[str, object] = {}
        self._said: set[str] = set()
        self._outbox = Outbox(transport)
        self._number = 0
        self._deadlines = Deadlines(self.clock.monotonic)
        self._timer: asyncio.TimerHandle | None = None
        self._ended = asyncio.Event()
        self._left = asyncio.Event()

    # From outside.

    async def run(self) -> None:
        """Take part until the market ends or `leave` is called.

        Raises:
            VoltAgoraError: the broker refuses for good, or the journal is not of these agents.
        """
        self._recover()
        self.transport.subscribe(self._filters())
        if not await opened(self.transport, self, self._left):
            return
        try:
            if self.plan.start_now:
                self._publish_word(TIMER, Word.START.encode())
                if self.plan.lead is None:
                    # It may have no right to say it to all; where it goes by real time it need not.
                    self.time.heed(Word.START.encode(), is_retained=False)
            self._tick()
            await self._ended.wait()
        finally:
            await self._close()

    @property
    def unsent(self) -> int:
        """How many publications wait for the broker."""
        return len(self._outbox) + self.transport.waiting

    @property
    def journal_path(self) -> str | None:
        """Where the journal lies, if there is one."""
        return None if self._journal is None else str(self._journal.path)

    def leave(self) -> None:
        """Go, without ending the market."""
        self._left.set()
        self._ended.set()

    def finish(self) -> None:
        """End the market for the agents here, and go.

        Raises:
            RunError: the end could not be saved yet.
        """
        if not self.has_finished:
            self._save()
            self.has_finished = True
            if self.has_started:
                now = max(self.clock.now(), self.node.exchange.now)
                self._apply([Finished(now if self.plan.end is None else min(now, self.plan.end))])
        self._save()
        self._ended.set()

    # The transport's listener.

    def connected(self, *, session_present: bool, stamps: bool | None) -> None:  # noqa: ARG002
        """Say that the agents are here.

        Raises:
            RunError: that news were missed could not be saved.
        """
        self.is_connected = True
        self.connection_changed_at = self.clock.wall()
        log.info("connected")
        for agent in self.node.agents:
            self._publish_word(presence_topic(agent.id), ONLINE, retain=True)
        self.time.tell()
        self._outbox.pump()
        if self.has_started and not session_present:
            self._handle([Missed(self._now())])

    def disconnected(self, why: str) -> None:
        """Wait; nothing is asked again meanwhile."""
        self.is_connected = False
        self.connection_changed_at = self.clock.wall()
        self._outbox.drop_words()
        log.warning("no connection to the broker: %s", why)

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Hand a batch to the agents.

        Raises:
            RunError: it could not be saved, so it must not be acknowledged.
        """
        self._save()  # What is older comes first.
        events: list[Event] = []
        for arrival in arrivals:
            if arrival.topic == TIMER:
                self.time.heed(arrival.payload, is_retained=arrival.retained)
            elif arrival.topic == CLOCK:
                self.time.hear(arrival.payload, is_retained=arrival.retained)
            elif self.has_started:
                events.append(_event(self._now(), arrival))
            else:
                self._keep_early(arrival)
        self.arrivals += len(arrivals)
        self._handle(events)

    def _keep_early(self, arrival: Arrival) -> None:
        """Keep what comes before we have started, but for news that an earlier run may have left."""
        if arrival.retained and presence_of(arrival.topic) is None:
            return
        if len(self._early) < MOST_EARLY and len(arrival.payload) <= MAX_BYTES:
            self._early.append(arrival)
        else:
            self.node.counts["before the start"] += 1

    def taken(self, number: int) -> None:
        """Note what the broker has."""
        self._outbox.taken(number)

    def refused(self, number: int, why: str) -> None:
        """Note what the broker will never take."""
        self.node.counts["refused by the broker"] += 1
        log.warning("the broker does not take a publication: %s", why)
        self.taken(number)

    # What happens to the agents.

    def _handle(self, events: list[Event]) -> None:
        """Let what is due and what has come happen, save it, and only then send what it brings.

        Raises:
            RunError: it could not be saved.
        """
        self._save()
        if self.time.has_started and not self.has_started:
            self.has_started = True
            now = self._now()
            log.info("started at %s, simulated", Time(now))
            events = [Started(now), *(_event(now, each) for each in self._early), *events]
            self._early.clear()
        if self.has_started:
            due = self.node.next_due
            now = events[0].now if events else self._now()
            if due is not None and due <= now and len(self._outbox) < MOST_UNSENT:
                events.insert(0, Advanced(now))
        self._apply(events)
        self._save()
        if self.time.is_stopped:
            self.finish()
        self._schedule()

    def _apply(self, events: Sequence[Event]) -> None:
        """Let events happen; one that changed nothing need not be kept."""
        self._unsaved += [event for event in events if self.node.apply(event)]
        self._unsaved_words += self.node.take()

    def _save(self) -> None:
        events, words = self._unsaved, self._unsaved_words
        if not events and not self._facts:
            return
        first = self._number + 1
        if self._journal is not None:
            if self._outbox.taken_until:
                self._facts["taken"] = self._outbox.taken_until
            try:
                first = self._journal.commit(events, words, self._facts)
            except sqlite3.Error as error:
                self.is_unsaved = True
                raise RunError(
                    f"{self._journal.path}: {error}; nothing more is taken until it is saved"
                ) from None
        self._number = first + len(words) - 1
        self._outbox.add(first, words)
        self.publications += len(words)
        self._unsaved, self._unsaved_words, self._facts = [], [], {}
        self.is_unsaved = False
        self._deadlines.add(self.node.take_deadlines())
        self._outbox.pump()

    # Time.

    def _now(self) -> int:
        now = self.clock.now()
        end = self.plan.end
        return now if end is None else min(now, end - 1)

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ended.is_set():
            return
        delay = self.time.seconds_to_tick
        if self.has_started:
            leads_to = self.plan.end if self.plan.lead is not None else None
            for instant in (self.node.next_due, leads_to):
                until = None if instant is None else self.clock.seconds_until(instant)
                if until is not None:
                    delay = min(delay, until or IDLE_SECONDS)
        to_next = self._deadlines.seconds_to_next
        delay = delay if to_next is None else min(delay, to_next)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(delay, SHORTEST_WAIT_SECONDS), self._tick)

    def _tick(self) -> None:
        try:
            self.time.tick()
            self._save()  # Nothing new is begun before what is older is safe.
            self._handle(self._expired())
            if self._is_at_end:
                self.finish()
        except RunError as error:
            if str(error) not in self._said:
                self._said.add(str(error))
                log.error("%s", error)
            self._timer = asyncio.get_running_loop().call_later(RETRY_SECONDS, self._tick)

    @property
    def _is_at_end(self) -> bool:
        """Whether it is time to end the market for all; that can only be said over a connection."""
        end = self.plan.end
        if self.plan.lead is None or end is None or not self.has_started or not self.is_connected:
            return False
        return self.clock.now() >= end

    def _expired(self) -> list[Event]:
        """List the requests whose replies took too long; without a connection nothing takes too long."""
        may_ask = self.is_connected and len(self._outbox) < MOST_UNSENT
        events: list[Event] = []
        for waited, sends in list(self._deadlines.take_due()):
            if may_ask and self.node.exchange.is_awaited(waited):
                events.append(Expired(self._now(), *waited, sends))
            elif self.node.exchange.is_awaited(waited):
                self._deadlines.add([(RETRY_SECONDS, waited, sends)])
        return events

    def _say_time(self, news: ClockNews) -> None:
        payload = news.written()
        self._publish_word(CLOCK, payload, retain=True)
        self._facts["clock"] = payload

    def _publish_word(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish what is not an agent's, and would be out of date if it had to wait for a connection."""
        if self.is_connected:
            self._outbox.say(topic, payload, retain=retain)

    # The beginning and the end.

    def _filters(self) -> Iterable[str]:
        relied_on: dict[str, None] = {}
        # What is retained comes in this order: whether a market is under way, before the word `start`.
        filters: dict[str, None] = {CLOCK: None, TIMER: None}
        for agent in self.node.agents:
            filters.update(dict.fromkeys(access(agent.kind, agent.id).read))
            relied_on.update(dict.fromkeys(agent.relies_on))
        filters.update(dict.fromkeys(presence_topic(id) for id in relied_on))
        return filters

    def _recover(self) -> None:
        journal = self._journal
        if journal is None or journal.is_empty:
            return
        count = recover(self.node, journal)
        self.has_started = True
        if self.node.is_finished:
            log.warning("the market of %s is over; another data folder begins a new one", journal.path)
            self.has_finished = True
            self._ended.set()
        taken = journal.fact("taken")
        self._number = self._outbox.resume(journal.not_taken(), taken if isinstance(taken, int) else 0)
        self._deadlines.add(self.node.take_deadlines())
        self.clock.floor(self.node.exchange.now)
        said = journal.fact("clock")
        self.time.resume(ClockNews.read(said) if isinstance(said, bytes) else None)
        log.info("%d events read again, %d publications to send again", count, len(self._outbox))

    async def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self.has_finished or self._journal is None:
            self.time.end()
        if self.has_finished and self.plan.lead is not None:
            # Also after a restart: the others may not have heard it.
            self._publish_word(TIMER, Word.STOP.encode())
        for agent in self.node.agents:
            self._publish_word(presence_topic(agent.id), OFFLINE, retain=True)
        if self.is_connected:
            try:
                async with asyncio.timeout(END_SECONDS if self.has_finished else GOODBYE_SECONDS):
                    await self._outbox.drain()
            except TimeoutError:
                log.warning("%d publications are left; they are sent at the next start", self.unsent)
        await self.transport.close()
        if self._journal is not None and self._outbox.taken_until:
            with contextlib.suppress(sqlite3.Error):  # Unknown, it is only sent once more.
                self._journal.taken_until(self._outbox.taken_until)


def _event(now: int, arrival: Arrival) -> Arrived:
    return Arrived(now, arrival.topic, arrival.payload, arrival.sender, arrival.retained)
