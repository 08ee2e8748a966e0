"""Gate: a thousand connections, under 60 kB each."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hub_stage import connect

HUB = """
import asyncio
from voltagora.hub.server import Hub
async def main():
    async with Hub(mqtt="127.0.0.1:0") as hub:
        print(hub.mqtt_port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def rss_kb(process: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return int(status.split("VmRSS:")[1].split()[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a process's memory from")
def test_a_thousand_connections_take_under_60_kb_each() -> None:
    process = subprocess.Popen([sys.executable, "-c", HUB], stdout=subprocess.PIPE)
    assert process.stdout is not None
    lines: list[socket.socket] = []
    try:
        port = int(process.stdout.readline())
        before = rss_kb(process)
        for number in range(1_000):
            line = socket.create_connection(("127.0.0.1", port))
            lines.append(line)
            line.sendall(connect(f"client-{number}"))
            assert line.recv(64)[0] == 0x20
        assert (rss_kb(process) - before) / 1_000 < 60
    finally:
        for line in lines:
            line.close()
        process.kill()
        process.wait()
        process.stdout.close()
