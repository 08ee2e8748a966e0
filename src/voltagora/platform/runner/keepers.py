"""The platform's side of keepers: start one, listen to it, tell it to stop, find it again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from voltagora.platform.runner.interface import RunState
from voltagora.platform.runner.keeper import CONTROL, OUTPUT, STANDING
from voltagora.platform.runner.orders import Command, Order, Standing

_OPEN_SECONDS: Final = 20.0
_STOP_EXTRA_SECONDS: Final = 15.0


class Kept:
    """One keeper, seen from the platform.

    Attributes:
        folder: of the run.
        standing: what it said last.
        over: set when it is gone.
    """

    def __init__(self, folder: Path, standing: Standing, changed: Callable[[Kept], None]) -> None:
        self.folder = folder
        self.standing = standing
        self.over = asyncio.Event()
        self._changed = changed
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None
        self._said = asyncio.Condition()

    @property
    def output(self) -> Path:
        """The file of what it prints."""
        return self.folder / OUTPUT

    async def until(self, holds: Callable[[Standing], bool], seconds: float) -> bool:
        """Wait until something holds of what it says, or it is gone."""
        async with self._said:
            try:
                await asyncio.wait_for(
                    self._said.wait_for(lambda: holds(self.standing) or self.over.is_set()), seconds
                )
            except TimeoutError:
                return False
        return holds(self.standing)

    async def stop(self, seconds: float) -> bool:
        """Tell it to stop, and wait until it is gone; if it does not go, kill it with its sandbox."""
        self.tell(Command(do="stop"))
        try:
            await asyncio.wait_for(self.over.wait(), seconds + _STOP_EXTRA_SECONDS)
        except TimeoutError:
            self._kill()
            return False
        return True

    def _kill(self) -> None:
        """Kill the keeper; its sandbox dies with it."""
        line = self._writer.get_extra_info("socket") if self._writer is not None else None
        if line is not None:
            who = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            with contextlib.suppress(ProcessLookupError):
                os.kill(struct.unpack("3i", who)[0], signal.SIGKILL)

    def tell(self, command: Command) -> None:
        """Say something to it."""
        if self._writer is not None:
            self._writer.write(msgspec.json.encode(command) + b"\n")

    async def leave(self) -> None:
        """Listen no longer; it goes on without us."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def listen(self) -> bool:
        """Begin to listen; False: nobody is there."""
        try:
            reader, self._writer = await _connect(self.folder)
            line = await asyncio.wait_for(reader.readline(), _OPEN_SECONDS)
            self.standing = msgspec.json.decode(line, type=Standing)
        except (OSError, ValueError, TimeoutError):
            if self._writer is not None:
                self._writer.close()
            return False
        self._task = asyncio.create_task(self._hear(reader))
        return True

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        ended = False
        try:
            while line := await reader.readline():
                await self._say(msgspec.json.decode(line, type=Standing))
            ended = True
        except (OSError, ValueError):
            ended = True
        finally:
            if self._writer is not None:
                self._writer.close()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await self._writer.wait_closed()
            if ended:
                await self._gone()

    async def _gone(self) -> None:
        if self.standing.state is not RunState.ENDED:
            # It died before it could say why; its sandbox went with it.
            self.standing = msgspec.structs.replace(
                self.standing, state=RunState.ENDED, reason=self.standing.reason or "killed: keeper"
            )
        self.over.set()
        await self._say(self.standing)

    async def _say(self, standing: Standing) -> None:
        self.standing = standing
        self._changed(self)
        async with self._said:
            self._said.notify_all()

    @classmethod
    async def begin(cls, folder: Path, order: Order, changed: Callable[[Kept], None]) -> Kept:
        """Start a keeper in a folder.

        Raises:
            OSError: it did not come up.
        """
        now = time.time()
        first = Standing(subject=order.subject, state=RunState.STARTING, started_at=now, changed_at=now)
        kept = cls(folder, first, changed)
        with (folder / "keeper.log").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "voltagora.platform.runner.keeper",
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=_environment(),
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(order))
            process.stdin.close()
            said = await asyncio.wait_for(process.stdout.readline(), _OPEN_SECONDS)
            await asyncio.wait_for(process.wait(), _OPEN_SECONDS)
        except (OSError, TimeoutError):
            said = b""
        if said and not await kept.listen():
            # It was so quick that it has ended before we came.
            last = last_standing(folder)
            if last is not None and last.state is RunState.ENDED:
                kept.standing = last
                kept.over.set()
        if not said or (kept._task is None and not kept.over.is_set()):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise OSError(None, f"the keeper did not start: {_last_line(folder / 'keeper.log')}")
        return kept

    @classmethod
    async def find(cls, folder: Path, changed: Callable[[Kept], None]) -> Kept | None:
        """Find a keeper that a platform before us started; None: it is gone.

        What it said last is kept either way, see `last_standing`.
        """
        standing = last_standing(folder)
        if standing is None:
            return None
        kept = cls(folder, standing, changed)
        return kept if await kept.listen() else None


def note_cleared(folder: Path, standing: Standing) -> None:
    """Write down that what has ended is cleared away, so that nobody does it again."""
    subject = msgspec.structs.replace(standing.subject, principal="")
    cleared = msgspec.structs.replace(standing, subject=subject, state=RunState.ENDED)
    with contextlib.suppress(OSError):
        (folder / STANDING).write_bytes(msgspec.json.encode(cleared))


def last_standing(folder: Path) -> Standing | None:
    """Give what a keeper wrote down last."""
    try:
        return msgspec.json.decode((folder / STANDING).read_bytes(), type=Standing)
    except (OSError, ValueError):
        return None


async def _connect(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    # The path of a socket may have 107 bytes, and a data folder lies where its owner wants it.
    there = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{there}/{CONTROL}", limit=1 << 20)
    finally:
        os.close(there)


def _environment() -> dict[str, str]:
    """Give what a keeper sees of ours: enough to find programs, nothing that is anybody's secret."""
    kept = ("PATH", "HOME", "LANG", "PYTHONPATH", "DOCKER_HOST", "XDG_RUNTIME_DIR", "VIRTUAL_ENV")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _last_line(file: Path) -> str:
    try:
        return (file.read_text(errors="replace").strip().splitlines() or ["no reason given"])[-1][:300]
    except OSError:
        return "no reason given"
