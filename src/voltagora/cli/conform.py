"""`voltagora conform`: put a stranger's agent to the test."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voltagora.domain.errors import InputError, one_of

if TYPE_CHECKING:
    from voltagora.live.conform.check import Finding
    from voltagora.live.conform.examine import Summary
    from voltagora.protocols.topic import Kind

NOT_CONFORMANT = 1


def conform_command(
    kind: Annotated[
        str, typer.Argument(help="vehicle, station, recommender, imbalance, pricing, producer or consumer.")
    ],
    id_: Annotated[str, typer.Option("--id", help="The agent's id.", show_default=False)],
    broker: Annotated[
        str, typer.Option(metavar="URL", help="Which broker: mqtt://user@host.", show_default=False)
    ],
    wait: Annotated[float, typer.Option(help="Seconds to wait for an agent that starts by itself.")] = 30.0,
    patience: Annotated[float, typer.Option(help="Seconds that an answer may take.")] = 5.0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out what waits for time-outs, half a minute and more.")
    ] = False,
    network: Annotated[str, typer.Option(help="Of a recommender under test, or of a vehicle's.")] = "main",
    grid_area: Annotated[str, typer.Option(help="Of an imbalance or pricing agent under test.")] = "main",
    imbalance: Annotated[
        str | None, typer.Option(help="Whom the agent knows as EI; ei-<grid area> if left out.")
    ] = None,
    pricing: Annotated[
        str | None, typer.Option(help="Whom the agent knows as MD; md-<grid area> if left out.")
    ] = None,
    recommender: Annotated[
        list[str] | None,
        typer.Option(help="Whom the agent knows as SR; sr-<network> if left out. May be repeated."),
    ] = None,
    time_zone: Annotated[str, typer.Option(help="Of the market's days.")] = "UTC",
    step_minutes: Annotated[int, typer.Option(min=1, max=1440, help="Length of the market's slots.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    ca: Annotated[Path | None, typer.Option(help="Certificate (PEM) that vouches for the broker's.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate (PEM) that says who we are.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of that certificate (PEM).")] = None,
) -> None:
    """Play the other side of every protocol with an agent, and tell what is right, wrong or missing."""
    from voltagora.domain.units import is_id
    from voltagora.live.broker_url import BrokerUrl, Tls
    from voltagora.live.conform.examine import Summary, examine
    from voltagora.live.conform.market import Setting
    from voltagora.live.conform.stage import Manners
    from voltagora.live.mqtt import MqttTransport

    of = _kind(kind)
    for field, given in (("--id", id_), ("--network", network), ("--grid-area", grid_area)):
        if not is_id(given):
            raise InputError(field, given, "a name: 1 to 64 of A-Z a-z 0-9 _ -")
    url = BrokerUrl.parse(broker, os.environ, Tls(ca=ca, cert=cert, key=key))
    setting = Setting(
        network=network,
        grid_area=grid_area,
        imbalance=imbalance,
        pricing=pricing,
        recommenders=tuple(recommender or ()),
        time_zone=_zone(time_zone),
        step_minutes=step_minutes,
    )
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    manners = Manners(patience_seconds=patience, wait_seconds=wait, is_quick=quick)
    transport = MqttTransport(url, client_id=url.client_id(f"conform-{os.getpid()}-{id_}"), clean=True)
    findings = asyncio.run(examine(transport, of, id_, manners=manners, setting=setting))
    summary = Summary.of(findings)
    if as_json:
        _print_json(of, id_, findings, summary)
    else:
        _print_table(id_, findings, summary)
    if not summary.is_conformant:
        raise typer.Exit(NOT_CONFORMANT)


def _kind(text: str) -> Kind:
    from voltagora.protocols.topic import Kind

    kinds = {kind.name.lower(): kind for kind in Kind}
    if text not in kinds:
        raise InputError("kind", text, one_of(text, kinds))
    return kinds[text]


def _zone(text: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):
        raise InputError("--time-zone", text, "a time zone such as Europe/Athens") from None


def _print_json(kind: Kind, id: str, findings: list[Finding], summary: Summary) -> None:
    from voltagora.protocols.codec import encode

    print(
        encode(
            {
                "kind": kind.name.lower(),
                "id": id,
                "conformant": summary.is_conformant,
                "summary": summary,
                "findings": findings,
            }
        ).decode()
    )


def _print_table(id: str, findings: list[Finding], summary: Summary) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    styles = {"right": "green", "wrong": "bold red", "missing": "red", "not checked": "dim"}
    table = Table(title=f"{id}: what the contract promises", title_justify="left")
    for head in ("protocol", "promise", "verdict"):
        table.add_column(head, overflow="fold")
    for finding in findings:
        detail = f"\n[dim]{escape(finding.detail)}[/dim]" if finding.detail else ""
        verdict = f"[{styles[finding.verdict]}]{finding.verdict}[/]"
        table.add_row(finding.protocol, escape(finding.promise) + detail, verdict)
    console = Console()
    console.print(table)
    counts = (summary.right, summary.wrong, summary.missing, summary.not_checked)
    console.print(", ".join(f"{count} {word}" for count, word in zip(counts, styles, strict=True)))
