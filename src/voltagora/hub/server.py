"""The hub as a server: `async with Hub(mqtt="127.0.0.1:1883") as hub: ...`."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final

from voltagora.hub import sys_topics
from voltagora.hub.broker import Broker, Decide
from voltagora.hub.clock import Clock
from voltagora.hub.errors import HubError, SetupError
from voltagora.hub.faults import FaultLog
from voltagora.hub.local import LocalSubscription, Receive
from voltagora.hub.logins import Backoff
from voltagora.hub.options import Options, host_and_port
from voltagora.hub.publication import Publication
from voltagora.hub.reasons import Reason
from voltagora.hub.rights import Everyone, Login, Rights
from voltagora.hub.tcp import TcpLine
from voltagora.hub.users import Users
from voltagora.hub.wire.properties import Properties

CLOSE_SECONDS: Final = 0.5
"""Lines that have not closed by then are cut."""
USERS_SECONDS: Final = 1.0
"""How often the users file is looked at."""
BACKLOG: Final = 1_024


class Hub:
    """A broker inside this process. See `voltagora.hub.options.Options` for the arguments.

    Attributes:
        broker: the core, for everything that this class does not show.
        mqtt_port, websocket_port: what was opened; 0: nothing.
    """

    def __init__(self, **options: Any) -> None:
        self._make(Options(**options))

    @classmethod
    def of(cls, options: Options) -> Hub:
        """Make a hub of options that are ready."""
        hub = cls.__new__(cls)
        hub._make(options)
        return hub

    def _make(self, options: Options) -> None:
        self.options = options
        self.mqtt_port = 0
        self.websocket_port = 0
        clock = Clock(time.monotonic, time.time)
        rights: Rights | None = self.options.rights
        if self.options.users is not None:
            rights = Users(self.options.users)
        elif rights is None:
            rights = Everyone()
        # Rights that were given may be a file as well, of another form.
        self._users = rights if isinstance(rights, Users) else None
        self._journal, journal = _journal(self.options, clock)
        self.broker = Broker(
            rights,
            clock,
            lambda: secrets.token_hex(11),
            self.options.limits,
            journal,
            FaultLog(time.monotonic),
        )
        self._backoff = Backoff()
        self._servers: list[asyncio.Server] = []
        self._lines: set[Any] = set()
        self._committer: Any = None
        self._metrics: Any = None
        self._timer: asyncio.TimerHandle | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # Opening and closing.

    async def __aenter__(self) -> Hub:
        """Open everything, or nothing.

        Raises:
            HubError: an address is taken, a file is wrong, the data folder cannot be used.
        """
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close everything."""
        await self.close()

    async def _open(self) -> None:
        options, broker = self.options, self.broker
        self._loop = asyncio.get_running_loop()
        tls = options.tls()
        if self._journal is not None:
            from voltagora.hub.store.committer import Committer

            assert options.data is not None
            self._committer = Committer(self._journal, options.data, full=options.full)
            self._committer.start(broker)
        if not options.open_to_all:
            self._threads = ThreadPoolExecutor(2, thread_name_prefix="hub-login")
            broker.authenticate = self._authenticate
        if options.mqtt is not None:
            self.mqtt_port = await self._listen(
                "mqtt", options.mqtt, lambda: TcpLine(broker, self._lines), tls
            )
        if options.websocket is not None:
            from voltagora.hub.websocket import WebSocketLine

            make = lambda: WebSocketLine(broker, self._lines, options.origins)  # noqa: E731
            self.websocket_port = await self._listen("websocket", options.websocket, make, tls)
        if options.metrics is not None:
            from voltagora.hub.metrics import Metrics

            self._metrics = Metrics(broker, *host_and_port("metrics", options.metrics))
        self._keep_going()
        broker.timers.woken = self._schedule
        self._schedule()
        broker.report("open", mqtt=options.mqtt, websocket=options.websocket, tls=tls is not None)

    async def _listen(self, name: str, text: str, make: Callable[[], asyncio.BaseProtocol], tls: Any) -> int:
        assert self._loop is not None
        host, port = host_and_port(name, text)
        try:
            # Who is slow to agree on TLS has no more time than who is slow to say CONNECT.
            patience = self.options.limits.connect_seconds if tls is not None else None
            server = await self._loop.create_server(
                make, host, port, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=patience
            )
        except OSError as error:
            raise SetupError(
                name, text, f"an address that can be opened ({error.strerror or error})"
            ) from None
        self._servers.append(server)
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def close(self) -> None:
        """Part from every client, save what is left, close everything. Takes less than a second."""
        broker = self.broker
        broker.timers.woken = lambda: None
        if self._timer is not None:
            self._timer.cancel()
        for server in self._servers:
            server.close()
        broker.close()
        until = time.monotonic() + CLOSE_SECONDS
        while self._lines and time.monotonic() < until:
            await asyncio.sleep(0.01)
        for line in list(self._lines):
            line.close(abort=True)
        await asyncio.sleep(0)
        if self._committer is not None:
            self._committer.stop()
            self._committer = None
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
            self._metrics = None
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
        self._servers.clear()

    @property
    def addresses(self) -> dict[str, str]:
        """Where the hub is reached, by the name of the way."""
        options, found = self.options, {}
        secure = options.tls_cert is not None
        if options.mqtt is not None:
            host = options.mqtt.rpartition(":")[0]
            found["MQTT"] = f"{'mqtts' if secure else 'mqtt'}://{host}:{self.mqtt_port}"
        if options.websocket is not None:
            host = options.websocket.rpartition(":")[0]
            found["WebSocket"] = f"{'wss' if secure else 'ws'}://{host}:{self.websocket_port}"
        if self._metrics is not None and options.metrics is not None:
            host = options.metrics.rpartition(":")[0]
            found["metrics"] = f"http://{host}:{self._metrics.port}/metrics"
        return found

    # What happens by itself.

    def _keep_going(self) -> None:
        timers, now = self.broker.timers, time.monotonic
        if self._users is not None:

            def look() -> None:
                self.look_at_users()
                timers.at(now() + USERS_SECONDS, look)

            timers.at(now() + USERS_SECONDS, look)
        if self.options.sys_seconds:
            began = now()

            def tell() -> None:
                sys_topics.publish(self.broker, now() - began)
                timers.at(now() + self.options.sys_seconds, tell)

            tell()

    def _schedule(self) -> None:
        due = self.broker.timers.next_due
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None and self._loop is not None:
            self._timer = self._loop.call_later(max(0.0, due - time.monotonic()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.broker.tick()
        self._schedule()

    def look_at_users(self) -> None:
        """Read the users file again if it changed, and act on it at once."""
        users = self._users
        if users is None or not users.changed():
            return
        try:
            narrowed, out = users.reload()
        except HubError as error:
            self.broker.report("fault", what=f"users file not taken: {error}")
            return
        for user in narrowed:
            self.broker.revoke(user)
        for user in out:
            self.broker.put_out(user, reason=Reason.NOT_AUTHORIZED, forget=user not in users.users)
        self.broker.report("users file taken", changed=len(narrowed), out=len(out))

    def _authenticate(self, login: Login, decide: Decide) -> None:
        """Find out who a client is, in a thread; whoever guesses too often is not even looked at."""
        broker = self.broker
        if self.options.backoff and not self._backoff.may_try(login.address, login.user, time.monotonic()):
            decide(None)
            return
        loop, threads = self._loop, self._threads
        assert loop is not None
        assert threads is not None
        future = threads.submit(broker.rights.may_connect, login)

        def ended() -> None:
            if future.cancelled():
                return
            error = future.exception()
            user = None if error is not None else future.result()
            if error is not None:
                broker.report("fault", what=f"rights failed: {error!r}")
            if user is None:
                self._backoff.failed(login.address, login.user, time.monotonic())
            else:
                self._backoff.succeeded(login.address, login.user)
            decide(user)
            broker.flush()

        def done(_: object) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended)

        future.add_done_callback(done)

    # Without a socket.

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        user: str | None = None,
        properties: Properties | None = None,
    ) -> int:
        """See `Broker.publish`."""
        return self.broker.publish(topic, payload, qos=qos, retain=retain, user=user, properties=properties)

    def subscribe(
        self, text: str, receive: Receive, *, user: str | None = None, retained: bool = True
    ) -> LocalSubscription:
        """See `Broker.subscribe_here`."""
        return self.broker.subscribe_here(text, receive, user=user, retained=retained)

    @asynccontextmanager
    async def messages(
        self, text: str, *, user: str | None = None, retained: bool = True, queue: int = 1_000
    ) -> AsyncIterator[AsyncIterator[Publication]]:
        """Subscribe and loop: `async with hub.messages("EV/#") as messages: async for each in messages`.

        A loop that is more than `queue` messages behind loses the oldest.
        """
        waiting: asyncio.Queue[Publication] = asyncio.Queue()

        def receive(publication: Publication, _: bool) -> None:
            if waiting.qsize() >= queue:
                waiting.get_nowait()
                self.broker.counters.dropped["slow reader"] += 1
            waiting.put_nowait(publication)

        async def each() -> AsyncIterator[Publication]:
            while True:
                yield await waiting.get()

        subscription = self.subscribe(text, receive, user=user, retained=retained)
        try:
            yield each()
        finally:
            subscription.close()

    def last_values(self, text: str, *, user: str | None = None) -> list[Publication]:
        """See `Broker.last_values`."""
        return list(self.broker.last_values(text, user=user))

    def forget(self, text: str, keep: Callable[[str], bool] = lambda _: False) -> None:
        """See `Broker.forget`."""
        self.broker.forget(text, keep)

    def revoke(self, user: str) -> None:
        """See `Broker.revoke`."""
        self.broker.revoke(user)

    def put_out(self, user: str, client: str | None = None, *, forget: bool = False) -> int:
        """See `Broker.put_out`."""
        return self.broker.put_out(user, client, forget=forget)


def _journal(options: Options, clock: Clock) -> tuple[Any, Any]:
    """Give the journal that keeps, if there is to be one, twice: as what it is and as what it does."""
    if options.data is None:
        return None, None
    from voltagora.hub.store.journal import StoredJournal

    journal = StoredJournal(clock)
    return journal, journal
