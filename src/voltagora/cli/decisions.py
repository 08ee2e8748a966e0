"""`voltagora strategies` and `voltagora try`: what can be decided, and one decision by hand."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from voltagora.strategies.parameters import ParameterDescription
    from voltagora.strategies.registry import StrategyDescription

Kind = Annotated[
    str | None,
    typer.Argument(help="pricing, scheduling, recommendation, choice, negotiation or forecast"),
]


def strategies_command(
    kind: Kind = None,
    name: Annotated[str | None, typer.Argument(help="one strategy, in full")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON for a program")] = False,
) -> None:
    """List the strategies that exist, with their parameters and sources."""
    from voltagora.strategies import registry

    if kind is not None and name is not None:
        described = [registry.describe(kind, name)]
    else:
        chosen = registry.kinds() if kind is None else [kind]
        described = [registry.describe(each, known) for each in chosen for known in registry.names(each)]
    if as_json:
        _print_json([_as_builtins(each) for each in described])
    elif name is not None:
        print(_in_full(described[0]))
    else:
        print("\n".join(_as_list(described)))


def try_command(
    kind: Annotated[str, typer.Argument(help="the kind of decision")],
    name: Annotated[str, typer.Argument(help="the strategy's name")],
    input_: Annotated[str, typer.Option("--input", metavar="FILE|-", help="the question, JSON; - is stdin")],
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="a parameter of the strategy")
    ] = None,
) -> None:
    """Decide once: a question in JSON from a file, the answer in JSON on the terminal."""
    from voltagora.strategies import registry

    strategy = registry.build(kind, name, read_pairs(param or []))
    trial = import_module(f"voltagora.cli.trials.{kind}")
    _print_json(trial.decide(strategy, read_question(input_)))


def read_pairs(pairs: list[str]) -> dict[str, Any]:
    """Read `key=value` pairs; a value is JSON where it can be, else a text.

    Raises:
        InputError: a pair without `=`, or a key given twice.
    """
    from voltagora.domain.errors import InputError

    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError("--param", pair, "key=value")
        if key in values:
            raise InputError("--param", pair, f"the only one for {key}")
        try:
            values[key] = json.loads(text)
        except ValueError:
            values[key] = text
    return values


def read_question(source: str) -> bytes:
    """Read a whole file, or standard input for `-`.

    Raises:
        InputError: the file cannot be read.
    """
    from voltagora.domain.errors import InputError

    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise InputError("--input", source, f"a file that can be read ({error.strerror})") from None


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def _as_builtins(described: StrategyDescription) -> Any:
    import msgspec

    return msgspec.to_builtins(described)


def _as_list(described: list[StrategyDescription]) -> list[str]:
    """One line a strategy, one indented line a parameter, kind by kind."""
    lines: list[str] = []
    kind = ""
    for each in described:
        if each.kind != kind:
            kind = each.kind
            lines += ["", kind] if lines else [kind]
        lines.append(f"  {each.name:<18} {each.summary}")
        lines += [f"      {p.name} = {_shown(p.default)}   {p.description}" for p in each.parameters]
    return lines


def _in_full(described: StrategyDescription) -> str:
    parts = [f"{described.kind} {described.name}", described.summary]
    if described.formula:
        parts.append(described.formula)
    if described.parameters:
        parts.append("\n".join(["Parameters:", *map(_parameter_in_full, described.parameters)]))
    parts.append(f"Source: {described.source or 'not given'}")
    parts.append(f"Class: {described.location}")
    return "\n\n".join(parts)


def _parameter_in_full(parameter: ParameterDescription) -> str:
    shown = f"{parameter.name} = {_shown(parameter.default)}"
    return f"  {shown}\n      {parameter.description}; {parameter.type}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
