"""A hub with real sockets, in a thread of its own, for clients that block; and certificates for it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from voltagora.hub.server import Hub

Result = TypeVar("Result")


class RunningHub:
    """What a test needs of a hub that runs elsewhere."""

    def __init__(self, hub: Hub, loop: asyncio.AbstractEventLoop) -> None:
        self.hub, self._loop = hub, loop
        self.mqtt_port, self.websocket_port = hub.mqtt_port, hub.websocket_port

    def call(self, what: Callable[[], Result]) -> Result:
        """Do something in the hub's thread."""

        async def do() -> Result:
            return what()

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(10)


@contextlib.contextmanager
def running_hub(**options: Any) -> Iterator[RunningHub]:
    """Run a hub on free ports until the block ends."""
    started: list[RunningHub] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], None]] = []

    async def serve() -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(done.set))
        async with Hub(**{"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0", **options}) as hub:
            started.append(RunningHub(hub, loop))
            ready.set()
            await done.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(20)
    try:
        if started:
            yield started[0]
    finally:
        if stop:
            stop[0]()
        thread.join(20)
    if failed:
        raise failed[0]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost and its key, or skip."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing (Debian: openssl), so no certificate can be made")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key
