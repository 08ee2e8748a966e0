"""The hub beside mosquitto, in one run: throughput, many clients, memory, opening, durability.

    python -m benchmarks.bench_hub [--messages 100000] [--rounds 3] [--only WORD]

Both brokers run in processes of their own, rounds alternate between them, the best of each counts, and
only the ratios mean anything.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from benchmarks.hub_brokers import MOSQUITTO, hub, mosquitto
from benchmarks.hub_load import PAYLOAD, Client, subscribe, throughput

from voltagora.hub.server import Hub

TITLE = "The hub beside mosquitto: messages a second with 300 bytes, memory, opening, durability"

Measure = Callable[[str, int, int], Iterator[str]]
MEASURES: Final[dict[str, Measure]] = {}


def measure(function: Measure) -> Measure:
    """Register what can be measured, by its name."""
    MEASURES[function.__name__] = function
    return function


@measure
def pairs(folder: str, messages: int, rounds: int) -> Iterator[str]:
    """Four cases beside both settings of mosquitto, rights on in the hub."""
    yield f"in memory, {len(PAYLOAD)} bytes, messages/s, best of {rounds} alternating rounds"
    yield f"{'':18}{'hub':>10}{'mosquitto nodelay':>20}{'mosquitto':>12}{'hub/better':>12}"
    with hub(folder) as ours, mosquitto(folder, nodelay=True) as on, mosquitto(folder, nodelay=False) as off:
        for count in (1, 50):
            for qos in (0, 1):
                best = [0.0, 0.0, 0.0]
                for _ in range(rounds):
                    for index, broker in enumerate((ours, on, off)):
                        rate = throughput(broker.port, count, qos, messages // (1 + qos))
                        best[index] = max(best[index], rate)
                ratio = best[0] / max(best[1:])
                words = f"{count} pair{'s' if count > 1 else ''}, QoS {qos}"
                yield f"{words:18}{best[0]:>10.0f}{best[1]:>20.0f}{best[2]:>12.0f}{ratio:>11.2f}x"


@measure
def crowd(folder: str, messages: int, rounds: int) -> Iterator[str]:
    """1,000 connections and 10,000 filters beside ten: throughput and memory."""
    yield "1,000 connections with 10,000 filters beside ten with ten, rights on, 50 pairs talking"
    with hub(folder) as few, hub(folder) as many:
        held = crowded(few.port, 10, filters=1)
        before = many.rss_kb
        held += crowded(many.port, 1_000, filters=0)
        connected = many.rss_kb
        for number, client in enumerate(held[10:]):
            for wish in range(10):
                client.say(subscribe(f"EV/{number}/filter{wish}/+", 0), 5)
        subscribed = many.rss_kb
        for qos in (0, 1):
            best = [0.0, 0.0]
            for _ in range(rounds):
                for index, broker in enumerate((few, many)):
                    rate = throughput(broker.port, 50, qos, messages // (1 + qos))
                    best[index] = max(best[index], rate)
            few_rate, many_rate = best
            yield f"QoS {qos}: {few_rate:.0f} with ten, {many_rate:.0f} with all: {many_rate / few_rate:.2f}x"
        yield (
            f"memory: {(connected - before) / 1000:.1f} kB a connection, "
            f"{(subscribed - before) / 1000:.1f} kB with its ten filters"
        )


def crowded(port: int, connections: int, filters: int) -> list[Client]:
    """Connect many clients that do nothing more."""
    clients = []
    for number in range(connections):
        client = Client(port, f"crowd{number}")
        client.buffer = bytearray()
        for wish in range(filters):
            client.say(subscribe(f"EV/{number}/filter{wish}/+", 0), 5)
        clients.append(client)
    return clients


@measure
def life(folder: str, messages: int, rounds: int) -> Iterator[str]:
    """Opening and closing, in this process."""
    del messages
    for words, data in (("in memory", None), ("durable", Path(folder, "life"))):
        opened, closed = zip(*(asyncio.run(open_and_close(data)) for _ in range(rounds)), strict=True)
        yield f"async with Hub(), {words}: open {max(opened):.3f} s, close {max(closed):.3f} s"


async def open_and_close(data: Path | None) -> tuple[float, float]:
    """Give the seconds that both take."""
    began = time.perf_counter()
    async with Hub(mqtt="127.0.0.1:0", data=data) as running:
        opened = time.perf_counter()
        for _ in range(100):
            await asyncio.open_connection("127.0.0.1", running.mqtt_port)
        leaving = time.perf_counter()
    return opened - began, time.perf_counter() - leaving


@measure
def durable(folder: str, messages: int, rounds: int) -> Iterator[str]:
    """50 publishers of QoS 1 to a persistent session that is away: everything must be kept."""
    del rounds
    count = messages // 10
    yield f"durable QoS 1: {count} messages of 50 publishers to a persistent session that is away, messages/s"
    rates = []
    for make in (lambda: hub(folder, data=True), lambda: mosquitto(folder, nodelay=True, durable=True)):
        with make() as broker:
            away = Client(broker.port, "away", clean=False)
            away.say(subscribe("EV/#", 1), 5)
            away.socket.close()
            rates.append(throughput(broker.port, 50, 1, count, heard=False, window=20))
            yield f"{broker.name}: {rates[-1]:.0f}"
    yield f"hub/mosquitto with autosave on every change: {rates[0] / rates[1]:.0f}x"


def rows(messages: int = 40_000, rounds: int = 2, only: str | None = None) -> Iterator[str]:
    """Measure everything, a line at a time."""
    if not Path(MOSQUITTO).exists():
        yield "not measured: mosquitto is missing (Debian: mosquitto)"
        return
    with tempfile.TemporaryDirectory() as folder:
        for name, function in MEASURES.items():
            if only in (None, name):
                yield from function(folder, messages, rounds)


def main() -> None:
    """Measure at length."""
    parser = argparse.ArgumentParser(description=TITLE)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=tuple(MEASURES))
    arguments = parser.parse_args()
    print(TITLE)
    for row in rows(arguments.messages, arguments.rounds, arguments.only):
        print(f"  {row}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
