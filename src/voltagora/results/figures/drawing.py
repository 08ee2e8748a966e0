"""A figure before it is drawn: its words, its data, and how to draw it at any width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
from matplotlib.figure import Figure

from voltagora.results.figures.style import HALF, NARROW, WIDE, Canvas, Look
from voltagora.results.figures.svg import titled, to_svg


@dataclass(frozen=True)
class Drawing:
    """One figure of a report.

    Attributes:
        name: the name of its files.
        title: what is to be seen in it, as a sentence.
        caption: how to read it.
        data: the numbers behind it, the content of its CSV file.
        paint: draws it on a canvas of the height asked for.
        height: its height at a look, in pixels.
        half: whether half a page is wide enough.
    """

    name: str
    title: str
    caption: str
    data: pa.Table
    paint: Callable[[Canvas], None]
    height: Callable[[Look], int]
    half: bool = False

    @property
    def wide(self) -> Look:
        """The look for a wide page."""
        return HALF if self.half else WIDE

    def drawn(self, look: Look, *, titled: bool = False) -> Figure:
        """Draw the figure, without its title unless asked for."""
        canvas = Canvas(look, self.height(look), title=self.title if titled else None)
        self.paint(canvas)
        return canvas.figure

    @cached_property
    def wide_svg(self) -> str:
        """The figure for a wide page as SVG, untitled; kept, since a page and a file both show it."""
        return to_svg(self.drawn(self.wide), f"{self.name}-wide")

    def narrow_svg(self) -> str:
        """Draw the figure for a narrow screen as SVG, without its title."""
        return to_svg(self.drawn(NARROW), f"{self.name}-narrow")

    def file_svg(self) -> str:
        """Give the figure as an SVG file that stands alone, with its title."""
        return titled(self.wide_svg, self.title, self.wide)

    def figure(self) -> Figure:
        """Draw the figure as it stands alone: wide, and with its title."""
        return self.drawn(self.wide, titled=True)


def nothing_to_show(name: str, title: str, why: str, data: pa.Table, *, half: bool = False) -> Drawing:
    """Make a figure that says in words why there is nothing in it."""

    def paint(canvas: Canvas) -> None:
        canvas.say(why)

    return Drawing(name, title, "", data, paint, lambda _: 110, half)
