"""A matplotlib Figure as SVG or PNG whose bytes depend on the figure alone."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from voltagora.results.figures.style import INK, SURFACE, VARIABLES, Look, title_font, title_lines, title_room

FONTS = "'DejaVu Sans', Verdana, sans-serif"


def to_svg(figure: Figure, name: str) -> str:
    """Draw a figure as an SVG file; `name` keeps its inner ids apart from those of other figures."""
    # Text stays text: small, selectable, readable by a screen reader, and in the page's own font.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "path.simplify": True}
    sink = io.StringIO()
    with mpl.rc_context(settings):
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", sink.getvalue(), flags=re.S)
    # Drawing programs number groups from 1 in every figure; ids must be unique in a page.
    text = re.sub(r'<g id="[A-Za-z0-9_.]+_\d+"(/?)>', r"<g\1>", text).replace("<g/>", "")
    text = re.sub(r"(font: [^'\";]*?px) '[^\"]*?(?=[\";])", rf"\1 {FONTS}", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def titled(svg: str, title: str, look: Look) -> str:
    """Put a title above a drawn SVG, which is quicker than drawing the figure a second time."""
    lines, font = title_lines(title, look), title_font(look)
    room = title_room(lines, look)
    head = re.search(r'width="([\d.]+)pt" height="([\d.]+)pt" viewBox="0 0 [\d.]+ [\d.]+"', svg)
    assert head is not None, "matplotlib writes width, height and viewBox so"
    width, height = float(head.group(1)), float(head.group(2)) + room
    size = f'width="{width:g}pt" height="{height:g}pt" viewBox="0 {-room} {width:g} {height:g}"'
    style = f"font: bold {font}px {FONTS}; fill: {INK}"
    top = 8 + font - room
    words = "".join(
        f' <text x="8" y="{top + place * font * 1.25:g}" style="{style}">{html.escape(line)}</text>\n'
        for place, line in enumerate(lines)
    )
    back = f' <rect x="0" y="{-room}" width="{width:g}" height="{room}" style="fill: {SURFACE}"/>\n'
    return svg.replace(head.group(0), size).replace("</svg>", f"{back}{words}</svg>")


def inline(svg: str, label: str) -> str:
    """Turn an SVG file into an element of a page: it takes on the page's colours and width."""
    body = svg[svg.index("<svg") :]
    head, rest = body.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None, "matplotlib writes a viewBox"
    rest = rest.replace("xlink:href=", "href=").replace(FONTS, "var(--font)")
    for colour, variable in VARIABLES.items():
        rest = rest.replace(colour, f"var(--{variable})")
    rest = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", rest, count=1, flags=re.S)
    # Stretches of white between tags are a third of the bytes.
    rest = re.sub(r">\s+<", "><", rest)
    return f'<svg {view.group(0)} role="img" aria-label="{label}">{rest}'


def to_png(figure: Figure) -> bytes:
    """Draw a figure as PNG, twice as fine as a plain screen."""
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=2 * figure.dpi, metadata={"Software": None})
    return sink.getvalue()
