"""What says which run this was: the scenario as resolved, its hash, and the hashes of its data.

Nothing here depends on the machine or the folder: a file is known by its name and content.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec

from voltagora.domain.errors import InputError, InputErrors
from voltagora.scenario.read import PATH_KEYS
from voltagora.scenario.settings import STRATEGY_SECTIONS, Scenario
from voltagora.strategies import registry


def resolved(scenario: Scenario) -> dict[str, Any]:
    """Give every key with its value, defaults of strategies included, as a scenario file could."""
    plain: dict[str, Any] = msgspec.to_builtins(scenario)
    for section, key in PATH_KEYS:
        if plain[section][key] is not None:
            plain[section][key] = Path(plain[section][key]).name
    for kind in STRATEGY_SECTIONS:
        strategy = registry.build(kind, plain[kind]["strategy"], plain[kind].pop("parameters"))
        # A section's own key goes before a parameter of the same name, as when agents are built.
        plain[kind] = msgspec.to_builtins(strategy) | plain[kind]
    # TOML has no null: a key without a value is left out.
    return {key: _without_nulls(value) for key, value in plain.items()}


def scenario_hash(scenario: Scenario) -> str:
    """Give the SHA-256 of the resolved scenario, data files by name only; hex."""
    text = json.dumps(resolved(scenario), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def data_hashes(scenario: Scenario) -> dict[str, str]:
    """Give the SHA-256 of every data file a scenario names, by key: `grid.file`; hex.

    Raises:
        InputErrors: a file cannot be read.
    """
    hashes = {}
    for section, key in PATH_KEYS:
        path = getattr(getattr(scenario, section), key)
        if path is not None:
            try:
                hashes[f"{section}.{key}"] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            except OSError as error:
                raise InputErrors(
                    [InputError(str(path), error.strerror, "a file that can be read")]
                ) from None
    return hashes


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(each) for each in value]
    return value
