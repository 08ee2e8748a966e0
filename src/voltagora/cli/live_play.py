"""Plays the agents of a process over a broker until the market closes or somebody stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from voltagora.domain.errors import InputError, VoltAgoraError

if TYPE_CHECKING:
    from voltagora.live.broker_url import BrokerUrl
    from voltagora.live.transport import Transport
    from voltagora.scenario.live import LiveRun

log = logging.getLogger("voltagora.live")

HUB_ADDRESS: Final = "127.0.0.1:1883"
MOST_FILTERS: Final = 2_000_000


class BrokerChoice:
    """Which broker to use, as the command line says it."""

    def __init__(
        self,
        url: str | None,
        *,
        mqtt: str | None = None,
        users: Path | None = None,
        tls: tuple[Path | None, Path | None, Path | None] = (None, None, None),
        client_id: str | None = None,
    ) -> None:
        self.url, self.mqtt, self.users, self.client_id = url, mqtt, users, client_id
        self.ca, self.cert, self.key = tls

    def owners(self) -> Any:
        """Give the owner table, or None."""
        if self.users is None:
            return None
        from voltagora.live.owners import Owners

        return Owners.read(self.users)


async def played(run: LiveRun, broker: BrokerChoice, view: Any, http: str | None = None) -> None:
    """Play until the end or the first signal."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, run.leave)
        except NotImplementedError:  # Windows: ctrl-C arrives as KeyboardInterrupt.
            break
    async with _broker(run, broker) as (url, transport):
        run.prepare(transport)
        with _health(run, http, view), view.showing(run, url):
            await run.play()


@contextmanager
def _health(run: LiveRun, http: str | None, view: Any) -> Iterator[None]:
    if http is None:
        yield
        return
    from voltagora.live.health import Health

    if run.process is None:
        raise InputError("--http", http, "left out with --speed max, which is over soon")
    counts = {"needs": view.needs, "refusals": view.refusals, "sessions": view.sessions}
    with Health(run.process, http, counts) as health:
        log.info("port %d answers /healthz and /metrics", health.port)
        yield


@asynccontextmanager
async def _broker(run: LiveRun, broker: BrokerChoice) -> AsyncIterator[tuple[BrokerUrl, Transport]]:
    """Join a broker, or start one."""
    from voltagora.live.broker_url import BrokerUrl, Tls

    if broker.url is not None:
        url = BrokerUrl.parse(broker.url, os.environ, Tls(ca=broker.ca, cert=broker.cert, key=broker.key))
        yield url, _transport(run, url, broker)
        return
    from voltagora.hub.errors import HubError, SetupError
    from voltagora.hub.limits import Limits
    from voltagora.hub.server import Hub
    from voltagora.live.port_holder import port_holder
    from voltagora.live.rights import MarketUsers

    address = broker.mqtt or HUB_ADDRESS
    data = None if run.stage.data is None else run.stage.data / "hub"
    try:
        # One connection carries all agents of a process, each with topics of its own.
        limits = Limits(subscriptions_per_session=MOST_FILTERS)
        # The file may change while the market runs; then the agents believe the new owners, too.
        rights = None if broker.users is None else MarketUsers(broker.users, run.owners)
        async with Hub(mqtt=address, data=data, limits=limits, rights=rights) as hub:
            url = BrokerUrl.parse(hub.addresses["MQTT"], os.environ)
            if rights is not None and url.user is None:
                raise InputError(
                    "--users",
                    str(broker.users),
                    "given together with who plays here: username and password in the environment",
                )
            yield url, _transport(run, url, broker)
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


def _transport(run: LiveRun, url: BrokerUrl, broker: BrokerChoice) -> Transport:
    """Make the connection of this process; its client id is the part it plays, so that a restart finds it."""
    from voltagora.live.mqtt import MqttTransport
    from voltagora.live.node import OFFLINE
    from voltagora.protocols.access import presence_topic

    agents = run.cast.agents
    # A connection has one last will, so only a process of one agent can leave a true one.
    will = (presence_topic(agents[0].id), OFFLINE) if len(agents) == 1 else None
    client_id = broker.client_id or url.client_id(run.client_id)
    journal = run.journal
    return MqttTransport(
        url,
        client_id=client_id,
        clean=journal is None,
        forgotten=journal is not None and journal.is_empty,
        will=will,
    )
