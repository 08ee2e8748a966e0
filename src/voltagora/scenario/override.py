"""Changes to a scenario from outside its file: `--set vehicles.count=100`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import PurePath
from typing import Any, NamedTuple

from voltagora.domain.errors import InputError, InputErrors
from voltagora.scenario.settings import STRATEGY_SECTIONS, Scenario


class Override(NamedTuple):
    """One key with its new value."""

    key: str  # dotted; a number picks an item of a list, from 0
    value: Any


def parse_overrides(overrides: Mapping[str, object] | Sequence[str]) -> list[Override]:
    """Read overrides, in their order.

    Raises:
        InputErrors: one is not of the form `key=value`.
    """
    if isinstance(overrides, Mapping):
        return [
            Override(key, str(value) if isinstance(value, PurePath) else deepcopy(value))
            for key, value in overrides.items()
        ]
    parsed, errors = [], []
    for text in [overrides] if isinstance(overrides, str) else overrides:
        key, equals, value = text.partition("=")
        if equals and key.strip():
            parsed.append(Override(key.strip(), _value(value.strip())))
        else:
            errors.append(InputError("--set", text, "key=value, like vehicles.count=100"))
    if errors:
        raise InputErrors(errors)
    return parsed


def _value(text: str) -> Any:
    """Read a value as TOML; what is no TOML is text, so that names need no quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    # A line break could smuggle in a second key; then the text is no single value.
    return parsed["value"] if parsed.keys() == {"value"} else text


def apply_overrides(raw: dict[str, Any], overrides: Sequence[Override]) -> list[InputError]:
    """Change a parsed scenario in place; gives what could not be applied.

    Naming another strategy drops the file's parameters of the former one, which would mean
    nothing to it.
    """
    errors = []
    for override in overrides:
        section, _, key = override.key.partition(".")
        if key == "strategy" and section in STRATEGY_SECTIONS:
            _forget_parameters(raw, section, override.value)
        error = _put(raw, override)
        if error is not None:
            errors.append(error)
    return errors


def _forget_parameters(raw: dict[str, Any], section: str, strategy: Any) -> None:
    table = raw.get(section)
    default = getattr(Scenario(), section)
    if isinstance(table, dict) and table.get("strategy", default.strategy) != strategy:
        raw[section] = {key: value for key, value in table.items() if key in type(default).__struct_fields__}


def _put(raw: dict[str, Any], override: Override) -> InputError | None:
    *way, last = override.key.split(".")
    place: Any = raw
    for depth, part in enumerate([*way, last]):
        at_end = depth == len(way)
        if isinstance(place, dict):
            if at_end:
                place[part] = override.value
            else:
                place = place.setdefault(part, {})
        elif isinstance(place, list):
            if not part.isdecimal() or int(part) >= len(place):
                where = ".".join(override.key.split(".")[:depth])
                return InputError(
                    f"--set: {override.key}", part, f"a place in {where}, which has {len(place)} items"
                )
            if at_end:
                place[int(part)] = override.value
            else:
                place = place[int(part)]
        else:
            where = ".".join(override.key.split(".")[:depth])
            return InputError(f"--set: {override.key}", override.key, f"a key; {where} is no section")
    return None
