"""How figures look: colours that colour-blind readers can tell apart, few lines, units on every axis."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from voltagora.domain.units import Floats

# Light-page colours (Okabe and Ito 2008, darkened where text contrast needs it); a page
# may replace each by its CSS variable, so every meaning has a colour of its own.
INK: Final = "#1b2127"
MUTED: Final = "#57616c"
GRID: Final = "#dde2e7"
SURFACE: Final = "#fffffe"
REST: Final = "#c9d0d7"
SUPPLY: Final = "#0072b2"
DEMAND: Final = "#d55e00"
CHARGING: Final = "#008f68"
DISCHARGING: Final = "#9c4a97"
BASE: Final = "#808a94"
RUNS: Final = ("#0072b1", "#d55e01", "#008f67", "#9c4a98", "#b07d00", "#3a9bdc", "#a61c3c", "#5c5c5d")
"""Of runs side by side; line styles tell them apart as well."""

VARIABLES: Final = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    SURFACE: "surface",
    REST: "rest",
    SUPPLY: "supply",
    DEMAND: "demand",
    CHARGING: "charging",
    DISCHARGING: "discharging",
    BASE: "base",
    **{colour: f"run-{place}" for place, colour in enumerate(RUNS)},
}
DASHES: Final = ("solid", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True)
class Look:
    """A width to draw for: figures are drawn for the screen they are seen on, never shrunk onto it."""

    width: int  # pixels
    font: float  # pixels
    ticks: int  # the most labels along the time axis
    left: int = 64  # room for the labels of the vertical axis, pixels

    @property
    def narrow(self) -> bool:
        """Whether this is for a telephone."""
        return self.width < 500


WIDE: Final = Look(width=1120, font=13, ticks=12)
HALF: Final = Look(width=550, font=13, ticks=6)
NARROW: Final = Look(width=360, font=12.5, ticks=4, left=56)

DOTS_PER_INCH: Final = 72
TOP, RIGHT, BOTTOM, GAP = 30, 16, 46, 36


class ShownFigure(Figure):
    """A Figure that notebooks show even if pyplot, which would teach them to, was never used."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png")
        return image.getvalue()


class Canvas:
    """A matplotlib Figure of fixed margins, with axes stacked from top to bottom.

    Margins are set in pixels rather than found by trial drawing, which is ten times slower.
    """

    def __init__(self, look: Look, height: int, *, title: str | None = None) -> None:
        self.look = look
        lines = title_lines(title or "", look)
        self.title_room = title_room(lines, look)
        self.height = height + self.title_room
        size = (look.width / DOTS_PER_INCH, self.height / DOTS_PER_INCH)
        self.figure = ShownFigure(figsize=size, dpi=DOTS_PER_INCH, facecolor=SURFACE)
        FigureCanvasAgg(self.figure)
        if title:
            place = (8 / look.width, 1 - 8 / self.height)
            words = self.figure.text(*place, "\n".join(lines), va="top", ha="left", color=INK)
            words.set_fontsize(title_font(look))
            words.set_fontweight("bold")

    def stacked(
        self,
        shares: Sequence[float] = (1.0,),
        *,
        left: int | None = None,
        top: int = TOP,
        bottom: int = BOTTOM,
    ) -> list[Axes]:
        """Make axes above one another, sharing the horizontal axis, each with its share of the height."""
        margin = self.look.left if left is None else left
        high: float = self.title_room + top
        room = self.height - high - bottom - GAP * (len(shares) - 1)
        axes: list[Axes] = []
        for share in shares:
            height = room * share / sum(shares)
            box = (
                margin / self.look.width,
                1 - (high + height) / self.height,
                1 - (margin + RIGHT) / self.look.width,
                height / self.height,
            )
            made = self.figure.add_axes(box, sharex=axes[0] if axes else None)
            plain(made, self.look)
            axes.append(made)
            high += height + GAP
        for upper in axes[:-1]:
            upper.tick_params(labelbottom=False, bottom=False)
        return axes

    def say(self, words: str) -> None:
        """Put words where a figure would be."""
        axes = self.figure.add_axes((0, 0, 1, 1 - self.title_room / self.height))
        axes.set_axis_off()
        axes.text(0.5, 0.5, words, ha="center", va="center", color=MUTED, fontsize=self.look.font, wrap=True)


def title_font(look: Look) -> float:
    """Give the size of a title, pixels."""
    return look.font + 2.5


def title_lines(title: str, look: Look) -> list[str]:
    """Break a title into lines that fit."""
    return textwrap.wrap(title, int((look.width - 16) / title_font(look) * 1.6))


def title_room(lines: Sequence[str], look: Look) -> int:
    """Give the height that the lines of a title take, pixels."""
    return round(len(lines) * title_font(look) * 1.25) + 14 if lines else 0


def plain(axes: Axes, look: Look) -> None:
    """Leave only what helps to read: horizontal lines behind the data, and labels."""
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(MUTED)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.tick_params(colors=MUTED, labelsize=look.font - 1, length=0, pad=5)
    axes.tick_params(axis="x", length=4, color=MUTED)
    round_steps(axes)


def round_steps(axes: Axes, most: int = 5, *, whole: bool = False) -> None:
    """Label the vertical axis at round values, at whole ones if they count things."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10], integer=whole))


def value_axis(axes: Axes, label: str, look: Look) -> None:
    """Name the vertical axis, unit included, above its top end, where it reads without turning the head."""
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.annotate(
        label,
        xy=(0, 1),
        xytext=(8 - look.left, 9),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="left",
        va="bottom",
        color=MUTED,
        fontsize=look.font - 1,
        annotation_clip=False,
    )


def legend(axes: Axes, look: Look, columns: int = 4) -> None:
    """Put the legend in one row above the axes, at the right."""
    made = axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.995),
        ncols=columns,
        frameon=False,
        fontsize=look.font - 1,
        labelcolor=INK,
        handlelength=1.5,
        columnspacing=1.2,
        handletextpad=0.5,
        borderpad=0,
        borderaxespad=0.3,
    )
    made.set_zorder(5)


def number(value: float) -> str:
    """Write a number for an axis: no needless zeros, thousands apart."""
    text = f"{value:,.6g}" if abs(value) >= 1e-12 else "0"
    return text.replace("-", "\u2212")


def energy_scale(*values: Floats) -> tuple[float, str]:
    """Choose a unit of energy in which the largest value has few digits.

    Returns:
        What to divide kWh by, and the unit's name.
    """
    largest = max((float(np.max(np.abs(array))) for array in values if len(array)), default=0.0)
    for factor, unit in ((1e6, "GWh"), (1e3, "MWh")):
        if largest >= 10 * factor:
            return factor, unit
    return 1.0, "kWh"
