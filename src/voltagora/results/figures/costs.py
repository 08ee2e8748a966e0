"""What the vehicles paid: how it spreads over the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from voltagora.domain.units import Floats
from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import DEMAND, INK, MUTED, SUPPLY, Canvas, round_steps, value_axis
from voltagora.results.wording import quantity

if TYPE_CHECKING:
    from voltagora.results.result import Result

BINS = 28
FINEST_EUR = 0.001


def costs(result: Result) -> Drawing:
    """Draw how many vehicles paid how much."""
    cost = result.tables["vehicles"]["cost_eur"].to_numpy()
    edges = bin_edges(cost)
    count = np.histogram(cost, edges)[0]
    data = pa.table({"from_eur": edges[:-1], "to_eur": edges[1:], "vehicles": count.astype(np.int64)})
    if not len(cost):
        return nothing_to_show("costs", "Cost per vehicle", "No vehicle took part.", data, half=True)
    middle, high = (float(np.percentile(cost, percentile)) for percentile in (50, 95))

    def paint(canvas: Canvas) -> None:
        _paint(canvas, edges, count.astype(np.float64), middle, high)

    return Drawing(
        "costs",
        _title(middle, high, len(cost)),
        "Cost per vehicle over the whole run, what it earned by discharging taken off; vehicles that never "
        "charged are included. Below 0 EUR a vehicle earned more than it paid.",
        data,
        paint,
        lambda _: 300,
        half=True,
    )


def _title(middle: float, high: float, vehicles: int) -> str:
    if vehicles == 1:
        return f"The one vehicle pays {quantity(middle, 'EUR')}"
    half, few = quantity(middle, "EUR"), quantity(high, "EUR")
    return f"Half of the vehicles pay at most {half}, one in twenty more than {few}"


def bin_edges(cost_eur: Floats) -> Floats:
    """Choose bins of a round width: 1, 2 or 5 times a power of ten, about thirty of them."""
    if not len(cost_eur):
        return np.array([0.0, 1.0])
    low, high = float(cost_eur.min()), float(cost_eur.max())
    least = max((high - low) / BINS, FINEST_EUR)
    power = 10.0 ** np.floor(np.log10(least))
    width = next(step * power for step in (1, 2, 5, 10) if step * power >= least * 0.999)
    first = np.floor(low / width)
    count = int(np.floor(high / width) - first) + 1
    edges: Floats = (first + np.arange(count + 1)) * width
    return edges


def _paint(canvas: Canvas, edges: Floats, count: Floats, middle: float, high: float) -> None:
    look = canvas.look
    (axes,) = canvas.stacked(top=46)
    axes.bar(edges[:-1], count, width=np.diff(edges) * 0.94, align="edge", color=SUPPLY, linewidth=0)
    axes.set_ylim(0, max(float(count.max()) * 1.08, 1.0))
    round_steps(axes, whole=True)
    if edges[0] < 0 < edges[-1]:
        axes.axvline(0, color=MUTED, linewidth=0.8)
    where = (edges[0] + edges[-1]) / 2
    marks = [(middle, "median"), (high, "95 %")] if high > middle else [(middle, "median")]
    for cost, word in marks:
        axes.axvline(cost, color=DEMAND, linewidth=1.4, linestyle=(0, (4, 2)))
        near = cost < where or (word == "95 %" and cost < edges[-1] * 0.7)
        side = "left" if near else "right"
        axes.annotate(
            word,
            xy=(cost, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4 if side == "left" else -4, -2),
            textcoords="offset points",
            ha=side,
            va="top",
            color=INK,
            fontsize=look.font - 1,
        )
    value_axis(axes, "vehicles", look)
    axes.set_xlabel("cost per vehicle, EUR", color=MUTED, fontsize=look.font - 1, loc="right")
