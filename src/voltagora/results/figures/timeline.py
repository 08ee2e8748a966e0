"""The horizontal axis of time: local days and hours, labelled so that they can be read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from matplotlib.axes import Axes

from voltagora.results.figures.style import GRID, MUTED, RIGHT, Look

# Names of our own, since those of the C library change with the locale.
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HOUR_STEPS = (1, 2, 3, 4, 6, 12)
DAY_STEPS = (1, 2, 3, 5, 7, 14, 28, 56, 91, 182, 364)


class Tick(NamedTuple):
    """One label on a time axis."""

    moment: int  # seconds UTC
    label: str


def ticks(start: int, end: int, zone: str, most: int) -> list[Tick]:
    """Choose at most about `most` labels for `[start, end)`, seconds UTC: hours up to two days, else days."""
    days = midnights(start, end, zone)
    if end - start <= 2 * 86_400 + 7_200:
        return _hours(start, end, zone, most)
    step = next((step for step in DAY_STEPS if len(days) / step <= most), DAY_STEPS[-1])
    return [Tick(moment, day_label(moment, zone)) for moment in days[::step]]


def midnights(start: int, end: int, zone: str) -> list[int]:
    """List the local midnights in `[start, end)`, seconds UTC."""
    local = ZoneInfo(zone)
    day = datetime.fromtimestamp(start, UTC).astimezone(local).date()
    moments: list[int] = []
    while True:
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=local).timestamp())
        if midnight >= end:
            return moments
        if midnight >= start:
            moments.append(midnight)
        day += timedelta(days=1)


def day_label(moment: int, zone: str) -> str:
    """Write the local day of an instant, like `Wed 1 Jan`."""
    local = datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone))
    return f"{WEEKDAYS[local.weekday()]} {local.day} {MONTHS[local.month - 1]}"


def clock_label(moment: int, zone: str) -> str:
    """Write the local time of day of an instant, like `07:30`."""
    return datetime.fromtimestamp(moment, UTC).astimezone(ZoneInfo(zone)).strftime("%H:%M")


def time_axis(axes: Axes, start: int, end: int, zone: str, look: Look) -> None:
    """Label the horizontal axis of a figure whose x values are hours since `start`."""
    hours = (end - start) / 3600
    axes.set_xlim(0, hours)
    chosen = ticks(start, end, zone, look.ticks)
    hours_a_pixel = hours / (axes.get_position().width * look.width)
    places, labels = [], []
    for tick in chosen:
        place = (tick.moment - start) / 3600
        room = (hours - place) / hours_a_pixel + RIGHT
        # A label that would run over the edge is left out; its mark stays.
        labels.append(tick.label if len(tick.label) * look.font * 0.56 <= room else "")
        places.append(place)
    axes.set_xticks(places, labels)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("left")
    axes.set_xlabel(clock_name(zone), color=MUTED, fontsize=look.font - 1, loc="right", labelpad=3)


def mark_midnights(axes: Axes, start: int, end: int, zone: str) -> None:
    """Draw a faint line at each local midnight, unless there are too many to help."""
    moments = midnights(start, end, zone)
    if len(moments) <= 31:
        for moment in moments:
            axes.axvline((moment - start) / 3600, color=GRID, linewidth=0.8, zorder=0)


def clock_name(zone: str) -> str:
    """Say whose clock the axis shows."""
    return "time, UTC" if zone == "UTC" else f"local time, {zone}"


def _hours(start: int, end: int, zone: str, most: int) -> list[Tick]:
    step = next((step for step in HOUR_STEPS if (end - start) / 3600 / step <= most), HOUR_STEPS[-1])
    local = ZoneInfo(zone)
    chosen = []
    # Slots and zones begin on quarters of an hour, so that none of the clock's hours is stepped over.
    for moment in range(-(-start // 900) * 900, end, 900):
        clock = datetime.fromtimestamp(moment, UTC).astimezone(local)
        if clock.minute == 0 and clock.hour % step == 0:
            chosen.append(Tick(moment, day_label(moment, zone) if clock.hour == 0 else f"{clock.hour:02}:00"))
    return chosen or [Tick(start, clock_label(start, zone))]
