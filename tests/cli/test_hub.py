"""`voltagora hub` as a user meets it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from voltagora.cli.main import app
from voltagora.hub.passwords import is_right


def test_it_says_where_it_listens_and_stops_at_a_signal(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "voltagora",
        "hub",
        "--mqtt",
        "127.0.0.1:0",
        "--websocket",
        "127.0.0.1:0",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(4)]
    port = re.search(r"mqtt://127\.0\.0\.1:(\d+)", said[0])
    assert port is not None
    socket.create_connection(("127.0.0.1", int(port[1]))).close()
    assert "everybody on it may do everything" in said[2]
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert (tmp_path / "hub-data" / "hub.sqlite").exists()


def test_a_password_from_a_pipe_is_hashed() -> None:
    done = CliRunner().invoke(app, ["hub", "password"], input="geheim\n")
    assert done.exit_code == 0
    assert is_right(b"geheim", done.stdout.strip())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mqtt", "0.0.0.0:1883"], "--mqtt: got '0.0.0.0:1883', must be a loopback address"),
        (["--mqtt", "1883"], "--mqtt: got '1883', must be HOST:PORT"),
        (["--memory", "--data", "x"], "--data: got 'x', must be left out with --memory"),
        (["--tls-cert", "x"], "--tls-key: got None, must be given together with tls_cert"),
        (["--users", "nowhere.toml"], "nowhere.toml: got 'nothing readable', must be a users file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["hub", "--memory", *words])
    assert done.exit_code == 2
    assert said in done.stderr
