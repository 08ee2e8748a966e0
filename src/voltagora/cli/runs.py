"""`voltagora run`: simulate a scenario and keep what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from voltagora.results.result import Result


def run_command(
    scenario: Annotated[str, typer.Argument(help="A TOML file, or the name of a shipped scenario.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set vehicles.count=300."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replace the scenario's seed.")] = None,
    workers: Annotated[int, typer.Option(help="Processes to spread grid areas over.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder for the result; default runs/<scenario>.")] = None,
    messages: Annotated[bool, typer.Option("--messages", help="Keep every message.")] = False,
    with_first_slot: Annotated[
        bool,
        typer.Option("--with-first-slot", help="Run the fleet a second time, charging at once, to compare."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON and nothing else.")] = False,
) -> None:
    """Simulate a scenario; write its tables, metrics and report into a folder."""
    from voltagora.results.store import check_free
    from voltagora.scenario.run import run

    folder = out or Path("runs") / Path(scenario).stem
    check_free(folder, force=force)
    with _progress(quiet=json) as tick:
        result = run(
            scenario,
            set=set_ or (),
            seed=seed,
            workers=workers,
            messages=messages,
            with_first_slot=with_first_slot,
            progress=tick,
        )
    result.save(folder, force=force)
    if json:
        print_json(result)
    else:
        print_summary(result, folder)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Callable[[float], None] | None]:
    """Show a bar on a terminal, and nothing in a pipe."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bars:
        task = bars.add_task("simulating", total=1.0)
        yield lambda share: bars.update(task, completed=share)


def print_json(result: Result) -> None:
    """Print the metrics of a result for a program to read."""
    import json

    print(json.dumps(result.metrics, indent=2, sort_keys=True))


def print_summary(result: Result, folder: Path | None) -> None:
    """Print the most important figures of a result, and where its report is if it was kept."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    for label, value in _headline(result):
        table.add_row(label, value)
    console = Console(highlight=False)
    console.print(table)
    if folder is not None:
        console.print(f"\nReport: {folder / 'report.html'}", soft_wrap=True)


def _headline(result: Result) -> list[tuple[str, str]]:
    metrics, timing = result.metrics, result.timing or {}
    refused = sum(metrics["refusals"].values())
    return [
        ("bookings", f"{metrics['bookings_made']} of {metrics['bookings_asked']} asked, {refused} refusals"),
        ("average cost", _number(metrics["average_cost_eur_per_vehicle"], "EUR per vehicle")),
        ("charged", _number(metrics["charged_kwh"], "kWh")),
        ("discharged", _number(metrics["discharged_kwh"], "kWh")),
        ("deficit peak", _beside(metrics, "deficit_peak_kwh")),
        ("surplus peak", _beside(metrics, "surplus_peak_kwh")),
        ("messages", f"{metrics['messages_total']}{_rate(timing)}"),
    ]


def _rate(timing: Mapping[str, object]) -> str:
    return f" ({timing['messages_per_second']} a second)" if "messages_per_second" in timing else ""


def _number(value: float | None, unit: str) -> str:
    return "none" if value is None else f"{value:.2f} {unit}"


def _beside(metrics: dict[str, object], name: str) -> str:
    """Give a metric beside what it would be without the fleet."""
    without = metrics.get("without_vehicles")
    base = without.get(name) if isinstance(without, dict) else None
    value = metrics[name]
    shown = _number(value if isinstance(value, float) else None, "kWh")
    return shown if not isinstance(base, float) else f"{shown} ({base:.2f} without vehicles)"
