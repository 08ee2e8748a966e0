"""Our own agents, live, keep every promise that strangers' are held to."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from voltagora import Hub
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.conform.check import Finding, Verdict
from voltagora.live.conform.examine import examine
from voltagora.live.conform.market import Setting
from voltagora.live.conform.stage import Manners
from voltagora.live.mqtt import MqttTransport
from voltagora.protocols.topic import Kind

PARTS = {
    Kind.RECOMMENDER: "sr-agora",
    Kind.IMBALANCE: "ei-village",
    Kind.PRICING: "md-village",
    Kind.STATION: "cs-00",
    Kind.PRODUCER: "ep-wind",
    Kind.VEHICLE: "anna",
}
MANNERS = Manners(patience_seconds=5.0, wait_seconds=25.0, is_quick=True)
SETTING = Setting(network="agora", grid_area="village", time_zone="Europe/Athens")

ANNA = """
title = "one vehicle"
days = 4
start = {start}

[[areas]]
id = "village"

[[areas.networks]]
id = "agora"

[[stations.list]]
id = "square"
latitude = 37.03
longitude = 22.11

[[stations.list.connectors]]
connector_type = "Single phase 32A"
power_kw = 7.4

[[vehicles.list]]
id = "anna"
latitude = 37.03
longitude = 22.11
connector_type = "Single phase 32A"
power_kw = 7.4
capacity_kwh = 58

[[vehicles.list.needs]]
arrival = {arrival}
departure = {departure}
asks_at = {asks_at}
soc = 0.4
energy_kwh = 10
"""


def scenario_of(kind: Kind, folder: Path) -> str:
    if kind is not Kind.VEHICLE:
        return "quickstart"
    now = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
    arrival = now + timedelta(hours=3)
    path = folder / "anna.toml"
    path.write_text(
        ANNA.format(
            start=(now - timedelta(days=1)).date().isoformat(),
            arrival=f"{arrival.isoformat()}Z",
            departure=f"{(arrival + timedelta(hours=4)).isoformat()}Z",
            asks_at=f"{(now + timedelta(seconds=8)).isoformat()}Z",
        ),
        encoding="utf-8",
    )
    return str(path)


async def found_in(kind: Kind, folder: Path) -> list[Finding]:
    async with Hub(mqtt="127.0.0.1:0") as hub:
        url = f"mqtt://127.0.0.1:{hub.mqtt_port}"
        words = ["live", scenario_of(kind, folder), "--speed", "1", "--only", kind.name.lower(), "--quiet"]
        if kind is not Kind.VEHICLE:
            words += ["--set", f"start={datetime.now(UTC).date().isoformat()}"]
        with (folder / f"{kind}.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-c", "from voltagora.cli.main import main; main()", *words, "--broker", url),
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                await asyncio.sleep(3)
                transport = MqttTransport(BrokerUrl.parse(url), client_id="conform", clean=True)
                return await examine(transport, kind, PARTS[kind], manners=MANNERS, setting=SETTING)
            finally:
                if process.returncode is None:
                    process.terminate()
                await process.wait()


async def found_in_all(folder: Path) -> dict[Kind, list[Finding]]:
    """Put them all to the test at once, each in a market of its own."""
    found = await asyncio.gather(*(found_in(kind, folder) for kind in PARTS))
    return dict(zip(PARTS, found, strict=True))


def test_our_own_agents_keep_every_promise(tmp_path: Path) -> None:
    found = asyncio.run(found_in_all(tmp_path))

    assert {
        kind: bad
        for kind, findings in found.items()
        if (bad := [it for it in findings if it.verdict in (Verdict.WRONG, Verdict.MISSING)])
    } == {}
    assert all(sum(it.verdict is Verdict.RIGHT for it in findings) > 10 for findings in found.values())
