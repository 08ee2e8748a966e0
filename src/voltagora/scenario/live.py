"""Plays a scenario live: its agents in this process, or some of them, beside others over a broker."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from voltagora import __version__
from voltagora.agents.exchange import protocol_counts
from voltagora.domain.errors import InputError
from voltagora.domain.records import MessageCountRecord, MessageRecord, Record, RecordSink
from voltagora.live.clock import Clock
from voltagora.live.journal import Journal
from voltagora.live.lockstep import Lockstep
from voltagora.live.node import Node
from voltagora.live.owners import Owners
from voltagora.live.process import Plan, Process
from voltagora.live.timekeeping import Lead
from voltagora.live.tokens import SECRET_BYTES, SecretRandomness
from voltagora.live.transport import Transport
from voltagora.results.collector import Collector, Span
from voltagora.results.result import Result
from voltagora.scenario.cast import Part, cast
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.manifest import scenario_hash
from voltagora.scenario.population import Population, population
from voltagora.scenario.run import manifest_of
from voltagora.scenario.settings import Scenario
from voltagora.simulation.days import DayJoiner

REAL_SPEED: Final = 1.0


class Pace(msgspec.Struct, frozen=True):
    """How fast time goes."""

    speed: float | None  # simulated seconds a second; None: as fast as the broker can

    @classmethod
    def read(cls, text: str) -> Pace:
        """Read what stands behind `--speed`.

        Raises:
            InputError: it is none.
        """
        if text == "max":
            return cls(None)
        try:
            speed = float(text)
        except ValueError:
            speed = 0.0
        if not 1 <= speed <= 100_000:
            raise InputError("--speed", text, "1 (real time), a factor up to 100000, or max")
        return cls(speed)

    @property
    def is_real(self) -> bool:
        """Whether simulated time is the real one."""
        return self.speed == REAL_SPEED


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """How a process takes part in a live run of a scenario.

    Attributes:
        part: which agents play here.
        pace: how fast time goes, where it is led; who does not lead follows.
        follows: whether it never leads time: it goes by another's clock, or by real time if there is none.
        start_now: say `start` at once.
        until: simulated instant at which the market closes; None: the end of the scenario.
        data: folder of the journal; None: nothing survives the end of the process.
        full_sync: wait for the disk at each commit.
    """

    part: Part = Part()
    pace: Pace = Pace(3600.0)
    follows: bool = False
    start_now: bool = False
    until: int | None = None
    data: Path | None = None
    full_sync: bool = False


class LiveRun:
    """A scenario's agents in this process, from the first connection to the result.

    Args:
        scenario: the market.
        stage: how this process takes part in it.
        owners: who owns which agent; None: a market without users.
        watch: told each record as it is made.

    Raises:
        InputErrors: a data file is wrong; the journal is of another market.
    """

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        owners: Owners | None = None,
        watch: Callable[[Record], None] | None = None,
    ) -> None:
        self.scenario = scenario
        self.stage = stage
        self.owners = owners
        self.people = population(scenario)
        self.horizon = Horizon(scenario)
        _check(scenario, stage, self.horizon)
        self.end = self.horizon.end if stage.until is None else min(stage.until, self.horizon.end)
        self.collector = collector_of(scenario, self.horizon)
        # Before the journal: who asks for an agent that there is not has not begun anything.
        self.cast = cast(scenario, self.people, stage.part)
        self.journal = None if stage.data is None else _journal(scenario, stage, stage.data)
        secret = secrets.token_bytes(SECRET_BYTES)
        if self.journal is not None:
            kept = self.journal.fact("secret")
            assert isinstance(kept, bytes)
            secret = kept
        self.node = self.cast.node(
            SecretRandomness(scenario.seed, secret),
            _watched(DayJoiner(self.collector), watch),
            owners,
            own_time=stage.pace.speed is None,
        )
        self.process: Process | None = None
        self.lockstep: Lockstep | None = None
        self._began = time.perf_counter()

    def prepare(self, transport: Transport) -> None:
        """Put the agents on a connection that is not open yet."""
        if self.stage.pace.speed is None:
            self.lockstep = Lockstep(self.node, transport, start_now=self.stage.start_now)
        else:
            self.process = Process(self.node, transport, self._plan(), self.journal, Clock())

    async def play(self, transport: Transport | None = None) -> None:
        """Take part until the market closes or `leave` is called.

        Args:
            transport: the connection, unless `prepare` was given it.

        Raises:
            VoltAgoraError: the broker refuses for good, or the journal is of other agents.
        """
        if transport is not None:
            self.prepare(transport)
        if self.lockstep is not None:
            await self.lockstep.run(self.horizon.start, self.end)
        elif self.process is not None:
            await self.process.run()

    @property
    def client_id(self) -> str:
        """Name this process to the broker, the same at each start."""
        part = self.stage.part
        names = part.ids or tuple(part.kinds if not part.is_whole else ("all",))
        digest = hashlib.blake2b("/".join(names).encode(), digest_size=4).hexdigest()
        return f"voltagora-{'-'.join(names)[:40]}-{digest}"

    def leave(self) -> None:
        """Go; the journal keeps what is needed to come back."""
        if self.process is not None:
            self.process.leave()
        if self.lockstep is not None:
            self.lockstep.leave()

    def close(self) -> None:
        """Let go of the journal."""
        if self.journal is not None:
            self.journal.close()

    @property
    def is_over(self) -> bool:
        """Whether the market has closed for the agents here."""
        return self.node.is_finished

    def result(self) -> Result:
        """Give the result of a run whose agents were all here."""
        spent = time.perf_counter() - self._began
        driver = self.process or self.lockstep
        said = 0 if driver is None else driver.publications
        timing: dict[str, object] = {
            "live_seconds": round(spent, 3),
            "messages_per_second": round(said / spent),
        }
        return result_of(self.scenario, self.people, self.collector, [self.node], timing)

    def _plan(self) -> Plan:
        stage = self.stage
        speed = stage.pace.speed
        assert speed is not None
        lead = None
        if stage.part.leads and not stage.follows:
            lead = Lead(start_at=None if stage.pace.is_real else self.horizon.start, speed=speed)
        return Plan(
            lead=lead,
            is_real=stage.pace.is_real or stage.follows,
            begin=self.horizon.start,
            end=self.end,
            start_now=stage.start_now,
        )


def collector_of(scenario: Scenario, horizon: Horizon) -> Collector:
    """Make the collector for a scenario's records."""
    span = Span(start=horizon.start, end=horizon.end, time_zone=scenario.time_zone)
    return Collector(span, session_series=scenario.results.session_series)


def result_of(
    scenario: Scenario,
    people: Population,
    collector: Collector,
    nodes: list[Node],
    timing: dict[str, object],
) -> Result:
    """Make the result of a market from its records and what its processes counted."""
    area = people.areas[0].area.id
    totals: dict[str, int] = {}
    for node in nodes:
        for protocol, count in protocol_counts(node.exchange).items():
            totals[protocol] = totals.get(protocol, 0) + count
    totals["timer"] = 1
    for protocol, count in totals.items():
        collector(MessageCountRecord(area=area, protocol=protocol, count=count))
    return Result.of(collector, manifest_of(scenario, people), timing=timing)


def _watched(sink: RecordSink, watch: Callable[[Record], None] | None) -> RecordSink:
    if watch is None:
        return sink

    def both(record: Record) -> None:
        sink(record)
        if not isinstance(record, MessageRecord):
            watch(record)

    return both


def _check(scenario: Scenario, stage: Stage, horizon: Horizon) -> None:
    """Refuse what cannot be played."""
    if stage.pace.speed is None:
        if not stage.part.is_whole:
            raise InputError("--speed", "max", "a factor, as with max one process must hold all agents")
        if stage.data is not None:
            raise InputError(
                "--data", str(stage.data), "left out with --speed max, which ends too soon to keep"
            )
    now = time.time()
    if stage.pace.is_real and not stage.follows and not horizon.start <= now < horizon.end:
        today = horizon.calendar.day_at(int(now)).date
        raise InputError(
            "start",
            str(scenario.start),
            f"at most {scenario.days} days ago, as with --speed 1 time is the real one: --set start={today}",
        )


def _journal(scenario: Scenario, stage: Stage, folder: Path) -> Journal:
    """Open the journal of this very market and part, or begin one."""
    journal = Journal(folder, full=stage.full_sync)
    try:
        known = journal.fact("scenario_sha256")
        mark, part = scenario_hash(scenario), msgspec.json.encode(stage.part)
        if known is None:
            journal.commit(
                (),
                (),
                {
                    "scenario_sha256": mark,
                    "scenario": msgspec.json.encode(scenario),
                    "part": part,
                    "secret": secrets.token_bytes(SECRET_BYTES),
                    "version": __version__,
                },
            )
        elif known != mark or journal.fact("part") != part:
            raise InputError(
                "--data", str(folder), "a folder of the same scenario and agents, or one that is empty"
            )
    except BaseException:
        journal.close()
        raise
    return journal
