"""`voltagora rights`: who may publish and read what in a market, for people and for brokers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voltagora.domain.errors import InputError, VoltAgoraError

if TYPE_CHECKING:
    from voltagora.live.owners import Owners

LOOK_SECONDS: Final = 1.0


def rights_command(
    users: Annotated[Path, typer.Argument(help="Users and the agents they own (TOML).")],
    mosquitto: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write password and access files for mosquitto.")
    ] = None,
    rabbitmq: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Answer RabbitMQ's rabbitmq_auth_backend_http there."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rights as JSON.")] = False,
) -> None:
    """Show who may publish and read what, or give it to a broker."""
    from voltagora.live.owners import Owners

    owners = Owners.read(users)
    if mosquitto is not None:
        _write_mosquitto(owners, mosquitto)
    elif rabbitmq is not None:
        _serve_rabbitmq(users, owners, rabbitmq)
    else:
        _show(owners, as_json=json)


def _show(owners: Owners, *, as_json: bool) -> None:
    import json

    from voltagora.live.rights import grants

    table = {
        user: {"publish": list(grant.publish), "subscribe": list(grant.subscribe)}
        for user, grant in grants(owners).items()
    }
    if as_json:
        print(json.dumps(table, indent=2))
        return
    for user, rights in table.items():
        print(user)
        for words, topics in (("publishes", rights["publish"]), ("reads", rights["subscribe"])):
            for topic in topics:
                print(f"  {words:9} {topic}")


def _write_mosquitto(owners: Owners, folder: Path) -> None:
    from voltagora.brokers import mosquitto
    from voltagora.brokers.errors import BrokerError
    from voltagora.live.rights import mosquitto_accounts

    try:
        mosquitto.write(folder, mosquitto_accounts(owners))
    except BrokerError as error:
        raise VoltAgoraError(str(error)) from None
    print(f"{folder}: {', '.join(mosquitto.FILES)}; include the last from mosquitto.conf, SIGHUP reloads")


def _serve_rabbitmq(path: Path, owners: Owners, address: str) -> None:
    """Answer until stopped; a users file that changes counts from then on, one that is wrong does not."""
    from voltagora.brokers.rabbitmq import RabbitRights, RabbitServer
    from voltagora.live.owners import Owners
    from voltagora.live.rights import hub_rights

    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError("--rabbitmq", address, "HOST:PORT")
    answers = RabbitRights(hub_rights(owners))
    seen = path.stat().st_mtime_ns
    with RabbitServer(answers, host, int(port)) as server:
        print(f"auth_http.user_path = http://{host}:{server.port}/auth/user, and so on", flush=True)
        while True:
            time.sleep(LOOK_SECONDS)
            if path.stat().st_mtime_ns != seen:
                seen = path.stat().st_mtime_ns
                try:
                    answers.rights = hub_rights(Owners.read(path))
                except VoltAgoraError as error:
                    print(f"not taken: {error}", flush=True)
