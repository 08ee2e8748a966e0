"""`voltagora scenarios` and `voltagora validate`: what is shipped, and whether a scenario is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voltagora.domain.errors import InputError

if TYPE_CHECKING:
    from voltagora.scenario.population import AreaPlan

scenarios = typer.Typer(help="List, show or copy the shipped scenarios.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="name of a shipped scenario")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON for a program")]


@scenarios.callback()
def _scenarios(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_command()


@scenarios.command("list")
def list_command(as_json: AsJson = False) -> None:
    """List the shipped scenarios."""
    from voltagora.scenario import shipped

    if as_json:
        print(json.dumps([{"name": name, "summary": shipped.summary(name)} for name in shipped.names()]))
        return
    for name in shipped.names():
        print(f"{name:12} {shipped.summary(name)}")


@scenarios.command("show")
def show_command(name: Name) -> None:
    """Print a shipped scenario with its comments."""
    from voltagora.scenario import shipped

    print(shipped.text(name), end="")


@scenarios.command("copy")
def copy_command(
    name: Name,
    to: Annotated[Path | None, typer.Argument(help="file or folder; the current one if left out")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Copy a shipped scenario into a file of your own."""
    from voltagora.scenario import shipped

    text = shipped.text(name)
    target = Path(f"{name}.toml") if to is None else to / f"{name}.toml" if to.is_dir() else to
    try:
        with target.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise InputError("to", str(target), "a file that does not exist yet, or --force given") from None
    except OSError as error:
        raise InputError("to", str(target), f"a file that can be written ({error.strerror})") from None
    print(target)


def validate_command(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="a TOML file, or a shipped name")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="change a key before checking")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="replace the scenario's seed")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a scenario and its data, and say who would take part."""
    from voltagora.scenario.manifest import data_hashes, resolved, scenario_hash
    from voltagora.scenario.population import population
    from voltagora.scenario.read import read_scenario

    read = read_scenario(scenario, set_ or [], seed)
    made = population(read)
    if as_json:
        answer = {
            "scenario": resolved(read),
            "scenario_sha256": scenario_hash(read),
            "data_sha256": data_hashes(read),
            "areas": [_counted(plan) for plan in made.areas],
            "notices": list(made.notices),
        }
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for notice in made.notices:
        print(notice)
    for plan in made.areas:
        counts = _counted(plan)
        print(
            f"{counts['area']}: {counts['vehicles']} vehicles with {counts['stays']} stays, "
            f"{counts['stations']} stations with {counts['connectors']} connectors, "
            + ", ".join(profile.id for profile in plan.profiles)
        )
    print(f"{read.title}: valid, {read.days} days from {read.start}, seed {read.seed}")


def _counted(plan: AreaPlan) -> dict[str, Any]:
    return {
        "area": plan.area.id,
        "networks": [network.id for network in plan.area.networks],
        "vehicles": len(plan.vehicles),
        "stays": sum(len(vehicle.needs) for vehicle in plan.vehicles),
        "stations": len(plan.stations),
        "connectors": sum(len(station.connectors) for station in plan.stations),
        "profiles": [profile.id for profile in plan.profiles],
    }
