"""`voltagora hub`: run the broker on its own; `voltagora hub password`: hash a password for its users."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voltagora.domain.errors import InputError, MissingExtra, VoltAgoraError

if TYPE_CHECKING:
    from voltagora.hub.options import Options

hub = typer.Typer(help="Run the broker, MQTT 3.1.1 and 5.", invoke_without_command=True)


@hub.callback()
def hub_command(
    context: typer.Context,
    mqtt: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="MQTT over TCP; 127.0.0.1:1883 if no other."),
    ] = None,
    websocket: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="MQTT over WebSocket.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate (PEM): TLS on both.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="Users and what they may do (TOML). Without it: loopback, everybody may do all."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder for what survives a kill; hub-data if left out.")
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Keep nothing on disk.")] = False,
    full_sync: Annotated[
        bool, typer.Option("--full-sync", help="Wait for the disk at every commit: survives power failure.")
    ] = False,
    server_keep_alive: Annotated[
        int | None, typer.Option(min=1, max=65_535, metavar="SECONDS", help="Keep alive of MQTT 5 clients.")
    ] = None,
    max_packet: Annotated[
        int, typer.Option(min=1_024, max=268_435_455, metavar="BYTES", help="Largest packet taken.")
    ] = 256 * 1024,
    origin: Annotated[
        list[str] | None, typer.Option(help="Origin of web pages that may connect, besides this host's own.")
    ] = None,
    metrics: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Metrics for Prometheus.")] = None,
) -> None:
    """Run the broker until it is stopped."""
    if context.invoked_subcommand is not None:
        return
    from voltagora.hub.errors import HubError, SetupError
    from voltagora.hub.limits import Limits
    from voltagora.hub.options import Options

    if memory and data is not None:
        raise InputError("--data", str(data), "left out with --memory")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        options = Options(
            mqtt="127.0.0.1:1883" if mqtt is None and websocket is None else mqtt,
            websocket=websocket,
            users=users,
            data=None if memory else data or Path("hub-data"),
            full=full_sync,
            tls_cert=tls_cert,
            tls_key=tls_key,
            metrics=metrics,
            origins=tuple(origin or ()),
            limits=Limits(packet_bytes=max_packet, server_keep_alive=server_keep_alive),
        )
        asyncio.run(_serve(options))
    except SetupError as error:
        option = error.field.replace("_", "-")
        is_option = error.field in Options.__dataclass_fields__
        raise InputError(f"--{option}" if is_option else error.field, error.got, error.expected) from None
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
def password_command() -> None:
    """Hash a password for a users file: asked twice, or read from a pipe."""
    from voltagora.hub.passwords import hash_password

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise InputError("password", "", "at least one character")
    typer.echo(hash_password(password))
