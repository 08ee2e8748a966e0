"""The scenarios that come with the package."""

from __future__ import annotations

from importlib.resources import files

from voltagora.domain.errors import InputError, InputErrors, one_of

_ORDER = ("quickstart", "paper-2020", "city")
"""The order in which a newcomer should meet them."""


def names() -> list[str]:
    """List the shipped scenarios."""
    return list(_ORDER)


def text(name: str) -> str:
    """Give the TOML of a shipped scenario, comments and all.

    Raises:
        InputErrors: there is none of that name.
    """
    if name not in _ORDER:
        raise InputErrors([InputError("scenario", name, nearest(name))])
    return (files("voltagora.scenario") / "shipped" / f"{name}.toml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """Give the first sentence of a shipped scenario's opening comment."""
    first = text(name).partition("\n")[0]
    return first.lstrip("# ").strip()


def nearest(name: str) -> str:
    """Say which names would be right."""
    return one_of(name, _ORDER)
