"""A service folder runs from what lies in it and the platform's variables, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from brokers import program, running_hub

ROOT = Path(__file__).resolve().parents[2]
SECRET = "canary-of-a-password"
SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recommender as a service, with a wheel of this checkout."""
    place = tmp_path_factory.mktemp("service") / "sr"
    made = [sys.executable, "-m", "voltagora", "service-folder", "recommender", "--out", str(place)]
    subprocess.run([*made, "--wheel", str(ROOT)], check=True, capture_output=True)
    return place


@pytest.fixture(scope="module")
def site(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What requirements.txt names, unpacked alone; the dependencies are lent, the checkout is not."""
    place, lent = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("lent")
    requirement = (folder / "requirements.txt").read_text().strip().removesuffix("[live]")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command = [*install, "--target", str(place), requirement]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if "voltagora" not in package.name and package.suffix != ".pth":
            (lent / package.name).symlink_to(package)
    return f"{place}{os.pathsep}{lent}"


def variables(folder: Path, port: int, **more: str) -> dict[str, str]:
    """All that the platform sets."""
    (service,) = json.loads((folder / "service.json").read_text()).values()
    topics = {
        f"{way}_topic_{number}": topic["name"]
        for way in ("in", "out")
        for number, topic in enumerate(service[f"{way}put_topics"], 1)
    }
    told = {"BROKER": f"127.0.0.1:{port}", "CLIENT_NAME": "sr_client", "username": "ada", "password": SECRET}
    return {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "run_params": "", **told, **topics, **more}


def started(folder: Path, site: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    # -S leaves out this environment's own site-packages, and with it the checkout.
    command = [sys.executable, "-S", str(folder / "main.py")]
    return subprocess.Popen(command, cwd="/", env=environment | {"PYTHONPATH": site})


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


def test_it_comes_goes_and_is_missed_when_it_is_killed(folder: Path, site: str, tmp_path: Path) -> None:
    with running_hub() as hub:
        with (tmp_path / "heard").open("wb") as heard:
            listen = [program("mosquitto_sub"), "-h", "127.0.0.1", "-p", str(hub.port), "-t", "presence/+"]
            listening = subprocess.Popen(listen, stdout=heard)
        said = (tmp_path / "heard").read_text
        environment = variables(folder, hub.port)
        try:
            service = started(folder, site, environment)
            until(lambda: said() == "online\n")
            service.send_signal(signal.SIGTERM)
            assert service.wait(SECONDS) == 0
            until(lambda: said() == "online\noffline\n")
            service = started(folder, site, environment)
            until(lambda: said() == "online\noffline\nonline\n")
            service.kill()
            service.wait()
            until(lambda: said() == "online\noffline\nonline\noffline\n")
        finally:
            listening.terminate()
            listening.wait()

    log = (folder / "log" / "sr-agora.log").read_text()
    assert log.count(" connected") == 2
    assert SECRET not in log
    assert (folder / "log" / "sr-agora.log.data" / "journal.sqlite").is_file()


def test_topics_that_were_not_registered_are_named_in_the_log(folder: Path, site: str) -> None:
    environment = variables(folder, 1)
    environment["in_topic_1"] = "EV/ev-000000/RequestChargingRecommendations"  # of one vehicle, not of all

    assert started(folder, site, environment).wait(SECONDS) == 2

    assert (
        "topics that also cover EV/+/RequestChargingRecommendations"
        in (folder / "log" / "sr-agora.log").read_text()
    )


def test_run_params_choose_another_agent_of_the_market(folder: Path, site: str) -> None:
    nobody = variables(folder, 1, run_params='{"id": "sr-nobody"}')
    # Each has its own log and data; this one needs other topics than the folder's.
    other = variables(folder, 1, run_params='{"id": "sr-lamppost"}')

    assert started(folder, site, nobody).wait(SECONDS) == 2
    assert started(folder, site, other).wait(SECONDS) == 2

    log = (folder / "log" / "sr-nobody.log").read_text()
    assert "--id: got 'sr-nobody', must be one of: sr-agora, sr-lamppost" in log
    assert "EI/sr-lamppost/ElectricityImbalance" in (folder / "log" / "sr-lamppost.log").read_text()
    assert not (folder / "log" / "sr-nobody.log.data").exists()
