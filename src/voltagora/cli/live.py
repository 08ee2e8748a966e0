"""`voltagora live`: play a scenario over a broker; `voltagora replay`: read its journals again."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voltagora.cli.live_play import HUB_ADDRESS, BrokerChoice, played
from voltagora.domain.errors import InputError

if TYPE_CHECKING:
    from voltagora.scenario.live import Stage


def live_command(
    scenario: Annotated[str, typer.Argument(help="A TOML file, or the name of a shipped scenario.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key: --set vehicles.count=300."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replace the scenario's seed.")] = None,
    broker: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Join this broker, mqtt://user:password@host; else one is started."),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help=f"Where the broker started here listens; {HUB_ADDRESS}."),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            help="Users and the agents they own (TOML). Without it: loopback, everybody may do all."
        ),
    ] = None,
    speed: Annotated[
        str,
        typer.Option(metavar="1|N|max", help="1: real time; N: so many times as fast; max: no waiting."),
    ] = "3600",
    start: Annotated[bool, typer.Option("--start", help="Say `start`; else wait for it on `timer`.")] = False,
    only: Annotated[
        str | None,
        typer.Option(metavar="KIND,...", help="Play these kinds of agents alone: vehicle,station,..."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="When the market closes, UTC: 2020-01-03T00:00:00Z.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder for what survives a kill. Without it nothing does."),
    ] = None,
    full_sync: Annotated[
        bool, typer.Option("--full-sync", help="Wait for the disk at every commit: survives power failure.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the result, if all agents play here.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result in the folder.")] = False,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Answer /healthz and /metrics there.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No view, only what goes wrong.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Certificate (PEM) that vouches for the broker's.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate (PEM) that says who we are.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of that certificate (PEM).")] = None,
) -> None:
    """Play a scenario live: real agents over MQTT, in this process or some of them beside others."""
    from voltagora.results.store import check_free
    from voltagora.scenario.cast import Part, kinds_of
    from voltagora.scenario.live import Pace, Stage
    from voltagora.scenario.read import read_scenario

    if broker is not None and mqtt is not None:
        raise InputError("--mqtt", mqtt, "left out with --broker, which has an address of its own")
    pace = Pace.read(speed)
    part = Part() if only is None else Part(kinds=kinds_of(only))
    if out is not None:
        if not part.is_whole:
            raise InputError("--out", str(out), "left out with --only: `voltagora replay` joins the parts")
        check_free(out, force=force)
    stage = Stage(
        part=part,
        pace=pace,
        start_now=start,
        until=None if until is None else _time(until),
        data=data,
        full_sync=full_sync,
    )
    read = read_scenario(scenario, set_ or (), seed)
    choice = BrokerChoice(broker, mqtt=mqtt, users=users, tls=(ca, cert, key))
    _play(read, stage, choice, http, out, force=force, quiet=quiet)


def _play(
    scenario: Any,
    stage: Stage,
    broker: BrokerChoice,
    http: str | None,
    out: Path | None,
    *,
    force: bool,
    quiet: bool,
) -> None:
    from voltagora.cli.live_view import View
    from voltagora.scenario.live import LiveRun

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    view = View(quiet=quiet)
    run = LiveRun(scenario, stage, broker.owners(), view.record)
    try:
        asyncio.run(played(run, broker, view, http))
        if run.is_over and stage.part.is_whole:
            result = run.result()
            if out is not None:
                result.save(out, force=force)
            view.closing(result, out)
        elif not run.is_over:
            view.left(stage.data)
    finally:
        run.close()


def _time(text: str) -> int:
    from voltagora.domain.units import Time

    try:
        return Time.parse(text)
    except ValueError as error:
        raise InputError("--until", text, str(error)) from None


def replay_command(
    folders: Annotated[list[Path], typer.Argument(help="Data folders of all processes of one market.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the result.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier result in the folder.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON and nothing else.")] = False,
) -> None:
    """Let the agents of a live market live through their journals again, and make its result."""
    from voltagora.cli.runs import print_json, print_summary
    from voltagora.results.store import check_free
    from voltagora.scenario.replay import replay

    if out is not None:
        check_free(out, force=force)
    replayed = replay(folders)
    if out is not None:
        replayed.result.save(out, force=force)
    if json:
        print_json(replayed.result)
        return
    for folder, count in replayed.events.items():
        said = replayed.publications[folder]
        print(f"{folder}: {count} events give the same {said} publications as then", file=sys.stderr)
    print_summary(replayed.result, out)
