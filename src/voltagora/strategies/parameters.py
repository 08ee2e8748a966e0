"""Reads a strategy's parameters from plain values, and says in words what they may be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import NODEFAULT, Meta, inspect, structs

from voltagora.domain.errors import InputError, InputErrors, one_of

S = TypeVar("S", bound=msgspec.Struct)


class ParameterDescription(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter of a strategy."""

    name: str
    type: str  # in words, bounds included
    default: Any
    description: str


def read_parameters(strategy: type[S], parameters: Mapping[str, Any]) -> S:
    """Build a strategy, every parameter checked against its type and bounds.

    Raises:
        InputError: a parameter is unknown, of the wrong type or out of bounds.
        InputErrors: several are.
    """
    known = {field.name: field for field in structs.fields(strategy)}
    errors: list[InputError] = []
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in known:
            errors.append(InputError(name, value, _known_parameter(name, known)))
            continue
        try:
            values[name] = _converted(value, known[name].type)
        except ValueError:
            errors.append(InputError(name, value, in_words(inspect.type_info(known[name].type))))
    if errors:
        raise errors[0] if len(errors) == 1 else InputErrors(errors)
    return strategy(**values)


def describe_parameters(strategy: type[msgspec.Struct]) -> tuple[ParameterDescription, ...]:
    """List a strategy's parameters in the order in which they are defined."""
    return tuple(
        ParameterDescription(
            name=field.name,
            type=in_words(inspect.type_info(field.type)),
            default=_default(field),
            description=_description(field.type),
        )
        for field in structs.fields(strategy)
    )


def in_words(kind: inspect.Type) -> str:
    """Say what a type takes: the `expected` of an error, and the type column of the cookbook."""
    match kind:
        case inspect.Metadata():
            return in_words(kind.type)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.FloatType() | inspect.IntType():
            return ("a number" if isinstance(kind, inspect.FloatType) else "a whole number") + _bounds(kind)
        case inspect.StrType():
            return "a text"
        case inspect.LiteralType() | inspect.EnumType():
            values = (
                kind.values if isinstance(kind, inspect.LiteralType) else [each.value for each in kind.cls]
            )
            return "one of: " + ", ".join(str(value) for value in values)
        case inspect.UnionType():
            return " or ".join(in_words(each) for each in kind.types)
        case inspect.TupleType():
            return "[" + ", ".join(in_words(each) for each in kind.item_types) + "]"
        case inspect.VarTupleType() | inspect.ListType():
            return f"a list of {in_words(kind.item_type)}"
        case _:
            return type(kind).__name__.removesuffix("Type").lower()


def _bounds(kind: inspect.FloatType | inspect.IntType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:,.10g} to {kind.le:,.10g}"
    bounds = [
        f"{word} {bound:,.10g}"
        for word, bound in (
            ("above", kind.gt),
            ("at least", kind.ge),
            ("below", kind.lt),
            ("at most", kind.le),
        )
        if bound is not None
    ]
    return " " + " and ".join(bounds) if bounds else ""


def nearest_of(got: str, known: Iterable[str]) -> str:
    """Say which names would be right; one that differs in capitals alone is the nearest of all."""
    names = sorted(known)
    return one_of(next((name for name in names if name.casefold() == got.casefold()), got), names)


def _known_parameter(name: str, known: Mapping[str, Any]) -> str:
    return nearest_of(name, known) if known else "absent, as this strategy takes no parameters"


def _converted(value: Any, kind: Any) -> Any:
    converted = msgspec.convert(value, kind)
    if not _finite(converted):
        raise ValueError("not finite")
    return converted


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return all(_finite(each) for each in value) if isinstance(value, tuple | list) else True


def _default(field: structs.FieldInfo) -> Any:
    if field.default is not NODEFAULT:
        return field.default
    return None if field.default_factory is NODEFAULT else field.default_factory()


def _description(kind: Any) -> str:
    """Find the description among nested annotations, the outermost first."""
    for part in getattr(kind, "__metadata__", ()):
        if isinstance(part, Meta) and part.description:
            return part.description
    return next((text for each in get_args(kind) if (text := _description(each))), "")
