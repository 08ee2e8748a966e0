"""A stage whose journal is written when the test says so, and which can crash."""

from __future__ import annotations

import weakref
from pathlib import Path

from hub_stage import (
    SESSION_EXPIRY,
    V5,
    Packet,
    Peer,
    Stage,
    connect,
    packet,
    properties,
    text,
)

from voltagora.hub.clock import Clock
from voltagora.hub.store.database import open_database
from voltagora.hub.store.journal import StoredJournal
from voltagora.hub.store.restore import restore


class Durable(Stage):
    """A stage whose journal is written when the test says so."""

    def __init__(self, folder: Path, now: float = 1_000.0, **options: object) -> None:
        self.folder = folder
        self.journal = StoredJournal(Clock(lambda: self.now, lambda: 1_600_000_000.0 + self.now))
        super().__init__(journal=self.journal, **options)
        self.now = now
        self.database = open_database(folder, full=False)
        weakref.finalize(self, self.database.close)  # a test may end without a crash
        restore(self.broker, self.journal, self.database)
        self.commit()

    def commit(self) -> None:
        while (taken := self.journal.take_batch()) is not None:
            taken[1].write(self.database)
            self.journal.saved = taken[0]
            self.broker.saved()

    def crash(self, later: float = 0.0) -> Durable:
        """Lose what was not committed, and start again."""
        self.database.close()
        return Durable(self.folder, self.now + later)

    def kept(self, client: str, version: int = V5, expiry: int = 3600, **options: object) -> Peer:
        if version == V5:
            options["given"] = {SESSION_EXPIRY: expiry}
        peer = Peer(self, version)
        peer.connection.receive(_connect(client, version, options))
        self.commit()
        assert peer.take("connack")[0].code == 0
        return peer

    def subscribe(self, peer: Peer, *filters: str | tuple[str, int]) -> None:
        body = b"\0\1" + (properties(None) if peer.version == V5 else b"")
        for each in filters:
            name, options = each if isinstance(each, tuple) else (each, 2)
            body += text(name) + bytes((options,))
        peer.connection.receive(packet(0x82, body))
        assert peer.take("suback") == []
        self.commit()
        assert len(peer.take("suback")) == 1

    def rows(self, table: str) -> int:
        number: int = self.database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return number


def _connect(client: str, version: int, options: dict[str, object]) -> bytes:
    return connect(client, version=version, clean=False, **options)  # type: ignore[arg-type]


def kinds(packets: list[Packet]) -> list[str]:
    return [each.kind for each in packets]
