"""The result of a market from its messages alone: what `voltagora report` makes of a record.

Messages tell less than the agents know; docs/collect.md lists what is missing. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from voltagora import __version__
from voltagora.domain.errors import InputError
from voltagora.domain.records import StationRecord, VehicleRecord
from voltagora.results.collector import Collector, Span
from voltagora.results.result import Result
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.population import Population, population
from voltagora.scenario.read import read_scenario
from voltagora.scenario.recorded_books import Books
from voltagora.scenario.recorded_read import recorded_messages
from voltagora.scenario.recorded_sieve import Heard, Sieve
from voltagora.scenario.settings import Scenario

TITLE: Final = "recorded messages"


def report_recorded(
    directory: Path | str,
    scenario: str | Path | None = None,
    *,
    set: Mapping[str, object] | Sequence[str] = (),
) -> Result:
    """Make the result of a record.

    Args:
        directory: what `voltagora collect` keeps, or a folder with the messages.parquet of a run.
        scenario: the scenario that was played, if there is one: it tells of vehicles that never spoke.
        set: keys of the scenario that were overridden.

    Raises:
        InputError: there is no record of a market in the folder.
        InputErrors: the scenario is wrong.
    """
    read = None if scenario is None else read_scenario(scenario, set, None)
    return result_of(recorded_messages(Path(directory)), read, source=str(directory))


def result_of(heard: Iterable[Heard], scenario: Scenario | None = None, *, source: str = "record") -> Result:
    """Make the result of publications, given in the order in which they were recorded.

    Raises:
        InputError: they are not those of a market.
    """
    sieve, books = Sieve(), Books()
    last_real, is_stopped = 0.0, False
    for it in heard:
        last_real = max(last_real, it.real)
        word = None if it.retained else books.word_of(it)
        if word == "start" and is_stopped:
            # Another run: what went before is not its own.
            sieve, books = Sieve(), Books()
        if word is not None:
            is_stopped = word == "stop" or (is_stopped and word != "start")
        books.pass_time(it.at)
        told = sieve.message(it, books.now)
        if told is not None:
            books.read(told)
        elif word == "start":
            books.count_start()
    if not books.days:
        raise InputError("DIR", source, "the record of a market; no day's imbalance or prices are in it")
    if not books.is_dated:
        raise InputError(
            *("DIR", source),
            "a record with the topic `clock` in it; without it nobody knows what time it was for the agents",
        )
    return _Outcome(books, sieve, scenario, last_real).result()


class _Outcome:
    """What books and, if given, a scenario make of a record."""

    def __init__(self, books: Books, sieve: Sieve, scenario: Scenario | None, last_real: float) -> None:
        self.books = books
        self.sieve = sieve
        self.scenario = scenario
        self.people = None if scenario is None else population(scenario)
        self.span = _span_of(scenario) if scenario is not None else books.span()
        books.finish(self.span.end, last_real)

    def result(self) -> Result:
        """Give the result, with all that was left out in its manifest."""
        collector = Collector(self.span)
        first_area = None if self.people is None else self.people.areas[0].area.id
        for record in self.books.records(self.span, first_area):
            if not (isinstance(record, (VehicleRecord, StationRecord)) and self._is_planned(record)):
                collector(record)
        if self.people is not None:
            for planned in _planned(self.people):
                collector(planned)
        return Result.of(collector, self._manifest())

    def _is_planned(self, record: VehicleRecord | StationRecord) -> bool:
        """Tell whether the scenario knows better what a vehicle is, or that a station takes part."""
        if self.people is None:
            return False
        if isinstance(record, StationRecord):
            return any(record.station == it.id for plan in self.people.areas for it in plan.stations)
        return any(record.vehicle == it.id for plan in self.people.areas for it in plan.vehicles)

    def _manifest(self) -> Mapping[str, Any]:
        manifest: dict[str, Any] = {
            "name": TITLE,
            "version": __version__,
            "recorded": dict(sorted(self.sieve.counts.items())),
            "wrong_payloads": [msgspec.to_builtins(fault) for fault in self.sieve.faults],
            "notices": self.books.notices(self.span, is_whole=self.people is not None),
        }
        if self.scenario is not None:
            manifest |= {"scenario": self.scenario.title, "seed": self.scenario.seed}
        return manifest


def _span_of(scenario: Scenario) -> Span:
    horizon = Horizon(scenario)
    return Span(start=horizon.start, end=horizon.end, time_zone=scenario.time_zone)


def _planned(people: Population) -> Iterable[VehicleRecord | StationRecord]:
    for plan in people.areas:
        area = plan.area.id
        for station in plan.stations:
            yield StationRecord(
                station=station.id,
                area=area,
                network=station.network,
                connectors=len(station.connectors),
                grid_limit_kw=station.grid_limit_kw,
            )
        for vehicle in plan.vehicles:
            yield VehicleRecord(
                vehicle=vehicle.id,
                area=area,
                vehicle_type=vehicle.vehicle_type,
                capacity_kwh=vehicle.capacity_kwh,
            )
