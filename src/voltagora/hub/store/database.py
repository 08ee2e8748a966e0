"""The SQLite file: its tables, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from voltagora.hub.errors import StoreError

FILE: Final = "hub.sqlite"
VERSION: Final = 1

_TABLES: Final = """
CREATE TABLE session (number INTEGER PRIMARY KEY, user TEXT NOT NULL, client TEXT NOT NULL,
    expiry REAL NOT NULL, parted REAL, UNIQUE (user, client)) STRICT;
CREATE TABLE subscription (session INTEGER NOT NULL, filter TEXT NOT NULL, qos INTEGER NOT NULL,
    no_local INTEGER NOT NULL, keeps_retain INTEGER NOT NULL, identifier INTEGER,
    PRIMARY KEY (session, filter)) STRICT, WITHOUT ROWID;
CREATE TABLE message (row INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL,
    qos INTEGER NOT NULL, properties BLOB NOT NULL, publisher TEXT NOT NULL, time REAL NOT NULL,
    expires REAL) STRICT;
CREATE TABLE entry (row INTEGER PRIMARY KEY, session INTEGER NOT NULL, message INTEGER NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL, identifiers TEXT NOT NULL, packet INTEGER NOT NULL,
    released INTEGER NOT NULL) STRICT;
CREATE INDEX entry_session ON entry (session);
CREATE TABLE received (session INTEGER NOT NULL, packet INTEGER NOT NULL,
    PRIMARY KEY (session, packet)) STRICT, WITHOUT ROWID;
CREATE TABLE retained (topic TEXT PRIMARY KEY, payload BLOB NOT NULL, qos INTEGER NOT NULL,
    properties BLOB NOT NULL, publisher TEXT NOT NULL, time REAL NOT NULL, expires REAL) STRICT;
CREATE TABLE will (user TEXT NOT NULL, client TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
    qos INTEGER NOT NULL, retain INTEGER NOT NULL, properties BLOB NOT NULL, delay REAL NOT NULL,
    expiry INTEGER, PRIMARY KEY (user, client)) STRICT, WITHOUT ROWID;
"""


def open_database(folder: Path, *, full: bool) -> sqlite3.Connection:
    """Open the file in a data folder, made if need be; for this process alone.

    Args:
        folder: the data folder.
        full: every commit waits for the disk (survives power failure), not only for the system
            (survives `kill -9`).

    Raises:
        StoreError: it cannot be opened, is in use, or is of a newer version.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(folder / FILE, timeout=0.5, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{folder}: {error}") from error
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
        database.execute("BEGIN IMMEDIATE")
        _prepare(database, folder)
        database.execute("COMMIT")
    except (OSError, sqlite3.Error, StoreError) as error:
        database.close()
        if isinstance(error, StoreError):
            raise
        if "locked" in str(error):
            raise StoreError(f"{folder}: another hub is using this folder") from None
        raise StoreError(f"{folder}: {error}") from error
    return database


def _prepare(database: sqlite3.Connection, folder: Path) -> None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        for statement in _TABLES.split(";\n"):
            if statement.strip():
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
    elif version != VERSION:
        raise StoreError(f"{folder}: written by another version of the hub (layout {version}, not {VERSION})")
