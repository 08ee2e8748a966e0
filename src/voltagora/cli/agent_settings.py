"""What one agent's service is told: by options, by `run_params`, and by a configuration file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from voltagora.domain.errors import NOTHING, InputError, InputErrors
from voltagora.scenario import shipped
from voltagora.scenario.override import parse_overrides
from voltagora.scenario.validation import read_struct

PATHS: Final = ("data", "ca", "cert", "key")


class AgentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a configuration file and of `run_params`; None where nothing was said."""

    scenario: str | None = None
    id: str | list[str] | None = None
    set: list[str] | dict[str, Any] | None = None
    seed: int | None = None
    broker: str | None = None
    data: str | None = None
    full_sync: bool | None = None
    start: bool | None = None
    speed: int | float | str | None = None
    http: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @property
    def ids(self) -> tuple[str, ...]:
        """The agents that play here, each once."""
        ids = [self.id] if isinstance(self.id, str) else self.id or ()
        return tuple(dict.fromkeys(ids))

    def path(self, name: str) -> Path | None:
        """Give one of the paths."""
        found = getattr(self, name)
        return None if found is None else Path(found)


def agent_settings(
    options: Mapping[str, Any], parameters: Mapping[str, Any], config: Path | None
) -> AgentSettings:
    """Put together what was said: options win over `run_params`, those over the file.

    Overrides of the scenario are joined, so that one may come from each.

    Raises:
        InputErrors: a key is unknown or of a wrong kind, or one that is needed is missing.
    """
    errors: list[InputError] = []
    said = [
        _settings(_file(config), str(config), errors),
        _settings(parameters, "run_params", errors),
        _settings(options, "", errors),
    ]
    if errors:
        raise InputErrors(errors)
    if config is not None:
        said[0] = _from_folder(said[0], config.parent)
    merged: dict[str, Any] = {}
    for settings in said:
        told = {name: value for name, value in msgspec.structs.asdict(settings).items() if value is not None}
        overrides = merged.get("set", {}) | _overrides(told.get("set", ()))
        merged |= told | {"set": overrides}
    found = AgentSettings(**merged)
    for name, value in (("scenario", found.scenario), ("id", found.ids)):
        if not value:
            errors.append(
                InputError(f"--{name}", NOTHING, "given, here, in run_params or in the configuration file")
            )
    if errors:
        raise InputErrors(errors)
    return found


def _settings(raw: Mapping[str, Any], where: str, errors: list[InputError]) -> AgentSettings:
    found: list[InputError] = []
    settings = read_struct(AgentSettings, raw, "", found)
    for error in found:
        field = f"{where}: {error.field}" if where else f"--{error.field.replace('_', '-')}"
        errors.append(InputError(field, error.got, error.expected))
    return AgentSettings() if found else settings


def _file(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        return tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError("--config", str(config), f"a TOML file ({error})") from None


def _from_folder(settings: AgentSettings, folder: Path) -> AgentSettings:
    """Let the paths of a file start where the file lies."""
    names = [name for name in PATHS if getattr(settings, name) is not None]
    if settings.scenario is not None and settings.scenario not in shipped.names():
        names.append("scenario")
    changed = {name: str(folder / getattr(settings, name)) for name in names}
    return msgspec.structs.replace(settings, **changed)


def _overrides(said: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    return {override.key: override.value for override in parse_overrides(said)}
