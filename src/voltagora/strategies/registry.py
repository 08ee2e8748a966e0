"""Which strategies exist, and how one is built from its name and parameters.

A built-in strategy is one line of the table below. An outside package adds its own through
an entry point of the group `voltagora.strategies.<kind>`, whose name is the strategy's name and
whose value is its class:

    [project.entry-points."voltagora.strategies.pricing"]
    my_prices = "my_package.my_prices:MyPrices"

Built-in names cannot be taken over, so that a scenario means the same wherever it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import cleandoc
from typing import Any, Final

import msgspec

from voltagora.domain.errors import InputError, InputErrors, shortened
from voltagora.strategies.parameters import (
    ParameterDescription,
    describe_parameters,
    nearest_of,
    read_parameters,
)

ENTRY_POINT_GROUP: Final = "voltagora.strategies"

BASES: Final[Mapping[str, str]] = {
    "pricing": "voltagora.strategies.pricing.decision:PricingStrategy",
    "scheduling": "voltagora.strategies.scheduling.decision:SchedulingStrategy",
    "recommendation": "voltagora.strategies.recommendation.decision:RecommendationStrategy",
    "choice": "voltagora.strategies.choice.decision:ChoiceStrategy",
    "negotiation": "voltagora.strategies.negotiation.decision:NegotiationStrategy",
    "forecast": "voltagora.strategies.forecast.decision:ForecastStrategy",
}
"""Each kind of decision with the type that its strategies extend."""

BUILT_IN: Final[Mapping[str, Mapping[str, str]]] = {
    "pricing": {
        "nrgcoin": "voltagora.strategies.pricing.nrgcoin:Nrgcoin",
        "adaptive": "voltagora.strategies.pricing.adaptive:Adaptive",
        "flat": "voltagora.strategies.pricing.flat:Flat",
        "time_of_use": "voltagora.strategies.pricing.time_of_use:TimeOfUse",
        "market": "voltagora.strategies.pricing.market:Market",
    },
    "scheduling": {
        "first_slot": "voltagora.strategies.scheduling.first_slot:FirstSlot",
        "lowest_price": "voltagora.strategies.scheduling.lowest_price:LowestPrice",
        "v2g": "voltagora.strategies.scheduling.v2g:V2g",
        "station": "voltagora.strategies.scheduling.station:Station",
    },
    "recommendation": {
        "nearest": "voltagora.strategies.recommendation.nearest:Nearest",
        "cheapest": "voltagora.strategies.recommendation.cheapest:Cheapest",
        "balanced": "voltagora.strategies.recommendation.balanced:Balanced",
    },
    "choice": {
        "first": "voltagora.strategies.choice.first:First",
        "cheapest": "voltagora.strategies.choice.cheapest:Cheapest",
        "utility": "voltagora.strategies.choice.utility:Utility",
        "random": "voltagora.strategies.choice.random:Random",
    },
    "negotiation": {
        "utility": "voltagora.strategies.negotiation.utility:Utility",
    },
    "forecast": {
        "persistence": "voltagora.strategies.forecast.persistence:Persistence",
        "weekday_hour_mean": "voltagora.strategies.forecast.weekday_hour_mean:WeekdayHourMean",
        "perfect": "voltagora.strategies.forecast.perfect:Perfect",
    },
}
"""What VoltAgora ships, by kind and name: `module:Class`, imported when first asked for."""


class StrategyDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy in words, for `voltagora strategies` and the cookbook."""

    kind: str
    name: str
    summary: str
    formula: str  # the rest of what its docstring says; may be empty
    source: str
    location: str  # "module:Class"
    parameters: tuple[ParameterDescription, ...]


def kinds() -> list[str]:
    """List the kinds of decision."""
    return list(BASES)


def names(kind: str) -> list[str]:
    """List the strategies of a kind: the built-in ones as in the table, then those of other packages by name.

    Raises:
        InputError: there is no such kind.
    """
    _check_kind(kind)
    outside = {point.name for point in _outside(kind)}
    return [*BUILT_IN[kind], *sorted(outside.difference(BUILT_IN[kind]))]


def find(kind: str, name: str) -> type[msgspec.Struct]:
    """Give the class of a strategy.

    Raises:
        InputError: no such kind or name, two packages claim the name, or what the entry point
            names cannot be imported or is no strategy of this kind.
    """
    return _load(kind, _locate(kind, name), f"{kind}.strategy")


def build(kind: str, name: str, parameters: Mapping[str, Any] | None = None) -> Any:
    """Build a strategy from its name and parameters; what is left out has its default.

    Raises:
        InputError: unknown kind, name or parameter, or a value of the wrong type or out of bounds;
            the field reads like a scenario's key, `pricing.K`.
        InputErrors: several parameters are wrong.
    """
    strategy = find(kind, name)
    try:
        return read_parameters(strategy, parameters or {})
    except InputError as error:
        raise error.within(kind) from None
    except InputErrors as several:
        raise InputErrors([error.within(kind) for error in several.errors]) from None


def describe(kind: str, name: str) -> StrategyDescription:
    """Say what a strategy does, where it comes from and which parameters it takes."""
    location = _locate(kind, name)
    strategy = _load(kind, location, f"{kind}.strategy")
    # Not getdoc, which would show the base's words for a strategy that has none.
    words, _, source = cleandoc(strategy.__dict__.get("__doc__") or "").partition("Source:")
    summary, _, formula = words.strip().partition("\n")
    return StrategyDescription(
        kind=kind,
        name=name,
        summary=summary,
        formula=formula.strip(),
        source=" ".join(source.split()).removesuffix("."),
        location=location,
        parameters=describe_parameters(strategy),
    )


def _check_kind(kind: str) -> None:
    if kind not in BASES:
        raise InputError("kind", kind, nearest_of(kind, BASES))


def _outside(kind: str) -> list[EntryPoint]:
    return list(entry_points(group=f"{ENTRY_POINT_GROUP}.{kind}"))


def _locate(kind: str, name: str) -> str:
    _check_kind(kind)
    if name in BUILT_IN[kind]:
        return BUILT_IN[kind][name]
    # The same class found twice, as in a half-finished upgrade, is no contradiction.
    found = sorted({point.value for point in _outside(kind) if point.name == name})
    if not found:
        raise InputError(f"{kind}.strategy", name, nearest_of(name, names(kind)))
    if len(found) > 1:
        raise InputError(f"{kind}.strategy", name, f"claimed by one package, but is by {' and '.join(found)}")
    return found[0]


def _load(kind: str, location: str, field: str) -> type[msgspec.Struct]:
    strategy = _imported(location, field)
    base = _imported(BASES[kind], field)
    if not (isinstance(strategy, type) and issubclass(strategy, base)):
        raise InputError(field, location, f"a subclass of {BASES[kind].replace(':', '.')}")
    return strategy


def _imported(location: str, field: str) -> Any:
    module, _, name = location.replace(" ", "").partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            field, location, f"something that can be imported ({shortened(str(error))})"
        ) from error
