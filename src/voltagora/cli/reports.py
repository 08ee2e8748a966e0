"""`voltagora report` and `voltagora compare`: look at runs that are stored."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voltagora.domain.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from voltagora.results.compare import Comparison
    from voltagora.results.result import Result

GOOD, BAD = "green", "dark_orange3"


def report_command(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of a run, or of recorded messages.", show_default=False),
    ],
    figures: Annotated[bool, typer.Option("--figures", help="Also write every figure as PNG.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON instead.")] = False,
    scenario: Annotated[
        str | None,
        typer.Option(help="Of recorded messages: what was played, to know the vehicles that never spoke."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Keys of that scenario that were overridden."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Of recorded messages: folder for the result; default DIR/report.")
    ] = None,
) -> None:
    """Print the figures of a run and write its report.html and figures/ anew.

    Of recorded messages (`voltagora collect`, or the messages.parquet of a run by itself) a whole result is
    made: the same tables, run.json and report as of a simulation.
    """
    from voltagora.results import store
    from voltagora.results.report import report_files
    from voltagora.results.result import Result
    from voltagora.scenario.recorded_read import is_recorded

    if not (directory / store.MANIFEST).is_file() and is_recorded(directory):
        result = _result_of_record(directory, scenario, set_ or (), out or directory / "report")
    elif scenario is not None or set_ or out is not None:
        raise InputError("DIR", str(directory), "recorded messages, to use --scenario, --set or --out")
    else:
        result = Result.load(directory)
    folder = result.path or directory
    for name, content in report_files(result, png=figures).items():
        store.replace_file(folder / name, content)
    if as_json:
        typer.echo(store.to_json(result.metrics).decode(), nl=False)
    else:
        _print(metrics_table(result))
        for notice in result.manifest.get("notices", ()):
            typer.echo(f"note: {notice}")
        typer.echo(f"report: {folder / 'report.html'}")


def _result_of_record(directory: Path, scenario: str | None, changes: Sequence[str], out: Path) -> Result:
    """Make a result of messages and store it, in place of an earlier one."""
    from voltagora.results import store
    from voltagora.scenario.recorded import report_recorded

    if changes and scenario is None:
        raise InputError("--set", list(changes), "given together with --scenario")
    store.check_free(out, force=True)
    result = report_recorded(directory, scenario, set=changes)
    result.save(out, force=True, report=False)
    return result


def compare_command(
    directories: Annotated[
        list[Path],
        typer.Argument(metavar="DIR DIR...", help="Folders of runs, the first to measure against."),
    ],
    out: Annotated[Path, typer.Option("--out", help="Page to write; its figures go beside it.")] = Path(
        "compare.html"
    ),
    figures: Annotated[
        bool, typer.Option("--figures", help="Also write figures/, as SVG, PNG and CSV.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print values and differences as JSON instead.")
    ] = False,
) -> None:
    """Lay runs side by side: all metrics, the differences in words, and plots."""
    from voltagora.results import store
    from voltagora.results.compare import Comparison
    from voltagora.results.result import Result

    comparison = Comparison([Result.load(directory) for directory in directories])
    for name, content in comparison.files(png=figures).items():
        if name == "compare.html":
            store.replace_file(out, content)
        elif figures:
            store.replace_file(out.parent / name, content)
    if as_json:
        typer.echo(store.to_json(comparison.to_json()).decode(), nl=False)
    else:
        _print(comparison_table(comparison), *_sentences(comparison))
        typer.echo(f"page: {out}")


def metrics_table(result: Result) -> Table:
    """Lay the metrics of a run out for the terminal, beside the grid without vehicles."""
    from rich.table import Table

    from voltagora.results.catalogue import METRICS
    from voltagora.results.wording import shown

    groups = [name for name in ("without_vehicles", "with_first_slot") if name in result.metrics]
    table = Table(title=result.name, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    for head in ("with the fleet", *(name.replace("_", " ") for name in groups)):
        table.add_column(head, justify="right")
    for metric in METRICS:
        others = [
            shown(result.metrics[group][metric.name], metric.unit)
            if metric.name in result.metrics[group]
            else ""
            for group in groups
        ]
        table.add_row(metric.label, shown(result.metrics[metric.name], metric.unit), *others)
    for reason, count in result.metrics["refusals"].items():
        table.add_row(f"Refusals: {reason}", f"{count:,}", *("" for _ in groups))
    return table


def comparison_table(comparison: Comparison) -> Table:
    """Lay several runs out for the terminal."""
    from rich.table import Table

    from voltagora.results.catalogue import METRICS
    from voltagora.results.compare import signed
    from voltagora.results.wording import shown

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column(comparison.names[0], justify="right")
    for name in comparison.names[1:]:
        table.add_column(name, justify="right")
        table.add_column("difference", justify="right", style="dim")
    for metric in METRICS:
        before, *afters = comparison.values(metric)
        cells = [shown(before, metric.unit)]
        for after in afters:
            cells += [shown(after, metric.unit), signed(metric, before, after)]
        table.add_row(metric.label, *cells)
    return table


def _sentences(comparison: Comparison) -> list[Any]:
    from rich.text import Text

    colours = {True: GOOD, False: BAD, None: ""}
    told = comparison.words()
    if not told:
        return [Text("\nNo metric differs.")]
    return [Text(""), *(Text(it.sentence, style=colours[it.good]) for it in told), Text("")]


def _print(*parts: Any) -> None:
    from rich.console import Console

    # In a pipe a table must not be folded to the eighty columns of a terminal that is not there.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 400)
    for part in parts:
        console.print(part)
