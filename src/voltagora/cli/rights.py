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
"""How often the users file is looked at while RabbitMQ is answered."""


def rights_command(
    users: Annotated[Path, typer.Argument(help="Users and the agents they own (TOML).")],
    hub: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the users file of `voltagora hub --users`.")
    ] = None,
    mosquitto: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write password and access files for mosquitto.")
    ] = None,
    pid: Annotated[
        int | None, typer.Option(metavar="PID", min=1, help="Have this mosquitto read them (SIGHUP).")
    ] = None,
    rabbitmq: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Answer RabbitMQ's rabbitmq_auth_backend_http there."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rights as JSON.")] = False,
) -> None:
    """Show who may publish and read what, or give it to a broker."""
    from voltagora.live.owners import Owners

    if pid is not None and mosquitto is None:
        raise InputError("--pid", pid, "given together with --mosquitto")
    owners = Owners.read(users)
    if hub is not None:
        _write_hub(users, owners, hub)
    if mosquitto is not None:
        _write_mosquitto(owners, mosquitto, pid)
    if rabbitmq is not None:
        _serve_rabbitmq(users, rabbitmq)
    if hub is None and mosquitto is None and rabbitmq is None:
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


def _write_hub(users: Path, owners: Owners, path: Path) -> None:
    from voltagora.brokers import hub
    from voltagora.live.rights import hub_accounts

    if path.exists() and path.samefile(users):
        raise InputError("--hub", str(path), "another file than the users file it is made from")
    hub.write(path, hub_accounts(owners))
    print(f"{path}: for `voltagora hub --users {path}`, which reads it again by itself")


def _write_mosquitto(owners: Owners, folder: Path, pid: int | None) -> None:
    from voltagora.brokers import mosquitto
    from voltagora.brokers.errors import BrokerError
    from voltagora.live.rights import mosquitto_accounts

    try:
        mosquitto.write(folder, mosquitto_accounts(owners))
        if pid is not None:
            mosquitto.reload(pid)
    except BrokerError as error:
        raise VoltAgoraError(str(error)) from None
    how = "SIGHUP reloads" if pid is None else f"{pid} reads them again"
    print(f"{folder}: {', '.join(mosquitto.FILES)}; include the last from mosquitto.conf, {how}")


def _serve_rabbitmq(path: Path, address: str) -> None:
    """Answer until stopped; a users file that changes counts from then on, one that is wrong does not."""
    from voltagora.brokers.rabbitmq import QUESTIONS, RabbitRights, RabbitServer
    from voltagora.hub.errors import HubError, SetupError
    from voltagora.hub.options import host_and_port, is_loopback
    from voltagora.live.rights import MarketUsers

    try:
        host, port = host_and_port("--rabbitmq", address)
    except SetupError as error:
        raise InputError(error.field, error.got, error.expected) from None
    users = MarketUsers(path)
    with RabbitServer(RabbitRights(users), host, port) as server:
        for word in QUESTIONS:
            print(f"auth_http.{word}_path = http://{host}:{server.port}/auth/{word}")
        if not is_loopback(host):
            print("Passwords come here as they are: let nobody but RabbitMQ reach this address.")
        print("After taking a right back: rabbitmqctl close_all_user_connections USER why; then, for each")
        print("client id of that user: rabbitmqctl delete_queue mqtt-subscription-CLIENTqos1")
        print("", end="", flush=True)
        while True:
            time.sleep(LOOK_SECONDS)
            if not users.changed():
                continue
            try:
                narrowed, out = users.reload()
            except HubError as error:
                print(f"not taken: {error}", flush=True)
                continue
            print(f"taken; changed: {', '.join(dict.fromkeys([*narrowed, *out])) or 'nobody'}", flush=True)
