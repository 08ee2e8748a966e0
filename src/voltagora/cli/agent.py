"""`voltagora agent`: one agent of a scenario as a service of its own."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voltagora.cli.live_play import BrokerChoice, played
from voltagora.domain.errors import NOTHING, InputError, VoltAgoraError, one_of

if TYPE_CHECKING:
    from voltagora.cli.agent_settings import AgentSettings
    from voltagora.live.service_environment import ServiceEnvironment
    from voltagora.scenario.live import LiveRun, Stage

LOG_FOLDER: Final = Path("log")
LONGEST_LOG_BYTES: Final = 5_000_000
OLD_LOGS: Final = 2

log = logging.getLogger("voltagora.live")


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
    data: Annotated[
        Path | None, typer.Option(help="Folder for what survives a kill; {id} stands for the id.")
    ] = None,
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
    from voltagora.cli.agent_settings import agent_settings
    from voltagora.domain.units import is_id
    from voltagora.live.service_environment import ServiceEnvironment

    options = {
        "scenario": scenario,
        "id": id_ or None,
        "set": set_ or None,
        "seed": seed,
        "broker": broker,
        "data": None if data is None else str(data),
        "full_sync": full_sync,
        "start": start,
        "speed": speed,
        "http": http,
        "ca": None if ca is None else str(ca),
        "cert": None if cert is None else str(cert),
        "key": None if key is None else str(key),
    }
    with _errors_in_the_log():
        environment = ServiceEnvironment.read(os.environ)
        settings = agent_settings(options, environment.parameters, config)
        _log_beside_the_code(settings.ids[0] if is_id(settings.ids[0]) else "agent")
        _run(kind, settings, environment)


def _run(kind: str, settings: AgentSettings, environment: ServiceEnvironment) -> None:
    from voltagora.cli.live_view import View
    from voltagora.scenario.live import LiveRun
    from voltagora.scenario.read import read_scenario

    stage = _stage(kind, settings)
    broker = _broker(settings, environment)
    scenario = read_scenario(str(settings.scenario), settings.set or {}, settings.seed)
    view = View(quiet=True)
    run = LiveRun(scenario, stage, None, view.record)
    try:
        _check_topics(run, environment)
        log.info("%s %s of %s", kind, ", ".join(settings.ids), scenario.title)
        asyncio.run(played(run, broker, view, settings.http))
        log.info("the market is over" if run.is_over else "left before the market closed")
    finally:
        run.close()


def _stage(kind: str, settings: AgentSettings) -> Stage:
    from voltagora.live.owners import KIND_WORDS
    from voltagora.scenario.cast import Part
    from voltagora.scenario.live import Pace, Stage

    if kind not in KIND_WORDS:
        raise InputError("KIND", kind, one_of(kind, KIND_WORDS))
    speed = settings.speed
    if speed is not None and kind != "imbalance":
        raise InputError("--speed", speed, "left out: time is led where the imbalance agent is")
    return Stage(
        part=Part(kinds=(KIND_WORDS[kind],), ids=settings.ids),
        pace=Pace(1.0) if speed is None else Pace.read(str(speed)),
        follows=speed is None,
        start_now=bool(settings.start),
        data=None if settings.data is None else Path(settings.data.replace("{id}", settings.ids[0])),
        full_sync=bool(settings.full_sync),
    )


def _broker(settings: AgentSettings, environment: ServiceEnvironment) -> BrokerChoice:
    url = settings.broker or environment.broker
    if url is None:
        raise InputError("--broker", NOTHING, "given, or BROKER in the environment")
    tls = (settings.path("ca"), settings.path("cert"), settings.path("key"))
    return BrokerChoice(url, tls=tls, client_id=environment.client_name)


def _check_topics(run: LiveRun, environment: ServiceEnvironment) -> None:
    from voltagora.live.topics_of import topics_of

    for agent in run.cast.agents:
        reads, publishes = topics_of(agent)
        environment.check(reads, publishes)


@contextmanager
def _errors_in_the_log() -> Iterator[None]:
    """Say in the log, too, why it ended: who runs services often sees nothing but that file."""
    try:
        yield
    except VoltAgoraError as error:
        if _log_beside_the_code("agent"):
            log.error("%s", error)
        raise


def _log_beside_the_code(name: str) -> bool:
    """Log into `log/` where the platform looks for it, else to standard error; tell whether it is a file."""
    root = logging.getLogger()
    if not root.handlers:
        is_there = LOG_FOLDER.is_dir() and os.access(LOG_FOLDER, os.W_OK)
        handler: logging.Handler = (
            RotatingFileHandler(
                LOG_FOLDER / f"{name}.log",
                maxBytes=LONGEST_LOG_BYTES,
                backupCount=OLD_LOGS,
                encoding="utf-8",
            )
            if is_there
            else logging.StreamHandler()
        )
        form = "%(asctime)s %(levelname)s %(message)s"
        logging.basicConfig(format=form, level=logging.INFO, handlers=[handler])
    return isinstance(root.handlers[0], RotatingFileHandler)
