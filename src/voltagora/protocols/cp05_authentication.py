"""CP5 Authenticate Recommendation: a station has a recommendation vouched for by its issuer.

CS -> SR  `CS/{station}/AuthenticateRecommendation`          `AuthenticateRecommendation`
SR -> CS  `CS/{station}/AuthenticateRecommendationOutcome`   `AuthenticationOutcome`, only from the SR named

Accepting uses the recommendation up. Reasons: `unknown`, `altered`, `expired`, `used`.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import UNSET, UnsetType

from voltagora.domain.station import Recommendation
from voltagora.domain.units import Id
from voltagora.protocols.message import Outcome, Reply, Request
from voltagora.protocols.topic import Kind


class AuthenticationOutcome(Outcome, frozen=True, kw_only=True):
    """Whether the recommender stands by the recommendation."""

    protocol: ClassVar[str] = "CP5"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/AuthenticateRecommendationOutcome",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.RECOMMENDER,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)

    recommendation_id: Id | UnsetType = UNSET


class AuthenticateRecommendation(Request, frozen=True, kw_only=True):
    """Ask the issuer whether a recommendation is its own, unaltered and unused."""

    protocol: ClassVar[str] = "CP5"
    topics: ClassVar[tuple[str, ...]] = ("CS/{station}/AuthenticateRecommendation",)
    publishers: ClassVar[tuple[Kind, ...]] = (Kind.STATION,)
    readers: ClassVar[tuple[Kind, ...]] = (Kind.RECOMMENDER,)
    reply: ClassVar[type[Reply]] = AuthenticationOutcome

    recommendation: Recommendation
