"""A live market beside bare clients, in one run: messages a second, a booking's time, memory, recovery.

    python -m benchmarks.bench_live [--only WORD]

Brokers run in processes of their own. Bare clients are two of the library that the transport uses,
in one process as the market is; only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import gmqtt
import numpy as np
from benchmarks.hub_brokers import MOSQUITTO, Broker, free_port, hub, mosquitto
from benchmarks.live_market import Watched, evenly, opened

from voltagora.live.broker_url import BrokerUrl

TITLE: Final = "A live market: messages a second beside bare clients, a booking's time, memory, recovery"
PAYLOAD: Final = bytes(400)
WINDOW: Final = 200
BURST: Final = 2_000
"""Bookings, enough to compile what there is to compile and go on."""

Measure = Callable[[str], Iterator[str]]
MEASURES: Final[dict[str, Measure]] = {}


def measure(function: Measure) -> Measure:
    """Register what can be measured, by its name."""
    MEASURES[function.__name__] = function
    return function


@measure
def throughput(folder: str) -> Iterator[str]:
    """Messages a second with all agents' work, beside what two bare clients push."""
    yield f"messages/s, QoS 1, best of 3 alternating rounds; market: {BURST} bookings at once;"
    yield f"bare: one client writes {len(PAYLOAD)} bytes each, one reads"
    yield f"{'':12}{'market':>10}{'bare':>10}{'market/bare':>14}"
    for name, make in _brokers(folder):
        with make() as broker:
            ours = bare = 0.0
            for _ in range(3):
                ours = max(ours, asyncio.run(_market_rate(broker)))
                bare = max(bare, asyncio.run(_bare_rate(broker)))
        yield f"{name:12}{ours:>10.0f}{bare:>10.0f}{ours / bare:>13.2f}x"


@measure
def booking(folder: str) -> Iterator[str]:
    """How long a booking takes from its first question to its outcome, at 100 bookings a second."""
    yield "CP1 to outcome at 100 bookings/s for 10 s, all agents in one process"
    names = ("vehicles", "booked", "p50 ms", "p99 ms", "CPU ms", "KiB/vehicle")
    yield f"{'':12}" + "".join(f"{name:>12}" for name in names)
    for vehicles in (1_000, 10_000):
        for name, make in _brokers(folder):
            with make() as broker:
                # In a process of its own, whose memory nobody has used before.
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.bench_live",
                    "--row",
                    str(broker.port),
                    str(vehicles),
                ]
                row = subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()
                yield f"{name:12}{row}"
    yield "reference system: 0.84 CPU s a booking, medians of 0.5 to 15 s"


@measure
def recovery(folder: str) -> Iterator[str]:
    """How long until bookings go on after the broker is killed and started again at once."""
    with _own_mosquitto(folder) as restart:
        port, start, kill = restart
        start()
        spent = asyncio.run(_recovery(port, start, kill))
        yield f"mosquitto killed and started: {spent:.2f} s until the next outcome"


def _brokers(folder: str) -> list[tuple[str, Callable[[], contextlib.AbstractContextManager[Broker]]]]:
    return [
        ("mosquitto", lambda: mosquitto(folder, nodelay=True)),
        ("hub", lambda: hub(folder, rights=False)),
    ]


async def _market_rate(broker: Broker) -> float:
    run = evenly(BURST, BURST, 1e6)
    transport = Watched(_url(broker), client_id="bench", clean=True)
    task = asyncio.create_task(run.play(transport))
    await opened(run)
    while not transport.asked:
        await asyncio.sleep(0.002)
    assert run.process is not None
    began, before = time.perf_counter(), run.process.publications
    while len(transport.took) < BURST and not task.done():
        await asyncio.sleep(0.002)
    rate = (run.process.publications - before) / (time.perf_counter() - began)
    run.leave()
    await task
    return rate


async def _bare_rate(broker: Broker, messages: int = 8_000) -> float:
    """Push messages from one client to another, as many under way as the market has."""
    reader, writer = gmqtt.Client("bare-reader"), gmqtt.Client("bare-writer")
    got = 0
    moved = asyncio.Event()

    def take(*_: Any) -> int:
        nonlocal got
        got += 1
        moved.set()
        return 0

    ready = asyncio.Event()
    reader.on_message = take
    reader.on_subscribe = lambda *_: ready.set()
    for client in (reader, writer):
        await client.connect("127.0.0.1", broker.port)
    reader.subscribe("bare/+", qos=1)
    await ready.wait()
    began = time.perf_counter()
    sent = 0
    while got < messages:
        while sent < messages and sent - got < WINDOW:
            writer.publish("bare/1", PAYLOAD, qos=1)
            sent += 1
        moved.clear()
        if got < sent:
            await moved.wait()
    rate = messages / (time.perf_counter() - began)
    for client in (reader, writer):
        await client.disconnect()
    return rate


async def _booking_row(port: int, vehicles: int) -> str:
    run = evenly(vehicles, 1_000, 100.0)
    gc.collect()
    before = _rss_kib()
    transport = Watched(BrokerUrl.parse(f"mqtt://127.0.0.1:{port}"), client_id="bench", clean=True)
    task = asyncio.create_task(run.play(transport))
    await opened(run)
    cpu = time.process_time()
    while len(transport.took) < 990 and not task.done():
        if not transport.asked and not transport.took:
            cpu = time.process_time()  # Nothing is asked yet: what was used until here is the opening.
        await asyncio.sleep(0.05)
    spent, grown = time.process_time() - cpu, _rss_kib() - before
    run.leave()
    await task
    took = np.array(transport.took) * 1e3
    p50, p99 = np.percentile(took, [50, 99])
    each = spent / len(took) * 1e3
    return f"{vehicles:>12}{len(took):>12}{p50:>12.1f}{p99:>12.1f}{each:>12.2f}{grown / vehicles:>12.1f}"


async def _recovery(port: int, start: Callable[[], None], kill: Callable[[], None]) -> float:
    run = evenly(500, 500, 20.0)
    transport = Watched(BrokerUrl.parse(f"mqtt://127.0.0.1:{port}"), client_id="bench")
    task = asyncio.create_task(run.play(transport))
    await opened(run)
    while len(transport.took) < 50:
        await asyncio.sleep(0.02)
    kill()
    start()
    up, known = time.perf_counter(), len(transport.took)
    while len(transport.took) == known and not task.done():
        await asyncio.sleep(0.005)
    spent = time.perf_counter() - up
    run.leave()
    await task
    return spent


@contextlib.contextmanager
def _own_mosquitto(folder: str) -> Iterator[tuple[int, Callable[[], None], Callable[[], None]]]:
    """A mosquitto that can be killed and started again on the same port."""
    port = free_port()
    config = Path(folder, "recovery.conf")
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "max_queued_messages 0", "log_type none"]
    config.write_text("\n".join([*lines, "persistence true", f"persistence_location {folder}/", "user root"]))
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        running.append(subprocess.Popen([MOSQUITTO, "-c", str(config)]))
        time.sleep(0.2)

    def kill() -> None:
        process = running.pop()
        process.kill()
        process.wait()

    try:
        yield port, start, kill
    finally:
        for process in running:
            process.kill()
            process.wait()


def _url(broker: Broker) -> BrokerUrl:
    return BrokerUrl.parse(f"mqtt://127.0.0.1:{broker.port}")


def _rss_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def rows() -> Iterator[str]:
    """Measure everything, for `python -m benchmarks`."""
    with tempfile.TemporaryDirectory() as folder:
        for each in MEASURES.values():
            yield from each(folder)


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=TITLE)
    parser.add_argument("--only", default="", help="word in the names of what to measure")
    parser.add_argument("--row", nargs=2, type=int, help="one row of `booking`: port and vehicles")
    arguments = parser.parse_args()
    if arguments.row:
        print(asyncio.run(_booking_row(*arguments.row)))
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, each in MEASURES.items():
            if arguments.only in name:
                print(f"\n{each.__doc__}", flush=True)
                for row in each(folder):
                    print(f"  {row}", flush=True)


if __name__ == "__main__":
    main()
