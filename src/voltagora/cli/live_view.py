"""What a person at the terminal sees of a live run, and what is printed in a pipe."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voltagora.cli.runs import print_summary
from voltagora.domain.records import NeedRecord, Record, RefusalRecord, SessionRecord
from voltagora.domain.units import Time

if TYPE_CHECKING:
    from rich.console import RenderableType

    from voltagora.live.broker_url import BrokerUrl
    from voltagora.results.result import Result
    from voltagora.scenario.live import LiveRun

REDRAWS_A_SECOND: Final = 4
RATE_SECONDS: Final = 5.0
MOST_AREAS: Final = 8
"""Of so many areas the prices are shown."""


class View:
    """Counts what happens and shows it; on a terminal all the time, in a pipe at the beginning and end."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.needs: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.sessions: Counter[str] = Counter()
        self._rates: deque[tuple[float, int]] = deque()

    def record(self, record: Record) -> None:
        """Count one record."""
        if isinstance(record, NeedRecord):
            self.needs[record.outcome] += 1
        elif isinstance(record, RefusalRecord):
            self.refusals[record.reason] += 1
        elif isinstance(record, SessionRecord):
            self.sessions[str(record.state)] += 1

    @contextmanager
    def showing(self, run: LiveRun, url: BrokerUrl) -> Iterator[None]:
        """Show a run while it lasts."""
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        for line in _opening(run, url):
            if not self.quiet:
                console.print(line, soft_wrap=True)
        if self.quiet or not console.is_terminal:
            yield
            return
        from rich.live import Live

        with Live(console=console, refresh_per_second=REDRAWS_A_SECOND, auto_refresh=False) as live:
            task = asyncio.get_running_loop().create_task(self._redraw(live, run))
            try:
                yield
            finally:
                task.cancel()
                live.update(self.picture(run), refresh=True)

    async def _redraw(self, live: Any, run: LiveRun) -> None:
        while True:
            live.update(self.picture(run), refresh=True)
            await asyncio.sleep(1 / REDRAWS_A_SECOND)

    def picture(self, run: LiveRun) -> RenderableType:
        """Draw how things stand."""
        from rich.table import Table

        table = Table(show_header=False, box=None, pad_edge=False)
        for label, value in self._lines(run):
            table.add_row(label, value)
        return table

    def _lines(self, run: LiveRun) -> Iterator[tuple[str, str]]:
        driver = run.process or run.lockstep
        now = run.node.exchange.now
        yield "market", _state(run)
        kinds = Counter(str(agent.kind) for agent in run.node.agents)
        yield "agents", ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield (
            "bookings",
            f"{self.needs['booked']} of {sum(self.needs.values())} needs; sessions: {_words(self.sessions)}",
        )
        yield "refusals", _words(self.refusals)
        for market in run.cast.markets[:MOST_AREAS]:
            step = market.calendar.step_seconds
            slot = market.calendar.slot_start(now)
            prices = market.prices_between(slot, slot + step)
            balance = market.imbalance_between(slot, slot + step)
            if prices is not None:
                buy, sell = float(prices[0][0]), float(prices[1][0])
                yield market.grid_area, f"buy {buy:.3f}, sell {sell:.3f} EUR/kWh{_balance(balance)}"
        if driver is not None:
            rate = self._rate(driver.arrivals)
            yield "messages", f"{driver.arrivals} in, {driver.publications} out, {rate:.0f} in a second"
        yield "faults", _words(run.node.counts)

    def _rate(self, arrivals: int) -> float:
        now = time.monotonic()
        self._rates.append((now, arrivals))
        while now - self._rates[0][0] > RATE_SECONDS:
            self._rates.popleft()
        then, before = self._rates[0]
        return (arrivals - before) / (now - then) if now > then else 0.0

    def closing(self, result: Result, out: Path | None) -> None:
        """Print what came of a market that has closed."""
        if not self.quiet:
            print_summary(result, out)

    def left(self, data: Path | None) -> None:
        """Say how to come back."""
        if not self.quiet:
            kept = f"the same command goes on from {data}" if data else "nothing is kept without --data"
            print(f"left before the market closed; {kept}", file=sys.stderr)


def _opening(run: LiveRun, url: BrokerUrl) -> Iterator[str]:
    yield f"Broker: {url}"
    count = len(run.cast.agents)
    yield f"{run.scenario.title}: {count} agents, {Time(run.horizon.start)} to {Time(run.end)}, {_pace(run)}"
    if run.owners is None:
        yield "No users: whoever can publish on this broker is believed (--users FILE says who owns what)"
    if not run.stage.start_now and (run.stage.part.leads or run.stage.pace.is_real):
        yield "Waiting for `start` on the topic `timer`: mosquitto_pub -t timer -m start"


def _pace(run: LiveRun) -> str:
    pace = run.stage.pace
    if pace.speed is None:
        return "as fast as the broker can"
    return "real time" if pace.is_real else f"{pace.speed:g} times as fast as real time"


def _state(run: LiveRun) -> str:
    driver = run.process or run.lockstep
    connected = driver is not None and driver.is_connected
    where = "" if connected else ", no connection"
    if run.process is not None and not run.process.has_started:
        return f"waiting for `start`{where}"
    now = run.node.exchange.now
    return (f"{Time(now)}" if now else "waiting for `start`") + where


def _balance(balance: Any) -> str:
    return "" if balance is None else f", supply less demand {float(balance[0]):+.1f} kWh"


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "none"
