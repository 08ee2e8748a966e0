"""Processes and the broker are killed with -9 while a market runs; the books agree all the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from live_market import check_books
from mqtt_stage import mosquitto

from voltagora.scenario.replay import replay

SETS = ("--set", "vehicles.count=30", "--set", "days=1", "--set", "stations.count=4")
SPEED = "6000"
"""A day in 14 s."""


class Playing:
    """A process of the market, started again with the same words."""

    def __init__(self, kinds: str, port: int, data: Path, *more: str) -> None:
        self._command = [
            *(sys.executable, "-m", "voltagora", "live", "quickstart", *SETS, "--quiet"),
            *("--broker", f"mqtt://127.0.0.1:{port}", "--speed", SPEED),
            *("--only", kinds, "--data", str(data), *more),
        ]
        self._log = (data.parent / f"{data.name}.log").open("ab")
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        """Kill it with -9 and start it again, if the market is not over for it."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = self._started()

    def wait(self) -> int:
        """Wait for the market's end."""
        code = self.process.wait(60)
        self._log.close()
        return code


@pytest.mark.parametrize("seed", [1])
def test_kills_lose_nothing_and_double_nothing(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    data = [tmp_path / name for name in ("area", "stations", "vehicles")]
    with mosquitto(tmp_path) as broker:
        market = [
            Playing("station,recommender", broker.port, data[1]),
            Playing("vehicle", broker.port, data[2]),
        ]
        time.sleep(1.5)
        market.append(Playing("imbalance,pricing,producer,consumer", broker.port, data[0], "--start"))
        until = time.monotonic() + 11
        while time.monotonic() < until:
            time.sleep(chance.uniform(0.7, 1.6))
            if chance.random() < 0.2:
                broker.kill()
                broker.open()
            else:
                chance.choice(market).kill()
        codes = [playing.wait() for playing in market]
    logs = "\n".join(path.read_text() for path in tmp_path.glob("*.log"))

    assert codes == [0, 0, 0], logs
    assert "Traceback" not in logs, logs
    result = replay(data).result
    check_books(result)
    assert result.metrics["bookings_made"] > 0
