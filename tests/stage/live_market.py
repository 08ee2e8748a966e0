"""Live markets for tests, over a broker in memory or a real one, and what must hold of any of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopback import LoopbackBroker, LoopbackTransport

from voltagora.live.transport import Transport
from voltagora.results.result import Result
from voltagora.scenario.cast import Part, kinds_of
from voltagora.scenario.live import LiveRun, Pace, Stage
from voltagora.scenario.read import read_scenario
from voltagora.scenario.settings import Scenario

FAST = 40_000.0
PARTS = ("imbalance,pricing,producer,consumer", "station,recommender", "vehicle")


def a_scenario(*more: str, name: str = "quickstart") -> Scenario:
    return read_scenario(name, list(more), None)


def waves(scenario: Scenario, transport: Transport | None = None) -> LiveRun:
    """Play a scenario in waves, through a broker in memory if no other."""
    run = LiveRun(scenario, Stage(pace=Pace(None), start_now=True))
    asyncio.run(run.play(transport or LoopbackTransport(LoopbackBroker())))
    return run


def part(scenario: Scenario, kinds: str, data: Path | None, *, speed: float = FAST) -> LiveRun:
    """Make one process of several; who has the imbalance agent says `start`."""
    stage = Stage(
        part=Part(kinds=kinds_of(kinds)), pace=Pace(speed), start_now="imbalance" in kinds, data=data
    )
    return LiveRun(scenario, stage)


def differences(a: Result, b: Result, leave_out: Sequence[str] = ()) -> list[str]:
    """Name the tables and metrics in which two results differ, counts of messages aside."""
    found = [
        name
        for name in a.tables
        if name != "message_counts" and name not in leave_out and not a.tables[name].equals(b.tables[name])
    ]
    return found + [name for name in a.metrics if a.metrics[name] != b.metrics[name]]


def check_books(result: Result) -> None:
    """No two reservations share a connector; every need has an end; who booked is known at the station."""
    sessions: list[dict[str, Any]] = result.tables["sessions"].to_pylist()
    held: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    for session in sessions:
        if session["state"] != "cancelled":
            place = (session["station"], session["connector"])
            held.setdefault(place, []).append((session["arrival"], session["departure"]))
    for place, stays in held.items():
        stays.sort()
        for (_, end), (begin, _) in itertools.pairwise(stays):
            assert end <= begin, place
    known = {session["reservation"] for session in sessions}
    assert len(known) == len(sessions)
    needs = result.tables["needs"].to_pylist()
    assert len({(need["vehicle"], need["need"]) for need in needs}) == len(needs)
    booked = [need["reservation"] for need in needs if need["outcome"] == "booked"]
    assert set(booked) <= known
    assert len(set(booked)) == len(booked)
