"""`make fuzz`: every attack for SECONDS_EACH seconds, and how many runs that were.

What breaks is left in build/fuzz, where libFuzzer also keeps the inputs it has grown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOUND = ROOT / "build" / "fuzz"
SECONDS = int(os.environ.get("SECONDS_EACH", "60"))

PROGRAMS_A_SECOND = {
    "test_differential.py::test_clients_see_the_same_as_with_mosquitto": 7,
    "test_differential.py::test_clients_see_the_same_as_with_mosquitto_over_restarts": 5,
    "test_differential.py::test_groups_see_the_same_as_with_mosquitto": 7,
    "test_differential.py::test_a_hub_that_keeps_shows_nothing_else_than_one_that_does_not": 7,
    "test_rights.py::test_nobody_sees_or_lacks_anything_against_the_rights": 20,
}
"""About as many as a machine of two cores does; each is another program every time."""


def harness(name: str) -> tuple[str, int, bool]:
    """Run one harness under atheris; give its name, its number of runs, and whether all was well."""
    FOUND.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "fuzz" / f"{name}.py"), str(FOUND / name), "-len_control=0"]
    command += [f"-max_total_time={SECONDS}", "-max_len=2048", "-print_final_stats=1"]
    done = subprocess.run(
        [*command, f"-artifact_prefix={FOUND}/{name}-"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-4000:], sep="\n")
    runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    return name, int(runs[1]) if runs else 0, done.returncode == 0


def programs(test: str, a_second: int) -> tuple[str, int, bool]:
    """Run one of the tests that write programs, with many new ones."""
    number = max(1, a_second * SECONDS)
    command = [sys.executable, "-m", "pytest", f"tests/hub/proof/{test}", "-q", "-p", "no:cacheprovider"]
    environment = os.environ | {"VOLTAGORA_PROGRAMS": str(number)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-8000:])
    return test.partition("::test_")[2].replace("_", " "), number, done.returncode == 0


def overload() -> bool:
    """Run the attacks that need a crowd, and show what a bystander felt."""
    command = [sys.executable, "-m", "pytest", "tests/hub/proof/test_overload.py", "-q"]
    environment = os.environ | {"VOLTAGORA_PROGRAMS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0


def main() -> int:
    """Run everything; 0 if nothing was found."""
    began = time.monotonic()
    results = [harness(f"fuzz_{name}") for name in ("packets", "connections", "websocket")]
    results += [programs(test, number) for test, number in PROGRAMS_A_SECOND.items()]
    calm = overload()
    print()
    for name, runs, well in results:
        print(f"{runs:>12,}  {'well  ' if well else 'BROKEN'}  {name}")
    print(f"{sum(runs for _, runs, _ in results):>12,}  in {time.monotonic() - began:.0f} s")
    return 0 if calm and all(well for _, _, well in results) else 1


if __name__ == "__main__":
    sys.exit(main())
