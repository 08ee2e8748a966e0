"""Which agents of a scenario one process plays, and the node that runs them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from voltagora.agents.agent import Agent
from voltagora.agents.market import Market
from voltagora.domain.errors import InputError
from voltagora.domain.records import RecordSink
from voltagora.live.node import Node
from voltagora.live.owners import KIND_WORDS
from voltagora.live.tokens import SecretRandomness
from voltagora.live.trust import OwnerTable, Trust
from voltagora.protocols.topic import Kind
from voltagora.scenario.build import build_area
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.population import Population
from voltagora.scenario.settings import Scenario
from voltagora.strategies.parameters import nearest_of


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Which of a scenario's agents a process plays."""

    kinds: tuple[Kind, ...] = tuple(Kind)
    ids: tuple[str, ...] = ()  # of these kinds only these; none: all

    @property
    def is_whole(self) -> bool:
        """Whether all agents play here."""
        return not self.ids and set(self.kinds) == set(Kind)

    @property
    def leads(self) -> bool:
        """Whether the imbalance agents are here, which makes it the process that leads time."""
        return Kind.IMBALANCE in self.kinds


def kinds_of(text: str) -> tuple[Kind, ...]:
    """Read kinds from a list with commas.

    Raises:
        InputError: a word that is no kind.
    """
    words = [word.strip() for word in text.split(",")]
    for word in words:
        if word not in KIND_WORDS:
            raise InputError("--only", word, nearest_of(word, KIND_WORDS))
    return tuple(KIND_WORDS[word] for word in dict.fromkeys(words))


class Cast(msgspec.Struct, kw_only=True):
    """The agents of one process, in the order of the scenario, and the markets that they read through."""

    agents: list[Agent]
    markets: list[Market]
    authorities: dict[tuple[Kind, str], str]
    begin: int  # simulated, when the market opens

    def node(
        self,
        randomness: SecretRandomness,
        sink: RecordSink,
        owners: OwnerTable | None,
        *,
        own_time: bool = False,
    ) -> Node:
        """Make the node that runs them."""
        return Node(
            self.agents,
            self.markets,
            randomness=randomness,
            sink=sink,
            trust=Trust(owners, self.authorities),
            own_time=own_time,
            mark="" if own_time else randomness.mark,
            begin=self.begin,
        )


def cast(scenario: Scenario, people: Population, part: Part) -> Cast:
    """Make the agents that a process plays.

    Raises:
        InputError: the scenario has no agent of an id that was asked for.
    """
    has_both = {Kind.VEHICLE, Kind.STATION} <= set(part.kinds) and not part.ids
    everybody: list[Agent] = []
    markets: list[Market] = []
    authorities: dict[tuple[Kind, str], str] = {}
    for plan in people.areas:
        built = build_area(scenario, plan, people.market, hardware=has_both)
        everybody += built.all()
        markets.append(built.market)
        authorities[Kind.IMBALANCE, plan.area.id] = plan.area.imbalance
        authorities[Kind.PRICING, plan.area.id] = plan.area.pricing
    agents = [agent for agent in everybody if agent.kind in part.kinds]
    if part.ids:
        agents = _named(agents, part.ids)
    return Cast(agents=agents, markets=markets, authorities=authorities, begin=Horizon(scenario).start)


def _named(agents: Iterable[Agent], ids: Collection[str]) -> list[Agent]:
    known = {agent.id: agent for agent in agents}
    for id in ids:
        if id not in known:
            raise InputError("--id", id, nearest_of(id, known))
    return [agent for agent in known.values() if agent.id in ids]
