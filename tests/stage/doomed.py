"""Markets over processes that are killed at any moment, in virtual time, over a broker that keeps sessions.

A kill drops everything that was in memory. What stays is what stays of a real one: the file of the
journal, and what the broker has: sessions, what it had not been acknowledged, what it retained.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from virtual_time import VirtualLoop, run_at_once
from whole_market import Played

from voltagora.agents.recommender import RecommenderAgent
from voltagora.domain.errors import VoltAgoraError
from voltagora.domain.records import NeedRecord, Record
from voltagora.hub.topics import covers, parse_filter, topic_levels
from voltagora.live.clock import Clock
from voltagora.live.journal import FILE_NAME, Journal
from voltagora.live.node import Node
from voltagora.live.process import Plan, Process
from voltagora.live.timekeeping import Lead
from voltagora.live.tokens import SecretRandomness
from voltagora.live.transport import Arrival, Listener, Publication
from voltagora.protocols.topic import Kind
from voltagora.scenario.build import AreaAgents
from voltagora.scenario.cast import Part, cast, kinds_of
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.population import Population
from voltagora.scenario.settings import Scenario
from voltagora.simulation.days import DayJoiner

THREE = ("imbalance,pricing,producer,consumer", "station,recommender", "vehicle")
WALL_SECONDS = 1_700_000_000.0


class Killed(BaseException):
    """Raised where a process is killed; nothing of it acts after that."""


class Doom:
    """Kills a process at a boundary between two effects.

    Args:
        at: the number of the boundary, from 1; None: never.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.passed: list[str] = []
        self.is_dead = False
        self.died = asyncio.Event()

    def pass_by(self, where: str) -> None:
        if self.is_dead:
            raise Killed
        self.passed.append(where)
        if len(self.passed) == self.at:
            self.is_dead = True
            self.died.set()
            raise Killed


class DoomedJournal(Journal):
    """A journal on whose both sides of a commit the process may be killed."""

    doom: Doom

    def commit(self, *arguments: Any, **more: Any) -> int:
        self.doom.pass_by("before commit")
        first = super().commit(*arguments, **more)
        self.doom.pass_by("after commit")
        return first

    def taken_until(self, number: int) -> None:
        self.doom.pass_by("before commit")
        super().taken_until(number)


class Session:
    """What a broker keeps of one client: its filters, and what it has not acknowledged."""

    def __init__(self, broker: SessionBroker) -> None:
        self.broker = broker
        self.filters: set[str] = set()
        self.queue: deque[Arrival] = deque()
        self.line: SessionTransport | None = None
        self._cache: dict[str, bool] = {}
        self._is_due = False

    def subscribe(self, filters: Iterable[str]) -> None:
        new = set(filters) - self.filters
        self.filters |= new
        self._cache.clear()
        for topic, payload in self.broker.retained.items():
            if any(_covers(each, topic) for each in new):
                self.queue.append(Arrival(topic=topic, payload=payload, retained=True))
        self.ring()

    def reads(self, topic: str) -> bool:
        if topic not in self._cache:
            self._cache[topic] = any(_covers(each, topic) for each in self.filters)
        return self._cache[topic]

    def ring(self) -> None:
        if self.queue and not self._is_due:
            self._is_due = True
            self.broker.soon(self._deliver)

    def _deliver(self) -> None:
        self._is_due = False
        line = self.line
        if line is None or not self.queue:
            return
        batch = [self.queue[place] for place in range(self.broker.chance.randint(1, min(8, len(self.queue))))]
        if line.hand(batch):
            for _ in batch:
                self.queue.popleft()
        self.ring()


class SessionBroker:
    """Delivers in order to each client, and between clients in any order.

    Args:
        chance: how long everything takes.
        repeats: share of publications that are delivered twice.
    """

    def __init__(self, chance: random.Random, repeats: float = 0.0) -> None:
        self.chance = chance
        self.repeats = repeats
        self.sessions: dict[str, Session] = {}
        self.retained: dict[str, bytes] = {}
        self.seen: list[tuple[str, bytes]] = []

    def soon(self, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.chance.uniform(0.0, 0.04), act)

    def take(self, publication: Publication) -> None:
        arrival = Arrival(topic=publication.topic, payload=publication.payload)
        self.seen.append((arrival.topic, arrival.payload))
        if publication.retain:
            self.retained[publication.topic] = publication.payload
        for session in self.sessions.values():
            if session.reads(publication.topic):
                for _ in range(2 if self.chance.random() < self.repeats else 1):
                    session.queue.append(arrival)
                session.ring()

    def forget(self, client: str) -> None:
        """Lose a client's session."""
        self.sessions.pop(client, None)


class SessionTransport:
    """See `voltagora.live.transport.Transport`."""

    def __init__(self, broker: SessionBroker, client: str, doom: Doom) -> None:
        self.broker = broker
        self.client = client
        self.doom = doom
        self.filters: dict[str, None] = {}
        self.listener: Listener | None = None
        self._out: deque[Publication] = deque()
        self._is_flowing = False
        self._unheard = 0

    def subscribe(self, filters: Iterable[str]) -> None:
        self.filters.update(dict.fromkeys(filters))

    async def open(self, listener: Listener) -> None:
        self.listener = listener
        self._connect()

    def _connect(self) -> None:
        if self.listener is None or self.doom.is_dead:
            return
        is_known = self.client in self.broker.sessions
        session = self.broker.sessions.setdefault(self.client, Session(self.broker))
        session.line = self
        session.subscribe(self.filters)
        self._guarded(lambda heard: heard.connected(session_present=is_known, stamps=False))
        session.ring()
        self._flow()

    def lose(self) -> None:
        """Lose the connection, and make it again in a second."""
        session = self.broker.sessions.get(self.client)
        if session is not None and session.line is self:
            session.line = None
        self._guarded(lambda heard: heard.disconnected("lost"))
        asyncio.get_running_loop().call_later(1.0, self._connect)

    def hand(self, batch: list[Arrival]) -> bool:
        """Hand over a batch; tell whether it is acknowledged."""
        if self.doom.is_dead or self.listener is None:
            return False
        try:
            self.listener.arrived(batch)
            self.doom.pass_by("before acknowledgement")
        except Killed:
            return False
        except VoltAgoraError:
            self.lose()
            return False
        return True

    def publish(self, publication: Publication) -> None:
        self.doom.pass_by("before publication")
        self._out.append(publication)
        self._flow()

    @property
    def waiting(self) -> int:
        return len(self._out) + self._unheard

    @property
    def is_up(self) -> bool:
        session = self.broker.sessions.get(self.client)
        return session is not None and session.line is self and not self.doom.is_dead

    def _flow(self) -> None:
        if self._out and not self._is_flowing:
            self._is_flowing = True
            self.broker.soon(self._send)

    def _send(self) -> None:
        self._is_flowing = False
        if not self._out or not self.is_up:
            return
        publication = self._out.popleft()
        self.broker.take(publication)
        self._unheard += 1
        self.broker.soon(lambda: self._acknowledged(publication))
        self._flow()

    def _acknowledged(self, publication: Publication) -> None:
        self._unheard -= 1
        self._guarded(lambda heard: heard.taken(publication.number))

    def _guarded(self, act: Callable[[Listener], None]) -> None:
        if self.listener is not None and not self.doom.is_dead:
            try:
                act(self.listener)
            except Killed:
                return

    async def drain(self, at_most: int) -> None:
        while self.waiting > at_most:
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        session = self.broker.sessions.get(self.client)
        if session is not None and session.line is self:
            session.line = None
        self.listener = None


def _covers(filter: str, topic: str) -> bool:
    return covers(parse_filter(filter).levels, topic_levels(topic))


class Member:
    """One process of a market, from its first start to the market's end, however often it is killed.

    Args:
        market: of which it is a part.
        kinds: of agents it plays.
        dooms: at which boundary each life ends; the last one lasts.
        wait: seconds before its first start, and of each death.
        wall_offset: seconds by which its wall clock is wrong.
        forgets: whether a death takes the journal, too.
        tears: whether a death right after a commit takes that commit's end with it.
    """

    def __init__(
        self,
        market: DoomedMarket,
        kinds: str,
        *,
        dooms: Iterable[int | None] = (),
        wait: tuple[float, float] = (0.0, 1.0),
        wall_offset: float = 0.0,
        forgets: bool = False,
        tears: bool = False,
    ) -> None:
        self.market = market
        self.part = Part(kinds=kinds_of(kinds))
        self.folder = market.folder / f"member-{len(market.members)}"
        self.dooms = [*dooms, None]
        self.wait = wait
        self.wall_offset = wall_offset
        self.forgets = forgets
        self.tears = tears
        self.node: Node = None  # type: ignore[assignment]
        self.process: Process = None  # type: ignore[assignment]
        self.doom = Doom()
        self.transport: SessionTransport | None = None
        self.records: list[Record] = []
        self.lives = 0
        self.passed: list[str] = []

    def made(self, journal: Journal) -> Node:
        """Make the agents anew."""
        market = self.market
        secret = journal.fact("secret")
        if not isinstance(secret, bytes):
            secret = market.chance.randbytes(32)
            journal.commit((), (), {"secret": secret})
        self.records = []
        played = cast(market.scenario, market.people, self.part)
        return played.node(
            SecretRandomness(market.scenario.seed, secret), DayJoiner(self.records.append), None
        )

    async def live(self) -> None:
        await asyncio.sleep(self.wait[0])
        for at in self.dooms:
            self.lives += 1
            if await self._live_once(at):
                return
            await asyncio.sleep(self.wait[1])

    async def _live_once(self, at: int | None) -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        doom = self.doom = Doom(at)
        with DoomedJournal(self.folder) as journal:
            journal.doom = Doom()
            self.node = self.made(journal)
            journal.doom = doom
            self.transport = SessionTransport(self.market.broker, self.folder.name, doom)
            clock = Clock(loop.time, lambda: WALL_SECONDS + loop.time() + self.wall_offset)
            self.process = Process(self.node, self.transport, self.market.plan(self.part), journal, clock)
            run = asyncio.create_task(self.process.run())
            died = asyncio.create_task(doom.died.wait())
            await asyncio.wait({run, died}, return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            self.passed = doom.passed
            if not doom.is_dead:
                await run
                return True
            await self._bury(run, journal)
        return False

    async def _bury(self, run: asyncio.Task[None], journal: Journal) -> None:
        """Take everything away that was in memory."""
        assert self.transport is not None
        if self.process._timer is not None:
            self.process._timer.cancel()
        self.process.is_connected = False
        await self.transport.close()
        kept = _files(self.folder)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        journal.close()
        if self.tears and self.doom.passed[-1] == "after commit":
            _put_back(self.folder, kept, cut=self.market.chance.randint(1, 2_000))
        if self.forgets:
            shutil.rmtree(self.folder)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith(FILE_NAME)}


def _put_back(folder: Path, kept: dict[str, bytes], *, cut: int) -> None:
    for path in folder.iterdir():
        if path.name.startswith(FILE_NAME):
            path.unlink()
    for name, content in kept.items():
        if name.endswith("-wal"):
            (folder / name).write_bytes(content[:-cut])
        elif not name.endswith("-shm"):
            (folder / name).write_bytes(content)


class DoomedMarket:
    """A scenario of one area over several processes in virtual time.

    Args:
        scenario, people: who plays; all of the scenario's one area.
        folder: of the journals.
        seed: of how long everything takes.
        speed: simulated seconds a second.
        end: when the market closes, simulated.
        repeats: share of publications that are delivered twice.
    """

    def __init__(
        self,
        scenario: Scenario,
        people: Population,
        folder: Path,
        *,
        seed: int = 0,
        speed: float = 60.0,
        end: int | None = None,
        repeats: float = 0.0,
    ) -> None:
        self.scenario = scenario
        self.people = people
        self.folder = folder
        self.chance = random.Random(seed)
        self.broker = SessionBroker(self.chance, repeats)
        self.horizon = Horizon(scenario)
        self.speed = speed
        self.end = self.horizon.end if end is None else end
        self.members: list[Member] = []
        self.before_end: Callable[[], None] = lambda: None
        self.meanwhile: list[Callable[[], Any]] = []
        self.start_now = True

    def plan(self, part: Part) -> Plan:
        lead = Lead(start_at=self.horizon.start, speed=self.speed) if part.leads else None
        return Plan(lead=lead, end=self.end, start_now=self.start_now and lead is not None)

    def add(self, kinds: str, **more: Any) -> Member:
        member = Member(self, kinds, **more)
        self.members.append(member)
        return member

    def play(self) -> Played:
        """Let all live until the market closes."""
        run_at_once(self._together())
        return self.played()

    async def _together(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.set_exception_handler(
            lambda _, context: (
                None
                if isinstance(context.get("exception"), Killed)
                else loop.failures.append(context.get("exception") or AssertionError(context["message"]))
            )
        )
        others = [asyncio.create_task(act()) for act in self.meanwhile]
        async with asyncio.timeout(100_000), asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(member.live())
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def agents(self) -> AreaAgents:
        """Gather the agents of all processes as they are now."""
        found: dict[Kind, list[Any]] = {kind: [] for kind in Kind}
        for member in self.members:
            for agent in member.node.agents:
                found[agent.kind].append(agent)
        recommenders: list[RecommenderAgent] = found[Kind.RECOMMENDER]
        return AreaAgents(
            market=found[Kind.STATION][0].market,
            imbalance=found[Kind.IMBALANCE][0],
            pricing=found[Kind.PRICING][0],
            recommenders=recommenders,
            stations=found[Kind.STATION],
            profiles=found[Kind.PRODUCER] + found[Kind.CONSUMER],
            vehicles=found[Kind.VEHICLE],
        )

    def played(self) -> Played:
        """Give what the market's laws are about: the agents and what they recorded."""
        records = [record for member in self.members for record in member.records]
        (plan,) = self.people.areas
        nothing: Any = None
        played = Played(
            self.scenario, plan, self.people, self.agents(), nothing, nothing, records, self.end
        )
        for need in played.of(NeedRecord):
            played.needs[need.vehicle, need.need] = need
        return played
