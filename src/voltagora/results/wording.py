"""Numbers and differences in words."""

from __future__ import annotations

from typing import Final

SPACE: Final = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which must not part at the end of a line."""

LARGEST_TOLD: Final = 10.0
"""What grows more than so many times is told by its values, since "by 3,295 %" says little."""


def change(before: float, after: float) -> tuple[str, str]:
    """Say what was done to a quantity that is good to keep small.

    Returns:
        A verb, and by how much: `("lowers", " by 12 %")` for "The fleet lowers the peak by 12 %".
    """
    if after == before or (before and abs(after - before) < 0.0005 * abs(before)):
        return "does not change", ""
    verb = "raises" if after > before else "lowers"
    if before <= 0 or after < 0 or after > LARGEST_TOLD * before:
        return verb, f" from {quantity(before)} to {quantity(after)}"
    return verb, f" by {percent(abs(after - before) / before)}"


def percent(share: float) -> str:
    """Write a share as a percentage with two figures that mean something."""
    value = share * 100
    digits = 0 if value >= 9.95 or value == 0 else 1 if value >= 0.995 else 2
    return f"{value:,.{digits}f}{SPACE}%"


def quantity(value: float | None, unit: str = "") -> str:
    """Write an amount with its unit, in three or four figures and a larger unit where that is shorter."""
    if value is None:
        return "–"
    if unit == "kWh" and abs(value) >= 10_000:
        value, unit = (value / 1e6, "GWh") if abs(value) >= 1e7 else (value / 1e3, "MWh")
    size = abs(value)
    digits = 0 if size >= 1000 or float(value).is_integer() else 1 if size >= 100 else 2 if size >= 1 else 3
    if unit == "EUR" and size:
        digits = 2 if size >= 0.1 else 4
    text = f"{value:,.{digits}f}".replace("-", "\u2212")
    return f"{text}{SPACE}{unit}" if unit else text


def shown(value: float | None, unit: str) -> str:
    """Write a metric for a table or a tile, its unit included."""
    if value is None:
        return "–"
    if unit == "share":
        return percent(value)
    return quantity(value, "" if unit in ("ratio", "count", "cycles") else unit)
