"""Runs a scenario in simulation: reads it, builds the agents, lets time pass, makes the result."""

from __future__ import annotations

import gc
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from voltagora import __version__
from voltagora.agents.exchange import protocol_counts
from voltagora.domain.errors import InputError
from voltagora.domain.records import MessageCountRecord, MessageRecord
from voltagora.domain.series import PriceSeries
from voltagora.results.collector import Collector, Span
from voltagora.results.result import Result
from voltagora.scenario.build import build_area
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.manifest import data_hashes, resolved, scenario_hash
from voltagora.scenario.population import AreaPlan, Population, population
from voltagora.scenario.read import read_scenario
from voltagora.scenario.settings import Scenario
from voltagora.simulation.days import DayJoiner
from voltagora.simulation.journal import MessageJournal
from voltagora.simulation.waves import Simulation

Progress = Callable[[float], None]
"""Told the share of simulated time that has passed, 0 to 1."""


class AreaOutcome(msgspec.Struct, kw_only=True):
    """What the run of one grid area gave."""

    collector: Collector
    publications: int


def run(
    scenario: str | Path | Scenario,
    *,
    set: Mapping[str, object] | Sequence[str] = (),
    seed: int | None = None,
    workers: int = 1,
    messages: bool = False,
    with_first_slot: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Run a scenario and give its result.

    Args:
        scenario: a TOML file, the name of a shipped scenario, or one already read.
        set: keys to override, `{"vehicles.count": 100}`.
        seed: replaces the scenario's.
        workers: processes to spread grid areas over; the result is the same for any number.
        messages: keep every message.
        with_first_slot: run the same fleet a second time, charging from arrival, to compare.
        progress: told how far the run has come.

    Raises:
        InputErrors: the scenario, or a file it names, is wrong.
    """
    began = time.perf_counter()
    read = scenario if isinstance(scenario, Scenario) else read_scenario(scenario, set, seed)
    if workers < 1:
        raise InputError("workers", workers, "at least 1")
    with collection_paused():
        people = population(read)
        built = time.perf_counter()
        collector, publications = _run_areas(read, people, workers, messages, progress)
        compared = None
        if with_first_slot:
            compared, _ = _run_areas(_with_first_slot(read), people, workers, False, progress)
    ended = time.perf_counter()
    _count_start(collector, people)
    timing = {
        "population_seconds": round(built - began, 3),
        "simulation_seconds": round(ended - built, 3),
        "messages_per_second": round(publications / (ended - built)),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "workers": workers,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    return Result.of(collector, manifest_of(read, people), first_slot=compared, timing=timing)


def _count_start(collector: Collector, people: Population) -> None:
    """Keep the word that began the run; it is one message, whatever the number of areas."""
    area = people.areas[0].area.id
    collector(MessageCountRecord(area=area, protocol="timer", count=1))
    collector(
        MessageRecord(
            at=collector.span.start,
            wave=0,
            area=area,
            protocol="timer",
            topic="timer",
            sender="operator",
            payload=b"start",
        )
    )


def manifest_of(scenario: Scenario, people: Population) -> dict[str, Any]:
    """Say which run this was."""
    return {
        "name": scenario.title,
        "scenario": resolved(scenario),
        "scenario_sha256": scenario_hash(scenario),
        "data_sha256": data_hashes(scenario),
        "seed": scenario.seed,
        "version": __version__,
        "notices": list(people.notices),
    }


def _with_first_slot(scenario: Scenario) -> Scenario:
    scheduling = msgspec.structs.replace(scenario.scheduling, strategy="first_slot", parameters={})
    return msgspec.structs.replace(scenario, scheduling=scheduling)


def _run_areas(
    scenario: Scenario, people: Population, workers: int, messages: bool, progress: Progress | None
) -> tuple[Collector, int]:
    """Run every area, in this process or over several; records are merged in the order of the areas."""
    jobs = [(scenario, plan, people.market, messages) for plan in people.areas]
    if workers == 1 or len(jobs) == 1:
        share = 1 / len(jobs)
        outcomes = [
            run_area(*job, progress=_part(progress, place * share, share)) for place, job in enumerate(jobs)
        ]
    else:
        from loky import ProcessPoolExecutor

        with ProcessPoolExecutor(min(workers, len(jobs))) as pool:
            outcomes = []
            for done, outcome in enumerate(pool.map(_run_job, jobs), start=1):
                outcomes.append(outcome)
                if progress is not None:
                    progress(done / len(jobs))
    first, *others = outcomes
    merged = first.collector.merge(other.collector for other in others)
    return merged, sum(outcome.publications for outcome in outcomes)


def _run_job(job: tuple[Scenario, AreaPlan, PriceSeries | None, bool]) -> AreaOutcome:
    with collection_paused():
        return run_area(*job)


def _part(progress: Progress | None, begin: float, share: float) -> Progress | None:
    return None if progress is None else lambda done: progress(begin + share * done)


def run_area(
    scenario: Scenario,
    plan: AreaPlan,
    market_prices: PriceSeries | None,
    messages: bool,
    progress: Progress | None = None,
) -> AreaOutcome:
    """Simulate one grid area from its first midnight to the end of its last day."""
    horizon = Horizon(scenario)
    span = Span(start=horizon.start, end=horizon.end, time_zone=scenario.time_zone)
    collector = Collector(span, session_series=scenario.results.session_series, messages=messages)
    agents = build_area(scenario, plan, market_prices)
    sink = DayJoiner(collector)
    simulation = Simulation(
        scenario.seed, sink, watch=MessageJournal(plan.area.id, sink) if messages else None
    )
    simulation.join(agents.all(), [agents.market])
    simulation.start(span.start)
    simulation.run(span.end, _tick(progress, span))
    simulation.exchange.finish()
    counts = protocol_counts(simulation.exchange)
    for protocol, count in counts.items():
        collector(MessageCountRecord(area=plan.area.id, protocol=protocol, count=count))
    return AreaOutcome(collector=collector, publications=sum(counts.values()))


@contextmanager
def collection_paused() -> Iterator[None]:
    """Keep the cycle collector from walking the fleet again and again.

    The agents make no cycles that matter: what they drop is freed by its count of references.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _tick(progress: Progress | None, span: Span) -> Callable[[int], None] | None:
    if progress is None:
        return None
    length = span.end - span.start
    return lambda now: progress((now - span.start) / length)
