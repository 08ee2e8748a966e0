"""CP11 Update Energy Profile Confidence: how sure somebody is of a day's energy.

EP, EC, CS -> EI, MD  `EP/{asker}/UpdateConfidence`, `EC/...`, `CS/...`         `UpdateConfidence`
EI, MD -> asker       `EI/{asker}/UpdateConfidenceOutcome`, `MD/...`   `UpdateConfidenceOutcome`
"""

from __future__ import annotations

from datetime import date
from typing import ClassVar

from voltagora.domain.errors import InputError
from voltagora.domain.series import EnergySeries, ScheduleSeries
from voltagora.domain.units import Id
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind

_ASKERS = (Kind.PRODUCER, Kind.CONSUMER, Kind.STATION)


class UpdateConfidenceOutcome(Outcome, frozen=True, kw_only=True):
    """Whether a confidence was taken."""

    protocol: ClassVar[str] = "CP11"
    topics: ClassVar[tuple[str, ...]] = (
        "EI/{asker}/UpdateConfidenceOutcome",
        "MD/{asker}/UpdateConfidenceOutcome",
    )
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    readers: ClassVar[tuple[Kind, ...]] = _ASKERS


class UpdateConfidence(Request, frozen=True, kw_only=True):
    """Mean and standard deviation of a day's energy, from like days; a station's mean may be negative."""

    protocol: ClassVar[str] = "CP11"
    topics: ClassVar[tuple[str, ...]] = (
        "EP/{asker}/UpdateConfidence",
        "EC/{asker}/UpdateConfidence",
        "CS/{asker}/UpdateConfidence",
    )
    publishers: ClassVar[tuple[Kind, ...]] = _ASKERS
    readers: ClassVar[tuple[Kind, ...]] = (Kind.IMBALANCE, Kind.PRICING)
    reply: ClassVar[type[Reply]] = UpdateConfidenceOutcome

    grid_area: Id
    day: date
    mean: ScheduleSeries
    std: EnergySeries

    def check(self) -> None:
        """See `Message.check`."""
        if len(self.mean) != len(self.std):
            raise InputError("std", f"{len(self.std)} values", f"as long as mean ({len(self.mean)} values)")
