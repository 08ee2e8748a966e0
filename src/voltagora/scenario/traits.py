"""What tells one vehicle of a fleet from another, apart from its car and its trips."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from voltagora.domain.units import round_money
from voltagora.scenario.areas import Area
from voltagora.scenario.draws import Draws
from voltagora.scenario.settings import Scenario


class _Column(IntEnum):
    """One column of draws per trait, so that switching one on changes no other."""

    V2G = 0
    MIN_SELL = 1
    LOYAL = 2
    NETWORK = 3
    CHARGE_EFFICIENCY = 4
    DISCHARGE_EFFICIENCY = 5


class Traits:
    """Draws who allows discharging, who names a least price, who is loyal to a network, and losses."""

    def __init__(self, scenario: Scenario, area: Area) -> None:
        self._settings = scenario.vehicles
        self._draws = Draws(scenario.seed, "traits", area.id)
        self._networks = [network.id for network in area.networks]
        settings = scenario.vehicles
        # All equal in the published experiment: then no draw is needed.
        self._same: dict[str, Any] | None = None
        if (
            settings.v2g_share in (0, 1)
            and not settings.min_sell_share
            and not settings.loyal_share
            and not settings.efficiency_spread
        ):
            self._same = self._fields([0.5] * len(_Column))

    def of(self, number: int) -> dict[str, Any]:
        """Give the fields of `VehiclePlan` for the vehicle of this number in its area."""
        if self._same is not None:
            return self._same
        return self._fields(self._draws.uniform(number, np.arange(len(_Column))).tolist())

    def _fields(self, drawn: list[float]) -> dict[str, Any]:
        settings = self._settings
        spread = settings.efficiency_spread
        fields: dict[str, Any] = {
            "min_soc": settings.min_soc,
            "v2g_allowed": drawn[_Column.V2G] < settings.v2g_share,
            # Three decimals are what a data sheet gives.
            "charge_efficiency": _lowered(
                settings.charge_efficiency, spread * drawn[_Column.CHARGE_EFFICIENCY]
            ),
            "discharge_efficiency": _lowered(
                settings.discharge_efficiency, spread * drawn[_Column.DISCHARGE_EFFICIENCY]
            ),
        }
        if drawn[_Column.MIN_SELL] < settings.min_sell_share:
            fields["min_sell_eur_kwh"] = round_money(settings.min_sell_eur_kwh)
        if drawn[_Column.LOYAL] < settings.loyal_share:
            fields["network"] = self._networks[int(drawn[_Column.NETWORK] * len(self._networks))]
        return fields


def _lowered(efficiency: float, by: float) -> float:
    return max(0.001, round(efficiency - by, 3)) if by else efficiency
