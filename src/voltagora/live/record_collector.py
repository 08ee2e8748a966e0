"""Listens to a broker and keeps what it says, until it is told to stop or cannot keep it any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from voltagora.domain.errors import VoltAgoraError
from voltagora.live.record import Recorder
from voltagora.live.transport import Arrival, Transport

log = logging.getLogger("voltagora.collect")

LOOK_SECONDS: Final = 1.0
"""How often it is looked whether a file is old enough to be finished."""


class Collector:
    """The `Listener` of a connection whose messages a recorder keeps."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.is_connected = False
        self._ended = asyncio.Event()
        self._failure: VoltAgoraError | None = None

    async def run(self, transport: Transport, filters: Sequence[str], seconds: float | None = None) -> None:
        """Record until `leave` is called, or for so many seconds.

        Args:
            transport: a connection with the recorder's `client_id` and a session that the broker keeps.
            filters: what to read.
            seconds: None: until then.

        Raises:
            VoltAgoraError: the broker refuses for good, or the disk does; what is not safe was not
                acknowledged, so the broker keeps it for the next time.
        """
        transport.subscribe(filters)
        opening = asyncio.ensure_future(transport.open(self))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wait({opening, ended}, return_when=asyncio.FIRST_COMPLETED)
                if opening.done():
                    opening.result()
                await self._look(ended)
        except TimeoutError:
            pass
        finally:
            for task in (opening, ended):
                task.cancel()
            await asyncio.gather(opening, ended, return_exceptions=True)
            await transport.close()
        if self._failure is not None:
            raise self._failure

    async def _look(self, ended: asyncio.Task[Any]) -> None:
        """Finish files that are old enough, also when nothing comes."""
        while not ended.done():
            await asyncio.wait({ended}, timeout=LOOK_SECONDS)
            if self._failure is None:
                try:
                    self.recorder.rotate_if_due()
                except VoltAgoraError as error:
                    self._fail(error)

    def leave(self) -> None:
        """Stop."""
        self._ended.set()

    def _fail(self, error: VoltAgoraError) -> None:
        self._failure = self._failure or error
        self._ended.set()

    # The transport's listener.

    def connected(self, *, session_present: bool, stamps: bool | None) -> None:  # noqa: ARG002
        """See `Listener.connected`."""
        self.is_connected = True
        if self.recorder.last and not session_present:
            log.warning("the broker kept no session for us: what was said since is not recorded")

    def disconnected(self, why: str) -> None:
        """See `Listener.disconnected`."""
        self.is_connected = False
        log.warning("not connected: %s; trying again", why)

    def arrived(self, arrivals: Sequence[Arrival]) -> None:
        """Keep a batch; what cannot be kept is not acknowledged.

        Raises:
            VoltAgoraError: it could not be kept.
        """
        if self._failure is not None:
            raise self._failure
        try:
            self.recorder.take(arrivals)
        except VoltAgoraError as error:
            self._fail(error)
            raise

    def taken(self, number: int) -> None:
        """Nothing is published."""

    def refused(self, number: int, why: str) -> None:
        """Nothing is published."""
