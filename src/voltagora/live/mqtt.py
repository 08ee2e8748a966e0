"""The transport over MQTT: one connection that is kept up, and acknowledgements that mean something.

What comes is acknowledged only once it is saved; the broker's acknowledgements and refusals reach
who published; what is under way is bounded; a lost connection is made again with growing pauses,
and what was not acknowledged is sent again, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Iterable
from ssl import SSLContext, SSLError
from typing import Final

from voltagora.domain.errors import RunError, VoltAgoraError
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.mqtt_line import Line, Lost, Refusal
from voltagora.live.mqtt_packets import V311
from voltagora.live.transport import Listener, Publication

log = logging.getLogger("voltagora.live.mqtt")

CONNECT_SECONDS: Final = 10.0
SHORTEST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
GOODBYE_SECONDS: Final = 1.0
MOST_WAITING: Final = 50_000
"""Publications that may wait for the broker; more are an error of who does not `drain`."""

_FOR_GOOD: Final = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not like the client id",
    4: "wrong user or password",
    5: "no right to connect",
    0x84: "it does not speak MQTT 3.1.1",
    0x85: "it does not like the client id",
    0x86: "wrong user or password",
    0x87: "no right to connect",
    0x8A: "banned",
}
_OLDER: Final = (1, 0x84)
"""What a broker answers that knows no MQTT 5."""


class MqttTransport:
    """See `voltagora.live.transport.Transport`.

    Args:
        url: the broker and who we are to it.
        client_id: stable over restarts, so that the broker keeps our session.
        will: topic and payload that the broker publishes, retained, if we are gone without a word.
        clean: begin without what an earlier session left.
        version: 5, or 4 for MQTT 3.1.1; a broker that does not know 5 is spoken to in 3.1.1 anyway.
    """

    def __init__(
        self,
        url: BrokerUrl,
        *,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        clean: bool = False,
        version: int = 5,
    ) -> None:
        self.url = url
        self.client_id = client_id
        self.will = will
        self.clean = clean
        self.version = version
        self.filters: dict[str, None] = {}
        self._listener: Listener | None = None
        self._line: Line | None = None
        self._queue: deque[Publication] = deque()
        self._keeper: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._said = ""

    async def open(self, listener: Listener) -> None:
        """See `Transport.open`."""
        self._listener = listener
        context = self.url.tls.context() if self.url.tls is not None else None
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            try:
                line = await self._connect(context)
                break
            except SSLError as error:
                raise VoltAgoraError(f"{self.url} cannot be trusted: {_words(error)}") from None
            except (OSError, TimeoutError, Lost) as error:
                self._say(f"{self.url} cannot be reached ({_words(error)}); trying again")
                pause = await _paused(pause)
        self._keeper = asyncio.create_task(self._keep_up(line, context))

    def subscribe(self, filters: Iterable[str]) -> None:
        """See `Transport.subscribe`."""
        new = [each for each in filters if each not in self.filters]
        self.filters.update(dict.fromkeys(new))
        if self._line is not None:
            self._line.subscribe(new)

    def publish(self, publication: Publication) -> None:
        """See `Transport.publish`."""
        if len(self._queue) >= MOST_WAITING:
            raise RunError(f"{self.url}: {MOST_WAITING} publications wait for the broker already")
        self._queue.append(publication)
        self._pump()

    @property
    def waiting(self) -> int:
        """See `Transport.waiting`."""
        return len(self._queue) + (len(self._line.in_flight) if self._line is not None else 0)

    async def drain(self, at_most: int) -> None:
        """See `Transport.drain`."""
        while self.waiting > at_most:
            self._moved.clear()
            await self._moved.wait()

    async def close(self) -> None:
        """See `Transport.close`."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await line.say_goodbye()
            line.cut("closed by us")
            await asyncio.sleep(0)

    # One line after another.

    async def _connect(self, context: SSLContext | None) -> Line:
        """Open a line, with MQTT 3.1.1 if the broker does not know 5.

        Raises:
            VoltAgoraError: the broker refuses for good.
            OSError, TimeoutError, Lost: it cannot be reached now.
        """
        assert self._listener is not None
        line = Line(self, self._listener)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: line, self.url.host, self.url.port, ssl=context)
                await line.admitted
            async with asyncio.timeout(CONNECT_SECONDS + len(self.filters) / 1_000):
                await line.subscribed
        except Refusal as refusal:
            line.cut("refused")
            if refusal.code in _OLDER and self.version != V311:
                self.version = V311
                return await self._connect(context)
            if refusal.code in _FOR_GOOD:
                raise VoltAgoraError(f"{self.url} does not let us in: {_FOR_GOOD[refusal.code]}") from None
            raise Lost(f"refused with code 0x{refusal.code:02x}") from None
        except BaseException:
            line.cut("not open in time")
            raise
        if line.refused_filters:
            line.cut("some filters are refused")
            count, first = len(line.refused_filters), line.refused_filters[0]
            raise VoltAgoraError(
                f"{self.url} does not let us read {first}, one of {count} filters it refuses"
            )
        return self._opened(line)

    def _opened(self, line: Line) -> Line:
        self.clean = False  # Whatever comes from here on is of this session.
        self._line = line
        self._said = ""
        assert self._listener is not None
        self._listener.connected(session_present=line.session_present, stamps=line.stamps)
        self._pump()
        return line

    async def _keep_up(self, line: Line, context: SSLContext | None) -> None:
        assert self._listener is not None
        while True:
            await asyncio.wait({line.lost})  # Awaited itself it would be cancelled with us.
            why = line.lost.result()
            self._line = None
            self._queue.extendleft(reversed(line.in_flight.values()))
            self._listener.disconnected(why)
            pause = SHORTEST_PAUSE_SECONDS
            while self._line is None:
                pause = await _paused(pause)
                try:
                    line = await self._connect(context)
                except (OSError, TimeoutError, Lost, VoltAgoraError) as error:
                    self._say(f"{self.url}: still no connection ({_words(error)})")

    def _say(self, line: str) -> None:
        """Log what is new."""
        if line != self._said:
            self._said = line
            log.warning("%s", line)

    def moved(self) -> None:
        """Hear from the line that the broker takes more."""
        self._pump()

    def _pump(self) -> None:
        line, queue = self._line, self._queue
        if line is not None:
            while queue and line.may_send:
                line.send(queue.popleft())
        self._moved.set()


async def _paused(pause: float) -> float:
    """Wait for a part of a pause drawn by chance, so that not all come back at once; give the next pause."""
    await asyncio.sleep(random.uniform(pause / 2, pause))
    return min(LONGEST_PAUSE_SECONDS, pause * 2)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
