"""What a message costs with all the work of its handlers, against a loop that only passes messages."""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from collections import deque
from collections.abc import Iterable
from time import process_time

import msgspec

TITLE = (
    "Messages: paper-2020 with 1,000 vehicles and 40 stations, v2g and nrgcoin, against a plain deque loop"
)

SET = {
    "vehicles.count": 1000,
    "stations.count": 40,
    "scheduling.strategy": "v2g",
    "pricing.strategy": "nrgcoin",
}
ROUNDS = 5


def rows() -> Iterable[str]:
    """Print one line a measurement; each ratio is of two figures of this run."""
    run, floor, bare = [], [], []
    publications = 0
    for _ in range(ROUNDS):
        # In turn, so that both meet the same machine.
        floor.append(_floor_us())
        bare.append(_bare_us())
        seconds, publications = _run()
        run.append(seconds)
    message_us = min(run) / publications * 1e6
    yield f"run after start-up          {min(run):8.2f} CPU s for {publications:,} messages"
    yield f"one message                 {message_us:8.2f} us, {1e6 / message_us:,.0f} a CPU second"
    yield f"deque loop, new messages    {min(floor):8.3f} us a hop    ratio {message_us / min(floor):6.1f}x"
    yield f"deque loop, one message     {min(bare):8.3f} us a hop    ratio {message_us / min(bare):6.1f}x"
    small, large = _peak_mib(100), _peak_mib(1100)
    yield f"memory a vehicle          {(large - small) * 1024 / 1000:8.1f} KiB, ten days of bookings with it"
    yield f"voltagora --help            {_help_ms():8.0f} ms of CPU"


def _run() -> tuple[float, int]:
    """Simulate once with everything imported, compiled and drawn beforehand."""
    from voltagora.scenario.population import population
    from voltagora.scenario.read import read_scenario
    from voltagora.scenario.run import run_area

    scenario = read_scenario("paper-2020", SET)
    people = population(scenario)
    if not _run.__dict__.get("is_warm"):
        few = read_scenario("paper-2020", {**SET, "vehicles.count": 3})
        run_area(few, population(few).areas[0], None, messages=False)
        _run.__dict__["is_warm"] = True
    gc.collect()
    gc.disable()  # As `voltagora.run` does.
    began = process_time()
    outcome = run_area(scenario, people.areas[0], None, messages=False)
    seconds = process_time() - began
    gc.enable()
    return seconds, outcome.publications


class _Ball(msgspec.Struct, frozen=True, gc=False):
    """The least that can be called a message: who it is from and what it says."""

    sender: str
    number: int


class _Player:
    """Returns every ball."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen = 0
        self.peer = self

    def receive(self, queue: deque[tuple[_Player, _Ball]], ball: _Ball) -> None:
        self.seen += 1
        queue.append((self.peer, _Ball(self.name, ball.number + 1)))

    def pass_on(self, queue: deque[tuple[_Player, _Ball]], ball: _Ball) -> None:
        self.seen += 1
        queue.append((self.peer, ball))


def _floor_us(hops: int = 300_000) -> float:
    queue = _table()
    began = process_time()
    for _ in range(hops):
        player, ball = queue.popleft()
        player.receive(queue, ball)
    return (process_time() - began) / hops * 1e6


def _bare_us(hops: int = 300_000) -> float:
    queue = _table()
    began = process_time()
    for _ in range(hops):
        player, ball = queue.popleft()
        player.pass_on(queue, ball)
    return (process_time() - began) / hops * 1e6


def _table() -> deque[tuple[_Player, _Ball]]:
    a, b = _Player("a"), _Player("b")
    a.peer, b.peer = b, a
    return deque([(a, _Ball("b", 0))])


def _peak_mib(vehicles: int) -> float:
    """Run in a process of its own and read the most memory that it held."""
    code = (
        "import json, resource, voltagora\n"
        f"voltagora.run('paper-2020', set={{**{SET!r}, 'vehicles.count': {vehicles}}})\n"
        "print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def _help_ms() -> float:
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "voltagora", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times) * 1000


if __name__ == "__main__":
    print(TITLE)
    for row in rows():
        print(" ", row)
