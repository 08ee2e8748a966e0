"""One database, SQLite or PostgreSQL: reads, and writes one after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from voltagora.domain.errors import InputError, MissingExtra
from voltagora.platform.registry import tables
from voltagora.platform.registry.entities import Change
from voltagora.platform.registry.names import printable
from voltagora.platform.registry.refusals import Refusal

_WRITERS_LOCK: Final = 6_021_905
"""The number of PostgreSQL's advisory lock that writers take turns by."""

Listener = Callable[[Change], None]


class Database:
    """Opens a database, brings its tables up to date and tells listeners of every change."""

    def __init__(self, url: str, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._turn = threading.Lock()
        self._listeners: list[Listener] = []
        self.version = 0
        """Rises with each change that listeners hear of, before the call that made it returns."""
        self.engine = _open(url)
        try:
            from voltagora.platform.registry.migrations.upgrade import upgrade

            upgrade(self.engine)
        except BaseException:
            self.engine.dispose()
            raise

    def now(self) -> int:
        """Give the time in whole seconds."""
        return int(self._wall())

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Look at one consistent state."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def look(self, user_id: int) -> Iterator[Transaction]:
        """Look at one consistent state on behalf of a user.

        Raises:
            Refusal: 404, there is no such user.
        """
        with self.read() as connection:
            yield Transaction(connection, self.now(), user_id)

    @contextmanager
    def write(self, user_id: int | None = None) -> Iterator[Transaction]:
        """Change something, all or nothing; listeners hear of it in the order of the commits.

        Raises:
            Refusal: 404, there is no such user.
        """
        with self._turn:
            with self.engine.connect() as connection:
                writing = connection.execution_options(writes=True)
                with writing.begin():
                    if writing.dialect.name == "postgresql":
                        writing.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITERS_LOCK)))
                    transaction = Transaction(writing, self.now(), user_id)
                    yield transaction
            change = transaction.change()
            if change is not None:
                self.version += 1
                for listener in tuple(self._listeners):
                    listener(change)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have a function called after each commit; gives what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


class Transaction:
    """One write (or look): its connection, its time, who acts, and what changed so far."""

    def __init__(self, connection: Connection, now: int, user_id: int | None) -> None:
        self.connection = connection
        self.now = now
        self.changes: dict[str, list[Any]] = {each: [] for each in Change.__struct_fields__}
        self.user_id = user_id
        self.username = ""
        self.admin = False
        if user_id is not None:
            found = self.row(sa.select(tables.users).where(tables.users.c.id == user_id))
            if found is None:
                raise Refusal(404, "User not found.")
            self.username, self.admin = found.username, found.admin

    def row(self, statement: sa.Executable) -> Any:
        """Give the first row, or None."""
        return self.connection.execute(statement).first()

    def rows(self, statement: sa.Executable) -> list[Any]:
        """Give all rows."""
        return list(self.connection.execute(statement).all())

    def next_id(self, kind: str) -> int:
        """Give the next id of a kind, counting from 1."""
        counters = tables.counters
        found = self.row(sa.select(counters.c.last).where(counters.c.kind == kind))
        last = (found.last if found else 0) + 1
        if found:
            self.connection.execute(counters.update().where(counters.c.kind == kind).values(last=last))
        else:
            self.connection.execute(counters.insert().values(kind=kind, last=last))
        return last

    def note(self, action: str, subject: str, detail: str = "", actor: str | None = None) -> None:
        """Take down who did what."""
        self.connection.execute(
            tables.audit.insert().values(
                at=self.now,
                actor=_plain(self.username if actor is None else actor)[:80],
                action=action,
                subject=_plain(subject)[:400],
                detail=_plain(detail)[:400],
            )
        )

    def change(self) -> Change | None:
        """Give what changed; None if nothing did that a listener could want."""
        if not any(self.changes.values()):
            return None
        return msgspec.convert({key: tuple(each) for key, each in self.changes.items()}, Change)


def _plain(text: str) -> str:
    """Some of what is taken down was typed by strangers: one line, that every database takes."""
    return "".join(each if printable(each) else "?" for each in text[:1_000])


def _open(text: str) -> Engine:
    try:
        url = make_url(text)
    except ArgumentError:
        # The text may hold a password, so it is not shown.
        raise InputError("database", "something else", "sqlite:///FILE or postgresql://...") from None
    if url.drivername == "sqlite":
        return _sqlite(url)
    if url.get_backend_name() != "postgresql":
        raise InputError("database", url.drivername, "sqlite or postgresql")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    try:
        return sa.create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=20)
    except ModuleNotFoundError:
        raise MissingExtra("postgresql", "a PostgreSQL database") from None


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise InputError("database", str(url), "sqlite:///FILE, a file")
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Created here, so that nobody else on the machine can ever read it.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    engine = sa.create_engine(url, pool_size=10, max_overflow=40, connect_args={"timeout": 10.0})

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
