"""JSON Schema 2020-12 of every message, made from the types, so that it cannot drift from them.

What a schema cannot say (departure after arrival, two series over the same slots) stands in
`$comment`; the decoder of `codec.py` refuses it all the same.
"""

from __future__ import annotations

import json
from typing import Any, Final, get_origin

import msgspec
import numpy as np

from voltagora.domain.series import EnergySeries, PriceSeries, ScheduleSeries, Series
from voltagora.domain.units import ENERGY_DECIMALS, ID_PATTERN, MONEY_DECIMALS, Time
from voltagora.protocols.catalogue import CONTRACT_VERSION, MESSAGES, PROTOCOLS
from voltagora.protocols.message import Outcome, Reply

Schema = dict[str, Any]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_TIME: Final[Schema] = {
    "type": "string",
    "format": "date-time",
    "pattern": (
        "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z$"
    ),
    "description": "RFC 3339, UTC, whole seconds, ending in Z",
}


def schema_files() -> dict[str, str]:
    """Give the text of one JSON Schema file a message, by file name."""
    return {
        f"{message.__name__}.json": json.dumps(message_schema(message.__name__), indent=2) + "\n"
        for message in MESSAGES
    }


def message_schema(name: str) -> Schema:
    """Give the self-contained JSON Schema of one message."""
    known = components("#/$defs/{name}")
    used = _used_by(name, known)
    head = {"$schema": DIALECT, "$id": f"urn:voltagora:protocols:{CONTRACT_VERSION}:{name}"}
    defs = {"$defs": {other: known[other] for other in known if other in used}} if used else {}
    return head | known[name] | defs


def components(ref_template: str) -> dict[str, Schema]:
    """Give the schemas of all messages and of the objects in them, by name, in order of first use.

    Args:
        ref_template: how one points at another, such as `#/$defs/{name}`.
    """
    _, found = msgspec.json.schema_components(MESSAGES, schema_hook=_hook, ref_template=ref_template)
    for series in (ScheduleSeries, EnergySeries, PriceSeries):
        _describe_values(found[series.__name__], series)
    for message in MESSAGES:
        if issubclass(message, Outcome):
            _add_rule(found[message.__name__], _A_NO_HAS_A_REASON)
    for protocol in PROTOCOLS:
        for message in protocol.messages:
            if issubclass(message, Reply):
                found[message.__name__]["properties"]["reason"]["examples"] = list(protocol.reasons)
    for name, rules in _RULES.items():
        for rule in rules:
            _add_rule(found[name], rule)
    for name, comment in _UNSAYABLE.items():
        found[name]["$comment"] = comment
    return {name: _for_strangers(schema) for name, schema in found.items()}


def _hook(wanted: Any) -> Schema:
    if wanted is Time:
        return dict(_TIME)
    if wanted is np.ndarray or get_origin(wanted) is np.ndarray:
        return {"type": "array", "items": {"type": "number"}, "maxItems": Series.longest}
    raise NotImplementedError(f"{wanted} is not part of the contract")


def _describe_values(schema: Schema, series: type[Series]) -> None:
    low, high = max(series.minimum, -series.limit), series.limit
    schema["properties"]["values"] |= {
        "items": {"type": "number", "minimum": low, "maximum": high},
        "description": f"{series.unit}, one value a slot, {series.decimals} decimals count",
    }


def _add_rule(schema: Schema, rule: Schema) -> None:
    schema.setdefault("allOf", []).append(rule)


def _present(*names: str) -> Schema:
    return {"required": list(names)}


def _when(field: str, value: object, then: Schema) -> Schema:
    return {"if": {"properties": {field: {"const": value}}, "required": [field]}, "then": then}


_A_NO_HAS_A_REASON: Final = _when("accepted", False, _present("reason"))

_SOME_TERM: Final = {
    "anyOf": [_present(name) for name in ("arrival", "departure", "energy_kwh", "compensation_eur")]
}

_ANSWER_RULES: Final = (
    {"anyOf": [_present("reason"), _present("reservation", "round")]},
    _when("decision", "Counter", _present("terms")),
)

_RULES: Final[dict[str, tuple[Schema, ...]]] = {
    "ChargingRecommendations": (
        {
            "anyOf": [
                _present("reason"),
                _present("recommendations") | {"properties": {"recommendations": {"minItems": 1}}},
            ]
        },
    ),
    "ReservationOutcome": (
        _when("accepted", True, _present("reservation", "schedule", "buy", "sell", "cost_eur")),
    ),
    "Terms": (_SOME_TERM,),
    "StationTerms": (_SOME_TERM,),
    "StationAnswer": _ANSWER_RULES,
    "VehicleAnswer": _ANSWER_RULES,
    "ElectricityImbalance": (
        {"anyOf": [_present("reason"), _present("grid_area", "day", "revision", "supply", "demand")]},
    ),
    "ElectricityPrices": (
        {"anyOf": [_present("reason"), _present("grid_area", "day", "revision", "buy", "sell")]},
    ),
}
"""Rules over several fields: what each message's `check()` refuses, as far as a schema can say it."""

_STAY: Final = "departure is after arrival, by at most 31 days"

_UNSAYABLE: Final[dict[str, str]] = {
    "Preferences": _STAY,
    "Recommendation": _STAY,
    "UpdatedStationAvailability": _STAY,
    "Battery": "min_soc is at most max_soc",
    "RegisterChargingStation": "connector ids are unique within the station",
    "UpdatedChargingSchedule": "buy and sell are over the slots of schedule",
    "UpdateConfidence": "mean and std have as many values",
}


_DECIMALS: Final = {
    "kWh": ENERGY_DECIMALS,
    "kW": ENERGY_DECIMALS,
    "EUR": MONEY_DECIMALS,
    "EUR/kWh": MONEY_DECIMALS,
}


def _for_strangers(schema: Any) -> Any:
    """Say how numbers are rounded; leave out what only Python needs, whose `$` allows a final newline."""
    if isinstance(schema, dict):
        plain = {name: _for_strangers(value) for name, value in schema.items()}
        if plain.get("description") in _DECIMALS:
            decimals = _DECIMALS[plain["description"]]
            plain["description"] += f", {decimals} decimals count"
            if plain.get("exclusiveMinimum") == 0:
                plain["exclusiveMinimum"] = 0.5 / 10**decimals  # what is no more is rounded to 0
        if plain.get("pattern") == ID_PATTERN:
            plain["pattern"] = ID_PATTERN[: ID_PATTERN.index("(")]
        return plain
    if isinstance(schema, list):
        return [_for_strangers(item) for item in schema]
    return schema


def _used_by(name: str, known: dict[str, Schema]) -> set[str]:
    """Name the components that a schema points at, directly or through others."""
    used: set[str] = set()
    waiting = [name]
    while waiting:
        for other in referred(known[waiting.pop()]):
            if other not in used:
                used.add(other)
                waiting.append(other)
    return used


def referred(schema: Any) -> list[str]:
    """List the names of the components that a schema points at, in order."""
    if isinstance(schema, dict):
        direct = [schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else []
        return direct + [name for value in schema.values() for name in referred(value)]
    if isinstance(schema, list):
        return [name for item in schema for name in referred(item)]
    return []
