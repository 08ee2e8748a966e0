"""Kinds of agents, and the fixed topic tree they speak in."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

from voltagora.domain.units import ID_PATTERN


class Kind(StrEnum):
    """The seven kinds of agents, by the code that opens their topics."""

    VEHICLE = "EV"
    STATION = "CS"
    RECOMMENDER = "SR"
    IMBALANCE = "EI"
    PRICING = "MD"
    PRODUCER = "EP"
    CONSUMER = "EC"


KIND_NAMES: Final[dict[Kind, str]] = {
    Kind.VEHICLE: "electric vehicle",
    Kind.STATION: "charging station",
    Kind.RECOMMENDER: "station recommender",
    Kind.IMBALANCE: "electricity imbalance",
    Kind.PRICING: "mechanism design",
    Kind.PRODUCER: "electricity producer",
    Kind.CONSUMER: "electricity consumer",
}


def topic_name(template: str, address: tuple[str, ...]) -> str:
    """Fill a template such as `EV/{vehicle}/ReservationOutcome` with ids, in order."""
    return _format(template).format(*address)


def topic_filter(template: str) -> str:
    """Give the MQTT filter that matches every topic of a template."""
    return re.sub(r"\{\w+\}", "+", template)


def topic_address(template: str, name: str) -> tuple[str, ...] | None:
    """Read the ids out of a topic, or None if it is not one of the template's."""
    found = _pattern(template).fullmatch(name)
    return found.groups() if found else None


@lru_cache(maxsize=256)
def _format(template: str) -> str:
    return re.sub(r"\{\w+\}", "{}", template)


@lru_cache(maxsize=256)
def _pattern(template: str) -> re.Pattern[str]:
    an_id = ID_PATTERN[1 : ID_PATTERN.index("$")]
    return re.compile(re.sub(r"\{\w+\}", f"({an_id})", template))
