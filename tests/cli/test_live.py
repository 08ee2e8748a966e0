"""The commands of live markets: what they do, and what they say to bad input."""

from __future__ import annotations

import json
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
    (("agent", "car", "--id", "x", "--scenario", "quickstart"), "KIND: got 'car'"),
    (("agent", "station", "--scenario", "quickstart", "--broker", "mqtt://x"), "--id: got nothing"),
    (
        ("agent", "station", "--id", "cs-77", "--scenario", "quickstart", "--broker", "mqtt://x"),
        "--id: got 'cs-77'",
    ),
    (("agent", "station", "--id", "cs-00", "--scenario", "quickstart"), "--broker"),
    (
        ("agent", "vehicle", "--id", "x", "--scenario", "quickstart", "--speed", "9", "--broker", "mqtt://x"),
        "--speed",
    ),
    (("rights", "missing.toml"), "missing.toml"),
    (("service-folder", "car"), "KIND: got 'car'"),
]


@pytest.mark.parametrize(("words", "told"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_named_and_leaves_nothing(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = voltagora(*words, cwd=tmp_path)

    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"run_params": "not json"}, "run_params: got 'not json'"),
        ({"run_params": '{"ids": "x"}'}, "did you mean 'id'"),
        ({"in_topic_1": "timer", "out_topic_1": "CS/cs-00/#"}, "in_topic_1..1"),
    ],
)
def test_a_service_environment_that_does_not_do_is_named(
    environment: dict[str, str], told: str, tmp_path: Path
) -> None:
    words = ("agent", "station", "--id", "cs-00", "--scenario", "quickstart")
    done = voltagora(*words, cwd=tmp_path, BROKER="127.0.0.1", **environment)

    assert done.returncode == 2, done.stderr
    assert told in done.stderr


@pytest.mark.parametrize(
    "kind", ["vehicle", "station", "recommender", "imbalance", "pricing", "producer", "consumer"]
)
def test_a_service_folder_holds_all_that_the_platform_wants(kind: str, tmp_path: Path) -> None:
    done = voltagora("service-folder", kind, cwd=tmp_path)

    folder = tmp_path / f"service-{kind}"
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {
        "main.py",
        "requirements.txt",
        "Dockerfile",
        "agent.toml",
        "scenario.toml",
        "service.json",
        "README.md",
        "log",
    }
    (service,) = json.loads((folder / "service.json").read_text()).values()
    assert service["service_type"] in ("Sensor", "Processor", "Actuator")
    again = voltagora("service-folder", kind, cwd=tmp_path)
    assert again.returncode == 2
    assert "empty" in again.stderr


def test_a_service_folder_starts_with_nothing_but_the_platforms_environment(tmp_path: Path) -> None:
    assert voltagora("service-folder", "station", cwd=tmp_path).returncode == 0
    folder = tmp_path / "service-station"
    (service,) = json.loads((folder / "service.json").read_text()).values()
    environment = {
        f"{way}_topic_{number}": topic["name"]
        for way in ("in", "out")
        for number, topic in enumerate(service[f"{way}put_topics"], 1)
    }
    # With its own topics it gets as far as the broker, which is not there.
    started = subprocess.Popen(
        [sys.executable, "main.py"],
        cwd=folder,
        env=os.environ | environment | {"BROKER": "127.0.0.2"},
        stderr=subprocess.DEVNULL,
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            started.wait(4)
        assert "cannot be reached" in (folder / "log" / "agent.log").read_text()
    finally:
        started.kill()
        started.wait()
