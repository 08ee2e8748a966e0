"""The two brokers of a comparison: the hub in this process, and a mosquitto beside it."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

from voltagora.hub.server import Hub

T = TypeVar("T")

MOSQUITTO_CONF = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_queued_bytes 0
max_inflight_messages 0
sys_interval 0
allow_duplicate_messages true
log_type none
connection_messages false
user {user}
persistence {persistence}
persistence_location {folder}/
{more}
"""


def missing(what: str) -> NoReturn:
    """Skip a test for want of a program, but never where everything is promised to be there."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI may not go without")
    pytest.skip(f"{what} is missing: `make test` as root installs it")


def program(name: str) -> str:
    """Find a program of a Debian package."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        missing(name)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RunningHub:
    """A hub in a loop of its own, in a thread; tests talk to it over sockets and reach in by `call`."""

    def __init__(self, **options: Any) -> None:
        self.options = {"mqtt": "127.0.0.1:0", "sys_seconds": 0.0, **options}
        self.hub: Hub
        self._opened = threading.Event()
        self._stop: asyncio.Event
        self._error: BaseException | None = None
        self.faults: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def open(self) -> RunningHub:
        self._thread.start()
        self._opened.wait()
        if self._error is not None:
            raise self._error
        return self

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._opened.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._failed)
        async with Hub(**self.options) as self.hub:
            self._opened.set()
            await self._stop.wait()

    def _failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(context)

    @property
    def port(self) -> int:
        return self.hub.mqtt_port

    def call(self, action: Callable[[Hub], T]) -> T:
        """Do something in the hub's own thread and give what comes of it."""

        async def run() -> T:
            return action(self.hub)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(30)

    def quiet(self) -> None:
        """Come back when nothing waits for the disk, so that what was to follow it has been sent."""
        if self.options.get("data") is not None:
            while not self.call(lambda hub: hub.broker.journal.saved >= _newest(hub)):
                time.sleep(0.0005)

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the hub does not close"
        if self._error is not None:
            raise self._error
        assert not self.faults, f"exceptions in the hub's loop: {self.faults}"

    def restart(self) -> None:
        """Close in good order and open again, on the same folder if there is one."""
        self.close()
        self._opened = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.open()


def _newest(hub: Hub) -> int:
    journal: Any = hub.broker.journal
    newest: int = journal._ticket
    return newest


@contextmanager
def running_hub(**options: Any) -> Iterator[RunningHub]:
    hub = RunningHub(**options).open()
    try:
        yield hub
    finally:
        hub.close()


class Mosquitto:
    """A mosquitto of its own; with a folder it keeps what it has over a restart."""

    def __init__(self, folder: Path, *, persistence: bool = False, more: str = "") -> None:
        self.port = free_port()
        self._conf = folder / f"mosquitto-{self.port}.conf"
        conf = MOSQUITTO_CONF.format(
            port=self.port,
            user=getpass.getuser(),
            folder=folder,
            persistence=str(persistence).lower(),
            more=more,
        )
        self._conf.write_text(conf)
        self._program = program("mosquitto")
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> Mosquitto:
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._conf)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.002)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        self.close()
        self.open()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def quiet(self) -> None:
        """It keeps nothing that anything waits for."""
