"""Figures that lay several runs over one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from voltagora.domain.units import Floats, Integers
from voltagora.results.balance import Balance, seconds
from voltagora.results.catalogue import BY_NAME
from voltagora.results.figures import steps
from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import (
    BASE,
    DASHES,
    INK,
    MUTED,
    RUNS,
    Canvas,
    Look,
    energy_scale,
    legend,
    plain,
    value_axis,
)
from voltagora.results.figures.timeline import mark_midnights, time_axis
from voltagora.results.wording import shown

if TYPE_CHECKING:
    from voltagora.results.result import Result

BARS = (
    "average_cost_eur_per_vehicle",
    "cost_eur_per_kwh_charged",
    "need_met_share",
    "charged_kwh",
    "discharged_kwh",
    "charging_in_surplus_share",
    "deficit_peak_kwh",
    "surplus_peak_kwh",
    "mean_abs_imbalance_kwh",
    "peak_to_average_demand",
    "full_cycles",
    "messages_total",
)


def balance_of_runs(names: Sequence[str], results: Sequence[Result]) -> Drawing:
    """Draw supply less demand of each run."""
    balances = [Balance.of(result.tables["slots"]) for result in results]
    data = _long(names, [(it.start, {"imbalance_kwh": it.imbalance_kwh}) for it in balances])
    if not all(len(it.start) for it in balances):
        return nothing_to_show(
            "compare-imbalance", "Supply less demand", "Not every run has recorded slots.", data
        )
    zone = results[0].span.time_zone
    base = balances[0]
    scale, unit = energy_scale(*(it.imbalance_kwh for it in balances))

    def paint(canvas: Canvas) -> None:
        (axes,) = canvas.stacked(top=_legend_room(names, canvas.look))
        start, end = _extent(balances)
        mark_midnights(axes, start, end, zone)
        axes.axhline(0, color=MUTED, linewidth=0.8)
        base_gap = base.base_imbalance_kwh / scale
        steps.line(axes, _edges(base, start), base_gap, color=BASE, linewidth=1, label="without fleet")
        for place, (name, it) in enumerate(zip(names, balances, strict=True)):
            steps.line(axes, _edges(it, start), it.imbalance_kwh / scale, label=name, **_pen(place))
        value_axis(axes, unit if canvas.look.narrow else f"supply − demand, {unit} a slot", canvas.look)
        legend(axes, canvas.look, columns=_columns(names, canvas.look))
        time_axis(axes, start, end, zone, canvas.look)

    caption = f"Grey: the grid of {names[0]} without its fleet. One step a slot; areas are added up."
    title = "Supply less demand: what each fleet makes of the same grid"
    return Drawing(
        "compare-imbalance", title, caption, data, paint, lambda look: 270 + _legend_room(names, look)
    )


def prices_of_runs(names: Sequence[str], results: Sequence[Result]) -> Drawing:
    """Draw the buy price of each run over its sell price."""
    balances = [Balance.of(result.tables["slots"]) for result in results]
    means = [
        {name: _mean_price(result, it, name) for name in ("buy", "sell")}
        for result, it in zip(results, balances, strict=True)
    ]
    columns = [
        (it.start, {f"{name}_eur_per_kwh": values for name, values in prices.items()})
        for it, prices in zip(balances, means, strict=True)
    ]
    data = _long(names, columns)
    if not all(
        len(it.start) and not np.isnan(prices["buy"]).all()
        for it, prices in zip(balances, means, strict=True)
    ):
        return nothing_to_show(
            "compare-prices", "Prices of each run", "Not every run has recorded prices.", data
        )
    zone = results[0].span.time_zone

    def paint(canvas: Canvas) -> None:
        panels = canvas.stacked((1, 1), top=_legend_room(names, canvas.look))
        start, end = _extent(balances)
        for axes, kind in zip(panels, ("buy", "sell"), strict=True):
            mark_midnights(axes, start, end, zone)
            for place, (name, it) in enumerate(zip(names, balances, strict=True)):
                values = means[place][kind]
                steps.line(axes, _edges(it, start), values, label=name, **_pen(place))
            if min(float(np.nanmin(prices[kind])) for prices in means) >= 0:
                axes.set_ylim(bottom=0)
            value_axis(axes, f"{kind}, EUR/kWh", canvas.look)
        legend(panels[0], canvas.look, columns=_columns(names, canvas.look))
        time_axis(panels[1], start, end, zone, canvas.look)

    caption = "Above what vehicles pay to charge, below what they earn by discharging; mean of the areas."
    return Drawing(
        "compare-prices",
        "Prices of each run",
        caption,
        data,
        paint,
        lambda look: 400 + _legend_room(names, look),
    )


def bars_of_runs(names: Sequence[str], results: Sequence[Result]) -> Drawing:
    """Draw the main metrics as small groups of bars, each group with its own scale."""
    data = pa.table(
        {
            "metric": [metric for metric in BARS for _ in names],
            "run": [name for _ in BARS for name in names],
            "value": pa.array(
                [result.metrics.get(metric) for metric in BARS for result in results], pa.float64()
            ),
        }
    )

    def paint(canvas: Canvas) -> None:
        columns = _bar_columns(canvas.look)
        for place, metric in enumerate(BARS):
            _bars(canvas, divmod(place, columns), columns, metric, names, results)

    caption = (
        "Each group has a scale of its own, from 0. A dash: unknown, since there was nothing to divide by."
    )
    return Drawing(
        "compare-metrics",
        "The main figures",
        caption,
        data,
        paint,
        lambda look: -(-len(BARS) // _bar_columns(look)) * _cell_height(names),
    )


def _bars(
    canvas: Canvas,
    cell: tuple[int, int],
    columns: int,
    metric: str,
    names: Sequence[str],
    results: Sequence[Result],
) -> None:
    look, height = canvas.look, _cell_height(names)
    row, column = cell
    width = look.width / columns
    box = (
        (column * width + 8) / look.width,
        1 - (canvas.title_room + (row + 1) * height - 10) / canvas.height,
        (width - 24) / look.width,
        (height - 40) / canvas.height,
    )
    axes = canvas.figure.add_axes(box)
    plain(axes, look)
    axes.set_axis_off()
    values = [result.metrics.get(metric) for result in results]
    lengths = [value or 0.0 for value in values]
    low, high = min(0.0, *lengths), max(0.0, *lengths)
    room = (high - low) or 1.0
    axes.set_xlim(low, low + room * 1.0)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        axes.barh(place + 0.22, lengths[place], height=0.34, color=RUNS[place % len(RUNS)], linewidth=0)
        words: dict[str, Any] = {"ha": "left", "va": "center", "fontsize": look.font - 1.5, "color": INK}
        axes.text(low, place - 0.2, _cut(name, width, look), **words)
        words["ha"] = "right"
        axes.text(low + room, place - 0.2, shown(value, BY_NAME[metric].unit), fontweight="bold", **words)
    axes.axvline(0, color=MUTED, linewidth=0.8)
    axes.text(
        0, 1.02, BY_NAME[metric].label, transform=axes.transAxes, va="bottom", fontsize=look.font, color=MUTED
    )


def _cut(name: str, width: float, look: Look) -> str:
    """Shorten a name that would run into the value beside it."""
    most = max(6, int((width - 24) / look.font / 0.58 - 13))
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _cell_height(names: Sequence[str]) -> int:
    return 36 * len(names) + 48


def _bar_columns(look: Look) -> int:
    return 1 if look.narrow else 4


def _mean_price(result: Result, balance: Balance, name: str) -> Floats:
    slots = result.tables["slots"]
    values = slots[f"{name}_eur_per_kwh"].to_numpy()
    known = ~np.isnan(values)
    place = np.searchsorted(balance.start, seconds(slots["start"]))[known]
    count = np.bincount(place, minlength=len(balance.start))
    total = np.bincount(place, weights=values[known], minlength=len(balance.start))
    mean: Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean


def _long(names: Sequence[str], parts: Sequence[tuple[Integers, dict[str, Floats]]]) -> pa.Table:
    """Lay series of several runs under one another, with the run's name in each row."""
    tables = [
        pa.table(
            {
                "run": pa.array([name] * len(start), pa.string()),
                "start": pa.array(start * 1000, pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
                **{column: pa.array(values, from_pandas=True) for column, values in columns.items()},
            }
        )
        for name, (start, columns) in zip(names, parts, strict=True)
    ]
    return pa.concat_tables(tables)


def _extent(balances: Sequence[Balance]) -> tuple[int, int]:
    starts = [int(it.start[0]) for it in balances]
    ends = [int(it.start[-1]) + it.step_seconds for it in balances]
    return min(starts), max(ends)


def _edges(balance: Balance, start: int) -> Floats:
    edges: Floats = (np.append(balance.start, balance.start[-1] + balance.step_seconds) - start) / 3600
    return edges


def _pen(place: int) -> dict[str, Any]:
    return {"color": RUNS[place % len(RUNS)], "linestyle": DASHES[place % len(DASHES)], "linewidth": 1.5}


def _columns(names: Sequence[str], look: Look) -> int:
    widest = max(len(name) for name in (*names, "without fleet")) * look.font * 0.6 + 44
    return max(
        1, min(len(names) + 1, int((look.width - 150 if not look.narrow else look.width - 40) / widest))
    )


def _legend_room(names: Sequence[str], look: Look) -> int:
    rows = -(-(len(names) + 1) // _columns(names, look))
    # On a narrow screen the legend goes above the axis label instead of beside it.
    return 12 + round(rows * look.font * 1.5) + (18 if look.narrow else 0)
