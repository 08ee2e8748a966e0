"""`voltagora agent` and `voltagora service-folder`: what they take, and what they say to bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from voltagora.cli.agent_settings import agent_settings
from voltagora.domain.errors import InputErrors
from voltagora.platform.registry.exchange import read_services
from voltagora.platform.runner import dockerfile
from voltagora.scenario.manifest import scenario_hash
from voltagora.scenario.read import read_scenario
from voltagora.scenario.service_folder.folder import service_folder

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("vehicle", "station", "recommender", "imbalance", "pricing", "producer", "consumer")
AGENT = ("agent", "station", "--id", "cs-00", "--scenario", "quickstart")
SECRET = "canary-of-a-password"


def voltagora(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voltagora", *words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


# Settings.


def test_options_win_over_run_params_and_those_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        'scenario = "quickstart"\nid = "cs-00"\nseed = 1\nspeed = 5\nset = {days = 1, vehicles.count = 1}\n'
    )
    said = {"seed": 2, "speed": 6, "id": ["cs-01", "cs-02", "cs-01"], "set": ["vehicles.count=2"]}

    found = agent_settings({"seed": 3, "set": ["stations.count=3"]}, said, tmp_path / "a.toml")

    assert (found.seed, found.speed, found.ids) == (3, 6, ("cs-01", "cs-02"))
    scenario = read_scenario("quickstart", found.set or {})
    assert (scenario.days, scenario.vehicles.count) == (1, 2)
    assert scenario.stations.count == 3


def test_paths_in_a_file_start_where_the_file_lies(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    text = 'scenario = "m.toml"\nid = "x"\ndata = "kept"\nca = "/etc/ca.pem"\n'
    (folder / "a.toml").write_text(text)

    found = agent_settings({"cert": "c.pem"}, {}, folder / "a.toml")

    assert found.scenario == str(folder / "m.toml")
    assert found.path("data") == folder / "kept"
    assert found.path("ca") == Path("/etc/ca.pem")
    assert found.path("cert") == Path("c.pem")


def test_all_that_is_wrong_is_told_at_once_and_where(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seed = 1.5\nbrokr = 1\n")

    with pytest.raises(InputErrors) as caught:
        agent_settings({}, {"start": "yes", "id": 5, "http": 80}, tmp_path / "a.toml")

    told = [error.field for error in caught.value.errors]
    file = str(tmp_path / "a.toml")
    assert told == [
        f"{file}: seed",
        f"{file}: brokr",
        *(f"run_params: {key}" for key in ("start", "id", "http")),
    ]


BAD: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    (("agent", "car", "--id", "x", "--scenario", "quickstart"), {}, "KIND: got 'car'"),
    (("agent", "station", "--scenario", "quickstart"), {}, "--id: got nothing"),
    (("agent", "station", "--id", "cs-00"), {}, "--scenario: got nothing"),
    (AGENT, {}, "--broker: got nothing"),
    ((*AGENT[:3], "cs-77", *AGENT[4:]), {}, "--id: got 'cs-77'"),
    ((*AGENT, "--speed", "9"), {}, "--speed: got '9', must be left out"),
    ((*AGENT, "--http", "80"), {}, "--http: got '80', must be HOST:PORT"),
    ((*AGENT, "--http", ":80"), {}, "--http: got ':80', must be HOST:PORT"),
    ((*AGENT, "--config", "missing.toml"), {}, "--config: got 'missing.toml'"),
    (
        ("agent", "imbalance", "--id", "ei-village", "--scenario", "quickstart", "--speed", "1"),
        {},
        "--set start=",
    ),
    (
        ("agent", "imbalance", "--id", "ei-village", "--scenario", "quickstart", "--speed", "max"),
        {},
        "must hold all",
    ),
    (AGENT, {"run_params": "not json"}, "run_params: got 'not json'"),
    (AGENT, {"run_params": "5"}, "run_params: got '5', must be a JSON object"),
    (AGENT, {"run_params": "[" * 5000}, "must be a JSON object"),
    (AGENT, {"run_params": '{"ids": "x"}'}, "did you mean 'id'"),
    (AGENT, {"run_params": '{"seed": "x"}'}, "run_params: seed: got 'x', must be a whole number"),
    (AGENT, {"run_params": '{"set": {"vehicles.cont": 1}}'}, "did you mean 'count'"),
    (AGENT, {"BROKER": "no host"}, "broker: got"),
    (("service-folder", "car"), {}, "KIND: got 'car'"),
    (("service-folder", "station", "--wheel", "."), {}, "--wheel: got '.', must be"),
    (("service-folder", "station", "--id", "ev-000000"), {}, "--id: got 'ev-000000'"),
]


@pytest.mark.parametrize(
    ("words", "environment", "told"), BAD, ids=[str(number) for number in range(len(BAD))]
)
def test_bad_input_is_named_and_leaves_nothing(
    words: tuple[str, ...], environment: dict[str, str], told: str, tmp_path: Path
) -> None:
    somewhere = {} if "--broker: got nothing" in told else {"BROKER": "127.0.0.1"}
    done = voltagora(*words, cwd=tmp_path, **(somewhere | environment))

    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_never_told(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    broken = {"run_params": f'{{"broker": "mqtt://me:{SECRET}@127.0.0.1"'}
    refused = {"run_params": f'{{"broker": "mqtt://me:{SECRET}@127.0.0.1:x"}}', "password": SECRET}

    told = [voltagora(*AGENT, cwd=tmp_path, **each) for each in (broken, refused)]

    assert [done.returncode for done in told] == [2, 2]
    log = "".join(path.read_text() for path in (tmp_path / "log").iterdir())
    assert log.count(" ERROR ") == 2
    assert SECRET not in log + "".join(done.stderr + done.stdout for done in told)


# Service folders.


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_folder_holds_all_that_the_platform_wants(kind: str, tmp_path: Path) -> None:
    assert voltagora("service-folder", kind, cwd=tmp_path).returncode == 0
    folder = tmp_path / f"service-{kind}"
    assert {path.name for path in folder.iterdir()} == {
        *("main.py", "requirements.txt", "Dockerfile", ".dockerignore", "agent.toml", "scenario.toml"),
        *("service.json", "README.md", "log"),
    }
    (service,) = read_services((folder / "service.json").read_bytes())
    assert service.service_type in ("Sensor", "Processor", "Actuator")
    assert service.name == tomllib.loads((folder / "agent.toml").read_text())["id"]
    recipe = dockerfile.read(folder / "Dockerfile")
    assert recipe.python == (3, 11)
    assert recipe.command == ("python", "main.py")
    assert [install[2] for install in recipe.installs] == [("-r", "requirements.txt")]

    again = voltagora("service-folder", kind, cwd=tmp_path)

    assert again.returncode == 2
    assert "must be a folder that is empty or not there yet" in again.stderr


def test_what_one_folder_publishes_another_reads() -> None:
    published, read = set(), set()
    for kind in KINDS:
        files = service_folder(kind, "quickstart", (), None, None).files(None)
        variables = topics_of(files["service.json"])
        # An agent's own id stands in its topics; the last level says what they are.
        published |= {_last(name) for key, name in variables.items() if key.startswith("out")}
        read |= {_last(name) for key, name in variables.items() if key.startswith("in")}

    assert published == read - {"timer", "clock"}
    assert {"ElectricityImbalance", "ReserveChargingSlot", "presence"} <= published


def _last(topic: str) -> str:
    levels = topic.split("/")
    return levels[0] if levels[0] == "presence" else levels[-1]


def test_a_folder_takes_the_data_of_its_scenario_along_and_is_the_same_market(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    prices = "start,price_eur_per_mwh\n" + "".join(
        f"2020-01-{day:02}T{hour:02}:00:00Z,50\n" for day in range(1, 6) for hour in range(24)
    )
    (tmp_path / "data" / "prices.csv").write_text(prices)
    away = tmp_path / "markets"
    away.mkdir()
    (away / "mine.toml").write_text(
        'start = 2020-01-01\n[pricing]\nstrategy = "market"\nmarket_file = "../data/prices.csv"\n'
        "[vehicles]\ncount = 2\n"
    )
    words = ("service-folder", "station", "--scenario", "markets/mine.toml", "--set", "days=2", "--seed", "9")

    done = voltagora(*words, cwd=tmp_path)

    folder = tmp_path / "service-station"
    assert done.returncode == 0, done.stderr
    assert (folder / "prices.csv").read_text() == prices
    found = agent_settings({}, {}, folder / "agent.toml")
    here = read_scenario(str(found.scenario), found.set or {}, found.seed)
    there = read_scenario(away / "mine.toml", ["days=2"], 9)
    assert scenario_hash(here) == scenario_hash(there)


def test_a_wheel_is_put_beside(tmp_path: Path) -> None:
    done = voltagora("service-folder", "station", "--wheel", str(ROOT), cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    (wheel,) = (tmp_path / "service-station").glob("*.whl")
    assert (tmp_path / "service-station" / "requirements.txt").read_text() == f"./{wheel.name}[live]\n"
    given = voltagora("service-folder", "vehicle", "--wheel", str(wheel), cwd=tmp_path)
    assert given.returncode == 0
    assert (tmp_path / "service-vehicle" / wheel.name).read_bytes() == wheel.read_bytes()


def test_a_service_says_in_its_log_that_there_is_no_broker_and_leaves_when_asked(tmp_path: Path) -> None:
    assert voltagora("service-folder", "station", cwd=tmp_path).returncode == 0
    folder = tmp_path / "service-station"
    # Nothing listens on port 1 of another address of loopback; it is started from another folder.
    environment = (
        os.environ
        | topics_of((folder / "service.json").read_bytes())
        | {"BROKER": "127.0.0.2:1", "password": SECRET}
    )
    started = subprocess.Popen([sys.executable, "service-station/main.py"], cwd=tmp_path, env=environment)
    log = folder / "log" / "cs-00.log"
    try:
        while "cannot be reached" not in (log.read_text() if log.exists() else ""):
            assert started.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                started.wait(0.05)
        started.send_signal(signal.SIGTERM)
        assert started.wait(20) == 0
    finally:
        started.kill()
        started.wait()
    assert SECRET not in log.read_text()


def topics_of(exported: bytes) -> dict[str, str]:
    """The variables by which the platform tells a service its topics."""
    service: dict[str, Any]
    (service,) = json.loads(exported).values()
    return {
        f"{way}_topic_{number}": topic["name"]
        for way in ("in", "out")
        for number, topic in enumerate(service[f"{way}put_topics"], 1)
    }
