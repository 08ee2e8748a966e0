"""How full the batteries of the vehicles plugged in are, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voltagora.domain.units import Floats, Integers
from voltagora.results.balance import seconds
from voltagora.results.figures import steps
from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import BASE, SUPPLY, Canvas, legend, round_steps, value_axis
from voltagora.results.figures.timeline import mark_midnights, time_axis
from voltagora.results.metrics import RELEASED
from voltagora.results.wording import quantity

if TYPE_CHECKING:
    from voltagora.results.result import Result

PERCENTILES = (5, 25, 50, 75, 95)
FEW = 1 / 20
"""Share of the most vehicles plugged in at once below which percentiles say nothing of the fleet."""


def soc(result: Result) -> Drawing:
    """Draw percentiles of the SoC of the vehicles plugged in, over how many those are."""
    sessions = result.tables["sessions"]
    if "schedule_kwh" not in sessions.column_names:
        empty = _data(np.zeros(0, np.int64), np.zeros((0, 5)), np.zeros(0, np.int64))
        why = "The run did not keep its schedules (results.session_series = false)."
        return nothing_to_show("soc", "State of charge", why, empty)
    starts, fan, plugged_in = soc_fan(sessions, result.span.start, result.span.end)
    data = _data(starts, fan, plugged_in)
    if not plugged_in.any():
        return nothing_to_show("soc", "State of charge", "No vehicle has been plugged in.", data)
    zone = result.span.time_zone

    def paint(canvas: Canvas) -> None:
        _paint(canvas, starts, fan, plugged_in, zone)

    most = int(plugged_in.max())
    middle = float(np.nanmedian(fan[:, 2])) * 100
    return Drawing(
        "soc",
        f"Up to {quantity(most)} vehicle{'s are' if most > 1 else ' is'} plugged in at once; "
        f"their median charge is mostly near {middle:.0f} %",
        "State of charge at the end of each slot, of the vehicles plugged in during it. Line: median. "
        "Bands: the middle half, and all but the lowest and highest twentieth; left out where hardly any "
        "are plugged in. Below: how many those are.",
        data,
        paint,
        lambda look: 330 if look.narrow else 360,
    )


def soc_fan(sessions: pa.Table, start: int, end: int) -> tuple[Integers, Floats, Integers]:
    """Compute percentiles of SoC by slot.

    Args:
        sessions: the sessions table, with its series.
        start: of the first slot, seconds UTC.
        end: of the last slot, seconds UTC.

    Returns:
        Slot starts, shape (slots,); SoC 0..1, shape (slots, percentiles), NaN where no vehicle is plugged
        in; vehicles plugged in, shape (slots,).
    """
    held = sessions.filter(pc.invert(pc.is_in(sessions["state"], value_set=pa.array(RELEASED))))
    if not len(held):
        return np.zeros(0, np.int64), np.zeros((0, len(PERCENTILES))), np.zeros(0, np.int64)
    moments, level = _levels(held)
    step = int(held["step_minutes"][0].as_py()) * 60
    starts = np.arange(start, end, step, dtype=np.int64)
    inside = (moments >= start) & (moments < end)
    slot, level = (moments[inside] - start) // step, level[inside]
    order = np.lexsort((level, slot))
    slot, level = slot[order], level[order]
    count = np.bincount(slot, minlength=len(starts))
    first = np.cumsum(count) - count
    fan = np.full((len(starts), len(PERCENTILES)), np.nan)
    some = count > 0
    for column, percentile in enumerate(PERCENTILES):
        # Linear interpolation between the two neighbours in each slot's sorted run of values.
        place = first[some] + percentile / 100 * (count[some] - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, first[some] + count[some] - 1)
        fan[some, column] = level[low] + (place - low) * (level[high] - level[low])
    return starts, fan, count


def _levels(held: pa.Table) -> tuple[Integers, Floats]:
    """Give slot start and SoC at the slot's end of every slot of every session, end to end."""
    lists = held["schedule_kwh"].combine_chunks()
    energy = lists.flatten().to_numpy()
    lengths = lists.value_lengths().to_numpy()
    session = np.repeat(np.arange(len(held)), lengths)
    first = np.cumsum(lengths) - lengths
    into, out = (
        held["charge_efficiency"].to_numpy()[session],
        held["discharge_efficiency"].to_numpy()[session],
    )
    gained = np.where(energy > 0, energy * into, energy / out)
    total = np.cumsum(gained)
    before = np.where(first > 0, total[np.maximum(first - 1, 0)], 0.0)
    capacity = held["capacity_kwh"].to_numpy()
    level = held["soc_at_arrival"].to_numpy()[session] + (total - before[session]) / capacity[session]
    step = held["step_minutes"].to_numpy()[session] * 60
    moments = seconds(held["first_slot"])[session] + (np.arange(len(session)) - first[session]) * step
    return moments, level


def _data(starts: Integers, fan: Floats, plugged_in: Integers) -> pa.Table:
    return pa.table(
        {
            "start": pa.array(starts * 1000, pa.int64()).cast(pa.timestamp("ms", tz="UTC")),
            "plugged_in": plugged_in,
            **{f"soc_p{p:02}": pa.array(fan[:, n], from_pandas=True) for n, p in enumerate(PERCENTILES)},
        }
    )


def _paint(canvas: Canvas, starts: Integers, fan: Floats, plugged_in: Integers, zone: str) -> None:
    look = canvas.look
    upper, lower = canvas.stacked((3, 1))
    start = int(starts[0])
    step = int(starts[1] - starts[0]) if len(starts) > 1 else 3600
    end = int(starts[-1]) + step
    edges = np.append((starts - start) / 3600, (end - start) / 3600)
    few = plugged_in < FEW * plugged_in.max()
    shares = np.where(few[:, None], np.nan, fan * 100)
    for axes in (upper, lower):
        mark_midnights(axes, start, end, zone)
    for low, high, alpha, label in ((0, 4, 0.18, "5–95 %"), (1, 3, 0.35, "25–75 %")):
        steps.band(upper, edges, shares[:, low], shares[:, high], color=SUPPLY, alpha=alpha, label=label)
    steps.line(upper, edges, shares[:, 2], color=SUPPLY, linewidth=1.8, label="median")
    upper.set_ylim(0, 102)
    upper.set_yticks([0, 25, 50, 75, 100])
    value_axis(upper, "SoC, %" if look.narrow else "state of charge, %", look)
    legend(upper, look, columns=3)
    steps.band(lower, edges, 0.0, plugged_in, color=BASE, alpha=0.8)
    lower.set_ylim(0, max(1.0, float(plugged_in.max()) * 1.08))
    round_steps(lower, 2, whole=True)
    value_axis(lower, "vehicles plugged in", look)
    time_axis(lower, start, end, zone, look)
