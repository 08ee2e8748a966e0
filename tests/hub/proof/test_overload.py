"""Under attack over real sockets the hub's memory is bounded, and nobody else is slowed for long.

Nothing is asserted about seconds. What a bystander needs for a round trip is compared before and
during an attack, with a bound that only a hub which stands still would break.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_client import Message, RawClient, Wish

from brokers import RunningHub, running_hub
from voltagora.hub.limits import Limits

ATTACKERS = Path(__file__).parent / "stage" / "attackers.py"
MEGABYTE = 1024 * 1024
STANDSTILL = 0.5
"""Seconds below which no round trip counts as slow: this machine does other things, too."""
SLOWER = 50


class Bystander:
    """A pair of clients that goes on sending and hearing, and takes note of each round trip."""

    def __init__(self, hub: RunningHub) -> None:
        self._mouth, self._ear = RawClient(hub.port, "by"), RawClient(hub.port, "stander")
        self._mouth.connect()
        self._ear.connect()
        self._ear.subscribe(Wish("by/stander", 1))
        self.heard: list[Message] = []
        self.sent = 0

    def round_trip(self) -> float:
        began = time.perf_counter()
        self.sent += 1
        self._mouth.publish("by/stander", b"%d" % self.sent, 1)
        self._ear.settle()
        self.heard += self._ear.take()
        return time.perf_counter() - began

    def check(self) -> None:
        assert [int(each.payload) for each in self.heard] == list(range(1, self.sent + 1))

    def close(self) -> None:
        self._mouth.drop()
        self._ear.drop()


def memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


class Attack:
    """Runs an attack and a bystander beside it."""

    def __init__(self, hub: RunningHub, kind: str, number: int, show: Callable[[str], None]) -> None:
        bystander = Bystander(hub)
        before = [bystander.round_trip() for _ in range(100)]
        memory_before = memory()
        process = subprocess.Popen(
            [sys.executable, str(ATTACKERS), str(hub.port), kind, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdin is not None
        over = threading.Event()
        watch = threading.Thread(target=lambda: (process.stdout.readline(), over.set()))
        watch.start()
        during: list[float] = []
        while not over.is_set():
            during.append(bystander.round_trip())
        watch.join()
        self.held: dict[str, Any] = hub.call(lambda found: found.broker.figures())
        self.growth = memory() - memory_before
        process.stdin.close()
        assert process.wait(60) == 0
        process.stdout.close()
        bystander.check()
        bystander.close()
        show(
            f"{number:6} x {kind:12} bystander's p99 {p99(before) * 1e3:6.2f} ms before, "
            f"{p99(during) * 1e3:6.2f} ms in {len(during)} round trips; "
            f"memory {self.growth / MEGABYTE:+.1f} MB"
        )
        assert p99(during) < max(STANDSTILL, SLOWER * p99(before))


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def tell(line: str) -> None:
        if os.environ.get("VOLTAGORA_PROGRAMS"):
            with capsys.disabled():
                sys.stdout.write(f"\n{line}\n")

    return tell


@pytest.fixture
def small_hub() -> Iterator[RunningHub]:
    """One whose limits an attack of a few seconds reaches."""
    with running_hub(limits=Limits(half_open=1_000, topics=1_000)) as hub:
        yield hub


def test_ten_thousand_half_open_lines(small_hub: RunningHub, show: Callable[[str], None]) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    number = min(10_000, most - 100)
    attack = Attack(small_hub, "half_open", number, show)
    assert attack.held["half_open"] <= 1_000
    assert attack.growth < 60 * MEGABYTE
    closed = small_hub.call(lambda hub: dict(hub.broker.counters.closed))
    assert closed.get("server busy", 0) >= number - 1_000


def test_a_flood_of_connects_leaves_nothing(small_hub: RunningHub, show: Callable[[str], None]) -> None:
    attack = Attack(small_hub, "connects", 3_000, show)
    assert attack.growth < 30 * MEGABYTE
    while small_hub.call(lambda hub: len(hub.broker.sessions) + len(hub.broker.half_open)):
        time.sleep(0.01)
    assert small_hub.call(lambda hub: hub.broker.router.trie.size) == 0


def test_slow_senders_cost_what_they_send(small_hub: RunningHub, show: Callable[[str], None]) -> None:
    attack = Attack(small_hub, "slow_senders", 200, show)
    assert attack.growth < 30 * MEGABYTE


def test_a_subscriber_that_never_reads(small_hub: RunningHub, show: Callable[[str], None]) -> None:
    """20,000 messages of 10 kB for somebody who reads none of them: 200 MB go by, a thousand wait."""
    attack = Attack(small_hub, "never_reads", 20_000, show)
    assert attack.growth < 40 * MEGABYTE
    dropped = small_hub.call(lambda hub: hub.broker.counters.dropped["slow reader"])
    assert dropped > 10_000


def test_noise_is_closed_and_counted_by_reason(small_hub: RunningHub, show: Callable[[str], None]) -> None:
    Attack(small_hub, "noise", 2_000, show)
    closed = small_hub.call(lambda hub: dict(hub.broker.counters.closed))
    assert sum(closed.values()) >= 2_000
    assert closed.get("malformed packet", 0) + closed.get("protocol error", 0) > 1_900
