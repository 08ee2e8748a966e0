"""Every example runs as its page says, from a folder of its own, and says what it promises."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOTEBOOK = EXAMPLES / "compare_pricing.ipynb"
TESTED_ELSEWHERE = {"README.md", "strategy-package", "strangers"}
MOST_NOTEBOOK_BYTES = 300_000

EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient

NotebookClient(nbformat.read(sys.argv[1], 4), timeout=120).execute(cwd=".")
"""


@pytest.fixture
def run(tmp_path: Path):
    """Run a command in an empty folder, where `voltagora` is this interpreter's."""
    command = tmp_path / "bin" / "voltagora"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom voltagora.cli.main import main\n\nmain()\n")
    command.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        # What a kernel leaves behind goes here, not into somebody's home.
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }

    def in_folder(*words: str | Path) -> str:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return in_folder


def test_the_page_lists_every_example_and_each_is_tested() -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    there = {
        path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and path.name[0] not in "._"
    }

    assert set(re.findall(r"\]\(([^)]+)\)", page)) == there
    tests = Path(__file__).read_text(encoding="utf-8")
    for name in there - TESTED_ELSEWHERE:
        assert name in tests, name


def test_a_fleet_written_out_is_booked_hour_by_hour(run) -> None:
    lines = run(sys.executable, EXAMPLES / "own_fleet.py").splitlines()

    schedules = {
        name: [float(energy) for energy in lines[place + 2].split()]
        for place, line in enumerate(lines)
        for name in re.findall(r"^(\w+) at market-square", line)
    }
    assert set(schedules) == {"anna", "babis"}
    assert min(schedules["anna"]) < 0 <= min(schedules["babis"])
    assert sum(schedules["anna"]) == pytest.approx(10, abs=0.1 * len(schedules["anna"]))
    assert lines[-1].startswith("chloe was refused")
    assert lines[-1].endswith("no_free_connector")


def test_grid_and_drivers_of_ones_own_are_read_and_all_stays_booked(run, tmp_path: Path) -> None:
    told = run(sys.executable, EXAMPLES / "own_data.py")

    made, asked = map(int, re.findall(r"^(\d+) of (\d+) stays", told)[0])
    assert made == asked > 50
    folder = tmp_path / "runs" / "own-data"
    assert {path.name for path in folder.iterdir()} == {"grid.csv", "drivers.csv", "own-scenario.toml"}
    assert "valid" in run("voltagora", "validate", folder / "own-scenario.toml")


def test_the_six_pairings_of_the_published_experiment_are_a_table(run) -> None:
    head, *rows = run(sys.executable, EXAMPLES / "six_pairings.py", "--vehicles", "10").splitlines()

    assert [row.split()[1:3] for row in rows] == [
        [pricing, scheduling]
        for pricing in ("nrgcoin", "adaptive")
        for scheduling in ("first_slot", "lowest_price", "v2g")
    ]
    assert head.split()[-1] == "messages"
    assert all(int(row.split()[-1]) > 262 for row in rows)


def test_a_stored_run_is_asked_in_sql(run, tmp_path: Path) -> None:
    told = run(sys.executable, EXAMPLES / "read_results.py")

    assert (tmp_path / "runs" / "quickstart" / "run.json").exists()
    assert told.count("?\n") == 5
    assert "no_free_connector" in told
    assert run(sys.executable, EXAMPLES / "read_results.py", tmp_path / "runs" / "quickstart") == told


def test_one_decision_is_an_answer_in_json(run) -> None:
    told = run("sh", EXAMPLES / "one_decision.sh").splitlines()
    price, schedule, refusal = (json.loads(line) for line in told if line.startswith("{"))

    assert price["buy"] == sorted(price["buy"])
    assert schedule["accepted"]
    assert sum(schedule["schedule"]) == pytest.approx(6)
    assert min(schedule["schedule"]) < 0
    assert not refusal["accepted"]
    assert 0 < refusal["possible_kwh"] < 60


def test_the_notebook_runs_and_all_it_claims_holds(run) -> None:
    # Its last code cell asserts what its words say.
    run(sys.executable, "-c", EXECUTE, NOTEBOOK)


def test_the_notebook_is_stored_with_small_outputs_and_no_errors() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]

    assert NOTEBOOK.stat().st_size < MOST_NOTEBOOK_BYTES
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    assert all(output["output_type"] in ("execute_result", "display_data") for output in outputs)
    numbers = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert numbers == list(range(1, len(numbers) + 1))
