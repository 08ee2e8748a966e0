"""What vehicles pay and earn, slot by slot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from voltagora.domain.units import Floats, Integers
from voltagora.results.balance import seconds
from voltagora.results.figures import steps
from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import CHARGING, DISCHARGING, MUTED, Canvas, legend, value_axis
from voltagora.results.figures.timeline import clock_label, mark_midnights, time_axis
from voltagora.results.wording import quantity

if TYPE_CHECKING:
    from voltagora.results.result import Result


def prices(result: Result) -> Drawing:
    """Draw the buy and the sell price; with several areas their mean, and the range between areas."""
    slots = result.tables["slots"]
    starts = np.unique(seconds(slots["start"]))
    spread = {name: _over_areas(slots, starts, f"{name}_eur_per_kwh") for name in ("buy", "sell")}
    data = pa.table(
        {
            "start": pa.array(starts * 1000, pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            **{
                f"{name}_{part}_eur_per_kwh": pa.array(values, from_pandas=True)
                for name, three in spread.items()
                for part, values in zip(("mean", "least", "most"), three, strict=True)
            },
        }
    )
    if not len(starts) or bool(np.isnan(spread["buy"][0]).all()):
        return nothing_to_show("prices", "Prices", "No price has been recorded.", data)
    zone, step = result.span.time_zone, int(slots["step_minutes"][0].as_py()) * 60
    several = len(slots) > len(starts)

    def paint(canvas: Canvas) -> None:
        _paint(canvas, starts, step, zone, spread, several=several)

    return Drawing(
        "prices",
        _title(starts, spread["buy"][0], zone),
        "The newest price of each slot at its start: a booking made earlier keeps the prices it was made at."
        + (" Lines: mean of the areas. Bands: from the cheapest to the dearest." if several else ""),
        data,
        paint,
        lambda look: 250 if look.narrow else 280,
    )


def _over_areas(slots: pa.Table, starts: Integers, column: str) -> tuple[Floats, Floats, Floats]:
    """Give mean, least and most over the areas, each of shape (slots,); NaN where no area has a price."""
    place = np.searchsorted(starts, seconds(slots["start"]))
    values = slots[column].to_numpy()
    known = ~np.isnan(values)
    place, values = place[known], values[known]
    count = np.bincount(place, minlength=len(starts))
    total = np.bincount(place, weights=values, minlength=len(starts))
    mean = np.divide(total, count, out=np.full(len(starts), np.nan), where=count > 0)
    least, most = np.full(len(starts), np.inf), np.full(len(starts), -np.inf)
    np.minimum.at(least, place, values)
    np.maximum.at(most, place, values)
    unknown = count == 0
    least[unknown] = most[unknown] = np.nan
    return mean, least, most


def _title(starts: Integers, buy: Floats, zone: str) -> str:
    low, high = float(np.nanmin(buy)), float(np.nanmax(buy))
    if high - low < 1e-9:
        return f"Charging costs {quantity(low)} EUR/kWh throughout"
    hours = [clock_label(int(moment), zone) for moment in starts]
    by_hour: dict[str, list[float]] = {}
    for hour, price in zip(hours, buy.tolist(), strict=True):
        if price == price:
            by_hour.setdefault(hour, []).append(price)
    cheapest = min(by_hour, key=lambda hour: (sum(by_hour[hour]) / len(by_hour[hour]), hour))
    often = f", as a rule least at {cheapest}" if len(starts) > len(by_hour) else f", least at {cheapest}"
    return f"Charging costs {quantity(low)} to {quantity(high)} EUR/kWh{often}"


def _paint(
    canvas: Canvas,
    starts: Integers,
    step: int,
    zone: str,
    spread: dict[str, tuple[Floats, Floats, Floats]],
    *,
    several: bool,
) -> None:
    look = canvas.look
    (axes,) = canvas.stacked()
    start, end = int(starts[0]), int(starts[-1]) + step
    edges = np.append((starts - start) / 3600, (end - start) / 3600)
    mark_midnights(axes, start, end, zone)
    for name, colour, short, long in _lines(spread):
        mean, least, most = spread[name]
        width = 1.6 if len(starts) < 400 else 1.0
        steps.line(axes, edges, mean, color=colour, linewidth=width, label=short if look.narrow else long)
        if several:
            steps.band(axes, edges, least, most, color=colour, alpha=0.18)
    if float(np.nanmin(spread["buy"][1])) < 0 or float(np.nanmin(spread["sell"][1])) < 0:
        axes.axhline(0, color=MUTED, linewidth=0.8)
    else:
        axes.set_ylim(bottom=0)
    value_axis(axes, "EUR/kWh", look)
    legend(axes, look, columns=2)
    time_axis(axes, start, end, zone, look)


def _lines(spread: dict[str, tuple[Floats, Floats, Floats]]) -> list[tuple[str, str, str, str]]:
    """Give name, colour, short and long label of each line: one line if both prices are the same."""
    if all(
        np.array_equal(buy, sell, equal_nan=True)
        for buy, sell in zip(spread["buy"], spread["sell"], strict=True)
    ):
        return [("buy", CHARGING, "buy = sell", "buy = sell: paid to charge, earned by discharging")]
    return [
        ("buy", CHARGING, "buy", "buy: paid to charge"),
        ("sell", DISCHARGING, "sell", "sell: earned by discharging"),
    ]
