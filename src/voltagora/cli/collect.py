"""`voltagora collect`: keep every message of a broker."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voltagora.domain.errors import InputError, InputErrors

if TYPE_CHECKING:
    from voltagora.live.record import Recorder
    from voltagora.live.transport import Transport


def collect_command(
    broker: Annotated[
        str, typer.Option(metavar="URL", help="Which broker: mqtt://user@host.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder of the record; one that is there is gone on with.", show_default=False),
    ],
    filter_: Annotated[
        list[str] | None, typer.Option("--filter", metavar="FILTER", help="What to keep; # is everything.")
    ] = None,
    rotate_rows: Annotated[
        int, typer.Option(min=1, metavar="N", help="Finish a file at so many messages.")
    ] = 100_000,
    rotate_minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Finish a file so long after its first message.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Write a CSV file beside each Parquet file.")] = False,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Stop then, UTC: 2026-01-03T00:00:00Z.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(metavar="N", help="Stop after so long.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Certificate (PEM) that vouches for the broker's.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate (PEM) that says who we are.")] = None,
    key: Annotated[Path | None, typer.Option(help="Key of that certificate (PEM).")] = None,
) -> None:
    """Record every message of a broker until it is stopped, and go on where an earlier record ended."""
    from voltagora.live.broker_url import BrokerUrl, Tls
    from voltagora.live.mqtt import MqttTransport
    from voltagora.live.record import Recorder, Rotation

    filters = filter_ or ["#"]
    for_seconds = _how_long(filters, rotate_minutes, until, seconds)
    url = BrokerUrl.parse(broker, os.environ, Tls(ca=ca, cert=cert, key=key))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
    rotation = Rotation(rows=rotate_rows, minutes=rotate_minutes)
    recorder = Recorder(out, rotation=rotation, csv=csv)
    before = recorder.last
    try:
        transport = MqttTransport(url, client_id=url.client_id(recorder.client_id))
        asyncio.run(_collected(recorder, transport, filters, for_seconds))
    finally:
        recorder.close()
    typer.echo(f"{recorder.last - before} messages recorded, {recorder.last} in all: {out}")


def _how_long(
    filters: list[str], rotate_minutes: float | None, until: str | None, seconds: float | None
) -> float | None:
    """Check what the command line says, all of it, and give how long to record."""
    errors = [
        InputError("--filter", it, "an MQTT topic filter, such as EV/+/ReservationOutcome or #")
        for it in filters
        if not _is_filter(it)
    ]
    if rotate_minutes is not None and not rotate_minutes > 0:
        errors.append(InputError("--rotate-minutes", rotate_minutes, "above 0"))
    if seconds is not None and not seconds > 0:
        errors.append(InputError("--seconds", seconds, "above 0"))
    if until is not None and seconds is not None:
        errors.append(InputError("--until", until, "left out with --seconds"))
    if until is not None:
        from voltagora.domain.units import Time

        try:
            seconds = Time.parse(until) - time.time()
        except ValueError as error:
            errors.append(InputError("--until", until, str(error)))
        else:
            if seconds <= 0:
                errors.append(InputError("--until", until, "a time to come"))
    if errors:
        raise errors[0] if len(errors) == 1 else InputErrors(errors)
    return seconds


def _is_filter(text: str) -> bool:
    levels = text.split("/")
    return (
        0 < len(text.encode()) <= 65_535
        and "\0" not in text
        and "#" not in "/".join(levels[:-1])
        and all(level in ("+", "#") or not set(level) & {"+", "#"} for level in levels)
    )


async def _collected(
    recorder: Recorder, transport: Transport, filters: list[str], seconds: float | None
) -> None:
    """Record until the end or the first signal."""
    from voltagora.live.record_collector import Collector

    collector = Collector(recorder)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, collector.leave)
    await collector.run(transport, filters, seconds)
