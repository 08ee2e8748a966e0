"""The brokers to be measured, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOSQUITTO: Final = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


# The brokers.


@dataclass
class Broker:
    name: str
    port: int
    process: subprocess.Popen[bytes]

    @property
    def rss_kb(self) -> int:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(name: str, command: list[str], port: int, cwd: str) -> Iterator[Broker]:
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > until or process.poll() is not None:
                    raise SystemExit(f"{name} did not start") from None
                time.sleep(0.02)
        yield Broker(name, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def mosquitto(
    folder: str, *, nodelay: bool, durable: bool = False
) -> contextlib.AbstractContextManager[Broker]:
    port = free_port()
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        f"set_tcp_nodelay {'true' if nodelay else 'false'}",
        "max_queued_messages 0",
        "max_inflight_messages 0",
        "log_type none",
        f"persistence {'true' if durable else 'false'}",
    ]
    if durable:
        lines += [f"persistence_location {folder}/", "autosave_on_changes true", "autosave_interval 1"]
    if os.geteuid() == 0:
        lines.append("user root")
    config = Path(folder, f"mosquitto{port}.conf")
    config.write_text("\n".join(lines) + "\n")
    name = f"mosquitto, nodelay {'on' if nodelay else 'off'}"
    return running(name, [MOSQUITTO, "-c", str(config)], port, folder)


_HUB_MAIN: Final = """
import asyncio, signal, sys
from pathlib import Path
from voltagora.hub.rights import Grant, Table
from voltagora.hub.limits import Limits
from voltagora.hub.server import Hub

class Known(Table):
    def may_connect(self, login):
        return "operator"

async def main(port, data, rights):
    options = {"rights": Known({"operator": Grant(("EV/#",), ("EV/#",), ("EV/secret/#",))})} if rights else {}
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    options |= {"limits": Limits(subscriptions_per_session=1_000_000), "data": Path(data) if data else None}
    async with Hub(mqtt=f"127.0.0.1:{port}", **options):
        await stop.wait()

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] == "rights"))
"""


def hub(folder: str, *, data: bool = False, rights: bool = True) -> contextlib.AbstractContextManager[Broker]:
    port = free_port()
    place = str(Path(folder, f"hub{port}")) if data else ""
    command = [sys.executable, "-c", _HUB_MAIN, str(port), place, "rights" if rights else "open"]
    return running("hub", command, port, folder)
