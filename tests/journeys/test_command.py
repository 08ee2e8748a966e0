"""`voltagora run` as a user meets it: what it prints, what it leaves, and how it leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import voltagora

SMALL = """
days = 1
vehicles = { count = 8 }
stations = { count = 2, connectors_per_kind = 1 }
"""
LONG = """
days = 60
vehicles = { count = 3000 }
stations = { count = 100 }
"""
FILES = {
    "run.json",
    "timing.json",
    "report.html",
    "sessions.parquet",
    "slots.parquet",
    "vehicles.parquet",
    "refusals.parquet",
    "needs.parquet",
    "stations.parquet",
    "ledger.parquet",
    "message_counts.parquet",
}


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voltagora", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_a_run_leaves_its_folder_and_says_where_the_report_is(tmp_path: Path, scenario: Path) -> None:
    done = command("run", scenario, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    folder = tmp_path / "runs" / "small"
    assert {file.name for file in folder.iterdir()} >= FILES
    assert str(Path("runs") / "small" / "report.html") in done.stdout
    assert "bookings" in done.stdout
    again = command("run", scenario, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "--force" in again.stderr
    assert "Traceback" not in again.stderr
    forced = command("run", scenario, "--force", "--seed", "7", cwd=tmp_path)
    assert forced.returncode == 0
    assert json.loads((folder / "run.json").read_text())["seed"] == 7
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["small"]


def test_json_is_the_metrics_and_nothing_else(tmp_path: Path, scenario: Path) -> None:
    done = command("run", scenario, "--json", "--out", "out", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == voltagora.run(scenario).metrics
    assert json.loads((tmp_path / "out" / "run.json").read_text())["metrics"] == json.loads(done.stdout)


def test_force_never_replaces_what_is_no_result(tmp_path: Path, scenario: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "letters.txt").write_text("dear")
    done = command("run", scenario, "--out", home, "--force", cwd=tmp_path)
    assert done.returncode == 2
    assert (home / "letters.txt").read_text() == "dear"


@pytest.mark.parametrize(
    ("text", "arguments", "says"),
    [
        ("dayz = 1\n", [], "days"),
        ("days = 0\n", [], "days"),
        ("[scheduling]\nstrategy = 'v2gg'\n", [], "v2g"),
        ("days = \n", [], "TOML"),
        (SMALL, ["--set", "vehicles.cuont=1"], "'count'"),
        (SMALL, ["--set", "grid.file=nowhere.csv"], "nowhere.csv"),
        (SMALL, ["--workers", "0"], "workers"),
    ],
)
def test_bad_input_is_one_message_and_exit_code_2(
    tmp_path: Path, text: str, arguments: list[str], says: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    done = command("run", path, *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["wrong.toml"]


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text("days = -1\nstep_minutes = 7\n[pricing]\nstrategy = 'nrgcion'\n")
    told = command("run", path, cwd=tmp_path).stderr
    assert all(word in told for word in ("days", "step_minutes", "nrgcoin"))


def test_a_scenario_that_is_not_there_is_named_with_the_nearest_that_is(tmp_path: Path) -> None:
    done = command("run", "quickstrat", cwd=tmp_path)
    assert done.returncode == 2
    assert "quickstart" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on POSIX")
def test_ctrl_c_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_text(LONG)
    running = subprocess.Popen(
        [sys.executable, "-m", "voltagora", "run", str(path), "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(3.0)
    assert running.poll() is None, "the run is over before it could be stopped"
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert (out, err.strip()) == ("", "stopped by the user")
    assert [file.name for file in tmp_path.iterdir()] == ["long.toml"]


def test_a_disk_that_refuses_is_one_message_and_leaves_nothing(tmp_path: Path, scenario: Path) -> None:
    target = tmp_path / "file"
    target.write_text("in the way")
    done = command("run", scenario, "--out", target / "below", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "small.toml"]


def test_the_smallest_market_there_is_runs(tmp_path: Path) -> None:
    """No vehicle and no station, or nobody who has a stay: nothing happens, and that is reported."""
    nobody = ["--set", "vehicles.count=0", "--set", "stations.count=0"]
    done = command("run", "paper-2020", "--json", "--out", "empty", *nobody, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["messages_total"] == 1 + 9 + 18 * 11 + 22
    parked = tmp_path / "parked.toml"
    parked.write_text(
        "seed = 0\ndays = 1\nstart = 2020-03-07\ntime_zone = 'America/St_Johns'\nvehicles = { count = 1 }\n"
    )
    metrics = voltagora.run(parked).metrics  # one of the ten drivers has no stay on that day
    assert metrics["bookings_made"] <= metrics["bookings_asked"]
