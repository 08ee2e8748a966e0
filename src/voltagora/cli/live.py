"""`voltagora live`: play a scenario over a broker; `voltagora replay`: read its journals again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from voltagora.domain.errors import InputError, VoltAgoraError

if TYPE_CHECKING:
    from voltagora.live.broker_url import BrokerUrl
    from voltagora.live.transport import Transport
    from voltagora.scenario.live import LiveRun, Stage

HUB_ADDRESS: Final = "127.0.0.1:1883"
MOST_FILTERS: Final = 2_000_000


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
    _play(read, stage, _Broker(broker, mqtt, users, ca, cert, key), out, force=force, quiet=quiet)


class _Broker:
    """Which broker to use, as the command line says it."""

    def __init__(self, url: str | None, mqtt: str | None, users: Path | None, *tls: Path | None) -> None:
        self.url, self.mqtt, self.users = url, mqtt, users
        self.ca, self.cert, self.key = tls

    def owners(self) -> Any:
        """Give the owner table, or None."""
        if self.users is None:
            return None
        from voltagora.live.owners import Owners

        return Owners.read(self.users)


def _play(
    scenario: Any, stage: Stage, broker: _Broker, out: Path | None, *, force: bool, quiet: bool
) -> None:
    from voltagora.cli.live_view import View
    from voltagora.scenario.live import LiveRun

    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    view = View(quiet=quiet)
    run = LiveRun(scenario, stage, broker.owners(), view.record)
    try:
        asyncio.run(_played(run, broker, view))
        if run.is_over and stage.part.is_whole:
            result = run.result()
            if out is not None:
                result.save(out, force=force)
            view.closing(result, out)
        elif not run.is_over:
            view.left(stage.data)
    finally:
        run.close()


async def _played(run: LiveRun, broker: _Broker, view: Any) -> None:
    """Play until the end or the first signal."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, run.leave)
        except NotImplementedError:  # Windows: ctrl-C arrives as KeyboardInterrupt.
            break
    async with _broker(run, broker) as (url, transport):
        with view.showing(run, url):
            await run.play(transport)


@asynccontextmanager
async def _broker(run: LiveRun, broker: _Broker) -> AsyncIterator[tuple[BrokerUrl, Transport]]:
    """Join a broker, or start one."""
    from voltagora.live.broker_url import BrokerUrl, Tls

    if broker.url is not None:
        url = BrokerUrl.parse(broker.url, os.environ, Tls(ca=broker.ca, cert=broker.cert, key=broker.key))
        yield url, _transport(run, url)
        return
    from voltagora.hub.errors import HubError, SetupError
    from voltagora.hub.limits import Limits
    from voltagora.hub.server import Hub
    from voltagora.live.port_holder import port_holder
    from voltagora.live.rights import hub_rights

    address = broker.mqtt or HUB_ADDRESS
    data = None if run.stage.data is None else run.stage.data / "hub"
    try:
        # One connection carries all agents of a process, each with topics of its own.
        limits = Limits(subscriptions_per_session=MOST_FILTERS)
        rights = None if run.owners is None else hub_rights(run.owners)
        async with Hub(mqtt=address, data=data, limits=limits, rights=rights) as hub:
            url = BrokerUrl.parse(hub.addresses["MQTT"], os.environ)
            yield url, _transport(run, url)
    except SetupError as error:
        if error.field == "mqtt":
            raise InputError(
                "--mqtt",
                address,
                f"an address that can be opened{port_holder(address)}; --mqtt 127.0.0.1:1884 moves it, "
                "--broker joins a broker that runs",
            ) from None
        raise InputError(f"--{error.field}", error.got, error.expected) from None
    except HubError as error:
        raise VoltAgoraError(str(error)) from None


def _transport(run: LiveRun, url: BrokerUrl) -> Transport:
    """Make the connection of this process; its client id is the part it plays, so that a restart finds it."""
    from voltagora.live.mqtt import MqttTransport

    return MqttTransport(url, client_id=run.client_id, clean=run.journal is None)


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
