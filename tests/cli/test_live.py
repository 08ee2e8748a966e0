"""The commands of live markets: what they do, and what they say to bad input."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def voltagora(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voltagora", *words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_market_runs_on_embedded_defaults_and_keeps_its_result(tmp_path: Path) -> None:
    done = voltagora(
        *("live", "quickstart", "--set", "vehicles.count=5", "--set", "days=1"),
        *("--mqtt", "127.0.0.1:0", "--speed", "max", "--start", "--out", "out"),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    assert "Broker: mqtt://127.0.0.1:" in done.stderr
    assert "bookings" in done.stdout
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_taken_port_is_named_with_who_holds_it_and_what_moves_it(tmp_path: Path) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        address = f"127.0.0.1:{held.getsockname()[1]}"
        done = voltagora("live", "quickstart", "--mqtt", address, "--start", cwd=tmp_path)

    assert done.returncode == 2
    assert address in done.stderr
    assert f"process {os.getpid()}) has it" in done.stderr
    assert "--mqtt 127.0.0.1:1884 moves it" in done.stderr


BAD = [
    (("live", "quickstart", "--speed", "0"), "--speed: got '0'"),
    (("live", "quickstart", "--only", "cars"), "--only: got 'cars'"),
    (("live", "quickstart", "--speed", "max", "--only", "vehicle"), "must hold all agents"),
    (("live", "quickstart", "--speed", "1"), "--set start="),
    (("live", "quickstart", "--only", "vehicle", "--out", "x"), "voltagora replay"),
    (("live", "quickstart", "--broker", "http://x"), "mqtt://"),
    (("live", "quickstart", "--broker", "mqtt://x", "--mqtt", "127.0.0.1:1"), "--mqtt"),
    (("live", "quickstart", "--until", "tomorrow"), "--until"),
    (("replay", "nowhere"), "journal.sqlite"),
    (("rights", "missing.toml"), "missing.toml"),
]


@pytest.mark.parametrize(("words", "told"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_named_and_leaves_nothing(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = voltagora(*words, cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []
