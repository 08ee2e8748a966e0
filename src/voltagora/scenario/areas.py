"""Grid areas and networks of a scenario, the names of their agents, and who gets which part."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from voltagora.scenario.settings import AreaSettings, NetworkSettings, Scenario

DEFAULT_AREA = AreaSettings(id="main")


class Area(msgspec.Struct, frozen=True, kw_only=True):
    """One grid area with everything the scenario shares out resolved."""

    id: str
    prefix: str  # of the names of its agents: empty with one area, else "<id>-"
    settings: AreaSettings
    networks: tuple[NetworkSettings, ...]
    vehicles: int  # drawn ones
    stations: int
    generation_share: float  # 0 to 1, of the profile's
    load_share: float  # 0 to 1, of what the scenario uses

    @property
    def imbalance(self) -> str:
        """Name of the area's electricity imbalance agent."""
        return f"ei-{self.id}"

    @property
    def pricing(self) -> str:
        """Name of the area's mechanism design agent."""
        return f"md-{self.id}"

    @property
    def recommenders(self) -> tuple[tuple[str, str], ...]:
        """Name and network of each of the area's recommenders."""
        return tuple((f"sr-{network.id}", network.id) for network in self.networks)

    def named(self, kind: str, what: str) -> str:
        """Name an agent of the area by its kind's short word: `ep-wind`, `ep-north-wind`."""
        return f"{kind}-{self.prefix}{what}"

    def vehicle_name(self, number: int) -> str:
        """Name a drawn vehicle: `ev-000017`."""
        return self.named("ev", f"{number:06d}")

    def station_name(self, number: int) -> str:
        """Name a drawn station: `cs-03`, with as many digits as the last one needs."""
        return self.named("cs", f"{number:0{max(2, len(str(self.stations - 1)))}d}")


def areas(scenario: Scenario) -> list[Area]:
    """List the grid areas with their parts of vehicles, stations, generation and load."""
    settings = scenario.areas or (DEFAULT_AREA,)
    vehicles = split(scenario.vehicles.count, [area.vehicle_share for area in settings])
    stations = split(scenario.stations.count, [area.station_share for area in settings])
    generation = _shares([area.generation_share for area in settings])
    load = _shares([area.load_share for area in settings])
    return [
        Area(
            id=area.id,
            prefix=f"{area.id}-" if len(settings) > 1 else "",
            settings=area,
            networks=area.networks or (NetworkSettings(id=area.id),),
            vehicles=vehicles[place],
            stations=stations[place],
            generation_share=generation[place],
            load_share=load[place],
        )
        for place, area in enumerate(settings)
    ]


def split(count: int, weights: Sequence[float]) -> list[int]:
    """Split a number of things by weight, the rest to the largest remainders, the first on ties."""
    shares = [count * share for share in _shares(weights)]
    parts = [int(share) for share in shares]
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - shares[i], i))
    for place in by_remainder[: count - sum(parts)]:
        parts[place] += 1
    return parts


def in_turn(count: int, weights: Sequence[float]) -> list[int]:
    """Deal things out one by one, each to who is furthest behind its weight; gives the places."""
    shares = _shares(weights)
    dealt = [0] * len(shares)
    places = []
    for number in range(count):
        place = max(range(len(shares)), key=lambda i: (shares[i] * (number + 1) - dealt[i], -i))
        dealt[place] += 1
        places.append(place)
    return places


def _shares(weights: Sequence[float]) -> list[float]:
    total = sum(weights)
    return [weight / total for weight in weights] if total > 0 else [1 / len(weights)] * len(weights)
