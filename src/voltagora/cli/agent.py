"""`voltagora agent`: one agent of a scenario as a service of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voltagora.cli.live_play import BrokerChoice, played
from voltagora.domain.errors import NOTHING, InputError, one_of

if TYPE_CHECKING:
    from voltagora.live.service_environment import ServiceEnvironment
    from voltagora.scenario.live import LiveRun, Stage

KEYS: Final = (
    "scenario",
    "id",
    "set",
    "seed",
    "broker",
    "data",
    "full_sync",
    "start",
    "speed",
    "http",
    "ca",
    "cert",
    "key",
)
"""What a configuration file and `run_params` may say: the options below."""


def agent_command(
    kind: Annotated[
        str,
        typer.Argument(help="vehicle, station, recommender, imbalance, pricing, producer or consumer."),
    ],
    id_: Annotated[list[str] | None, typer.Option("--id", help="Id of the agent in the scenario.")] = None,
    scenario: Annotated[str | None, typer.Option(help="A TOML file, or the name of a shipped one.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replace the scenario's seed.")] = None,
    broker: Annotated[
        str | None,
        typer.Option(metavar="URL", help="mqtt://host; user and password from it or the environment."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file that says the same as options.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for what survives a kill.")] = None,
    full_sync: Annotated[bool | None, typer.Option("--full-sync", help="Survive power failure.")] = None,
    start: Annotated[bool | None, typer.Option("--start", help="Say `start` at once.")] = None,
    speed: Annotated[
        str | None, typer.Option(metavar="1|N", help="Lead time for all, so fast (imbalance only).")
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Answer /healthz and /metrics there.")
    ] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificate (PEM) that vouches for the broker's.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate (PEM) that says who we are.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of that certificate (PEM).")] = None,
) -> None:
    """Run one agent as a service. Options win over `run_params`, those over the configuration file."""
    from voltagora.live.service_environment import ServiceEnvironment

    environment = ServiceEnvironment.read(os.environ)
    options = {
        "scenario": scenario,
        "id": id_,
        "set": set_,
        "seed": seed,
        "broker": broker,
        "data": data,
        "full_sync": full_sync,
        "start": start,
        "speed": speed,
        "http": http,
        "ca": ca,
        "cert": cert,
        "key": key,
    }
    given = {name: value for name, value in options.items() if value not in (None, [])}
    settings = _file(config) | _known("run_params", environment.parameters) | given
    _run(kind, settings, environment)


def _file(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        found = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError("--config", str(config), f"a TOML file ({error})") from None
    return _known(str(config), found)


def _known(where: str, found: Mapping[str, Any]) -> dict[str, Any]:
    for name in found:
        if name not in KEYS:
            raise InputError(f"{where}: {name}", name, one_of(name, KEYS))
    return dict(found)


def _run(kind: str, settings: dict[str, Any], environment: ServiceEnvironment) -> None:
    from voltagora.cli.live_view import View
    from voltagora.scenario.live import LiveRun
    from voltagora.scenario.read import read_scenario

    stage = _stage(kind, settings)
    overrides = settings.get("set", ())
    scenario = read_scenario(str(settings["scenario"]), overrides, settings.get("seed"))
    _log_beside_the_code()
    run = LiveRun(scenario, stage)
    try:
        _check_topics(run, environment)
        view = View(quiet=True)
        asyncio.run(played(run, _broker(settings, environment), view, settings.get("http")))
    finally:
        run.close()


def _stage(kind: str, settings: dict[str, Any]) -> Stage:
    from voltagora.live.owners import KIND_WORDS
    from voltagora.scenario.cast import Part
    from voltagora.scenario.live import Pace, Stage

    if kind not in KIND_WORDS:
        raise InputError("KIND", kind, one_of(kind, KIND_WORDS))
    for name in ("scenario", "id"):
        if name not in settings:
            raise InputError(f"--{name}", NOTHING, "given, here, in run_params or in the configuration file")
    ids = settings["id"]
    speed = settings.get("speed")
    if speed is not None and kind != "imbalance":
        raise InputError("--speed", speed, "left out: time is led where the imbalance agent is")
    data = settings.get("data")
    return Stage(
        part=Part(kinds=(KIND_WORDS[kind],), ids=(ids,) if isinstance(ids, str) else tuple(ids)),
        pace=Pace(1.0) if speed is None else Pace.read(str(speed)),
        follows=speed is None,
        start_now=bool(settings.get("start", False)),
        data=None if data is None else Path(data),
        full_sync=bool(settings.get("full_sync", False)),
    )


def _broker(settings: dict[str, Any], environment: ServiceEnvironment) -> BrokerChoice:
    url = settings.get("broker") or environment.broker
    if url is None:
        raise InputError("--broker", NOTHING, "given, or BROKER in the environment")
    files = (settings.get(name) for name in ("ca", "cert", "key"))
    ca, cert, key = (None if each is None else Path(each) for each in files)
    return BrokerChoice(str(url), tls=(ca, cert, key), client_id=environment.client_name)


def _check_topics(run: LiveRun, environment: ServiceEnvironment) -> None:
    from voltagora.protocols.access import CLOCK, TIMER, access, presence_topic

    for agent in run.cast.agents:
        may = access(agent.kind, agent.id)
        heard = (presence_topic(id) for id in agent.relies_on)
        environment.check((*may.read, TIMER, CLOCK, *heard), (*may.publish, presence_topic(agent.id)))


def _log_beside_the_code() -> None:
    """Log into `log/` where the platform looks for it, else to standard error."""
    folder = Path("log")
    to_file = folder.is_dir() and os.access(folder, os.W_OK)
    logging.basicConfig(
        format="%(asctime)s %(levelname)s %(message)s",
        level=logging.INFO,
        filename=str(folder / "agent.log") if to_file else None,
    )
