"""`voltagora hub`: run the broker on its own; `voltagora hub password`: hash a password for its users."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voltagora.domain.errors import InputError, MissingExtra, VoltAgoraError

if TYPE_CHECKING:
    from voltagora.hub.options import Options

hub = typer.Typer(help="Run the broker, MQTT 3.1.1 and 5.", invoke_without_command=True)


Mqtt = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="MQTT over TCP; 127.0.0.1:1883 if no other.")
]
WebSocket = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="MQTT over WebSocket.")]
TlsCert = Annotated[Path | None, typer.Option(help="Certificate (PEM): TLS on both.")]
TlsKey = Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")]
Users = Annotated[
    Path | None,
    typer.Option(help="Users and what they may do (TOML). Without it: loopback, everybody may do all."),
]
Data = Annotated[Path | None, typer.Option(help="Folder for what survives a kill; hub-data if left out.")]
Memory = Annotated[bool, typer.Option("--memory", help="Keep nothing on disk.")]
FullSync = Annotated[
    bool, typer.Option("--full-sync", help="Wait for the disk at every commit: survives power failure.")
]
ServerKeepAlive = Annotated[
    int | None, typer.Option(min=1, max=65_535, metavar="SECONDS", help="Keep alive of MQTT 5 clients.")
]
MaxPacket = Annotated[
    int, typer.Option(min=1_024, max=268_435_455, metavar="BYTES", help="Largest packet taken.")
]
MaxFilters = Annotated[
    int,
    typer.Option(min=1, max=10_000_000, metavar="N", help="Filters a client may subscribe to."),
]
Origin = Annotated[
    list[str] | None, typer.Option(help="Origin of web pages that may connect, besides this host's own.")
]
Metrics = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Metrics for Prometheus.")]


@hub.callback()
def hub_command(
    context: typer.Context,
    mqtt: Mqtt = None,
    websocket: WebSocket = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    users: Users = None,
    data: Data = None,
    memory: Memory = False,
    full_sync: FullSync = False,
    server_keep_alive: ServerKeepAlive = None,
    max_packet: MaxPacket = 256 * 1024,
    max_filters: MaxFilters = 1_000,
    origin: Origin = None,
    metrics: Metrics = None,
) -> None:
    """Run the broker until it is stopped."""
    if context.invoked_subcommand is not None:
        return
    from voltagora.hub.limits import Limits

    if memory and data is not None:
        raise InputError("--data", str(data), "left out with --memory")
    _run(
        limits=Limits(
            packet_bytes=max_packet,
            server_keep_alive=server_keep_alive,
            subscriptions_per_session=max_filters,
        ),
        mqtt="127.0.0.1:1883" if mqtt is None and websocket is None else mqtt,
        websocket=websocket,
        users=users,
        data=None if memory else data or Path("hub-data"),
        full=full_sync,
        tls_cert=tls_cert,
        tls_key=tls_key,
        metrics=metrics,
        origins=tuple(origin or ()),
    )


def _run(**options: Any) -> None:
    """Run a hub, and tell its errors in the words of the command line."""
    from voltagora.hub.errors import HubError, SetupError
    from voltagora.hub.options import Options

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(_serve(Options(**options)))
    except SetupError as error:
        field = f"--{error.field.replace('_', '-')}" if error.field in options else error.field
        raise InputError(field, error.got, error.expected) from None
    except HubError as error:
        raise VoltAgoraError(str(error)) from None
    except ModuleNotFoundError as error:
        if error.name in ("websockets", "prometheus_client"):
            raise MissingExtra("live", "this option of the hub") from None
        raise


async def _serve(options: Options) -> None:
    """Open, say where, and close at the first signal."""
    from voltagora.hub.server import Hub

    _take_all_files()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows: ctrl-C arrives as KeyboardInterrupt.
            break
    async with Hub.of(options) as running:
        for words, address in running.addresses.items():
            typer.echo(f"{words}: {address}")
        if options.open_to_all:
            typer.echo("No users: only this machine can connect, and everybody on it may do everything.")
        typer.echo(f"data: {options.data}" if options.data else "memory only: nothing survives the end")
        sys.stdout.flush()
        await stop.wait()


def _take_all_files() -> None:
    """Let the process hold as many sockets as the system allows it to ask for."""
    try:
        import resource
    except ImportError:  # Windows has no such limit.
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@hub.command("password")
def password_command(
    mosquitto: Annotated[
        bool, typer.Option("--mosquitto", help="Hash it as mosquitto does, for the key `mosquitto`.")
    ] = False,
) -> None:
    """Hash a password for a users file: asked twice, or read from a pipe."""
    from voltagora.brokers.mosquitto import mosquitto_hash
    from voltagora.hub.passwords import hash_password

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise InputError("password", "", "at least one character")
    typer.echo(mosquitto_hash(password) if mosquitto else hash_password(password))
