"""A matplotlib Figure as SVG or PNG whose bytes depend on the figure alone."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from voltagora.results.figures.style import VARIABLES

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
