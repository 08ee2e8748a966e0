"""VoltAgora: an open multi-agent market for V2G and G2V energy, simulated or live."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voltagora.hub.server import Hub as Hub
    from voltagora.results.result import Result as Result
    from voltagora.scenario.read import read_scenario as read_scenario
    from voltagora.scenario.run import run as run

__version__ = "0.1.0"

_EXPORTS = {
    "Hub": "voltagora.hub.server",
    "Result": "voltagora.results.result",
    "read_scenario": "voltagora.scenario.read",
    "run": "voltagora.scenario.run",
}
"""Public names and the modules they are defined in, imported when first asked for."""


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'voltagora' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
