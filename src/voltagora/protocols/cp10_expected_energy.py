"""CP10 Update Expected Production/Consumption: a day's forecast goes to EI and MD.

EP -> EI, MD  `EP/{producer}/UpdateExpectedProduction`    `UpdateExpectedProduction`
EC -> EI, MD  `EC/{consumer}/UpdateExpectedConsumption`   `UpdateExpectedConsumption`
EI, MD -> EP, EC  `EI/{asker}/UpdateProfileOutcome`, `MD/...`   `UpdateProfileOutcome`
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from voltagora.domain.series import EnergySeries
from voltagora.domain.units import Id, Revision
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind


class UpdateProfileOutcome(Outcome, frozen=True, kw_only=True):
    """Whether a forecast was taken."""

    protocol: ClassVar[str] = "CP10"
    topics: ClassVar[tuple[str, ...]] = (
        "EI/{asker}/UpdateProfileOutcome",
        "MD/{asker}/UpdateProfileOutcome",
    )
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.PRODUCER, Kind.CONSUMER)


class ExpectedEnergy(Request, frozen=True, kw_only=True):
    """What somebody expects to make or use in one day."""

    protocol: ClassVar[str] = "CP10"
    readers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    reply: ClassVar[type[Reply]] = UpdateProfileOutcome

    grid_area: Id
    day: date
    revision: Revision
    expected: EnergySeries


class UpdateExpectedProduction(ExpectedEnergy, frozen=True, kw_only=True):
    """What a producer expects to make."""

    topics: ClassVar[tuple[str, ...]] = ("EP/{producer}/UpdateExpectedProduction",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.PRODUCER,)


class UpdateExpectedConsumption(ExpectedEnergy, frozen=True, kw_only=True):
    """What a consumer expects to use."""

    topics: ClassVar[tuple[str, ...]] = ("EC/{consumer}/UpdateExpectedConsumption",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.CONSUMER,)
