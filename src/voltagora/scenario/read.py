"""Reads a scenario: a file or a shipped name, with overrides, every mistake told at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voltagora.domain.errors import InputError, InputErrors
from voltagora.scenario import shipped
from voltagora.scenario.consistency import inconsistencies, strategy_errors
from voltagora.scenario.override import Override, apply_overrides, parse_overrides
from voltagora.scenario.settings import STRATEGY_SECTIONS, Scenario, StrategySection
from voltagora.scenario.validation import read_struct

PATH_KEYS = (("grid", "file"), ("vehicles", "driver_file"), ("pricing", "market_file"))
"""Keys that name a file: relative to the scenario's folder, in an override to the current one."""

Overrides = Mapping[str, object] | Sequence[str]


def read_scenario(source: str | Path, overrides: Overrides = (), seed: int | None = None) -> Scenario:
    """Read a scenario and check everything that can be checked without its data.

    Args:
        source: a TOML file, or the name of a shipped scenario.
        overrides: `{"vehicles.count": 100}`, or `["vehicles.count=100"]` as on the command line,
            where a value is read as TOML and, failing that, as text.
        seed: replaces the scenario's, if given.

    Raises:
        InputErrors: with one error for each thing that is wrong.
    """
    name, text, folder = _found(source)
    raw = _parsed(name, text)
    changes = parse_overrides(overrides)
    if seed is not None:
        changes.append(Override("seed", seed))
    errors = apply_overrides(raw, changes)
    if errors:
        raise InputErrors(errors)
    _complete(raw, name, folder, {change.key for change in changes})
    errors = []
    scenario = read_struct(Scenario, raw, "", errors)
    errors.extend(strategy_errors(_sound_sections(raw)) if errors else inconsistencies(scenario))
    if errors:
        raise InputErrors([_placed(error, name, changes) for error in errors])
    assert isinstance(scenario, Scenario)
    return scenario


def _found(source: str | Path) -> tuple[str, str, Path | None]:
    """Find the text: gives what to call it in errors, the text, and the folder paths start from."""
    if isinstance(source, str) and source in shipped.names():
        return source, shipped.text(source), None
    path = Path(source)
    try:
        return path.name, path.read_bytes().decode("utf-8-sig"), path.resolve().parent
    except (FileNotFoundError, NotADirectoryError):
        if path.suffix or path.name != str(source):
            raise InputErrors([InputError("scenario", str(source), "a file that exists")]) from None
        expected = f"a file, or {shipped.nearest(str(source))}"
        raise InputErrors([InputError("scenario", str(source), expected)]) from None
    except OSError as error:
        raise InputErrors(
            [InputError("scenario", str(source), f"a file that can be read ({error.strerror})")]
        ) from None
    except UnicodeDecodeError as error:
        raise InputErrors(
            [InputError(f"{path.name}: byte {error.start}", error.object[error.start], "UTF-8 text")]
        ) from None


def _parsed(name: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputErrors([InputError(name, str(error), "valid TOML")]) from None


def _complete(raw: dict[str, Any], name: str, folder: Path | None, overridden: set[str]) -> None:
    """Fill in what depends on the file itself: its name, where paths start, no count beside a list."""
    raw.setdefault("title", name.removesuffix(".toml"))
    for section in ("vehicles", "stations"):
        table = raw.get(section)
        if isinstance(table, dict) and table.get("list"):
            table.setdefault("count", 0)
    for section, key in PATH_KEYS:
        table = raw.get(section)
        if isinstance(table, dict) and isinstance(table.get(key), str):
            start = Path.cwd() if folder is None or f"{section}.{key}" in overridden else folder
            table[key] = str(start / table[key])


def _sound_sections(raw: dict[str, Any]) -> dict[str, StrategySection]:
    """Read the sections of strategies of a scenario that is wrong elsewhere."""
    sections = {}
    for kind in STRATEGY_SECTIONS:
        errors: list[InputError] = []
        section = read_struct(type(getattr(Scenario(), kind)), raw.get(kind, {}), kind, errors)
        if not errors:
            sections[kind] = section
    return sections


def _placed(error: InputError, name: str, overrides: Sequence[Override]) -> InputError:
    """Say where a wrong key stands: in the file, or on the command line."""
    by_override = any(
        error.field == change.key or error.field.startswith((f"{change.key}.", f"{change.key}["))
        for change in overrides
    )
    place = "--set" if by_override else name
    return InputError(f"{place}: {error.field}", error.got, error.expected)
