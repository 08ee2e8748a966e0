"""The report of one run: one HTML page that needs nothing else, and its figures as files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv

from voltagora.results import page
from voltagora.results.catalogue import BY_NAME, METRICS
from voltagora.results.figures.drawing import Drawing
from voltagora.results.figures.svg import to_png
from voltagora.results.figures.timeline import day_label
from voltagora.results.plots import FIGURES
from voltagora.results.store import span_to_json
from voltagora.results.wording import percent, quantity, shown

if TYPE_CHECKING:
    from voltagora.results.result import Result

BALANCE = (
    "surplus_peak_kwh",
    "deficit_peak_kwh",
    "mean_abs_imbalance_kwh",
    "peak_to_average_demand",
    "largest_step_kwh",
)


def report_files(result: Result, *, png: bool = False) -> dict[str, bytes]:
    """Make the report of a run.

    Args:
        result: the run.
        png: also draw every figure as PNG.

    Returns:
        By relative path: `report.html`, and for each figure `figures/<name>.svg`, its data as
        `figures/<name>.csv`, and `figures/refusals.csv`. The same run gives the same bytes.
    """
    drawings = [draw(result) for draw in FIGURES]
    made = {
        "report.html": report_html(result, drawings),
        "figures/refusals.csv": to_csv(refusals_by_reason(result)),
    }
    for drawing in drawings:
        made |= figure_files(drawing, png=png)
    return made


def figure_files(drawing: Drawing, *, png: bool = False) -> dict[str, bytes]:
    """Give one figure as SVG and its data as CSV, with `png` also as PNG, by relative path."""
    made = {
        f"figures/{drawing.name}.svg": drawing.file_svg().encode(),
        f"figures/{drawing.name}.csv": to_csv(drawing.data),
    }
    if png:
        made[f"figures/{drawing.name}.png"] = to_png(drawing.figure())
    return made


def report_html(result: Result, drawings: list[Drawing]) -> bytes:
    """Lay out the page."""
    metrics = result.metrics
    return page.page(
        f"{result.title} – VoltAgora",
        [
            page.heading(result.title, _subtitle(result)),
            page.tiles(_tiles(metrics)),
            page.section(
                "figures",
                "What happened",
                f'<div class="figures">{"".join(map(page.figure, drawings))}</div>',
            ),
            page.section("balance", "Balance of the grid", _balance_table(metrics)),
            page.section("refusals", "Refusals by reason", _refusals_table(result)),
            page.section("metrics", "All figures", _metrics_table(metrics), *_areas(metrics)),
            page.section("manifest", "Manifest", _manifest_table(result)),
        ],
    )


def to_csv(table: pa.Table) -> bytes:
    """Write a table as CSV: UTC times, a header, an empty field for what is unknown."""
    columns = [
        pa.compute.strftime(column, "%Y-%m-%dT%H:%M:%SZ") if pa.types.is_timestamp(column.type) else column
        for column in (table[name].cast(_whole_seconds(table[name].type)) for name in table.column_names)
    ]
    sink = io.BytesIO()
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    pyarrow.csv.write_csv(pa.table(columns, names=table.column_names), sink, options)
    return sink.getvalue()


def refusals_by_reason(result: Result) -> pa.Table:
    """Count the refusals of each protocol and reason, the most frequent first."""
    counted = result.tables["refusals"].group_by(["protocol", "reason"]).aggregate([([], "count_all")])
    ordered = counted.sort_by(
        [("count_all", "descending"), ("protocol", "ascending"), ("reason", "ascending")]
    )
    return ordered.select(["protocol", "reason", "count_all"]).rename_columns(
        ["protocol", "reason", "refusals"]
    )


def _whole_seconds(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp("s", tz="UTC") if pa.types.is_timestamp(kind) else kind


def _subtitle(result: Result) -> str:
    span, tables = result.span, result.tables
    first, last = day_label(span.start, span.time_zone), day_label(span.end - 1, span.time_zone)
    year = str(span_to_json(span)["start"])[:4]
    days = round((span.end - span.start) / 86_400)
    parts = [
        f"{first} {year}" if days == 1 else f"{first} to {last} {year}, {days} days",
        f"{len(tables['vehicles']):,} vehicles",
        f"{len(tables['stations']):,} stations",
    ]
    areas = len(result.metrics.get("areas", ()))
    if areas > 1:
        parts.append(f"{areas} grid areas")
    if "seed" in result.manifest:
        parts.append(f"seed {result.manifest['seed']}")
    return " · ".join(parts)


def _tiles(metrics: dict[str, Any]) -> list[tuple[str, str, str]]:
    base = metrics["without_vehicles"]["deficit_peak_kwh"]
    peak = metrics["deficit_peak_kwh"]
    against = "" if peak is None else f"a slot; {quantity(max(base, 0.0), 'kWh')} without vehicles"
    asked, made = metrics["bookings_asked"], metrics["bookings_made"]
    refused = sum(metrics["refusals"].values())
    return [
        (
            "Average cost per vehicle",
            _shown(metrics, "average_cost_eur_per_vehicle"),
            "to the last day's end",
        ),
        ("Cost per kWh charged", _shown(metrics, "cost_eur_per_kwh_charged"), "earnings taken off"),
        ("Bookings made", f"{made:,}", f"of {asked:,} asked; {refused:,} refusals on the way"),
        ("Need met", _shown(metrics, "need_met_share"), "of the kWh asked for"),
        ("Charged", _shown(metrics, "charged_kwh"), f"{_shown(metrics, 'discharged_kwh')} discharged"),
        ("Charged in surplus", _shown(metrics, "charging_in_surplus_share"), "of the kWh charged"),
        ("Deficit peak", _shown(metrics, "deficit_peak_kwh"), against),
        ("Connectors occupied", _shown(metrics, "occupancy_share"), "of their hours"),
        ("Station revenue", _shown(metrics, "station_revenue_eur"), "billed for sessions that are over"),
        ("Messages", f"{metrics['messages_total']:,}", "publications"),
    ]


def _shown(metrics: dict[str, Any], name: str) -> str:
    return shown(metrics[name], BY_NAME[name].unit)


def _balance_table(metrics: dict[str, Any]) -> str:
    others = [("without_vehicles", "without vehicles"), ("with_first_slot", "all at first_slot")]
    present = [(key, label) for key, label in others if key in metrics]
    head = ["", "with the fleet"]
    for _, label in present:
        head += [label, "difference"]
    rows = []
    for name in BALANCE:
        row = [BY_NAME[name].label, _shown(metrics, name)]
        for key, _ in present:
            other = metrics[key][name]
            row += [shown(other, BY_NAME[name].unit), _difference(other, metrics[name])]
        rows.append(row)
    return page.table(head, rows, numbers=range(1, len(head)))


def _difference(before: float | None, after: float | None) -> str:
    if before is None or after is None or before == 0:
        return "–"
    share = (after - before) / abs(before)
    sign = "+" if share > 0 else "\u2212" if share < 0 else "±"
    return f"{sign}{percent(abs(share))}"


def _refusals_table(result: Result) -> str:
    rows = refusals_by_reason(result).to_pylist()
    total = sum(row["refusals"] for row in rows)
    cells = [
        (row["protocol"], row["reason"], f"{row['refusals']:,}", percent(row["refusals"] / total))
        for row in rows
    ]
    given_up = result.metrics["bookings_given_up"]
    words = ", ".join(f"{reason} {count:,}" for reason, count in given_up.items())
    remark = f"<p>Stays given up in the end: {page.escaped(words or 'none')}.</p>"
    return page.table(["protocol", "reason", "refusals", "share"], cells, numbers=(2, 3)) + remark


def _metrics_table(metrics: dict[str, Any]) -> str:
    rows = [(metric.label, _shown(metrics, metric.name), metric.name, metric.meaning) for metric in METRICS]
    made = page.table(["", "value", "name in run.json", "meaning"], rows, numbers=(1,))
    return f'<div class="metrics">{made}</div>'


def _areas(metrics: dict[str, Any]) -> list[str]:
    areas: dict[str, dict[str, Any]] = metrics.get("areas", {})
    if not areas:
        return []
    rows = [[metric.label, *(_shown(area, metric.name) for area in areas.values())] for metric in METRICS]
    return [page.folded("By grid area", page.table(["", *areas], rows, numbers=range(1, len(areas) + 1)))]


def _manifest_table(result: Result) -> str:
    manifest = {**result.manifest, "span": span_to_json(result.span)}
    return f'<div class="pair">{page.table(["setting", "value"], page.flattened(manifest))}</div>'
