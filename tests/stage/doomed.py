"""Markets over processes that are killed at any moment, in virtual time, over a broker that keeps sessions.

A kill drops everything that was in memory. What stays is what stays of a real one: the file of the
journal, and what the broker has: sessions, what it had not been acknowledged, what it retained.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from session_broker import Doom, Killed, SessionBroker, SessionTransport
from virtual_time import VirtualLoop, run_at_once
from whole_market import (
    Played,
    always,
    availability_is_the_complement,
    batteries_keep_their_books,
    beliefs_equal_the_books,
    bills_add_up,
    every_need_ends,
    grid_limits_hold,
    pictures_equal_the_books,
)

from voltagora.agents.recommender import RecommenderAgent
from voltagora.domain.records import NeedRecord, Record
from voltagora.live.clock import Clock
from voltagora.live.journal import FILE_NAME, Journal
from voltagora.live.node import Node
from voltagora.live.process import Plan, Process
from voltagora.live.timekeeping import Lead
from voltagora.live.tokens import SecretRandomness
from voltagora.protocols.topic import Kind
from voltagora.results.result import Result
from voltagora.scenario.build import AreaAgents
from voltagora.scenario.cast import Part, cast, kinds_of
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.live import collector_of, result_of
from voltagora.scenario.manifest import scenario_hash
from voltagora.scenario.population import Population
from voltagora.scenario.settings import Scenario
from voltagora.simulation.days import DayJoiner

THREE = ("imbalance,pricing,producer,consumer", "station,recommender", "vehicle")
WALL_SECONDS = 1_700_000_000.0


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


class Member:
    """One process of a market, from its first start to the market's end, however often it is killed.

    Args:
        market: of which it is a part.
        kinds: of agents it plays.
        dooms: at which boundary each life ends; the life after the last of them lasts.
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
        self.dooms = list(dooms)
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
            market.note(journal, self.part, secret)
        self.records = []
        played = cast(market.scenario, market.people, self.part)
        return played.node(SecretRandomness(market.scenario.seed, secret), self.records.append, None)

    def kill(self) -> None:
        """Kill it from outside, whatever it is doing."""
        self.doom.is_dead = True
        self.doom.died.set()

    async def live(self) -> None:
        await asyncio.sleep(self.wait[0])
        dooms = iter(self.dooms)
        while True:
            self.lives += 1
            if await self._live_once(next(dooms, None)):
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
            if journal.is_empty:
                self.market.broker.forget(self.folder.name)  # What it left is of a life it has forgotten.
            self.transport = SessionTransport(self.market.broker, self.folder.name, doom)
            clock = Clock(loop.time, lambda: WALL_SECONDS + loop.time() + self.wall_offset)
            self.process = Process(self.node, self.transport, self.market.plan(self.part), journal, clock)
            process = self.process
            self.transport.is_saved = lambda number: (
                number <= journal._written and (number > 0 or not process.is_unsaved)
            )
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
        if self.tears and self.doom.passed[-1:] == ["after commit"]:
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

    def note(self, journal: Journal, part: Part, secret: bytes) -> None:
        """Begin a journal as a live run does."""
        facts = {
            "secret": secret,
            "scenario_sha256": scenario_hash(self.scenario),
            "scenario": msgspec.json.encode(self.scenario),
            "part": msgspec.json.encode(part),
        }
        journal.commit((), (), facts)

    def check_journals(self) -> None:
        """What journals hold has reached the broker, whoever died meanwhile; their time never goes back."""
        seen = set(self.broker.seen)
        for member in self.members:
            with Journal(member.folder, read_only=True) as journal:
                times = [event.now for event in journal.events()]
                assert times == sorted(times), member.folder.name
                for number, each in journal.publications():
                    assert (each.topic, each.payload) in seen, (member.folder.name, number, each.topic)

    def result(self) -> Result:
        """Give what all processes recorded while they lived."""
        collector = collector_of(self.scenario, self.horizon)
        for record in self.played().records:
            collector(record)
        nodes = [member.node for member in self.members]
        return result_of(self.scenario, self.people, collector, nodes, {})

    def plan(self, part: Part) -> Plan:
        lead = Lead(start_at=self.horizon.start, speed=self.speed) if part.leads else None
        return Plan(
            lead=lead, begin=self.horizon.start, end=self.end, start_now=self.start_now and lead is not None
        )

    def add(self, kinds: str, **more: Any) -> Member:
        member = Member(self, kinds, **more)
        self.members.append(member)
        return member

    def at_hour(self, hour: float, act: Callable[[], None]) -> None:
        """Let something happen when the market is so old, hours of simulated time."""

        async def wait_and_act() -> None:
            at = self.horizon.start + hour * 3600
            while not any(each.node and each.process.clock.now() >= at for each in self.members):
                await asyncio.sleep(0.5)
            act()

        self.meanwhile.append(wait_and_act)

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
        for ended in await asyncio.gather(*others, return_exceptions=True):
            if ended is not None and not isinstance(ended, asyncio.CancelledError):
                raise ended

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
        records: list[Record] = []
        joined = DayJoiner(records.append)
        for member in self.members:
            for record in member.records:
                joined(record)
        (plan,) = self.people.areas
        nothing: Any = None
        played = Played(self.scenario, plan, self.people, self.agents(), nothing, nothing, records, self.end)
        for need in played.of(NeedRecord):
            played.needs[need.vehicle, need.need] = need
        return played


def check_books(played: Played, *, costs: bool = True) -> None:
    """All that must hold of a market once it has come to rest, whatever happened to its processes."""
    always(played.agents)
    pictures_equal_the_books(played)
    availability_is_the_complement(played)
    beliefs_equal_the_books(played, costs=costs)
    every_need_ends(played)
    batteries_keep_their_books(played)
    grid_limits_hold(played)
    bills_add_up(played, in_time=False)
    prices_are_read_as_they_stand(played)


def prices_are_read_as_they_stand(played: Played) -> None:
    """Stations know of open days the newest prices or none, and MD the newest imbalance it was told."""
    read = played.agents.stations[0].market._prices
    for day, held in played.agents.pricing._prices.items():
        if held.is_open and day in read:  # What was missed is not known, and asked for when it is needed.
            assert read[day].buy.values.tolist() == held.buy.values.tolist(), day
    for day, known in played.agents.imbalance._published.items():
        if known.told is not None and day in played.agents.pricing._news:
            assert played.agents.pricing._news[day].supply.values.tolist() == known.told[0].tolist(), day
