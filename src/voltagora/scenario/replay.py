"""Reads the journals of a live market again: what its agents did, and the result of it all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from voltagora.domain.errors import InputError
from voltagora.live.journal import Journal
from voltagora.live.recovery import recover
from voltagora.live.tokens import SecretRandomness
from voltagora.results.result import Result
from voltagora.scenario.cast import Part, cast
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.live import collector_of, result_of
from voltagora.scenario.population import population
from voltagora.scenario.settings import Scenario
from voltagora.simulation.days import DayJoiner


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the journals of a market gave."""

    result: Result
    events: dict[str, int]  # by folder
    publications: dict[str, int]


def replay(folders: Sequence[Path]) -> Replayed:
    """Let all agents of a market live through their journals again.

    Everything they say is compared with what they said; the first difference is an error.

    Args:
        folders: the data folders of all its processes, in any order.

    Raises:
        InputError: they are not of one market, or two hold the same agents.
        RunError: the agents now say something else.
    """
    journals: list[Journal] = []
    try:
        for folder in folders:
            journals.append(Journal(folder, read_only=True))
        return _replay(folders, journals)
    finally:
        for journal in journals:
            journal.close()


def _replay(folders: Sequence[Path], journals: Sequence[Journal]) -> Replayed:
    scenario = _scenario(folders, journals)
    people, horizon = population(scenario), Horizon(scenario)
    collector = collector_of(scenario, horizon)
    sink = DayJoiner(collector)
    nodes, events, said = [], {}, {}
    players: dict[str, str] = {}
    for folder, journal in zip(folders, journals, strict=True):
        part = msgspec.json.decode(_bytes(journal, "part"), type=Part)
        randomness = SecretRandomness(scenario.seed, _bytes(journal, "secret"))
        node = cast(scenario, people, part).node(randomness, sink, None)
        for agent in node.agents:
            other = players.setdefault(agent.id, str(folder))
            if other != str(folder):
                raise InputError("folder", str(folder), f"without {agent.id}, which plays in {other} already")
        events[str(folder)] = recover(node, journal)
        said[str(folder)] = sum(1 for _ in journal.publications())
        nodes.append(node)
    result = result_of(scenario, people, collector, nodes, {"replayed_from": sorted(events)})
    return Replayed(result=result, events=events, publications=said)


def _scenario(folders: Sequence[Path], journals: Sequence[Journal]) -> Scenario:
    first = journals[0].fact("scenario_sha256")
    for folder, journal in zip(folders, journals, strict=True):
        if journal.fact("scenario_sha256") != first:
            raise InputError("folder", str(folder), f"of the same scenario as {folders[0]}")
    return msgspec.json.decode(_bytes(journals[0], "scenario"), type=Scenario)


def _bytes(journal: Journal, name: str) -> bytes:
    found = journal.fact(name)
    if not isinstance(found, bytes):
        raise InputError("folder", str(journal.path.parent), f"a journal that knows its {name}")
    return found
