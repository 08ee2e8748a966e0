"""Payloads of every message, drawn from the types: dicts as a stranger's JSON library would have them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from voltagora.domain.series import Series
from voltagora.domain.units import ID_PATTERN, Time
from voltagora.protocols.message import Message

Payload = dict[str, Any]
Payloads = Callable[[type[Message]], st.SearchStrategy[Payload]]

LETTERS = "ABCXYZabcxyz0189_-"
MONTH = 30 * 86_400


@pytest.fixture(scope="session")
def payloads() -> Payloads:
    """Give the strategy of valid payloads of a message."""
    return lambda message: objects(message).map(lambda payload: mended(message, payload))


def objects(struct: type[msgspec.Struct]) -> st.SearchStrategy[Payload]:
    hints = get_type_hints(struct, include_extras=True)
    always: dict[str, st.SearchStrategy[Any]] = {}
    perhaps: dict[str, st.SearchStrategy[Any]] = {}
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        values = series_values(struct) if issubclass(struct, Series) and field.name == "values" else of(hint)
        (always if field.required else perhaps)[field.name] = values
    drawn = st.fixed_dictionaries(always, optional=perhaps)
    return drawn.map(lambda value: mended_inside(struct, value))


def series_values(kind: type[Series]) -> st.SearchStrategy[list[float]]:
    return st.lists(st.floats(max(kind.minimum, -kind.limit), kind.limit), min_size=1, max_size=4)


def of(annotation: Any) -> st.SearchStrategy[Any]:
    if get_origin(annotation) in (UnionType, Union):
        return of(next(arg for arg in get_args(annotation) if arg is not UnsetType))
    if get_origin(annotation) is tuple:
        return st.lists(of(get_args(annotation)[0]), max_size=3)
    if hasattr(annotation, "__metadata__"):
        return limited(annotation)
    if annotation is Time:
        return st.integers(0, 4_000_000_000).map(lambda seconds: str(Time(seconds)))
    if annotation is date:
        return st.dates(date(1970, 1, 1), date(2200, 1, 1)).map(str)
    if annotation is bool:
        return st.booleans()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return st.sampled_from([member.value for member in annotation])
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return objects(annotation)
    raise AssertionError(f"no values of {annotation} known here")


def limited(annotation: Any) -> st.SearchStrategy[Any]:
    base, metas = annotation.__origin__, annotation.__metadata__
    limits = {
        name: value
        for meta in metas
        for name in ("ge", "gt", "le", "min_length", "max_length", "pattern")
        if (value := getattr(meta, name)) is not None
    }
    if get_origin(base) is tuple:
        return st.lists(of(get_args(base)[0]), min_size=limits.get("min_length", 0), max_size=3)
    if base is str:
        if limits.get("pattern") == ID_PATTERN:
            return st.text(LETTERS, min_size=1, max_size=64)
        return st.text(
            st.characters(exclude_categories=["Cs"]),
            min_size=limits["min_length"],
            max_size=min(40, limits["max_length"]),
        )
    if base is int:
        return st.integers(limits["ge"], limits["le"])
    assert base is float
    # A number above 0 must also be so once rounded.
    return st.floats(limits.get("ge", limits.get("gt", 0) + 1e-6), limits["le"]) | st.integers(
        int(np.ceil(limits.get("ge", 1))), int(limits["le"])
    )


def mended_inside(struct: type[msgspec.Struct], value: Payload) -> Payload:
    """Make the fields of one object agree with each other."""
    if struct.__name__ in {"Preferences", "Recommendation", "UpdatedStationAvailability"}:
        arrival = Time.parse(value["arrival"])
        value["departure"] = str(Time(arrival + 1 + Time.parse(value["departure"]) % MONTH))
    if "min_soc" in value and "max_soc" in value:
        value["min_soc"], value["max_soc"] = sorted([value["min_soc"], value["max_soc"]])
    if struct.__name__ in {"Terms", "StationTerms"} and not {*TERMS} & value.keys():
        value["energy_kwh"] = 0
    return value


TERMS = ("arrival", "departure", "energy_kwh", "compensation_eur")


def mended(message: type[Message], payload: Payload) -> Payload:
    """Make a message keep the rules over its fields, by giving a reason or the same slots."""
    if "reason" in message.__struct_fields__ and not complete(message, payload):
        payload["reason"] = "invalid_request"
        if "accepted" in payload:
            payload["accepted"] = False
    if payload.get("decision") == "Counter" and "terms" not in payload:
        payload["decision"] = "Reject"
    if message.__name__ == "UpdatedChargingSchedule":
        schedule = payload["schedule"]
        for price in ("buy", "sell"):
            values = (payload[price]["values"] * 4)[: len(schedule["values"])]
            payload[price] = {**schedule, "values": values}
    if message.__name__ == "UpdateConfidence":
        payload["std"]["values"] = [abs(value) for value in payload["mean"]["values"]]
    if message.__name__ == "RegisterChargingStation":
        for place, connector in enumerate(payload["connectors"]):
            connector["id"] = f"{place}{connector['id']}"[:64]
    return payload


def complete(message: type[Message], payload: Payload) -> bool:
    content = set(message.__struct_fields__) - {"in_reply_to", "responder", "reason", "field", "accepted"}
    content -= {"possible_kwh", "possible_departure", "decision", "terms"}
    if "accepted" in payload and not payload["accepted"]:
        return "reason" in payload
    return all(payload.get(name, UNSET) not in (UNSET, []) for name in content)
