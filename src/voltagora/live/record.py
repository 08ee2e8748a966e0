"""Keeps every message of a broker: a journal that survives `kill -9`, turned into files now and then.

`take` returns when a batch is safe, and only then is the broker told so. Each message has a number of
its own, from 1, that is never given twice, whatever is killed when.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from voltagora.domain.errors import InputError, RunError
from voltagora.live import record_files
from voltagora.live.clock import ClockNews
from voltagora.live.record_journal import RecordJournal, Row
from voltagora.live.record_topic import message_on
from voltagora.live.transport import Arrival
from voltagora.protocols.access import CLOCK

LOCK: Final = "collect.lock"
REMEMBERED: Final = 4096
"""Messages back among which a redelivered one is looked for; more than brokers leave unacknowledged."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """When the journal becomes a file: at whichever comes first."""

    rows: int = 100_000
    bytes: int = 64 * 1024 * 1024
    minutes: float | None = None  # since the first message of the file came


class Recorder:
    """One record, in a folder that no other recorder may write to.

    Args:
        folder: made if it is not there; a record that is there is gone on with.
        rotation: when a file is finished.
        csv: write CSV files as well.
        wall: where the time comes from, seconds UTC.

    Raises:
        InputError: the folder holds something else, or another recorder is writing there.
        RunError: it cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        *,
        rotation: Rotation | None = None,
        csv: bool = False,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.rotation = rotation or Rotation()
        self.csv = csv
        self._wall = wall
        self._lock = _locked(folder)
        try:
            self._journal = RecordJournal(folder)
            self._go_on()
        except BaseException:
            os.close(self._lock)
            raise

    def _go_on(self) -> None:
        """Find where the record ends, and tidy up after whoever was killed while writing it."""
        for partial in self.folder.glob(".messages-*.partial"):
            partial.unlink()
        facts = self._journal.facts()
        finished = record_files.parts(self.folder)
        in_files = record_files.last_sequence(finished[-1][1]) if finished else 0
        if in_files:
            # Killed between moving a file into place and emptying the journal.
            self._journal.forget(in_files, {})
        self.rows, self.bytes, self._first_at, in_journal = self._journal.extent()
        # Files may have been taken away; their numbers are not given again.
        self.last = max(in_files, in_journal, int(facts.get("last", b"0")))
        self.part = max(finished[-1][0] if finished else 0, int(facts.get("part", b"0")))
        if "client_id" not in facts:
            self._journal.remember({"client_id": f"voltagora-collect-{secrets.token_hex(8)}".encode()})
            facts = self._journal.facts()
        self.client_id = facts["client_id"].decode()
        """What the broker keeps our session under, the same each time."""
        self._time = SimulatedTime(facts.get("clock"))
        self._seen = _Seen(self._newest(finished))

    def _newest(self, finished: list[tuple[int, Path]]) -> list[Row]:
        newest = self._journal.newest(REMEMBERED)
        if len(newest) < REMEMBERED and finished:
            newest = record_files.newest_rows(finished[-1][1], REMEMBERED - len(newest)) + newest
        return newest

    def take(self, arrivals: Sequence[Arrival]) -> None:
        """Keep a batch; it is safe when this returns.

        Raises:
            RunError: the disk refuses; what was not kept must not be acknowledged.
        """
        received = int(self._wall() * 1_000_000)
        rows = [self._row(self.last + place, received, it) for place, it in enumerate(arrivals, start=1)]
        self._journal.append(rows, self._time.news())
        self.last += len(rows)
        self.rows += len(rows)
        self.bytes += sum(len(row[3]) + len(row[-1]) for row in rows)
        if self._first_at is None and rows:
            self._first_at = received
        self._seen.add(rows)
        self.rotate_if_due()

    def _row(self, sequence: int, received: int, arrival: Arrival) -> Row:
        if arrival.topic == CLOCK and not arrival.retained:
            # A retained tick may be left over from an earlier market; one that runs ticks again soon.
            self._time.follow(arrival.payload, received)
        found = message_on(arrival.topic)
        return (
            sequence,
            received,
            self._time.at(received),
            arrival.topic,
            None if found is None else found[0].protocol,
            arrival.sender,
            int(arrival.retained),
            self._seen.earlier(arrival.topic, arrival.payload) if arrival.redelivered else None,
            bytes(arrival.payload),
        )

    def rotate_if_due(self) -> None:
        """Finish a file if it is large or old enough."""
        if not self.rows:
            return
        limits, minutes = self.rotation, self.rotation.minutes
        age = self._wall() - (self._first_at or 0) / 1_000_000
        is_old = minutes is not None and age >= minutes * 60
        if self.rows >= limits.rows or self.bytes >= limits.bytes or is_old:
            self.rotate()

    def rotate(self) -> None:
        """Turn the journal into a file.

        Raises:
            RunError: the disk refuses; the messages stay in the journal.
        """
        if not self.rows:
            return
        self.part += 1
        last = record_files.write_part(self.folder, self.part, self._journal.rows, csv=self.csv)
        self._journal.forget(last, {"last": str(self.last).encode(), "part": str(self.part).encode()})
        self.rows, self.bytes, self._first_at = 0, 0, None

    def close(self, *, rotate: bool = True) -> None:
        """Finish the last file and let go of the folder.

        Raises:
            RunError: the disk refuses; the messages stay in the journal.
        """
        try:
            if rotate:
                self.rotate()
        finally:
            self._journal.close()
            os.close(self._lock)


class SimulatedTime:
    """What the `clock` topic says at each moment, from nothing but what was recorded.

    Args:
        kept: where it stood, as `news` gave it.
    """

    def __init__(self, kept: bytes | None = None) -> None:
        self._told: int | None = None  # simulated, microseconds UTC
        self._since = 0  # when it was told, microseconds UTC
        self._speed = 0.0
        self._news: dict[str, bytes] = {}
        if kept is not None:
            received, payload = kept.split(b" ", 1)
            self.follow(payload, int(received))

    def follow(self, payload: bytes, received: int) -> None:
        """Take a tick; what is no tick changes nothing.

        Args:
            payload: of the tick.
            received: when it came, microseconds UTC.
        """
        try:
            news = ClockNews.read(payload)
        except InputError:
            return
        self._told, self._since, self._speed = int(news.simulated_time) * 1_000_000, received, news.speed
        self._news = {"clock": b"%d %s" % (received, payload)}

    def at(self, received: int) -> int | None:
        """Give the simulated time of a moment; None: there is no clock. Both in microseconds UTC."""
        if self._told is None:
            return None
        return self._told + int((received - self._since) * self._speed)

    def news(self) -> dict[str, bytes]:
        """Give what must be kept to go on later, if there is anything new."""
        news, self._news = self._news, {}
        return news


class _Seen:
    """The last messages, to find which of them one is that the broker hands over again.

    Of equal ones each is found once, the oldest first, as brokers repeat in order.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._numbers: OrderedDict[int, bytes] = OrderedDict()
        self._by_digest: dict[bytes, list[int]] = {}
        self.add(rows)

    def add(self, rows: Sequence[Row]) -> None:
        """Remember what was kept."""
        for row in rows:
            digest = _digest(row[3], row[-1])
            self._numbers[row[0]] = digest
            self._by_digest.setdefault(digest, []).append(row[0])
        while len(self._numbers) > REMEMBERED:
            number, digest = self._numbers.popitem(last=False)
            self._drop(number, digest)

    def earlier(self, topic: str, payload: bytes) -> int | None:
        """Give the number under which a message was kept already, if it was."""
        numbers = self._by_digest.get(_digest(topic, payload))
        if not numbers:
            return None
        number = numbers[0]
        self._drop(number, self._numbers.pop(number))
        return number

    def _drop(self, number: int, digest: bytes) -> None:
        numbers = self._by_digest[digest]
        numbers.remove(number)
        if not numbers:
            del self._by_digest[digest]


def _digest(topic: str, payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16, key=hashlib.sha256(topic.encode()).digest()).digest()


def _locked(folder: Path) -> int:
    """Take a folder for this process alone; the system lets go of it whatever becomes of us."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not _is_ours(folder))):
        raise InputError("--out", str(folder), "a folder that does not exist yet, or one that holds a record")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror or error}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise InputError("--out", str(folder), "a record that no other `voltagora collect` writes") from None
    return handle


def _is_ours(folder: Path) -> bool:
    return (folder / LOCK).exists() or record_files.is_record(folder)
