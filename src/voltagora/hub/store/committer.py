"""Writes the journal's batches in a thread of their own, one commit at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voltagora.hub.errors import StoreError
from voltagora.hub.store.batch import Batch
from voltagora.hub.store.database import open_database
from voltagora.hub.store.restore import restore

if TYPE_CHECKING:
    from voltagora.hub.broker import Broker
    from voltagora.hub.store.journal import StoredJournal

RETRY_SECONDS: Final = 1.0


class Committer:
    """While one commit is under way the next batch gathers, so that many publishers share a sync.

    A commit that fails (a full disk) is tried again every second; meanwhile nothing waiting for it is
    acknowledged, and the journal says `failed` so that nothing new is promised.
    """

    def __init__(self, journal: StoredJournal, folder: Path, *, full: bool) -> None:
        self._journal = journal
        self.database = open_database(folder, full=full)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hub-store")
        self._broker: Broker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing = False
        self._scheduled = False
        self._stopped = False
        self._failed: tuple[int, Batch] | None = None

    def start(self, broker: Broker) -> None:
        """Read everything back and begin to write.

        Raises:
            StoreError: the file cannot be read.
        """
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        self._journal.woken = self._wake
        try:
            restore(broker, self._journal, self.database)
        except (sqlite3.Error, KeyError, ValueError) as error:
            raise StoreError(f"the store is damaged: {error}") from error

    def _wake(self) -> None:
        # Not at once: what else has come in this turn of the loop joins the batch.
        if not self._writing and not self._scheduled and self._loop is not None:
            self._scheduled = True
            self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        self._scheduled = False
        if self._writing or self._stopped:
            return
        taken = self._failed or self._journal.take_batch()
        if taken is None:
            return
        self._failed = None
        self._writing = True
        assert self._loop is not None
        loop = self._loop
        future = self._thread.submit(taken[1].write, self.database)
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._ended, taken, done))

    def _ended(self, taken: tuple[int, Batch], done: Future[None]) -> None:
        self._writing = False
        assert self._broker is not None
        error = done.exception()
        if error is not None:
            self._retry(taken, error)
            return
        self._journal.failed = False
        self._journal.saved = taken[0]
        self._broker.counters.commits += 1
        self._broker.saved()
        if self._journal.pending:
            self._begin()

    def _retry(self, taken: tuple[int, Batch], error: BaseException) -> None:
        assert self._broker is not None
        assert self._loop is not None
        self._failed = taken
        self._journal.failed = True
        self._broker.counters.failed_commits += 1
        self._broker.report("fault", what=f"cannot save: {error}")
        if not self._stopped:
            self._loop.call_later(RETRY_SECONDS, self._begin)

    def stop(self) -> None:
        """Write what is left and close the file."""
        self._stopped = True
        self._thread.shutdown(wait=True)
        try:
            for taken in (self._failed, self._journal.take_batch()):
                if taken is not None:
                    taken[1].write(self.database)
        except sqlite3.Error as error:
            if self._broker is not None:
                self._broker.report("fault", what=f"cannot save: {error}")
        finally:
            self.database.close()
