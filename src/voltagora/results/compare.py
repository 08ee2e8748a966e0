"""Runs side by side: every metric, and how each run differs from the first, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from voltagora.domain.errors import InputError
from voltagora.results import page
from voltagora.results.catalogue import METRICS, Metric
from voltagora.results.figures.runs import balance_of_runs, bars_of_runs, prices_of_runs
from voltagora.results.report import figure_files
from voltagora.results.result import Result
from voltagora.results.wording import SPACE, change, percent, shown

Value = float | int | None
SMALLEST_TOLD = 0.0005
"""A relative difference below this is not put into words."""


class Difference(NamedTuple):
    """One metric of one run against the first run."""

    run: str
    metric: Metric
    before: Value
    after: Value
    share: float | None  # relative change; None where the first run has 0 or nothing
    sentence: str
    good: bool | None  # None: neither better nor worse


class Comparison:
    """Several runs; the first is what the others are measured against.

    Args:
        results: at least two.
        names: what to call them; by default their folders' names, numbered where they are equal.

    Raises:
        InputError: fewer than two runs.
    """

    def __init__(self, results: Sequence[Result], names: Sequence[str] | None = None) -> None:
        if len(results) < 2:
            raise InputError("DIR...", f"{len(results)} run(s)", "at least two runs to compare")
        self.results = tuple(results)
        self.names = unique_names([result.name for result in results]) if names is None else tuple(names)

    def values(self, metric: Metric) -> list[Value]:
        """Give the value of a metric in each run."""
        return [result.metrics.get(metric.name) for result in self.results]

    def differences(self) -> list[Difference]:
        """Tell every run's differences from the first: those that are better or worse first, by size."""
        found = [
            difference(name, self.names[0], metric, self.results[0].metrics.get(metric.name), after)
            for name, result in zip(self.names[1:], self.results[1:], strict=True)
            for metric in METRICS
            for after in [result.metrics.get(metric.name)]
        ]
        order = {name: place for place, name in enumerate(self.names)}
        return sorted(found, key=lambda it: (order[it.run], it.metric.better is None, -_size(it)))

    def words(self) -> list[Difference]:
        """Give the differences that are worth a sentence."""
        return [it for it in self.differences() if it.sentence]

    def to_json(self) -> dict[str, Any]:
        """Give names, values and sentences for a program to read."""
        return {
            "runs": list(self.names),
            "metrics": {
                metric.name: dict(zip(self.names, self.values(metric), strict=True)) for metric in METRICS
            },
            "differences": [it.sentence for it in self.words()],
        }

    def files(self, *, png: bool = False) -> dict[str, bytes]:
        """Make `compare.html` and the files of its figures, by relative path."""
        drawings = [
            draw(self.names, self.results) for draw in (balance_of_runs, prices_of_runs, bars_of_runs)
        ]
        made = {"compare.html": self._html([page.figure(drawing) for drawing in drawings])}
        for drawing in drawings:
            made |= figure_files(drawing, png=png)
        return made

    def _html(self, figures: list[str]) -> bytes:
        first, *others = self.names
        title = f"{', '.join(others)} against {first}"
        parts = [page.heading(title, "Every difference is told from the first run.")]
        parts += [page.section(f"run-{n}", name, self._sentences(name)) for n, name in enumerate(others, 1)]
        parts.append(
            page.section("figures", "Side by side", f'<div class="figures">{"".join(figures)}</div>')
        )
        parts.append(page.section("metrics", "All figures", self._table()))
        rows = [
            (name, str(result.path or "–")) for name, result in zip(self.names, self.results, strict=True)
        ]
        parts.append(page.section("runs", "Runs", page.table(["run", "folder"], rows), *self._settings()))
        return page.page(f"{title} – VoltAgora", parts)

    def _sentences(self, name: str) -> str:
        told = [it for it in self.words() if it.run == name]
        marks = {True: ' class="good"', False: ' class="bad"', None: ""}

        def listed(those: list[Difference]) -> str:
            items = "".join(f"<li{marks[it.good]}>{page.escaped(it.sentence)}</li>" for it in those)
            return f'<ul class="words">{items}</ul>'

        judged, others = ([it for it in told if (it.good is None) == neutral] for neutral in (False, True))
        if not told:
            return "<p>No metric differs from the first run.</p>"
        return (listed(judged) if judged else "") + (
            page.folded("Other differences", listed(others)) if others else ""
        )

    def _table(self) -> str:
        head = ["", self.names[0]]
        for name in self.names[1:]:
            head += [name, "difference"]
        rows = []
        for metric in METRICS:
            before, *afters = self.values(metric)
            row = [metric.label, shown(before, metric.unit)]
            for after in afters:
                row += [shown(after, metric.unit), signed(metric, before, after)]
            rows.append(row)
        return page.table(head, rows, numbers=range(1, len(head)))

    def _settings(self) -> list[str]:
        """List what the runs were told differently."""
        flat = [dict(page.flattened(result.manifest)) for result in self.results]
        names = sorted({name for one in flat for name in one})
        rows = [[name, *(one.get(name, "–") for one in flat)] for name in names]
        different = [row for row in rows if len(set(row[1:])) > 1]
        return ["<h3>Settings that differ</h3>", page.table(["setting", *self.names], different)]


def difference(run: str, first: str, metric: Metric, before: Value, after: Value) -> Difference:
    """Compare one metric of a run with the first run's, with a sentence if they differ."""
    share = relative(before, after)
    if before is None or after is None:
        known, unknown = (first, run) if after is None else (run, first)
        sentence = "" if before is after else f"{metric.label}: known in {known} only, not in {unknown}"
        return Difference(run, metric, before, after, None, sentence, None)
    same = after == before or (share is not None and abs(share) < SMALLEST_TOLD)
    sentence = "" if same else _sentence(run, metric, before, after)
    good = None if same or metric.better is None else (after > before) == (metric.better == "high")
    return Difference(run, metric, before, after, share, sentence, good)


def _sentence(run: str, metric: Metric, before: float, after: float) -> str:
    verb, by = change(before, after)
    values = f"from {shown(before, metric.unit)} to {shown(after, metric.unit)}"
    # A share is told in points: "by 10 %" of a percentage is read both ways.
    if metric.unit == "share" or not by.startswith(" by"):
        return f"{run} {verb} {metric.noun} {values}"
    return f"{run} {verb} {metric.noun}{by}, {values}"


def relative(before: Value, after: Value) -> float | None:
    """Give the change as a share of the first value; None where that is 0 or unknown."""
    return None if before is None or after is None or not before else (after - before) / abs(before)


def signed(metric: Metric, before: Value, after: Value) -> str:
    """Write the change of a metric with its sign: in per cent of the first value, or in points of a share."""
    share = relative(before, after)
    if before is None or after is None or share is None:
        return "–"
    sign = "+" if share > 0 else "\u2212" if share < 0 else "±"
    if metric.unit == "share":
        return f"{sign}{abs(after - before) * 100:.1f}{SPACE}points"
    return f"{sign}{percent(abs(share))}"


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Number names that occur more than once: run, run (2)."""
    seen: dict[str, int] = {}
    made = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(made)


def _size(it: Difference) -> float:
    return abs(it.share) if it.share is not None else 0.0
