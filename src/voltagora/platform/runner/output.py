"""What a sandbox prints: kept in two files of bounded size, taken no faster than is allowed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path
from typing import Final

_PIECE: Final = 64 * 1024
_BURST_SECONDS: Final = 4


class Output:
    """A file and the one before it, `name` and `name.1`, each of at most `most` bytes."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._file = path.open("ab")
        self._size = path.stat().st_size

    def write(self, piece: bytes) -> None:
        """Add what was printed; a full disk loses it, not the service."""
        if self._size + len(piece) > self._most:
            self._file.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            self._file = self._path.open("ab")
            self._size = 0
        try:
            self._file.write(piece)
            self._file.flush()
        except OSError:
            return
        self._size += len(piece)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


async def pump(reader: asyncio.StreamReader, output: Output, bytes_per_second: int) -> None:
    """Take all that comes; whoever prints faster than allowed waits in its own write call."""
    loop = asyncio.get_running_loop()
    allowance, then = float(bytes_per_second * _BURST_SECONDS), loop.time()
    while piece := await reader.read(_PIECE):
        await asyncio.to_thread(output.write, piece)
        now = loop.time()
        most = float(bytes_per_second * _BURST_SECONDS)
        allowance = min(most, allowance + (now - then) * bytes_per_second) - len(piece)
        then = now
        if allowance < 0:
            await asyncio.sleep(-allowance / bytes_per_second)


def cut_long_logs(folder: Path, most: int) -> None:
    """Cut files in a folder of logs that grew too long; their last part stays as `name.1`.

    The folder is the service's to write, so nothing in it is trusted: no link is followed.
    """
    try:
        there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        for name in os.listdir(there):  # noqa: PTH208
            _cut(there, name, most)
    finally:
        os.close(there)


def _cut(folder: int, name: str, most: int) -> None:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(found.st_mode) or found.st_size <= most or found.st_nlink != 1:
            return
        file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return
    try:
        kept = os.pread(file, most // 2, max(0, found.st_size - most // 2))
        os.ftruncate(file, 0)
        if not name.endswith(".1"):
            _put_anew(folder, f"{name[:200]}.1", kept, found.st_uid, found.st_gid)
    except OSError:
        return
    finally:
        os.close(file)


def _put_anew(folder: int, name: str, content: bytes, uid: int, gid: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    file = os.open(name, flags, 0o644, dir_fd=folder)
    try:
        os.write(file, content)
        if os.geteuid() == 0:
            os.fchown(file, uid, gid)
    finally:
        os.close(file)
