"""The parts that reports are made of, as HTML that needs nothing from outside."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from voltagora.results.figures.drawing import Drawing
from voltagora.results.figures.style import VARIABLES
from voltagora.results.figures.svg import inline
from voltagora.results.wording import SPACE


def page(title: str, body: Iterable[str]) -> bytes:
    """Wrap parts into a whole document."""
    style = files("voltagora.results").joinpath("report.css").read_text(encoding="utf-8")
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{escaped(title)}</title>",
        f"<style>\n{_colours()}{style}</style>",
        "</head>",
        "<body>",
        "<main>",
        *body,
        "</main>",
        "</body>",
        "</html>",
    ]
    return ("\n".join(parts) + "\n").encode()


def heading(title: str, subtitle: str) -> str:
    """Give the head of a page."""
    return f"<header><h1>{escaped(title)}</h1><p>{escaped(subtitle)}</p></header>"


def section(name: str, title: str, *parts: str) -> str:
    """Give a titled part of a page that can be linked to by `#name`."""
    return f'<section id="{name}"><h2>{escaped(title)}</h2>{"".join(parts)}</section>'


def tiles(values: Iterable[tuple[str, str, str]]) -> str:
    """Give tiles of label, value and remark."""
    cells = (
        f"<li><span>{escaped(label)}</span><strong>{_with_unit(value)}</strong><small>{escaped(remark)}</small></li>"
        for label, value, remark in values
    )
    return f'<ul class="tiles">{"".join(cells)}</ul>'


def figure(drawing: Drawing) -> str:
    """Give a figure drawn twice, for wide and for narrow screens; the page shows the one that fits."""
    svgs = "".join(
        f'<div class="{kind}">{inline(svg, escaped(drawing.title))}</div>'
        for kind, svg in (("wide", drawing.wide_svg), ("narrow", drawing.narrow_svg()))
    )
    data = f'<span class="source">Data: figures/{drawing.name}.csv</span>'
    half = " class=half" if drawing.half else ""
    return (
        f'<figure id="{drawing.name}"{half}><h3>{escaped(drawing.title)}</h3>'
        f"{svgs}<figcaption>{escaped(drawing.caption)} {data}</figcaption></figure>"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = ()) -> str:
    """Give a table; columns of `numbers` are set flush right."""
    right = frozenset(numbers)

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=n' if place in right else ''}>{escaped(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    if not body:
        return '<p class="none">None.</p>'
    top = f"<thead><tr>{cells('th', head)}</tr></thead>"
    return f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>'


def folded(title: str, *parts: str) -> str:
    """Give a part that is opened by a click; in print it is open."""
    return f"<details><summary>{escaped(title)}</summary>{''.join(parts)}</details>"


def flattened(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Lay nested settings out as dotted names and values (`areas[0].id`), in order of name."""
    rows: list[tuple[str, str]] = []
    for name in sorted(value):
        inner = value[name]
        if isinstance(inner, Mapping) and inner:
            rows.extend(flattened(inner, f"{prefix}{name}."))
        elif isinstance(inner, list) and any(isinstance(one, Mapping) for one in inner):
            rows.extend(flattened({f"{name}[{place}]": one for place, one in enumerate(inner)}, prefix))
        else:
            rows.append((f"{prefix}{name}", _plain(inner)))
    return rows


def escaped(text: str) -> str:
    """Make text safe between tags and inside attributes."""
    return html.escape(text, quote=True)


def _with_unit(value: str) -> str:
    """Set the unit after a number smaller."""
    amount, _, unit = value.partition(SPACE)
    return escaped(amount) + (f" <em>{escaped(unit)}</em>" if unit else "")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value in ([], (), {}, ""):
        return "–"
    return ", ".join(map(_plain, value)) if isinstance(value, list | tuple) else str(value)


# The same meaning needs a lighter colour on a dark page; every pair has been looked at.
DARK = {
    "ink": "#e6eaee",
    "muted": "#a3adb8",
    "grid": "#333a42",
    "surface": "#1a1e23",
    "rest": "#4a525b",
    "supply": "#56b4e9",
    "demand": "#ff8f45",
    "charging": "#2fc69a",
    "discharging": "#d98bd4",
    "base": "#98a2ac",
    "run-0": "#56b4e9",
    "run-1": "#ff8f45",
    "run-2": "#2fc69a",
    "run-3": "#d98bd4",
    "run-4": "#e0b03a",
    "run-5": "#a9d3f5",
    "run-6": "#ff7d97",
    "run-7": "#c4c9ce",
}


def _colours() -> str:
    """Give the colours of the figures as CSS variables, light and dark."""
    light = "".join(f"--{name}: {colour}; " for colour, name in VARIABLES.items())
    dark = "".join(f"--{name}: {colour}; " for name, colour in DARK.items())
    return f":root {{ {light}}}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
