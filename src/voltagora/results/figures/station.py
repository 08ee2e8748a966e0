"""One day of the busiest station: who is plugged in where, and when energy flows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from voltagora.domain.units import Floats
from voltagora.results.balance import seconds
from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import CHARGING, DISCHARGING, INK, REST, Canvas, Look
from voltagora.results.figures.timeline import day_label, midnights, time_axis
from voltagora.results.metrics import RELEASED

if TYPE_CHECKING:
    from voltagora.results.result import Result

MOST_ROWS = 30
ROW_PIXELS = 19
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("station", "connector", "reservation", "vehicle")),
        *((name, pa.timestamp("ms", tz="UTC")) for name in ("arrival", "departure", "slot_start")),
        *((name, pa.float64()) for name in ("schedule_kwh", "power_share")),
    ]
)


@dataclass(frozen=True)
class StationDay:
    """The sessions of one station that share time with one local day."""

    station: str
    start: int
    end: int
    sessions: list[dict[str, Any]]
    rows: list[str]  # connectors, from top to bottom
    connectors_in_use: int


def station(result: Result) -> Drawing:
    """Draw the bookings of the busiest station on its busiest day, a row a connector."""
    day = busiest(result)
    if day is None:
        return nothing_to_show(
            "station", "Bookings of a station", "No connector has been reserved.", SCHEMA.empty_table()
        )
    zone = result.span.time_zone

    def paint(canvas: Canvas) -> None:
        _paint(canvas, day, zone)

    left_out = day.connectors_in_use - len(day.rows)
    more = (
        f" The {len(day.rows)} most used of {day.connectors_in_use} connectors are shown." if left_out else ""
    )
    return Drawing(
        "station",
        f"{day.station} on {day_label(day.start, zone)}: {_count(len(day.sessions), 'session')} "
        f"on {_count(day.connectors_in_use, 'connector')}",
        "The station with the most hours reserved, on its busiest day. Grey: reserved. Filled: energy into "
        "the vehicle or out of it; full height is the full power of the connector." + more,
        _data(day),
        paint,
        lambda _: ROW_PIXELS * len(day.rows) + 88,
    )


def busiest(result: Result) -> StationDay | None:
    """Find the station with the most hours reserved, and its day with the most."""
    table = result.tables["sessions"]
    table = table.filter(pc.invert(pc.is_in(table["state"], value_set=pa.array(RELEASED))))
    span = result.span
    hours = _hours_within(table, span.start, span.end)
    names = sorted(pc.unique(table["station"]).to_pylist())
    if not names or not hours.sum():
        return None
    place = pc.index_in(table["station"], value_set=pa.array(names)).to_numpy()
    name = names[int(np.bincount(place, weights=hours).argmax())]
    table = table.filter(pc.equal(table["station"], name))
    starts = midnights(span.start, span.end, span.time_zone) or [span.start]
    days = list(zip(starts, [*starts[1:], span.end], strict=True))
    start, end = max(days, key=lambda day: (float(_hours_within(table, *day).sum()), -day[0]))
    table = table.filter(pa.array(_hours_within(table, start, end) > 0))
    used: dict[str, float] = {}
    for connector, amount in zip(
        table["connector"].to_pylist(), _hours_within(table, start, end).tolist(), strict=True
    ):
        used[connector] = used.get(connector, 0.0) + amount
    most_used = sorted(used, key=lambda connector: (-used[connector], connector))[:MOST_ROWS]
    return StationDay(name, start, end, table.to_pylist(), sorted(most_used, key=_natural), len(used))


def _hours_within(sessions: pa.Table, start: int, end: int) -> Floats:
    arrival, departure = seconds(sessions["arrival"]), seconds(sessions["departure"])
    hours: Floats = np.maximum(np.minimum(departure, end) - np.maximum(arrival, start), 0) / 3600
    return hours


def _data(day: StationDay) -> pa.Table:
    rows = []
    for session in day.sessions:
        same = {name: session[name] for name in SCHEMA.names[:6]}
        for start, energy, share in _flows(session):
            rows.append({**same, "slot_start": start * 1000, "schedule_kwh": energy, "power_share": share})
        if not _flows(session):
            rows.append(same)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _flows(session: dict[str, Any]) -> list[tuple[int, float, float]]:
    """List the slots in which energy flows: start, kWh and the share of the connector's power."""
    step = session["step_minutes"] * 60
    first = int(session["first_slot"].timestamp())
    flows = []
    for place, energy in enumerate(session.get("schedule_kwh") or []):
        start, end = _within_stay(session, first + place * step, step)
        if energy and end > start:
            share = abs(energy) / (session["power_kw"] * (end - start) / 3600)
            flows.append((first + place * step, energy, min(share, 1.0)))
    return flows


def _within_stay(session: dict[str, Any], start: int, step: int) -> tuple[int, int]:
    arrival, departure = int(session["arrival"].timestamp()), int(session["departure"].timestamp())
    return max(start, arrival), min(start + step, departure)


def _paint(canvas: Canvas, day: StationDay, zone: str) -> None:
    look = canvas.look
    left = _label_room(day, look)
    (axes,) = canvas.stacked(left=left)
    row = {connector: place for place, connector in enumerate(day.rows)}
    bars: dict[str, list[Any]] = {REST: [], CHARGING: [], DISCHARGING: []}
    for session in day.sessions:
        if session["connector"] not in row:
            continue
        foot = row[session["connector"]] + 0.4
        arrival, departure = int(session["arrival"].timestamp()), int(session["departure"].timestamp())
        bars[REST].append(_box(day, arrival, departure, foot, 0.8))
        for start, energy, share in _flows(session):
            begin, stop = _within_stay(session, start, session["step_minutes"] * 60)
            colour = CHARGING if energy > 0 else DISCHARGING
            bars[colour].append(_box(day, begin, stop, foot, 0.8 * share))
    for colour, boxes in bars.items():
        axes.add_collection(PolyCollection(boxes, facecolors=colour, edgecolors="none", linewidths=0))
    axes.set_ylim(len(day.rows) - 0.5, -0.5)
    axes.set_yticks(range(len(day.rows)), day.rows)
    axes.tick_params(axis="y", colors=INK, labelsize=look.font - 2)
    axes.grid(visible=False, axis="y")
    words = (("reserved", REST), ("charging", CHARGING), ("discharging", DISCHARGING))
    made = axes.legend(
        handles=[Patch(facecolor=colour, label=word) for word, colour in words],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=look.font - 1,
        labelcolor=INK,
        handlelength=1.0,
        columnspacing=1.2,
        handletextpad=0.5,
        borderpad=0,
        borderaxespad=0.5,
    )
    made.set_zorder(5)
    time_axis(axes, day.start, day.end, zone, look)


def _box(day: StationDay, start: int, end: int, foot: float, height: float) -> list[tuple[float, float]]:
    left, right = ((min(max(moment, day.start), day.end) - day.start) / 3600 for moment in (start, end))
    return [(left, foot), (right, foot), (right, foot - height), (left, foot - height)]


def _label_room(day: StationDay, look: Look) -> int:
    longest = max(len(connector) for connector in day.rows)
    return min(int(longest * (look.font - 2) * 0.62) + 14, look.width // 3)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort c2 before c10."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part
    ]


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
