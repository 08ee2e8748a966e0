"""How much the agents talked, by protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from voltagora.results.figures.drawing import Drawing, nothing_to_show
from voltagora.results.figures.style import INK, SUPPLY, Canvas
from voltagora.results.metrics import messages as counted
from voltagora.results.wording import quantity

if TYPE_CHECKING:
    from voltagora.results.result import Result

PROTOCOL_NAMES = {
    "CP1": "Recommendation",
    "CP2": "Reservation",
    "CP3": "Negotiation",
    "CP4": "Station registration",
    "CP5": "Authentication",
    "CP6": "Imbalance",
    "CP7": "Prices",
    "CP8": "Schedule",
    "CP9": "Profile registration",
    "CP10": "Expected energy",
    "CP11": "Confidence",
    "CP12": "Availability",
}


def messages(result: Result) -> Drawing:
    """Draw the publications of each protocol."""
    found = counted(result.tables["message_counts"])
    counts: dict[str, int] = found["messages"]
    names = [f"{protocol} {PROTOCOL_NAMES.get(protocol, '')}".strip() for protocol in counts]
    data = pa.table(
        {"protocol": list(counts), "name": names, "messages": pa.array(list(counts.values()), pa.int64())}
    )
    total = int(found["messages_total"])
    if not total:
        return nothing_to_show(
            "messages", "Messages by protocol", "No message has been counted.", data, half=True
        )
    made = result.tables["needs"]["reservation"]
    bookings = len(made) - made.null_count

    def paint(canvas: Canvas) -> None:
        _paint(canvas, names, list(counts.values()))

    each = f", {quantity(round(total / bookings, 1))} for each booking made" if bookings else ""
    return Drawing(
        "messages",
        f"{quantity(total)} messages{each}",
        "Publications by protocol, each counted once however many read it.",
        data,
        paint,
        lambda _: 24 * len(names) + 20,
        half=True,
    )


def _paint(canvas: Canvas, names: list[str], counts: list[int]) -> None:
    look = canvas.look
    (axes,) = canvas.stacked(left=168, top=8, bottom=8)
    rows = np.arange(len(names))
    axes.barh(rows, counts, height=0.68, color=SUPPLY, linewidth=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max(counts) * (1.28 if look.narrow else 1.18))
    axes.grid(visible=False)
    axes.set_yticks(rows, names)
    axes.tick_params(axis="y", colors=INK, labelsize=look.font - 1)
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    for row, count in zip(rows, counts, strict=True):
        axes.annotate(
            quantity(count),
            xy=(count, row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=look.font - 1,
        )
