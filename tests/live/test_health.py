"""`/healthz` and `/metrics` say how a process stands, and a process that hangs does not look well."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from live_market import a_scenario
from loopback import LoopbackBroker, LoopbackTransport
from prometheus_client.parser import text_string_to_metric_families

from voltagora.domain.errors import InputError
from voltagora.live import health as module
from voltagora.live.health import Health
from voltagora.live.transport import Publication
from voltagora.scenario.live import LiveRun, Pace, Stage

SCENARIO = a_scenario("vehicles.count=3", "stations.count=1", "days=1")


class Asked:
    """A process that plays a whole market, and whoever asks how it is."""

    def __init__(self, run: LiveRun, broker: LoopbackBroker, port: int) -> None:
        self.run, self.broker, self.port = run, broker, port

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=20) as reply:
                return reply.status, reply.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    async def state(self) -> tuple[int, dict[str, Any]]:
        status, body = await asyncio.to_thread(self.get, "/healthz")
        return status, json.loads(body)

    async def figures(self) -> dict[tuple[str, str], float]:
        """All figures, by name and the value of their label."""
        status, body = await asyncio.to_thread(self.get, "/metrics")
        assert status == 200
        return {
            (sample.name, next(iter(sample.labels.values()), "")): sample.value
            for family in text_string_to_metric_families(body.decode())
            for sample in family.samples
        }


@asynccontextmanager
async def asked(
    data: Path | None = None, *, start: bool = True, counts: dict[str, Counter[str]] | None = None
) -> AsyncIterator[Asked]:
    stage = Stage(pace=Pace(3600.0), start_now=start, data=data)
    run, broker = LiveRun(SCENARIO, stage), LoopbackBroker()
    try:
        run.prepare(LoopbackTransport(broker))
        assert run.process is not None
        async with asyncio.timeout(60):
            with Health(run.process, "127.0.0.1:0", counts) as health:
                playing = asyncio.create_task(run.play())
                while not (run.process.is_connected and run.process.has_started == start):
                    await asyncio.sleep(0.005)
                yield Asked(run, broker, health.port)
                with suppress(Exception):
                    run.leave()
                    await playing
    finally:
        run.close()


def test_who_is_connected_is_well_and_says_how_things_stand(tmp_path: Path) -> None:
    async def play() -> None:
        async with asked(tmp_path) as process:
            status, state = await process.state()

        assert status == 200
        assert [state[name] for name in ("connected", "started", "saved")] == [True, True, True]
        assert not state["finished"]
        assert state["simulated_time"].startswith("2020-06-1")
        assert state["journal"] == str(tmp_path / "journal.sqlite")
        assert state["running_since"] <= state["connection_changed_at"]

    asyncio.run(play())


def test_before_the_word_start_it_is_well_too() -> None:
    async def play() -> None:
        async with asked(start=False) as process:
            status, state = await process.state()

        assert status == 200
        assert not state["started"]
        assert state["simulated_time"] is None
        assert state["journal"] is None

    asyncio.run(play())


def test_who_has_no_connection_is_not_well() -> None:
    async def play() -> None:
        async with asked() as process:
            assert process.run.process is not None
            process.run.process.disconnected("the broker is gone")
            status, state = await process.state()
            gone = await process.figures()
            process.run.process.connected(session_present=True, stamps=None)
            assert (await process.state())[0] == 200

        assert status == 503
        assert not state["connected"]
        assert gone["voltagora_connected", ""] == 0

    asyncio.run(play())


def test_who_cannot_write_the_journal_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with asked(tmp_path) as process:
            journal = process.run.journal
            assert journal is not None
            assert process.run.process is not None

            def full(*_: object, **__: object) -> int:
                raise sqlite3.OperationalError("database or disk is full")

            with monkeypatch.context() as patched:
                patched.setattr(journal, "commit", full)
                while not process.run.process.is_unsaved:
                    await asyncio.sleep(0.01)
                status, state = await process.state()
            while process.run.process.is_unsaved:
                await asyncio.sleep(0.01)
            after, _ = await process.state()

        assert (status, state["saved"], after) == (503, False, 200)

    asyncio.run(play())


def test_who_hangs_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)

    async def play() -> None:
        async with asked() as process:
            found: list[tuple[int, bytes]] = []
            client = threading.Thread(target=lambda: found.append(process.get("/healthz")))
            client.start()
            until = time.monotonic() + 20
            while not found and time.monotonic() < until:
                time.sleep(0.01)  # Hangs: nothing else happens in this loop.
            client.join()

        assert found == [(503, b'{"responding": false}')]

    asyncio.run(play())


def test_the_figures_are_those_of_the_process() -> None:
    counts = {"needs": Counter(booked=2, no_station=1)}

    async def play() -> None:
        async with asked(counts=counts) as process:
            run = process.run
            assert run.process is not None
            for payload in (b"not json", b"[]"):
                broken = Publication(number=0, topic="CS/cs-00/RegisterChargingStation", payload=payload)
                process.broker.take(broken, None)
            while run.node.counts["not of the contract"] < 2:
                await asyncio.sleep(0.01)
            found = await process.figures()

            assert found["voltagora_not_taken_total", "not of the contract"] == 2
            assert found["voltagora_messages_total", "CP4"] > 0
            assert 0 < found["voltagora_publications_total", ""] <= run.process.publications
            assert 0 < found["voltagora_arrivals_total", ""] <= run.process.arrivals
            assert found["voltagora_needs_total", "booked"] == 2
            assert found["voltagora_connected", ""] == found["voltagora_saved", ""] == 1
            assert found["voltagora_failures_total", ""] == 0
            assert abs(found["voltagora_simulated_time_seconds", ""] - run.process.clock.now()) < 86_400
            for name in ("awaited_requests", "outbox", "lag_seconds"):
                assert found[f"voltagora_{name}", ""] >= 0

    asyncio.run(play())


def test_nothing_else_is_answered() -> None:
    async def play() -> None:
        async with asked() as process:
            for path in ("/", "/healthz/x", "/../healthz"):
                assert (await asyncio.to_thread(process.get, path))[0] == 404
            assert (await asyncio.to_thread(process.get, "/healthz?full=1"))[0] == 200

    asyncio.run(play())


@pytest.mark.parametrize(
    "address", ["80", ":80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", ""]
)
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(InputError, match="--http"):
        _health(address)


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match="that can be opened"):
            _health(address)


def _health(address: str) -> None:
    run = LiveRun(SCENARIO, Stage())
    run.prepare(LoopbackTransport(LoopbackBroker()))
    assert run.process is not None
    Health(run.process, address)
