"""Every agent of a market as a process of its own, over a real broker, one of them killed on the way."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest
from live_market import check_books
from mqtt_stage import mosquitto

from brokers import free_port, program, running_hub
from voltagora.live.owners import KIND_WORDS
from voltagora.scenario.cast import Part, cast
from voltagora.scenario.population import population
from voltagora.scenario.read import read_scenario
from voltagora.scenario.replay import replay

SCENARIO = """\
title = "hamlet"
seed = 4
start = 2020-06-17
days = 1
[grid]
producers = ["solar"]
load_share = 0.01
kw_per_mw = 0.2
[vehicles]
count = 2
behaviour = "trips"
[trips]
plug_in_soc = 1.0
long_trip_share = 1.0
[stations]
count = 1
"""
TO_KILL = 10_000
"""A day in 9 s: there is time for one to be killed and to come back."""
SECONDS = 60.0


class Service:
    """One agent, started again with the same words."""

    def __init__(self, kind: str, id: str, folder: Path, port: int, *more: str) -> None:
        self.kind, self.id, self.data = kind, id, folder / "data" / id
        self._command = [
            *(sys.executable, "-m", "voltagora", "agent", kind, "--id", id),
            *("--scenario", str(folder / "hamlet.toml"), "--data", str(self.data), *more),
            *("--broker", f"mqtt://127.0.0.1:{port}"),
        ]
        self._log = (folder / f"{id}.log").open("ab")

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._log.close()


class Listening:
    """A client that hears who is there, and may speak as the operator."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self._words = ["-h", "127.0.0.1", "-p", str(port)]
        self._file = folder / "heard"
        with self._file.open("wb") as file:
            filters = ["-t", "presence/+", "-t", "CS/+/UpdatedChargingSchedule"]
            self._process = subprocess.Popen(
                [program("mosquitto_sub"), *self._words, "-v", *filters], stdout=file
            )

    @property
    def heard(self) -> list[list[str]]:
        return [line.split(" ", 1) for line in self._file.read_text().splitlines() if " " in line]

    def present(self) -> set[str]:
        """Who is there, as last heard."""
        last = {topic: payload for topic, payload in self.heard if topic.startswith("presence/")}
        return {topic.partition("/")[2] for topic, payload in last.items() if payload == "online"}

    def say(self, word: str) -> None:
        command = [program("mosquitto_pub"), *self._words, "-q", "1", "-t", "timer", "-m", word]
        subprocess.run(command, check=True)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


@contextmanager
def a_market(
    folder: Path, port: int, seed: int, speed: int
) -> Iterator[tuple[dict[str, Service], Listening]]:
    """All agents of the hamlet, started in random order and heard to be there."""
    (folder / "hamlet.toml").write_text(SCENARIO)
    scenario = read_scenario(folder / "hamlet.toml")
    words = {kind: word for word, kind in KIND_WORDS.items()}
    agents = [(words[each.kind], each.id) for each in cast(scenario, population(scenario), Part()).agents]
    assert sorted(kind for kind, _ in agents) == sorted([*words.values(), "vehicle"])
    random.Random(seed).shuffle(agents)
    with ExitStack() as stack:
        ear = Listening(port, folder)
        stack.callback(ear.close)
        services = {}
        for kind, id in agents:
            leads = ("--speed", str(speed)) if kind == "imbalance" else ()
            services[kind] = service = Service(kind, id, folder, port, *leads)
            services[id] = service
            service.start()
            stack.callback(service.close)
        until(lambda: ear.present() == {id for _, id in agents})
        yield services, ear


def ended(folder: Path, services: dict[str, Service]) -> int:
    """All processes came to their end in good order, and their journals agree; give how many booked."""
    each = list({service.id: service for service in services.values()}.values())
    codes = {service.id: service.process.wait(SECONDS) for service in each}
    logs = "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))
    assert set(codes.values()) == {0}, (codes, logs)
    assert "Traceback" not in logs, logs

    result = replay([service.data for service in each]).result

    check_books(result)
    booked: int = result.metrics["bookings_made"]
    return booked


@pytest.mark.parametrize("victim", ["station"])  # So do recommender and imbalance, in more time.
def test_a_market_of_services_on_mosquitto_survives_a_kill(victim: str, tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, a_market(tmp_path, broker.port, 1, TO_KILL) as (services, ear):
        ear.say("start")
        until(lambda: any(topic.endswith("UpdatedChargingSchedule") for topic, _ in ear.heard))
        services[victim].kill()
        until(lambda: services[victim].id not in ear.present())  # Its last will says so.
        services[victim].start()

        assert ended(tmp_path, services) > 0


def test_a_market_of_services_on_the_hub_says_how_it_is(tmp_path: Path) -> None:
    port = free_port()
    with running_hub() as hub, a_market(tmp_path, hub.port, 2, 2 * TO_KILL) as (services, ear):
        services["pricing"].kill()
        pricing = services["pricing"]
        pricing._command += ["--http", f"127.0.0.1:{port}"]
        pricing.start()
        until(lambda: _state(port).get("connected"))
        assert not _state(port)["started"]
        ear.say("start")
        until(lambda: _state(port)["started"])
        assert _state(port)["journal"] == str(pricing.data / "journal.sqlite")

        ended(tmp_path, services)
        assert ear.present() == set()


def _state(port: int) -> dict[str, object]:
    try:
        with urlopen(f"http://127.0.0.1:{port}/healthz", timeout=20) as reply:
            found: dict[str, object] = json.loads(reply.read())
            return found
    except OSError:
        return {}
