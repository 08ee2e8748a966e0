"""Hands out logs: copies, for the folder they lie in is the service's to write."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 10 * 1024 * 1024
_LOOK_SECONDS: Final = 0.1
_MOST_LINE: Final = 64 * 1024


def newest_log(folder: Path, name: str) -> tuple[str, bytes] | None:
    """Give a service's own log.

    Args:
        folder: where it may have been written; nothing in it is trusted, no link is followed.
        name: file that is taken if it is there; else the newest that ends in `.log`.

    Returns:
        Name and last part of the content.
    """
    try:
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        names = [each for each in os.listdir(there) if each.endswith(".log")]  # noqa: PTH208
        names.sort(key=lambda each: (each == name, _changed_at(there, each)), reverse=True)
        for each in names:
            content = _read(there, each)
            if content is not None:
                return each, content
        return None
    finally:
        os.close(there)


def _changed_at(folder: int, name: str) -> float:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
    except OSError:
        return 0.0


def _read(folder: int, name: str) -> bytes | None:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        return os.pread(file, MOST_BYTES, max(0, found.st_size - MOST_BYTES))
    except OSError:
        return None
    finally:
        os.close(file)


def last_part(file: Path) -> bytes:
    """Give the last part of a file of the platform's own, or nothing."""
    try:
        with file.open("rb") as opened:
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - MOST_BYTES))
            return opened.read()
    except OSError:
        return b""


async def follow(file: Path, runs: Callable[[], bool]) -> AsyncIterator[str]:
    """Give the lines of a file that grows, through its exchange for a new one, until nothing more comes.

    Args:
        file: what is printed into.
        runs: whether more may come.
    """
    pending = b""
    opened = None
    try:
        while True:
            more = runs()
            opened = opened or (file.open("rb") if file.exists() else None)
            piece = opened.read(_MOST_LINE) if opened is not None else b""
            *lines, pending = (pending + piece).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
            if len(pending) > _MOST_LINE:
                yield pending.decode(errors="replace")
                pending = b""
            if piece:
                continue
            if opened is not None and _exchanged(opened.fileno(), file):
                opened.close()
                opened = None
                continue
            if not more:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if pending:
            yield pending.decode(errors="replace")
    finally:
        if opened is not None:
            opened.close()


def _exchanged(opened: int, file: Path) -> bool:
    try:
        return os.fstat(opened).st_ino != file.stat().st_ino
    except FileNotFoundError:
        return False
