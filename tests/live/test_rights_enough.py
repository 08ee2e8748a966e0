"""The rights that are made suffice for a whole market of several owners, on the hub and on mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_thread import running_hub
from live_market import a_scenario, check_books
from market_brokers import market_mosquitto

from voltagora.hub.limits import Limits
from voltagora.hub.passwords import hash_password
from voltagora.hub.users import KnownUsers
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.mqtt import MqttTransport
from voltagora.live.owners import Owner, Owners
from voltagora.live.rights import grants
from voltagora.scenario.cast import Part, kinds_of
from voltagora.scenario.horizon import Horizon
from voltagora.scenario.live import LiveRun, Pace, Stage
from voltagora.scenario.replay import replay

SCENARIO = a_scenario("vehicles.count=15", "days=1")
PARTS = {
    "grid": "imbalance",  # which leads time, so it is the operator, who may read all
    "area": "pricing,producer,consumer",
    "network": "station,recommender",
    "fleet": "vehicle",
}
SPEED = 8_000.0
"""A recommendation expires after 10 simulated minutes, which are then 75 ms."""
UNTIL = Horizon(SCENARIO).start + 9 * 3_600


def _owners() -> Owners:
    """Who plays a part owns its agents."""
    found = {}
    for user, kinds in PARTS.items():
        stage = Stage(part=Part(kinds=kinds_of(kinds)), pace=Pace(SPEED))
        agents = LiveRun(SCENARIO, stage).cast.agents
        found[user] = Owner(
            name=user, agents=tuple((each.kind, each.id) for each in agents), is_operator=user == "grid"
        )
    return Owners(found)


@contextlib.contextmanager
def _hub(_: Path, owners: Owners) -> Iterator[int]:
    known = KnownUsers(grants(owners), {user: hash_password(user, salt=bytes(16)) for user in owners.users})
    with running_hub(rights=known, limits=Limits(subscriptions_per_session=100_000)) as running:
        yield running.mqtt_port
        assert not running.hub.broker.counters.refused


@contextlib.contextmanager
def _mosquitto(folder: Path, owners: Owners) -> Iterator[int]:
    with market_mosquitto(folder, grants(owners)) as broker:
        yield broker.port


@pytest.mark.parametrize("broker", [_hub, _mosquitto])
def test_every_owner_plays_with_its_own_rights(broker: Any, tmp_path: Path) -> None:
    owners = _owners()
    with broker(tmp_path, owners) as port:
        runs, transports = [], []
        for user, kinds in PARTS.items():
            part = Part(kinds=kinds_of(kinds))
            leads = user == "grid"
            stage = Stage(part=part, pace=Pace(SPEED), start_now=leads, data=tmp_path / user, until=UNTIL)
            runs.append(LiveRun(SCENARIO, stage, owners))
            url = BrokerUrl.parse(f"mqtt://{user}:{user}@127.0.0.1:{port}")
            transports.append(MqttTransport(url, client_id=url.client_id(user)))
        asyncio.run(_together(runs, transports))
        for run in runs:
            run.close()

    replayed = replay([tmp_path / user for user in PARTS]).result
    check_books(replayed)
    assert replayed.metrics["bookings_made"] > 0


async def _together(runs: list[LiveRun], transports: list[MqttTransport]) -> None:
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for run, transport in zip(runs, transports, strict=True):
            group.create_task(run.play(transport))
            await asyncio.sleep(0.1)
