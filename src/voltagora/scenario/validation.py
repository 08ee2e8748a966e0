"""Turns parsed TOML into settings and goes on after a mistake, so that all are told at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect, structs

from voltagora.domain.errors import InputError
from voltagora.domain.units import ID_PATTERN
from voltagora.scenario.settings import StrategySection
from voltagora.strategies.parameters import in_words, nearest_of

_WRONG = object()
FAR = 1e9


def read_struct(kind: type[msgspec.Struct], raw: Any, path: str, errors: list[InputError]) -> Any:
    """Read one table.

    Args:
        kind: the type of the table.
        raw: what the file says.
        path: where the table stands, empty at the top.
        errors: what is wrong is added here.

    Returns:
        An instance of `kind`; if errors were added, anything.
    """
    if not isinstance(raw, Mapping):
        errors.append(InputError(path, raw, "a table"))
        return _WRONG
    fields = {field.name: field for field in structs.fields(kind)}
    values: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, value in raw.items():
        where = f"{path}.{key}" if path else key
        if key not in fields or (key == "parameters" and issubclass(kind, StrategySection)):
            unknown[key] = value
        else:
            values[key] = _value(fields[key].type, value, where, errors)
    if issubclass(kind, StrategySection):
        # What the section does not know belongs to its strategy, which says whether it does.
        values["parameters"] = unknown
    else:
        for key, value in unknown.items():
            where = f"{path}.{key}" if path else key
            errors.append(InputError(where, value, f"a known key, {nearest_of(key, fields)}"))
    for name, field in fields.items():
        if field.required and name not in raw:
            where = f"{path}.{name}" if path else name
            errors.append(InputError(where, "nothing", expected_of(field.type)))
    return _WRONG if _WRONG in values.values() or errors else kind(**values)


def _value(kind: Any, raw: Any, path: str, errors: list[InputError]) -> Any:
    info = _bare(inspect.type_info(kind))
    if isinstance(info, inspect.StructType):
        return read_struct(info.cls, raw, path, errors)
    if isinstance(info, inspect.VarTupleType) and isinstance(_bare(info.item_type), inspect.StructType):
        return _list(info, raw, path, errors)
    try:
        value = msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        value = _WRONG
    if value is _WRONG or (isinstance(value, float) and not math.isfinite(value)):
        errors.append(InputError(path, raw, expected_of(kind)))
        return _WRONG
    return value


def _list(info: inspect.VarTupleType, raw: Any, path: str, errors: list[InputError]) -> Any:
    if not isinstance(raw, list | tuple):
        errors.append(InputError(path, raw, "a list of tables"))
        return _WRONG
    if info.min_length and len(raw) < info.min_length:
        errors.append(InputError(path, raw, f"a list of at least {info.min_length}"))
        return _WRONG
    item = _bare(info.item_type)
    assert isinstance(item, inspect.StructType)
    return tuple(read_struct(item.cls, each, f"{path}[{place}]", errors) for place, each in enumerate(raw))


def expected_of(kind: Any) -> str:
    """Say what a key takes."""
    return _words(_bare(inspect.type_info(kind)))


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata():
            return _words(info.type)
        case inspect.DateType():
            return "a date, like 2020-01-31"
        case inspect.DateTimeType():
            return "a date and time, like 2020-01-31T08:00:00Z"
        case inspect.StrType() if info.pattern == ID_PATTERN:
            return "a name: 1 to 64 of A-Z a-z 0-9 _ -"
        case inspect.StrType() if info.min_length:
            return "a text that is not empty"
        case inspect.FloatType() | inspect.IntType():
            return in_words(_without_far_bounds(info))
        case inspect.StructType():
            return "table"
        case inspect.VarTupleType() if isinstance(_bare(info.item_type), inspect.StructType):
            return "a list of tables"
        case inspect.VarTupleType() | inspect.ListType():
            return f"a list of {_words(info.item_type)}"
        case inspect.UnionType():
            return " or ".join(_words(each) for each in info.types if not isinstance(each, inspect.NoneType))
        case _:
            return in_words(info)


def _without_far_bounds(info: inspect.FloatType | inspect.IntType) -> inspect.Type:
    """Forget bounds that only keep arithmetic safe and that nobody will meet."""
    low = None if info.ge is not None and info.ge <= -FAR else info.ge
    high = None if info.le is not None and info.le >= FAR else info.le
    bounded: inspect.Type = structs.replace(info, ge=low, le=high)
    return bounded


def _bare(info: inspect.Type) -> inspect.Type:
    while isinstance(info, inspect.Metadata):
        info = info.type
    return info
