"""Supply, demand and what is missing between them, with and without the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from voltagora.results.balance import Balance
from voltagora.results.figures import steps
from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import (
    BASE,
    DEMAND,
    MUTED,
    SUPPLY,
    Canvas,
    energy_scale,
    legend,
    value_axis,
)
from voltagora.results.figures.timeline import mark_midnights, time_axis
from voltagora.results.wording import change, quantity

if TYPE_CHECKING:
    from voltagora.results.result import Result


def imbalance(result: Result) -> Drawing:
    """Draw supply and demand over their difference."""
    balance = Balance.of(result.tables["slots"])
    data = balance_data(balance)
    if not len(balance.start):
        return nothing_to_show("imbalance", "Supply and demand", "No slot has been recorded.", data)
    zone = result.span.time_zone

    def paint(canvas: Canvas) -> None:
        _paint(canvas, balance, zone)

    return Drawing(
        "imbalance",
        _title(balance),
        "Above: production plus discharging, and consumption plus charging; the lower edge of a shade is the "
        "grid without the fleet. Below: supply less demand. One step a slot; areas are added up.",
        data,
        paint,
        lambda look: 400 if look.narrow else 460,
    )


def balance_data(balance: Balance) -> pa.Table:
    """Give the numbers behind the figure, one row a slot."""
    return pa.table(
        {
            "start": pa.array(balance.start * 1000, pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            "supply_kwh": balance.supply_kwh,
            "demand_kwh": balance.demand_kwh,
            "imbalance_kwh": balance.imbalance_kwh,
            "base_supply_kwh": balance.base_supply_kwh,
            "base_demand_kwh": balance.base_demand_kwh,
            "base_imbalance_kwh": balance.base_imbalance_kwh,
        }
    )


def _title(balance: Balance) -> str:
    with_fleet, without = (
        max(0.0, float((-gap).max())) for gap in (balance.imbalance_kwh, balance.base_imbalance_kwh)
    )
    if with_fleet == without == 0:
        return "Supply covers demand in every slot"
    if not (balance.charging_kwh.any() or balance.discharging_kwh.any()):
        return f"No vehicle charges; the deficit peaks at {quantity(without, 'kWh')} a slot"
    verb, by = change(without, with_fleet)
    after = quantity(with_fleet, "kWh")
    if not by:
        return f"The fleet {verb} the deficit peak of {after} a slot"
    told = f"{by}, to {after}" if by.startswith(" by") else f" from {quantity(without, 'kWh')} to {after}"
    return f"The fleet {verb} the deficit peak{told} a slot"


def _paint(canvas: Canvas, balance: Balance, zone: str) -> None:
    look = canvas.look
    upper, lower = canvas.stacked((1, 1))
    start, end = int(balance.start[0]), int(balance.start[-1]) + balance.step_seconds
    edges = np.append((balance.start - start) / 3600, (end - start) / 3600)
    scale, unit = energy_scale(balance.supply_kwh, balance.demand_kwh)
    width = 1.6 if len(edges) < 400 else 1.0

    for axes in (upper, lower):
        mark_midnights(axes, start, end, zone)
    both = (
        (balance.base_supply_kwh, balance.supply_kwh, SUPPLY, "supply"),
        (balance.base_demand_kwh, balance.demand_kwh, DEMAND, "demand"),
    )
    for base, whole, colour, label in both:
        # The lower edge of the shade is the grid without the fleet.
        steps.band(upper, edges, base / scale, whole / scale, color=colour, alpha=0.25)
        steps.line(upper, edges, whole / scale, color=colour, linewidth=width, label=label)
    shade = "shade: fleet" if look.narrow else "shade: the fleet's part"
    upper.fill_between([], [], [], color=BASE, alpha=0.5, linewidth=0, label=shade)
    upper.set_ylim(bottom=0)
    value_axis(upper, unit if look.narrow else f"{unit} a slot", look)
    legend(upper, look, columns=3)

    gap = balance.imbalance_kwh / scale
    steps.band(lower, edges, 0.0, np.maximum(gap, 0), color=SUPPLY, alpha=0.75, label="surplus")
    steps.band(lower, edges, 0.0, np.minimum(gap, 0), color=DEMAND, alpha=0.75, label="deficit")
    base_gap = balance.base_imbalance_kwh / scale
    steps.line(lower, edges, base_gap, color=BASE, linewidth=1.2, label="without fleet")
    lower.axhline(0, color=MUTED, linewidth=0.8)
    lower.spines["bottom"].set_visible(False)
    value_axis(lower, unit if look.narrow else f"supply − demand, {unit} a slot", look)
    legend(lower, look, columns=3)
    time_axis(lower, start, end, zone, look)
