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
from functools import partial
from ssl import SSLContext, SSLEOFError, SSLError, SSLZeroReturnError
from typing import Final

from voltagora.domain.errors import InputError, RunError, VoltAgoraError
from voltagora.hub.errors import PacketError
from voltagora.hub.topics import parse_filter
from voltagora.live.broker_url import BrokerUrl
from voltagora.live.mqtt_full import FullLane
from voltagora.live.mqtt_line import Line, Lost, Refusal
from voltagora.live.mqtt_packets import V311
from voltagora.live.transport import Listener, Publication

log = logging.getLogger("voltagora.live.mqtt")

CONNECT_SECONDS: Final = 10.0
FILTERS_A_SECOND: Final = 1_000
KEEPALIVE_SECONDS: Final = 20
SESSION_SECONDS: Final = 86_400
SHORTEST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 1.0
"""A connection that did not live so long is not followed by another at once."""
GOODBYE_SECONDS: Final = 1.0
WINDOW: Final = 500
MOST_WAITING: Final = 50_000
"""Publications that may wait for the broker; more are an error of who does not `drain`."""
LARGEST_ARRIVAL: Final = 4 * 1024 * 1024

_FOR_GOOD: Final = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not like the client id",
    4: "wrong user or password",
    5: "no right to connect, or none to its last will",
    0x84: "it does not speak MQTT 3.1.1",
    0x85: "it does not like the client id",
    0x86: "wrong user or password",
    0x87: "no right to connect, or none to its last will",
    0x8A: "banned",
}
_BROKEN_OFF: Final = (SSLEOFError, SSLZeroReturnError)
"""What happens to TLS when a broker is about to stop; it says nothing about certificates."""
_OLDER: Final = (1, 0x84)
"""What a broker answers that knows no MQTT 5."""


class MqttTransport:
    """See `voltagora.live.transport.Transport`.

    Args:
        url: where, and who we are.
        client_id: stable over restarts, so that the broker keeps our session.
        will: topic and payload that the broker publishes, retained, if we are gone without a word.
        clean: begin without what an earlier session left, and leave nothing behind (3.1.1 leaves it).
        forgotten: begin without what an earlier session left, as who left it remembers nothing.
        version: 5, or 4 for MQTT 3.1.1; a broker that does not know 5 is spoken to in 3.1.1 anyway.
        keepalive_seconds: a broker that is silent 1.5 times as long is taken for gone.
        session_seconds: how long the broker is to keep our session while we are away; MQTT 5 only.
        window: publications under way without acknowledgement; fewer if the broker wants fewer.
        most_waiting: publications that wait until then; `publish` refuses more.
        largest_arrival: bytes of the largest packet that is taken; a larger one is logged and dropped.
    """

    def __init__(
        self,
        url: BrokerUrl,
        *,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        clean: bool = False,
        forgotten: bool = False,
        version: int = 5,
        keepalive_seconds: int = KEEPALIVE_SECONDS,
        session_seconds: int = SESSION_SECONDS,
        window: int = WINDOW,
        most_waiting: int = MOST_WAITING,
        largest_arrival: int = LARGEST_ARRIVAL,
    ) -> None:
        self.url = url
        self.client_id = client_id
        self.will = will
        self.clean = clean or forgotten
        self.version = version
        self.keepalive_seconds = keepalive_seconds
        self.session_seconds = session_seconds
        self.window = window
        self.most_waiting = most_waiting
        self.largest_arrival = largest_arrival
        self.filters: dict[str, None] = {}
        self._leaves_nothing = clean
        self._listener: Listener | None = None
        self._line: Line | None = None
        self._again: deque[tuple[int, Publication]] = deque()  # sent before, under that identifier
        self._queue: deque[Publication] = deque()
        self._full = {
            retain: FullLane(partial(self._is_under_way, retain), partial(self._release, retain))
            for retain in (False, True)
        }
        self._keeper: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._is_closed = False
        self._said: set[str] = set()

    async def open(self, listener: Listener) -> None:
        """See `Transport.open`."""
        self._listener = listener
        self._is_closed = False
        context = self.url.tls.context() if self.url.tls is not None else None
        line, pause = None, SHORTEST_PAUSE_SECONDS
        while line is None:
            try:
                line = await self._connect(context)
            except (OSError, Lost) as error:
                if isinstance(error, SSLError) and not isinstance(error, _BROKEN_OFF):
                    raise VoltAgoraError(f"{self.url}: no secure connection: {_words(error)}") from None
                self.say(f"{self.url} cannot be reached ({_words(error)}); trying again")
                pause = await _paused(pause)
        self._keeper = asyncio.create_task(self._keep_up(line, context))

    def subscribe(self, filters: Iterable[str]) -> None:
        """See `Transport.subscribe`.

        Raises:
            InputError: one is no filter; a broker would close the connection on it, each time.
        """
        new = [each for each in filters if each not in self.filters]
        for each in new:
            try:
                parse_filter(each)
            except PacketError as error:
                raise InputError("filter", each, f"a topic filter ({error})") from None
        self.filters.update(dict.fromkeys(new))
        if self._line is not None:
            self._line.subscribe(new)

    def publish(self, publication: Publication) -> None:
        """See `Transport.publish`.

        Raises:
            RunError: too many wait already.
        """
        if len(self._queue) + self._held >= self.most_waiting:
            raise RunError(f"{self.url}: {self.most_waiting} publications wait for the broker already")
        self._queue.append(publication)
        self._pump()

    @property
    def waiting(self) -> int:
        """See `Transport.waiting`."""
        under_way = len(self._line.in_flight) if self._line is not None else 0
        return under_way + len(self._again) + self._held + len(self._queue)

    @property
    def _held(self) -> int:
        return sum(map(len, self._full.values()))

    async def drain(self, at_most: int) -> None:
        """See `Transport.drain`.

        Raises:
            RunError: the connection was closed meanwhile.
        """
        while self.waiting > at_most:
            if self._is_closed:
                raise RunError(f"{self.url}: closed while {self.waiting} publications were not acknowledged")
            self._moved.clear()
            await self._moved.wait()

    async def close(self) -> None:
        """See `Transport.close`; it takes a second at most."""
        self._is_closed = True
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.wait({keeper})
        for lane in self._full.values():
            lane.stop()
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE_SECONDS):
                    await line.say_goodbye(forget=self._leaves_nothing)
            line.cut("closed by us")
            self._take_back(line)
            await asyncio.sleep(0)
        self._moved.set()

    # One line after another.

    async def _connect(self, context: SSLContext | None) -> Line:
        """Open a line, with MQTT 3.1.1 if the broker does not know 5.

        Raises:
            VoltAgoraError: the broker refuses for good.
            OSError, Lost: it cannot be reached now.
        """
        assert self._listener is not None
        line = Line(self, self._listener, [packet for packet, _ in self._again])
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: line, self.url.host, self.url.port, ssl=context)
                await line.admitted
            async with asyncio.timeout(CONNECT_SECONDS + len(self.filters) / FILTERS_A_SECOND):
                await line.subscribed
            self._check_filters(line)
            self._opened(line)
        except Refusal as refusal:
            line.cut("refused")
            if refusal.code in _OLDER and self.version != V311:
                self.version = V311
                return await self._connect(context)
            if refusal.code in _FOR_GOOD:
                raise VoltAgoraError(f"{self.url} does not let us in: {_FOR_GOOD[refusal.code]}") from None
            raise Lost(f"refused with code 0x{refusal.code:02x}") from None
        except Lost:
            # With TLS 1.3 a broker looks at our certificate only when we think that we are through.
            if isinstance(line.error, SSLError):
                raise line.error from None
            raise
        except BaseException:
            line.cut("not open")
            raise
        return line

    def _check_filters(self, line: Line) -> None:
        if line.refused_filters:
            count, first = len(line.refused_filters), line.refused_filters[0]
            raise VoltAgoraError(
                f"{self.url} does not let us read {first}, one of {count} filters it refuses"
            )

    def _opened(self, line: Line) -> None:
        assert self._listener is not None
        self.clean = False  # Whatever comes from here on is of this session.
        self._line = line
        line.subscribe(self.filters)
        try:
            self._listener.connected(session_present=line.session_present, stamps=line.stamps)
        except BaseException:
            self._line = None
            raise
        self._pump()

    async def _keep_up(self, line: Line, context: SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        pause = SHORTEST_PAUSE_SECONDS
        while True:
            since = loop.time()
            await asyncio.wait({line.lost})  # Awaited itself it would be cancelled with us.
            self._line = None
            self._take_back(line)
            self._tell_lost(line.lost.result())
            if not line.is_unwelcome and loop.time() - since > STEADY_SECONDS:
                pause = SHORTEST_PAUSE_SECONDS
                self._said.clear()
            pause = await _paused(pause)
            line, pause = await self._reach_again(context, pause)

    async def _reach_again(self, context: SSLContext | None, pause: float) -> tuple[Line, float]:
        """Try until it succeeds: whoever was let in once is patient, as rights and brokers come back."""
        while True:
            try:
                return await self._connect(context), pause
            except (OSError, Lost, VoltAgoraError) as error:
                self.say(f"{self.url}: still no connection ({_words(error)})")
            except Exception:
                log.exception("%s: the connection could not be used", self.url)
            pause = await _paused(pause)

    def _take_back(self, line: Line) -> None:
        """Let what was under way go first, in the order in which it was sent."""
        self._again.extendleft(reversed(line.in_flight.items()))
        line.in_flight.clear()

    def _tell_lost(self, why: str) -> None:
        assert self._listener is not None
        try:
            self._listener.disconnected(why)
        except Exception:
            log.exception("the loss of the connection could not be handled")

    # What lines tell.

    def say(self, words: str, about: str | None = None) -> None:
        """Log what was not said since the connection was last in good order.

        Args:
            words: what.
            about: what makes it the same as another, if not the words.
        """
        if (about or words) not in self._said:
            self._said.add(about or words)
            log.warning("%s", words)

    def moved(self) -> None:
        """Go on: the broker takes more."""
        self._pump()

    def is_full(self, publication: Publication) -> None:
        """Keep what the broker cannot take now, and wait a while with all of its sort."""
        self.say(f"{self.url} is full; trying again")
        self._full[publication.retain].refused(publication)

    def has_room(self, publication: Publication) -> None:
        """Hear that the broker took something."""
        self._full[publication.retain].has_room()

    def _is_under_way(self, retain: bool) -> bool:
        line = self._line
        return line is not None and any(each.retain == retain for each in line.in_flight.values())

    def _release(self, retain: bool) -> None:
        self._queue.extendleft(reversed(self._full[retain].take()))
        self._pump()

    def _pump(self) -> None:
        line = self._line
        if line is not None:
            while self._again and line.may_send:
                packet, publication = self._again.popleft()
                line.send(publication, packet)
            while self._queue and line.may_send:
                publication = self._queue.popleft()
                lane = self._full[publication.retain]
                if lane.is_closed:
                    lane.wait(publication)
                else:
                    line.send(publication)
        self._moved.set()


async def _paused(pause: float) -> float:
    """Wait for a part of a pause drawn by chance, so that not all come back at once; give the next pause."""
    await asyncio.sleep(random.uniform(0.0, pause))
    return min(LONGEST_PAUSE_SECONDS, pause * 2)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
